// What merinod keeps of the node's memory.
#pragma once

namespace merino {

// For a process that needs much for a moment and little for long. To be called before there are threads.
void limit_heap();

// What was freed goes back to the kernel.
void give_back_heap();

// Pages of program and libraries that the start has read (relocation, initialisation, loading of BPF programs) are not this process' any
// more: they stay in the page cache, from which the kernel can take them without a look at who maps them, and come back by a page fault
// when they are used again. What can be written to, or was relocated, is left alone.
void give_back_code();

}  // namespace merino
