// merinoctl: what merino does on this node, read from its pins and files; works without the agent.
#include <fmt/chrono.h>
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <thread>

#include "ctl/bugtool.h"
#include "ctl/command_line.h"
#include "ctl/leases.h"
#include "ctl/packets.h"
#include "ctl/rates.h"
#include "ctl/read.h"
#include "ctl/route.h"
#include "ctl/run_check.h"
#include "ctl/run_trace.h"
#include "ctl/status.h"
#include "ctl/views.h"

namespace {

using namespace merino;
using namespace merino::ctl;

constexpr int kFine = 0;
constexpr int kError = 1;
constexpr int kTrouble = 2;

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

// One of the two, as it was asked for; they are made only when they are needed. Wide lines are not folded.
template <class Json, class Text>
int print_as(Format format, Json json, Text text) {
  if (format == Format::json) return print(json());
  if (format == Format::yaml) return print(yaml_of(json()));
  Screen screen = standard_output();
  if (format == Format::wide) screen.columns = kEndless;
  return print(text(width_for(format), screen));
}

int show_status(Format format) {
  const StatusFacts facts = read_status_facts();
  const StatusReport report = assess(facts);
  const int printed = print_as(
      format, [&] { return status_json(facts, report); }, [&](Width, const Screen& screen) { return status_text(facts, report, screen); });
  if (printed != kFine || report.health == Health::unknown) return kError;
  return report.health == Health::healthy ? kFine : kTrouble;
}

int show_pods(Format format) {
  const auto pods = read_pod_rows();
  if (!pods) return complain(pods.error());
  for (const std::string& record : pods->broken_records) fmt::print(stderr, "merinoctl: broken record: {}\n", record);
  return print_as(
      format, [&] { return pods_json(pods->rows); },
      [&](Width width, const Screen& screen) { return pods_text(pods->rows, width, screen); });
}

int show_peers(Format format) {
  const auto peers = read_peers();
  if (!peers) return complain(peers.error());
  const NodeNames names = read_node_names();
  return print_as(
      format, [&] { return peers_json(*peers, names); },
      [&](Width width, const Screen& screen) { return peers_text(*peers, names, width, screen); });
}

int show_leases(Format format) {
  const auto leases = load_lease_report();
  if (!leases) return complain(leases.error());
  const auto now = std::chrono::system_clock::now();
  return print_as(
      format, [&] { return leases_json(*leases); },
      [&](Width width, const Screen& screen) { return leases_text(*leases, now, width, screen); });
}

int watch_counters(const Arguments& arguments) {
  auto before = read_counters();
  if (!before) return complain(before.error());
  auto then = std::chrono::steady_clock::now();
  for (int look = 0; arguments.watch_count == 0 || look < arguments.watch_count; ++look) {
    std::this_thread::sleep_for(std::chrono::duration<double>(arguments.watch_seconds));
    auto counters = read_counters();
    if (!counters) return complain(counters.error());
    const auto now = std::chrono::steady_clock::now();
    const std::vector<Rate> rates = rates_between(*before, *counters, now - then);
    const Format format = arguments.output();
    if (format == Format::yaml) print("---\n");
    if ((format == Format::table || format == Format::wide) && ::isatty(STDOUT_FILENO) == 1) print("\033[H\033[J");
    const int printed = print_as(
        format, [&] { return rates_json(rates); }, [&](Width, const Screen& screen) { return rates_text(rates, screen); });
    if (printed != kFine) return printed;
    before = std::move(counters);
    then = now;
  }
  return kFine;
}

int show_counters(const Arguments& arguments) {
  if (arguments.watch_seconds > 0) return watch_counters(arguments);
  const auto counters = read_counters();
  if (!counters) return complain(counters.error());
  const ZeroRows zero_rows = arguments.all ? ZeroRows::show : ZeroRows::hide;
  return print_as(
      arguments.output(), [&] { return counters_json(*counters, zero_rows); },
      [&](Width, const Screen& screen) { return counters_text(*counters, zero_rows, screen); });
}

struct DropsRead {
  std::vector<DropRow> rows;
  PacketNames names;
};

Result<DropsRead> read_drop_rows() {
  const std::vector<Counter> counters = TRY(read_counters());
  const std::vector<Sighting> last = TRY(read_drops());
  const PodsRead pods = TRY(read_pod_rows());
  const auto config = TRY(loaded_config());
  return DropsRead{join_drops(counters, last), make_packet_names(pods.rows, read_node_names(), config.value_or(merino_config{}))};
}

int show_drops(Format format) {
  const auto drops = read_drop_rows();
  if (!drops) return complain(drops.error());
  const auto now = std::chrono::system_clock::now();
  return print_as(
      format, [&] { return drops_json(drops->rows, drops->names); },
      [&](Width width, const Screen& screen) { return drops_text(drops->rows, drops->names, now, width, screen); });
}

int show_trace(const Arguments& arguments) {
  TraceRequest request;
  request.addresses = arguments.trace_addresses;
  request.port = arguments.trace_port;
  request.protocol = arguments.trace_protocol;
  request.reasons = arguments.trace_reasons;
  request.pcap = arguments.pcap;
  request.count = arguments.trace_count;
  request.seconds = arguments.trace_seconds;
  request.output = arguments.output();
  request.screen = standard_output();
  const auto lost = run_trace(request, [](const std::string& line) -> Status {
    return print(line) == kFine ? ok() : Status(fail(ErrorKind::system, "standard output is closed"));
  });
  if (!lost) return complain(lost.error());
  if (*lost > 0)
    fmt::print(stderr, "merinoctl: {} packets more than the ring buffer could hold: filter by address, port or reason\n", *lost);
  return kFine;
}

// Of a name that means several addresses, the first of the other end's family.
Result<IpAddress> end_of(const std::string& word, const std::string& other, const std::vector<PodRow>& pods) {
  const std::vector<IpAddress> meant = TRY(addresses_meant(word, pods));
  const std::vector<IpAddress> others = TRY(addresses_meant(other, pods));
  const auto fits = std::find_if(meant.begin(), meant.end(), [&](const IpAddress& address) {
    return std::any_of(others.begin(), others.end(), [&](const IpAddress& each) { return each.family() == address.family(); });
  });
  return fits == meant.end() ? meant.front() : *fits;
}

Result<RouteAnswer> ask_route(const Arguments& arguments) {
  PodsRead pods = TRY(read_pod_rows());
  PacketFlow flow;
  flow.source = TRY(end_of(arguments.source, arguments.destination, pods.rows));
  flow.destination = TRY(end_of(arguments.destination, arguments.source, pods.rows));
  flow.protocol = arguments.protocol == "udp" ? Protocol::udp : arguments.protocol == "icmp" ? Protocol::icmp : Protocol::tcp;
  flow.source_port = arguments.source_port;
  flow.destination_port = arguments.destination_port;
  const Trial trial = TRY(Trial::open());
  Netlink netlink = TRY(Netlink::open());
  auto programs = read_programs(trial.config(), pods.rows);
  auto peers = TRY(read_peers());
  return follow_route({trial, netlink, std::move(pods.rows), std::move(peers), read_node_names(), std::move(programs)}, flow);
}

int show_route(const Arguments& arguments) {
  const auto answer = ask_route(arguments);
  if (!answer) return complain(answer.error());
  const int printed = print_as(
      arguments.output(), [&] { return route_json(*answer); }, [&](Width, const Screen& screen) { return route_text(*answer, screen); });
  return printed == kFine && answer->end == RouteEnd::dropped ? kTrouble : printed;
}

int show_check(const Arguments& arguments) {
  const auto report = run_check({arguments.nodes, arguments.pods, arguments.echo_count}, MERINO_VERSION);
  if (!report) return complain(report.error());
  const int printed = print_as(
      arguments.output(), [&] { return check_json(*report); },
      [&](Width width, const Screen& screen) { return check_text(*report, width, screen); });
  return printed == kFine && !report->problems.empty() ? kTrouble : printed;
}

template <class T, class Show>
std::string page(const Result<T>& read, Show show) {
  return read ? show(*read) : read.error().message() + "\n";
}

std::vector<BugtoolPage> bugtool_pages() {
  return {
      {"status.txt",
       [] {
         const StatusFacts facts = read_status_facts();
         return status_text(facts, assess(facts), kFile);
       }},
      {"status.json",
       [] {
         const StatusFacts facts = read_status_facts();
         return status_json(facts, assess(facts));
       }},
      {"pods.txt", [] { return page(read_pod_rows(), [](const PodsRead& read) { return pods_text(read.rows, Width::wide, kFile); }); }},
      {"peers.txt",
       [] { return page(read_peers(), [](const auto& peers) { return peers_text(peers, read_node_names(), Width::wide, kFile); }); }},
      {"leases.txt",
       [] {
         return page(load_lease_report(),
                     [](const auto& leases) { return leases_text(leases, std::chrono::system_clock::now(), Width::wide, kFile); });
       }},
      {"counters.txt",
       [] { return page(read_counters(), [](const auto& counters) { return counters_text(counters, ZeroRows::show, kFile); }); }},
      {"drops.txt",
       [] {
         return page(read_drop_rows(), [](const DropsRead& read) {
           return drops_text(read.rows, read.names, std::chrono::system_clock::now(), Width::wide, kFile);
         });
       }},
      {"check.txt",
       [] {
         return page(run_check({}, MERINO_VERSION), [](const CheckReport& report) { return check_text(report, Width::wide, kFile); });
       }},
  };
}

std::string default_archive() {
  char host[65] = {};
  ::gethostname(host, sizeof(host) - 1);
  return fmt::format("merino-bugtool-{}-{:%Y%m%d-%H%M%S}.tar.gz", host, fmt::gmtime(std::chrono::system_clock::now()));
}

int make_bugtool(const Arguments& arguments) {
  if (::geteuid() != 0) return complain(Error{ErrorKind::system, "bugtool reads what only root can read", "", EPERM});
  const auto report = write_bugtool({arguments.archive.empty() ? default_archive() : arguments.archive, bugtool_pages()});
  if (!report) return complain(report.error());
  fmt::print("{}: {} files; look into it before you give it away: addresses and names of pods are in it\n", report->archive, report->files);
  return kFine;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  const auto app = make_app(arguments, MERINO_VERSION);
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app->exit(error) == 0 ? kFine : kError;
  }
  const std::string command = app->get_subcommands().front()->get_name();
  if (command == "status") return show_status(arguments.output());
  if (command == "pods") return show_pods(arguments.output());
  if (command == "peers") return show_peers(arguments.output());
  if (command == "leases") return show_leases(arguments.output());
  if (command == "drops") return show_drops(arguments.output());
  if (command == "trace") return show_trace(arguments);
  if (command == "route") return show_route(arguments);
  if (command == "check") return show_check(arguments);
  if (command == "bugtool") return make_bugtool(arguments);
  return show_counters(arguments);
}
