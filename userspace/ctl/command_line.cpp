#include "ctl/command_line.h"

#include <CLI/CLI.hpp>

namespace merino::ctl {

namespace {

void add_counters(CLI::App& app, Arguments& arguments) {
  app.add_flag("--all", arguments.all, "also reasons that were never met");
  app.add_option("-w,--watch", arguments.watch_seconds, "rates, again every SECONDS, until it is interrupted")
      ->expected(0, 1)
      ->default_str("1")
      ->check(CLI::Range(0.05, 86400.0))
      ->type_name("SECONDS");
  app.add_option("--count", arguments.watch_count, "with --watch: end after so many looks")->check(CLI::Range(1, 1000000))->type_name("N");
}

void add_route(CLI::App& app, Arguments& arguments) {
  app.add_option("source", arguments.source,
                 "the sender: a pod of this node by name (namespace/name), or an address: of a pod, this host, a pod of another node")
      ->required()
      ->type_name("");
  app.add_option("destination", arguments.destination, "the receiver, likewise")->required()->type_name("");
  app.add_option("--proto", arguments.protocol, "tcp, udp or icmp")
      ->capture_default_str()
      ->check(CLI::IsMember({"tcp", "udp", "icmp"}))
      ->type_name("");
  app.add_option("--sport", arguments.source_port, "source port")->capture_default_str()->type_name("PORT");
  app.add_option("--dport", arguments.destination_port, "destination port")->capture_default_str()->type_name("PORT");
}

void add_trace(CLI::App& app, Arguments& arguments) {
  app.add_option("--addr,--pod", arguments.trace_addresses,
                 "of either end: an address, or a pod of this node (namespace/name); two at most")
      ->type_name("WHO");
  app.add_option("--port", arguments.trace_port, "source or destination port")->check(CLI::Range(1, 65535))->type_name("PORT");
  app.add_option("--proto", arguments.trace_protocol, "tcp, udp or icmp")->check(CLI::IsMember({"tcp", "udp", "icmp"}))->type_name("");
  app.add_option("--reason", arguments.trace_reasons, "a reason of merinoctl counters, or fast, stack or drop; may be repeated")
      ->type_name("REASON");
  app.add_option("--pcap", arguments.pcap,
                 "also into a file for tcpdump and Wireshark (- is standard output, and nothing else is printed then)")
      ->type_name("FILE");
  app.add_option("--count", arguments.trace_count, "end after so many packets")->check(CLI::Range(1, 1000000000))->type_name("N");
  app.add_option("--seconds", arguments.trace_seconds, "end after so long")->check(CLI::Range(0.05, 86400.0))->type_name("SECONDS");
}

void add_check(CLI::App& app, Arguments& arguments) {
  app.add_option("node", arguments.nodes, "addresses or names of nodes, or addresses of pods there; all peers if there is none")
      ->type_name("");
  app.add_option("--pod", arguments.pods,
                 "a pod's address, of another node or of this one, or the name of a pod of this node (namespace/name); may be repeated; no "
                 "other nodes then")
      ->allow_extra_args(false)
      ->type_name("WHO");
  app.add_option("--count", arguments.echo_count, "packets to each")->capture_default_str()->check(CLI::Range(1, 10000))->type_name("N");
}

}  // namespace

Format Arguments::output() const {
  if (format == "json") return Format::json;
  if (format == "yaml") return Format::yaml;
  return format == "wide" ? Format::wide : Format::table;
}

std::unique_ptr<CLI::App> make_app(Arguments& arguments, const std::string& version) {
  auto app = std::make_unique<CLI::App>("What merino does on this node, read from its pins and files.", "merinoctl");
  app->set_version_flag("--version", version, "print the version");
  app->require_subcommand(1);
  const auto command = [&](const char* name, const char* about) {
    CLI::App* sub = app->add_subcommand(name, about);
    sub->add_option("-o,--output", arguments.format, "table, wide, json or yaml")
        ->capture_default_str()
        ->check(CLI::IsMember({"table", "wide", "json", "yaml"}))
        ->type_name("");
    return sub;
  };
  command("status", "is this node well? exit code 2 if not, with what to do");
  command("pods", "the pods of this node");
  command("peers", "the other nodes' subnets, and where their packets are sent");
  command("leases", "which node has which subnet, and what this node makes of it");
  add_counters(*command("counters", "why packets took their way: fast, left to the stack, or dropped"), arguments);
  command("drops", "what was dropped: the reason, how often, and the last packet");
  add_trace(*command("trace", "packets as the programs see them, live, until it is interrupted"), arguments);
  add_route(*command("route", "what would happen to a packet, and why; exit code 2 if it would be dropped"), arguments);
  add_check(*command("check", "does this node reach the others? sends packets to each; exit code 2 if there is trouble"), arguments);
  CLI::App* bugtool = app->add_subcommand("bugtool", "everything that a maintainer asks for, in one archive, without secrets");
  bugtool->add_option("-f,--file", arguments.archive, "the archive (default: merino-bugtool-HOST-TIME.tar.gz in the current directory)")
      ->type_name("FILE");
  return app;
}

}  // namespace merino::ctl
