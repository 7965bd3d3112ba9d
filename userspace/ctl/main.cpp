// merinoctl: what merino does on this node, read from its pins and files; works without the agent.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "ctl/read.h"
#include "ctl/status.h"
#include "ctl/views.h"

namespace {

using namespace merino;
using namespace merino::ctl;

constexpr int kFine = 0;
constexpr int kError = 1;
constexpr int kUnhealthy = 2;

enum class Output { table, json };

Colours terminal_colours() {
  const char* no_colour = std::getenv("NO_COLOR");
  const bool wanted = no_colour == nullptr || *no_colour == '\0';
  return wanted && ::isatty(STDOUT_FILENO) == 1 ? Colours::on : Colours::off;
}

int complain(const Error& error) {
  Error shown = error;
  if (shown.sys_errno == EACCES || shown.sys_errno == EPERM) shown.remedy = "run merinoctl as root";
  fmt::print(stderr, "merinoctl: {}\n", shown.message());
  return kError;
}

int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return std::fflush(stdout) == 0 ? kFine : kError;
}

int show_status(Output output) {
  const StatusFacts facts = read_status_facts();
  const StatusReport report = assess(facts);
  const int printed = print(output == Output::json ? status_json(facts, report) : status_text(facts, report, terminal_colours()));
  if (printed != kFine || report.health == Health::unknown) return kError;
  return report.health == Health::healthy ? kFine : kUnhealthy;
}

int show_pods(Output output) {
  const auto pods = read_pod_rows();
  if (!pods) return complain(pods.error());
  for (const std::string& record : pods->broken_records) fmt::print(stderr, "merinoctl: broken record: {}\n", record);
  return print(output == Output::json ? pods_json(pods->rows) : pods_text(pods->rows, terminal_colours()));
}

int show_peers(Output output) {
  const auto peers = read_peers();
  if (!peers) return complain(peers.error());
  return print(output == Output::json ? peers_json(*peers) : peers_text(*peers, terminal_colours()));
}

int show_counters(Output output, ZeroRows zero_rows) {
  const auto counters = read_counters();
  if (!counters) return complain(counters.error());
  return print(output == Output::json ? counters_json(*counters, zero_rows) : counters_text(*counters, zero_rows, terminal_colours()));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What merino does on this node, read from its pins and files.", "merinoctl");
  app.set_version_flag("--version", MERINO_VERSION);
  app.require_subcommand(1);

  std::string format = "table";
  const auto command = [&app, &format](const char* name, const char* about) {
    CLI::App* sub = app.add_subcommand(name, about);
    sub->add_option("-o,--output", format, "what to print")->capture_default_str()->check(CLI::IsMember({"table", "json"}))->type_name("");
    return sub;
  };
  const CLI::App* status = command("status", "is this node well? exit code 2 if not, with what to do");
  const CLI::App* pods = command("pods", "the pods of this node");
  const CLI::App* peers = command("peers", "the other nodes' subnets, and where their packets are sent");
  CLI::App* counters = command("counters", "why packets took their way: fast, left to the stack, or dropped");
  bool all = false;
  counters->add_flag("--all", all, "also reasons that were never met");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kFine : kError;
  }
  const Output output = format == "json" ? Output::json : Output::table;
  if (*status) return show_status(output);
  if (*pods) return show_pods(output);
  if (*peers) return show_peers(output);
  return show_counters(output, all ? ZeroRows::show : ZeroRows::hide);
}
