#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/cleanup.h"
#include "agent/install_cni.h"
#include "agent/log.h"
#include "agent/options.h"
#include "agent/version.h"

namespace {

int run_install_cni(const std::vector<std::string>& arguments) {
  const auto request = merino::parse_install_cni(arguments);
  if (request && request->help) {
    fmt::print("{}", merino::install_cni_help());
    return 0;
  }
  const auto report = request ? merino::install_cni(*request) : tl::unexpected(request.error());
  if (!report) {
    fmt::print(stderr, "merinod install-cni: {}\n", report.error().message());
    return 1;
  }
  for (const auto& file : report->files)
    fmt::print("{} {}\n", file.outcome == merino::InstallOutcome::written ? "installed" : "unchanged", file.path);
  for (const auto& plugin : report->missing_plugins) {
    fmt::print(stderr, "merinod install-cni: warning: plugin {} is not in {}: unless the runtime finds it elsewhere, no pod can start\n",
               plugin, request->bin_dir);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (!arguments.empty() && arguments[0] == "install-cni") return run_install_cni({arguments.begin() + 1, arguments.end()});
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
  merino::open_log(line->options.log_level, line->options.log_format);
  const bool cleanup = line->command == merino::Command::cleanup;
  const auto ended = cleanup ? merino::run_cleanup(line->options) : merino::run_agent(line->options);
  if (!ended) spdlog::error("{}", ended.error().message());
  return ended ? 0 : 1;
}
