// The plugin as a function: environment and standard input in, standard output and exit code out.
#pragma once

#include <string>

#include "cni/protocol.h"

namespace merino::cni {

struct Reply {
  std::string text;  // for standard output
  int exit_code = 0;
  unsigned code = 0;  // of the error object; 0: success
};

// Never throws. Every failure is an error object of the spec.
Reply run(const Environment& environment, const std::string& input);

}  // namespace merino::cni
