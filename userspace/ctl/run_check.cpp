#include "ctl/run_check.h"

#include <arpa/inet.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/utsname.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "ctl/host_check.h"
#include "ctl/pod_inspect.h"
#include "ctl/read.h"
#include "datapath/programs.h"
#include "netlink/netlink.h"

namespace merino::ctl {

namespace {

using std::chrono::milliseconds;

constexpr size_t kSmallPacket = 84;
constexpr milliseconds kPatience{1000};
constexpr unsigned kThreads = 8;

bool is_named(const Peer& peer, const std::string& word, const NodeNames& names) {
  const auto address = IpAddress::parse(word);
  if (address) return peer.underlay == *address || peer.subnet.contains(*address);
  return peer.subnet.to_string() == word || node_name(peer.underlay, names) == word;
}

Result<std::vector<Peer>> choose_peers(const std::vector<Peer>& all, const NodeNames& names, const CheckRequest& request,
                                       CheckReport& report) {
  if (request.nodes.empty()) {
    if (!request.pods.empty()) return std::vector<Peer>();
    if (all.size() <= request.limit) return all;
    report.notices.push_back(
        {fmt::format("{} of {} peers were checked", request.limit, all.size()), "merinoctl check NODE... checks those that are named"});
    return std::vector<Peer>(all.begin(), all.begin() + static_cast<ptrdiff_t>(request.limit));
  }
  std::vector<Peer> chosen;
  for (const std::string& word : request.nodes) {
    const size_t before = chosen.size();
    std::copy_if(all.begin(), all.end(), std::back_inserter(chosen), [&](const Peer& peer) { return is_named(peer, word, names); });
    if (chosen.size() == before)
      return with_remedy(fail(ErrorKind::not_found, "{} is no peer of this node", word), "merinoctl peers lists them");
  }
  return chosen;
}

// What is known of an address that is to be a pod's.
Result<PodCheck> find_pod(const IpAddress& address, const std::vector<PodRow>& pods, const std::vector<Peer>& peers,
                          const AgentStatus& agent) {
  const std::string text = address.to_string();
  PodCheck check;
  check.address = address;
  const auto row = std::find_if(pods.begin(), pods.end(), [&](const PodRow& each) { return each.address == check.address && each.entry; });
  if (row != pods.end()) {
    check.name = row->attachment ? pod_title(*row) : "";
    return check;
  }
  const auto& own = agent.subnet[check.address.family()];
  if (own && own->contains(check.address)) {
    return with_remedy(fail(ErrorKind::not_found, "{} is in this node's subnet {}, but no pod has it", text, own->to_string()),
                       "merinoctl pods lists them");
  }
  const auto peer = std::find_if(peers.begin(), peers.end(), [&](const Peer& each) { return each.subnet.contains(check.address); });
  if (peer == peers.end()) {
    return with_remedy(fail(ErrorKind::not_found, "{} is no pod of any subnet that this node knows", text),
                       "merinoctl pods and merinoctl peers list them");
  }
  if (peer->subnet.masked().address() == check.address) {
    return with_remedy(
        fail(ErrorKind::invalid, "{} is no pod's address, but node {}'s own in the pod network", text, peer->underlay.to_string()),
        "merinoctl check " + peer->underlay.to_string());
  }
  check.peer = *peer;
  return check;
}

Result<TunnelProbe> probe_way(const IpAddress& target, const CheckRequest& request, size_t pod_mtu) {
  TunnelProbe probe;
  probe.small = TRY(send_echo({target, kSmallPacket, request.count, milliseconds(20), kPatience}));
  if (!probe.small.any()) return probe;
  probe.large = TRY(send_echo({target, pod_mtu, 3, milliseconds(20), kPatience}));
  probe.largest = probe.large.any() ? pod_mtu : TRY(largest_echo(target, kSmallPacket, pod_mtu));
  probe.tcp = TRY(knock_tcp(target, kPatience));
  probe.udp = TRY(knock_udp(target, kPatience));
  return probe;
}

// A pod to send from.
struct ProbingPod {
  Fd netns;
  std::vector<Family> families;  // of its addresses

  [[nodiscard]] bool can_send_to(const IpAddress& target) const {
    return netns && std::find(families.begin(), families.end(), target.family()) != families.end();
  }
};

class Checker {
 public:
  Checker(const CheckRequest& request, CheckScale scale, const ProbingPod& pod) : request_(request), scale_(std::move(scale)), pod_(pod) {}

  void check(PeerCheck& out) const {
    if (const Status tried = try_peer(out); !tried) out.obstacle = tried.error().message();
  }

  void check(PodCheck& out) const {
    if (const Status tried = try_pod(out); !tried) out.obstacle = tried.error().message();
  }

 private:
  [[nodiscard]] Result<TunnelProbe> probe_from_host(const IpAddress& target) const { return probe_way(target, request_, scale_.pod_mtu); }

  [[nodiscard]] Result<std::optional<TunnelProbe>> probe_from_pod(const IpAddress& target) const {
    if (!pod_.can_send_to(target)) return std::nullopt;
    return TRY(in_network_namespace(pod_.netns.get(), [&] { return probe_from_host(target); }));
  }

  // What keeps the pod from sending is not this host's trouble.
  template <class Check>
  void send_from_pod(const IpAddress& target, Check& out) const {
    auto probe = probe_from_pod(target);
    if (probe) {
      out.pod = *std::move(probe);
    } else {
      out.pod_obstacle = probe.error().message();
    }
  }

  Status try_peer(PeerCheck& out) const {
    auto netlink = TRY(Netlink::open());
    const auto route = TRY(netlink.route_to(out.peer.underlay));
    if (const auto link = TRY(netlink.link_by_index(route.link_index))) out.underlay_device = link->name;
    out.underlay = TRY(send_echo({out.peer.underlay, kSmallPacket, 3, milliseconds(20), kPatience}));
    // The address that the node's device into the pod network has, merino0's or flannel.1's: its host answers there.
    const IpAddress target = out.peer.subnet.masked().address();
    out.host = TRY(probe_from_host(target));
    if (out.host.small.any()) send_from_pod(target, out);
    return ok();
  }

  // A network policy may let in the one and not the other.
  Status try_pod(PodCheck& out) const {
    out.host = TRY(probe_from_host(out.address));
    send_from_pod(out.address, out);
    return ok();
  }

  const CheckRequest& request_;
  CheckScale scale_;
  const ProbingPod& pod_;
};

template <class Check>
void check_all(const Checker& checker, std::vector<Check>& checks) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < checks.size(); i = next++) checker.check(checks[i]);
  };
  std::vector<std::jthread> threads;
  for (unsigned n = 0; n < std::min<size_t>(kThreads, checks.size()); ++n) threads.emplace_back(work);
}

bool has_any(const Attachment& attachment, const std::vector<PodCheck>& pods) {
  return std::any_of(pods.begin(), pods.end(), [&](const PodCheck& pod) {
    return std::any_of(attachment.addresses.begin(), attachment.addresses.end(),
                       [&](const Prefix& address) { return address.address() == pod.address; });
  });
}

// The first pod whose namespace can be entered, and that is none of `targets`: its packets take the way of all the others.
ProbingPod open_a_pod(const StatusFacts& facts, const std::vector<PodCheck>& targets, CheckScale& scale) {
  if (!facts.pods) return {};
  for (const PodRow& row : *facts.pods) {
    if (!row.attachment || !pod_trouble(row).empty() || has_any(*row.attachment, targets)) continue;
    auto netns = open_network_namespace(row.attachment->netns);
    if (!netns) continue;
    scale.pod_name = fmt::format("{} ({})", row.address.to_string(), pod_title(row));
    ProbingPod pod{*std::move(netns), {}};
    for (const Prefix& address : row.attachment->addresses) pod.families.push_back(address.family());
    return pod;
  }
  return {};
}

std::string title_of(const AgentStatus& agent, const std::string& version) {
  utsname kernel{};
  ::uname(&kernel);
  return fmt::format("merinoctl {}, merinod {}, {} {}, Linux {} {}\nnode {} ({}), subnet {} of {}, {:%Y-%m-%d %H:%M:%S} UTC", version,
                     agent.version, agent.backend, agent.fast_path ? "fast path on" : "fast path off", kernel.release, kernel.machine,
                     to_string(agent.address), agent.uplink, to_string(agent.subnet), to_string(agent.network),
                     fmt::gmtime(std::chrono::system_clock::now()));
}

// On the host, and in the pod that sends.
uint64_t count_checksum_errors_of(const ProbingPod& pod) {
  const uint64_t host = count_checksum_errors();
  if (!pod.netns) return host;
  return host + in_network_namespace(pod.netns.get(), [] { return Result<uint64_t>(count_checksum_errors()); }).value_or(0);
}

void add_checksum_finding(uint64_t wrong, CheckReport& report) {
  if (wrong == 0) {
    report.sound.emplace_back("no packet arrived with a wrong checksum meanwhile");
    return;
  }
  report.problems.push_back(
      {fmt::format("{} packets arrived here with a wrong checksum meanwhile (InCsumErrors)", wrong),
       fmt::format("switch the offload off on both nodes and look again: ethtool -K {} tx-checksum-ip-generic off", report.scale.uplink)});
}

void add_findings(std::vector<Finding> findings, CheckReport& report) {
  for (Finding& finding : findings) report.problems.push_back(std::move(finding));
}

// An address that another node has in the pod network; nullopt: there is no other node in this family.
std::optional<IpAddress> somewhere_else(const std::vector<Peer>& peers, Family family) {
  const auto peer = std::find_if(peers.begin(), peers.end(), [family](const Peer& each) { return each.subnet.family() == family; });
  return peer == peers.end() ? std::nullopt : std::optional(peer->subnet.masked().address());
}

// The route is merinod's to keep. Without it the host's packets, and what the slow path sends for pods, take another way or none.
void check_network_route(Netlink& netlink, const StatusFacts& facts, const merino_config& config, CheckReport& report) {
  for (const Family family : kFamilies) {
    const auto target = facts.peers ? somewhere_else(*facts.peers, family) : std::nullopt;
    if (!target) continue;
    const auto route = netlink.route_to(*target);
    if (route && route->link_index == config.device_ifindex) continue;
    const std::string device = route ? link_name(route->link_index).value_or("another interface") : "";
    report.problems.push_back(
        {route ? fmt::format("packets of this host to the pod network ({}) leave by {}, not by merino0", target->to_string(), device)
               : fmt::format("this host has no route to the pod network ({}): {}", target->to_string(), route.error().message()),
         fmt::format("a running merinod sets the route within seconds, unless another one is more specific: ip route get {}",
                     target->to_string())});
  }
}

// The node has had another subnet: what other nodes send to such a pod goes to whoever has that now, or to nobody.
void check_addresses_of_pods(const std::vector<PodRow>& pods, const AgentStatus& agent, CheckReport& report) {
  std::vector<std::string> outside;
  for (const PodRow& row : pods) {
    const auto& subnet = agent.subnet[row.address.family()];
    if (row.entry && subnet && !subnet->contains(row.address))
      outside.push_back(fmt::format("{} ({})", row.address.to_string(), pod_title(row)));
  }
  if (outside.empty()) return;
  const size_t count = outside.size();
  if (count > 3) outside.resize(3);
  report.problems.push_back({fmt::format("{} addresses of pods are outside of this node's subnet {}: {}{}: no other node reaches them",
                                         count, to_string(agent.subnet), fmt::join(outside, ", "), count > outside.size() ? " ..." : ""),
                             "the node has had another subnet: make those pods anew"});
}

void check_inside_of_pods(const StatusFacts& facts, CheckReport& report) {
  if (!facts.pods || !facts.peers) return;
  size_t fine = 0;
  for (const PodRow& row : *facts.pods) {
    const auto elsewhere = somewhere_else(*facts.peers, row.address.family());
    if (!row.attachment || !pod_trouble(row).empty() || !elsewhere) continue;
    const auto inside = look_inside(row, *elsewhere);
    if (!inside) continue;
    if (auto finding = diagnose(row, *inside)) {
      report.problems.push_back(*std::move(finding));
    } else {
      ++fine;
    }
  }
  if (fine > 0) report.sound.push_back(fmt::format("inside of pods: {} of their addresses are there, with a route to other nodes", fine));
}

// A node that answers for one of its subnets has another one by an old lease, which nothing but its end takes away.
void tell_old_leases(std::vector<PeerCheck>& peers) {
  for (PeerCheck& silent : peers) {
    if (silent.host.small.any() || !silent.obstacle.empty()) continue;
    const auto other = std::find_if(peers.begin(), peers.end(), [&](const PeerCheck& each) {
      return each.peer.underlay == silent.peer.underlay && each.peer.subnet.family() == silent.peer.subnet.family() &&
             each.host.small.any();
    });
    if (other != peers.end()) silent.answers_for = other->peer.subnet;
  }
}

Status choose_targets(const CheckRequest& request, const StatusFacts& facts, const AgentStatus& agent, CheckReport& report) {
  const std::vector<Peer> all = TRY(Result<std::vector<Peer>>(facts.peers));
  const NodeNames names = read_node_names();
  for (const Peer& peer : TRY(choose_peers(all, names, request, report))) {
    PeerCheck& check = report.peers.emplace_back();
    check.peer = peer;
    check.name = node_name(peer.underlay, names);
  }
  if (request.pods.empty()) return ok();
  const std::vector<PodRow> rows = TRY(Result<std::vector<PodRow>>(facts.pods));
  for (const std::string& word : request.pods) {
    for (const IpAddress& address : TRY(addresses_meant(word, rows))) {
      PodCheck check = TRY(find_pod(address, rows, all, agent));
      if (check.peer) check.node = node_name(check.peer->underlay, names);
      report.pods.push_back(std::move(check));
    }
  }
  return ok();
}

}  // namespace

Result<CheckReport> run_check(const CheckRequest& request, const std::string& version) {
  const StatusFacts facts = read_status_facts();
  const AgentStatus agent = TRY(Result<AgentStatus>(facts.agent));
  const auto config = TRY(Result<std::optional<merino_config>>(facts.config));
  CheckReport report;
  report.title = title_of(agent, version);
  const StatusReport status = assess(facts);
  report.problems = status.problems;
  report.notices = status.notices;
  if (status.problems.empty()) report.sound.emplace_back("this node is healthy (merinoctl status)");

  auto netlink = TRY(Netlink::open());
  const auto pods = facts.pods ? *facts.pods : std::vector<PodRow>{};
  assess_host(read_host_facts(netlink, agent, config.value_or(merino_config{}), pods), report);
  if (!config) return report;
  report.scale = {agent.uplink, config->pod_mtu, ntohs(config->tunnel_port), ""};
  check_network_route(netlink, facts, *config, report);
  check_addresses_of_pods(pods, agent, report);
  check_inside_of_pods(facts, report);
  TRY(choose_targets(request, facts, agent, report));
  const ProbingPod pod = open_a_pod(facts, report.pods, report.scale);
  const uint64_t wrong_before = count_checksum_errors_of(pod);
  const Checker checker(request, report.scale, pod);
  check_all(checker, report.peers);
  check_all(checker, report.pods);
  tell_old_leases(report.peers);
  for (const PeerCheck& check : report.peers) add_findings(diagnose(check, report.scale), report);
  for (const PodCheck& check : report.pods) add_findings(diagnose(check, report.scale), report);
  if (!report.peers.empty() || !report.pods.empty()) {
    // The pod may be gone by now, and its count with it.
    const uint64_t wrong_after = count_checksum_errors_of(pod);
    add_checksum_finding(wrong_after > wrong_before ? wrong_after - wrong_before : 0, report);
  }
  return report;
}

}  // namespace merino::ctl
