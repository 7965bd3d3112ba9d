// Another program, run to its end without a shell.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace merino {

enum class BaseEnvironment { inherit, empty };

struct ProcessRequest {
  std::vector<std::string> argv;  // argv[0] is a path, or a name that is looked for in PATH
  std::string input;              // what the program reads from its standard input
  BaseEnvironment base_environment = BaseEnvironment::inherit;
  std::map<std::string, std::string> environment;  // set on top of the base
  std::chrono::milliseconds timeout{30000};
  size_t max_output_bytes = 4U << 20U;  // of standard output and of standard error, each
};

struct ProcessOutput {
  int exit_code = 0;  // meaningful if signal is 0
  int signal = 0;     // the signal that killed the program
  std::string out;
  std::string err;

  [[nodiscard]] bool succeeded() const { return signal == 0 && exit_code == 0; }
  // "exit code 2" or "killed by signal 9", for error texts.
  [[nodiscard]] std::string outcome() const;
};

// Runs the program and waits for its end; whatever it returned is a ProcessOutput. The program gets its own process group, an empty
// signal mask, and no file descriptor of ours but the three standard ones.
// Errors: the program cannot be started (not_found if it does not exist); it was still running after the timeout (unavailable) or wrote
// more than the limit (invalid), and was killed with its process group.
// Output is complete as of the program's end: a descendant that it leaves behind with the pipes open is not waited for.
Result<ProcessOutput> run_process(const ProcessRequest& request);

}  // namespace merino
