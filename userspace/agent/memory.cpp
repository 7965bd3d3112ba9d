#include "agent/memory.h"

#include <elf.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <span>

namespace merino {

namespace {

constexpr int kLargePiece = 128 << 10;

std::span<const ElfW(Phdr)> segments(const dl_phdr_info& object) { return {object.dlpi_phdr, object.dlpi_phnum}; }

// Its read-only pages may differ from the file: they were relocated.
bool has_text_relocations(const dl_phdr_info& object) {
  for (const auto& segment : segments(object)) {
    if (segment.p_type != PT_DYNAMIC) continue;
    const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(object.dlpi_addr + segment.p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0)) return true;
    }
  }
  return false;
}

int give_back(dl_phdr_info* object, size_t, void*) {
  const bool is_kernels = std::strncmp(object->dlpi_name, "linux-vdso", std::strlen("linux-vdso")) == 0;
  if (is_kernels || has_text_relocations(*object)) return 0;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (const auto& segment : segments(*object)) {
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_filesz;
    // Refused for locked memory only, which is to stay.
    (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // NOLINT(performance-no-int-to-ptr): an address
  }
  return 0;
}

}  // namespace

void limit_heap() {
  // A heap for each thread would keep what it once needed; nothing here is fast enough to mind sharing.
  ::mallopt(M_ARENA_MAX, 1);
  // What is large goes back when it is freed. By itself malloc would take the first large piece that is freed for a reason to keep such.
  ::mallopt(M_MMAP_THRESHOLD, kLargePiece);
}

void give_back_heap() { ::malloc_trim(0); }

void give_back_code() { ::dl_iterate_phdr(give_back, nullptr); }

}  // namespace merino
