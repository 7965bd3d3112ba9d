#include "ctl/route.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "datapath/convert.h"

namespace merino::ctl {

namespace {

// The address of somebody else on the uplink, for frames that come from there; it is not looked at.
MacAddress some_mac() { return MacAddress({0x02, 0, 0, 0, 0, 0x01}); }

class Follower {
 public:
  Follower(const RouteSite& site, const PacketFlow& flow) : site_(site), config_(site.trial.config()) { answer_.flow = flow; }

  Result<RouteAnswer> follow();

 private:
  [[nodiscard]] const PacketFlow& flow() const { return answer_.flow; }
  [[nodiscard]] const PodRow* pod(const IpAddress& address) const;
  [[nodiscard]] const Peer* peer(const IpAddress& address) const;
  [[nodiscard]] std::string name_of(const IpAddress& address) const;
  Result<bool> is_of_this_host(const IpAddress& address);
  Result<Link> link(unsigned index);
  Result<TrialResult> try_program(Program program, const Link& link, const Bytes& frame);
  void step(const std::string& where, const std::string& result, const std::string& why) { answer_.steps.push_back({where, result, why}); }
  void end(RouteEnd end, const std::string& conclusion) {
    answer_.end = end;
    answer_.conclusion = conclusion;
  }
  [[nodiscard]] bool is_missing(Program program, const Link& link) const;
  void miss(Program program, const Link& link, const std::string& instead);
  Status leave_pod(const PodRow& row);
  Status arrive(const Peer& from);
  Status pass_stack();
  Status leave_host(const Link& device);
  Status conclude(const TrialResult& result);
  void conclude_sent();

  const RouteSite& site_;
  const merino_config& config_;
  RouteAnswer answer_;
};

const PodRow* Follower::pod(const IpAddress& address) const {
  const auto found =
      std::find_if(site_.pods.begin(), site_.pods.end(), [&](const PodRow& row) { return row.address == address && row.entry; });
  return found == site_.pods.end() ? nullptr : &*found;
}

const Peer* Follower::peer(const IpAddress& address) const {
  const Peer* longest = nullptr;
  for (const Peer& each : site_.peers) {
    if (each.subnet.contains(address) && (longest == nullptr || each.subnet.length() > longest->subnet.length())) longest = &each;
  }
  return longest;
}

std::string Follower::name_of(const IpAddress& address) const {
  if (const PodRow* row = pod(address)) return fmt::format("{} (pod {})", address.to_string(), pod_title(*row));
  if (const Peer* its = peer(address)) return fmt::format("{} (of node {})", address.to_string(), node_title(its->underlay, site_.nodes));
  return address.to_string();
}

Result<bool> Follower::is_of_this_host(const IpAddress& address) {
  const auto addresses = TRY(site_.netlink.addresses());
  return std::any_of(addresses.begin(), addresses.end(), [&](const LinkAddress& each) { return each.prefix.address() == address; });
}

Result<Link> Follower::link(unsigned index) {
  auto found = TRY(site_.netlink.link_by_index(index));
  if (!found) {
    return with_remedy(fail(ErrorKind::not_found, "interface {} is gone", index),
                       "merinoctl status; a running merinod mends it within seconds");
  }
  return *std::move(found);
}

Result<TrialResult> Follower::try_program(Program program, const Link& link, const Bytes& frame) {
  auto result = TRY(site_.trial.run({program, link.index, frame}));
  step(fmt::format("{} on {}", program_name(program), link.name), result.reason->name, result.reason->meaning);
  return result;
}

bool Follower::is_missing(Program program, const Link& link) const {
  return std::any_of(site_.programs.begin(), site_.programs.end(), [&](const ProgramFact& fact) {
    return fact.program == program_name(program) && fact.interface == link.name && !fact.attached.value_or(false);
  });
}

void Follower::miss(Program program, const Link& link, const std::string& instead) {
  step(fmt::format("{} on {}", program_name(program), link.name), "not attached", instead);
  answer_.notes.emplace_back("a running merinod attaches it within seconds; merinoctl status");
}

Status Follower::leave_pod(const PodRow& row) {
  const Link veth = TRY(link(row.entry->host_ifindex));
  if (is_missing(Program::from_pod, veth)) {
    miss(Program::from_pod, veth, "what the pod sends takes the stack");
    return pass_stack();
  }
  const Bytes frame = make_frame(row.entry->pod_mac, veth.mac, make_ip_packet(flow()), flow().source.family());
  return conclude(TRY(try_program(Program::from_pod, veth, frame)));
}

// As the peer's node would send it.
Status Follower::arrive(const Peer& from) {
  const Link uplink = TRY(link(config_.uplink_ifindex));
  const Bytes packet = make_ip_packet(flow());
  const Family family = flow().source.family();
  if (is_missing(Program::from_wire, uplink)) {
    const bool is_lost = from.kind == PeerKind::udp;
    miss(Program::from_wire, uplink, is_lost ? "nothing else takes packets out of this tunnel" : "packets from the wire take the stack");
    if (!is_lost) return pass_stack();
    end(RouteEnd::dropped, "lost: nothing takes it out of the tunnel");
    return ok();
  }
  if (from.kind == PeerKind::direct) {
    const Bytes frame = make_frame(from.vtep_mac, uplink.mac, packet, family);
    return conclude(TRY(try_program(Program::from_wire, uplink, frame)));
  }
  const merino_family& own = from.underlay.is_v4() ? config_.v4 : config_.v6;
  const Envelope envelope{from.underlay, from_abi(own.underlay), ntohs(config_.tunnel_port)};
  const Bytes inner = make_frame(from.vtep_mac, from_abi(own.vtep_mac), packet, family);
  const Bytes payload = from.kind == PeerKind::udp ? packet : make_vxlan(config_.vni, inner);
  const Bytes frame = make_frame(some_mac(), uplink.mac, make_tunnel_packet(envelope, payload), envelope.source.family());
  answer_.notes.emplace_back(
      "several packets of one flow that GRO has put together take the turn through the VXLAN driver: aggregate, then tunnel");
  return conclude(TRY(try_program(Program::from_wire, uplink, frame)));
}

// What follows from the reason that a program gave.
Status Follower::conclude(const TrialResult& result) {
  const ReasonInfo& reason = *result.reason;
  if (reason.action == Action::drop) {
    end(RouteEnd::dropped, fmt::format("dropped as {}{}{}", reason.name, *reason.remedy != '\0' ? ": " : "", reason.remedy));
    return ok();
  }
  if (reason.action == Action::stack && reason.reason != MERINO_HOST_DRIVER) return pass_stack();
  if (pod(flow().destination) != nullptr) {
    end(RouteEnd::delivered, "delivered to " + name_of(flow().destination));
    return ok();
  }
  conclude_sent();
  return ok();
}

void Follower::conclude_sent() {
  const Peer* to = peer(flow().destination);
  if (to == nullptr) {
    end(RouteEnd::sent, "sent");
  } else if (to->kind == PeerKind::direct) {
    end(RouteEnd::sent, fmt::format("sent as it is to node {}, the next hop on its segment", node_title(to->underlay, site_.nodes)));
  } else {
    end(RouteEnd::sent, fmt::format("sent to node {} in a tunnel ({})", node_title(to->underlay, site_.nodes), peer_kind_name(to->kind)));
  }
  answer_.notes.emplace_back("what becomes of it there: the same question to merinoctl on that node");
}

// Translation aside, the stack sends where its routes say.
Status Follower::pass_stack() {
  if (TRY(is_of_this_host(flow().destination))) {
    step("stack", "local", "the address is this host's");
    end(RouteEnd::stack, "left to the host's stack, for a process of the host");
    return ok();
  }
  const auto route = site_.netlink.route_to(flow().destination);
  if (!route) {
    step("stack", "no route", route.error().message());
    end(RouteEnd::dropped, "the host's stack has no route to it");
    return ok();
  }
  const Link out = TRY(link(route->link_index));
  step("stack", "routed to " + out.name, route->gateway ? "by gateway " + route->gateway->to_string() : "on its link");
  answer_.notes.emplace_back(
      "rules of others on forwarded or translated packets (kube-proxy, a network policy) come with the stack and are not asked here");
  if (out.index == config_.device_ifindex) return leave_host(out);
  if (pod(flow().destination) != nullptr) {
    end(RouteEnd::delivered, fmt::format("delivered by the host's stack to {}", name_of(flow().destination)));
  } else {
    end(RouteEnd::stack, fmt::format("left to the host's stack, which sends it out by {}", out.name));
  }
  return ok();
}

Status Follower::leave_host(const Link& device) {
  if (is_missing(Program::from_host, device)) {
    miss(Program::from_host, device, "the device alone knows no destination");
    end(RouteEnd::dropped, "lost: nothing says to which node it goes");
    return ok();
  }
  const Bytes frame = make_frame(device.mac, device.mac, make_ip_packet(flow()), flow().source.family());
  return conclude(TRY(try_program(Program::from_host, device, frame)));
}

Result<RouteAnswer> Follower::follow() {
  if (flow().source.family() != flow().destination.family()) {
    return fail(ErrorKind::invalid, "{} and {} are addresses of two families", flow().source.to_string(), flow().destination.to_string());
  }
  if (site_.trial.likeness() == Likeness::another_build)
    answer_.notes.emplace_back("the loaded programs are another build's than this merinoctl: its own programs were asked");
  if (const PodRow* row = pod(flow().source)) {
    TRY(leave_pod(*row));
  } else if (TRY(is_of_this_host(flow().source))) {
    TRY(pass_stack());
  } else if (const Peer* from = peer(flow().source)) {
    TRY(arrive(*from));
  } else {
    answer_.notes.emplace_back(
        "the source is neither a pod nor a process of this node, nor a peer's: as if it came to the host's stack from outside");
    TRY(pass_stack());
  }
  return std::move(answer_);
}

Tone tone_of(RouteEnd end) { return end == RouteEnd::dropped ? Tone::bad : end == RouteEnd::stack ? Tone::warning : Tone::good; }

std::string describe(const PacketFlow& flow) {
  const std::string protocol = protocol_name(flow.protocol);
  if (flow.protocol == Protocol::icmp) return fmt::format("{} → {}, icmp", flow.source.to_string(), flow.destination.to_string());
  return fmt::format("{} → {}, {} {} → {}", flow.source.to_string(), flow.destination.to_string(), protocol, flow.source_port,
                     flow.destination_port);
}

}  // namespace

const char* route_end_name(RouteEnd end) {
  switch (end) {
    case RouteEnd::delivered:
      return "delivered";
    case RouteEnd::sent:
      return "sent";
    case RouteEnd::stack:
      return "stack";
    case RouteEnd::dropped:
      break;
  }
  return "dropped";
}

Result<RouteAnswer> follow_route(const RouteSite& site, const PacketFlow& flow) { return Follower(site, flow).follow(); }

std::string route_text(const RouteAnswer& answer, const Screen& screen) {
  Table table{{{"STEP"}, {"RESULT"}, {"WHY"}}, {}};
  for (const RouteStep& step : answer.steps) table.rows.push_back({{step.where}, {step.result}, {step.why}});
  std::string out = describe(answer.flow) + "\n" + format_table(table, screen);
  out += hang(paint("⇒", tone_of(answer.end), screen) + " ", 2, answer.conclusion, screen);
  for (const std::string& note : answer.notes) out += hang("  note: ", 8, note, screen);
  return out;
}

std::string route_json(const RouteAnswer& answer) {
  using Json = nlohmann::ordered_json;
  Json steps = Json::array();
  for (const RouteStep& step : answer.steps) steps.push_back({{"where", step.where}, {"result", step.result}, {"why", step.why}});
  const Json document = {{"source", answer.flow.source.to_string()},
                         {"destination", answer.flow.destination.to_string()},
                         {"protocol", protocol_name(answer.flow.protocol)},
                         {"source_port", answer.flow.source_port},
                         {"destination_port", answer.flow.destination_port},
                         {"steps", steps},
                         {"end", route_end_name(answer.end)},
                         {"conclusion", answer.conclusion},
                         {"notes", answer.notes}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace merino::ctl
