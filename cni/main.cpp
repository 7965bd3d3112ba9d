// merino, the CNI plugin: called by a container runtime for each pod.
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>

#include "base/call_counts.h"
#include "cni/plugin.h"

namespace {

constexpr size_t kMaxInput = 16U << 20U;

// nullopt: it cannot be read, or is larger than any configuration.
std::optional<std::string> read_input() {
  std::string input;
  // VERSION by hand, from a terminal, is not kept waiting.
  if (::isatty(STDIN_FILENO) == 1) return input;
  std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 || input.size() > kMaxInput) return std::nullopt;
    if (n == 0) return input;
    input.append(buffer.data(), static_cast<size_t>(n));
  }
}

}  // namespace

int main() {
  using namespace merino::cni;
  const auto begin = std::chrono::steady_clock::now();
  const Environment environment = read_environment();
  if (environment.command.empty()) {
    std::fprintf(stderr, "merino %s, a CNI plugin: runtimes call it with CNI_COMMAND set and a network configuration on standard input\n",
                 MERINO_VERSION);
    return 0;
  }
  // A runtime that went away is no reason to stop in the middle.
  std::signal(SIGPIPE, SIG_IGN);
  const std::optional<std::string> input = read_input();
  const Reply reply =
      input
          ? run(environment, *input)
          : Reply{format_failure(Failure(Code::io_failure, "the network configuration cannot be read from standard input"), kLatestVersion),
                  1, static_cast<unsigned>(Code::io_failure)};
  errno = 0;
  const bool written = std::fwrite(reply.text.data(), 1, reply.text.size(), stdout) == reply.text.size() && std::fflush(stdout) == 0;
  if (!written) std::fprintf(stderr, "merino: the answer cannot be written to standard output: %s\n", std::strerror(errno));
  // A call is not worth less because it cannot be counted.
  (void)merino::count_call(environment.command, reply.code, std::chrono::steady_clock::now() - begin);
  return written ? reply.exit_code : 1;
}
