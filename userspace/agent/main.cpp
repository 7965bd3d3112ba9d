#include <fmt/core.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/options.h"
#include "agent/version.h"

namespace {

void open_log(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("merinod", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const auto line = merino::parse_command_line(arguments, merino::process_environment());
  if (!line) {
    fmt::print(stderr, "merinod: {}\n", line.error().message());
    return 1;
  }
  if (line->command == merino::Command::help) {
    fmt::print("{}", merino::help_text());
    return 0;
  }
  if (line->command == merino::Command::version) {
    // flanneld prints it to standard error; scripts may look there.
    fmt::print(stderr, "merinod {}\n", merino::kVersion);
    return 0;
  }
  open_log(line->options.log_level);
  const auto ended = merino::run_agent(line->options);
  if (!ended) spdlog::error("{}", ended.error().message());
  return ended ? 0 : 1;
}
