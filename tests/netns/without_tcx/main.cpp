// usage: without_tcx PROGRAM [ARGUMENT...]      runs it as on a kernel that has no tcx
#include <fmt/core.h>
#include <unistd.h>

#include <cstring>

#include "without_tcx/refuse.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "without_tcx: say what is to be run\n");
    return 2;
  }
  if (const int error = merino::lab::refuse_tcx(); error != 0) {
    fmt::print(stderr, "without_tcx: seccomp filter: {}\n", std::strerror(error));
    return 126;
  }
  execvp(argv[1], argv + 1);
  fmt::print(stderr, "without_tcx: {}: {}\n", argv[1], std::strerror(errno));
  return 127;
}
