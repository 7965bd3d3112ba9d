// The namespaces in which a test program runs: its own processes, mounts and network. Nothing that it makes is seen outside, and nothing is
// left when it ends, however it ends.
#pragma once

#include <functional>
#include <string>

namespace merino::lab {

// A tmpfs of the program's own, seen by everything that it starts: logs, lease directories.
inline constexpr const char* kSharedDir = "/media";

// Runs `body` in new namespaces and returns its exit code; 128 + n if signal n killed it. The caller's death ends everything within.
int run_in_sandbox(const std::function<int()>& body);

}  // namespace merino::lab
