#include "ctl/run_check.h"

#include <arpa/inet.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "ctl/host_check.h"
#include "ctl/read.h"
#include "datapath/programs.h"
#include "netlink/netlink.h"

namespace merino::ctl {

namespace {

using std::chrono::milliseconds;

constexpr size_t kSmallPacket = 84;
constexpr milliseconds kPatience{1000};
constexpr unsigned kThreads = 8;

bool is_named(const Peer& peer, const std::string& name) {
  const auto address = IpAddress::parse(name);
  return address ? peer.underlay == *address || peer.subnet.contains(*address) : peer.subnet.to_string() == name;
}

Result<std::vector<Peer>> choose_peers(const std::vector<Peer>& all, const CheckRequest& request, CheckReport& report) {
  if (request.nodes.empty()) {
    if (all.size() <= request.limit) return all;
    report.notices.push_back(
        {fmt::format("{} of {} peers were checked", request.limit, all.size()), "merinoctl check NODE... checks those that are named"});
    return std::vector<Peer>(all.begin(), all.begin() + static_cast<ptrdiff_t>(request.limit));
  }
  std::vector<Peer> chosen;
  for (const std::string& name : request.nodes) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Peer& peer) { return is_named(peer, name); });
    if (found == all.end())
      return with_remedy(fail(ErrorKind::not_found, "{} is no peer of this node", name), "merinoctl peers lists them");
    chosen.push_back(*found);
  }
  return chosen;
}

// By the address that the node's device into the pod network has, merino0's or flannel.1's: its host answers there.
Result<TunnelProbe> probe_tunnel(const Peer& peer, const CheckRequest& request, size_t pod_mtu) {
  const IpAddress target = peer.subnet.masked().address();
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

  [[nodiscard]] bool can_send_to(const Peer& peer) const {
    return netns && std::find(families.begin(), families.end(), peer.subnet.family()) != families.end();
  }
};

class Checker {
 public:
  Checker(const CheckRequest& request, CheckScale scale, const ProbingPod& pod) : request_(request), scale_(std::move(scale)), pod_(pod) {}

  [[nodiscard]] PeerCheck check(const Peer& peer) const {
    PeerCheck out;
    out.peer = peer;
    const Status tried = try_all(out);
    if (!tried) out.obstacle = tried.error().message();
    return out;
  }

 private:
  Status try_all(PeerCheck& out) const {
    auto netlink = TRY(Netlink::open());
    const auto route = TRY(netlink.route_to(out.peer.underlay));
    if (const auto link = TRY(netlink.link_by_index(route.link_index))) out.underlay_device = link->name;
    out.underlay = TRY(send_echo({out.peer.underlay, kSmallPacket, 3, milliseconds(20), kPatience}));
    out.host = TRY(probe_tunnel(out.peer, request_, scale_.pod_mtu));
    if (!pod_.can_send_to(out.peer) || !out.host.small.any()) return ok();
    out.pod = TRY(in_network_namespace(pod_.netns.get(), [&] { return probe_tunnel(out.peer, request_, scale_.pod_mtu); }));
    return ok();
  }

  const CheckRequest& request_;
  CheckScale scale_;
  const ProbingPod& pod_;
};

std::vector<PeerCheck> check_all(const Checker& checker, const std::vector<Peer>& peers) {
  std::vector<PeerCheck> checks(peers.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < peers.size(); i = next++) checks[i] = checker.check(peers[i]);
  };
  std::vector<std::jthread> threads;
  for (unsigned n = 0; n < std::min<size_t>(kThreads, peers.size()); ++n) threads.emplace_back(work);
  threads.clear();
  return checks;
}

// The first pod whose namespace can be entered: its packets take the way of all the others.
ProbingPod open_a_pod(const StatusFacts& facts, CheckScale& scale) {
  if (!facts.pods) return {};
  for (const PodRow& row : *facts.pods) {
    if (!row.attachment || !pod_trouble(row).empty()) continue;
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

void add_checksum_finding(uint64_t before, CheckReport& report) {
  const uint64_t wrong = count_checksum_errors() - before;
  if (wrong == 0) {
    report.sound.emplace_back("no packet arrived with a wrong checksum meanwhile");
    return;
  }
  report.problems.push_back(
      {fmt::format("{} packets arrived here with a wrong checksum meanwhile (InCsumErrors)", wrong),
       fmt::format("switch the offload off on both nodes and look again: ethtool -K {} tx-checksum-ip-generic off", report.scale.uplink)});
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
  assess_host(read_host_facts(netlink, agent, config.value_or(merino_config{})), report);
  if (!config) return report;
  report.scale = {agent.uplink, config->pod_mtu, ntohs(config->tunnel_port), ""};
  const std::vector<Peer> all = TRY(Result<std::vector<Peer>>(facts.peers));
  const std::vector<Peer> peers = TRY(choose_peers(all, request, report));
  const ProbingPod pod = open_a_pod(facts, report.scale);
  const uint64_t wrong_before = count_checksum_errors();
  report.peers = check_all(Checker(request, report.scale, pod), peers);
  const NodeNames names = read_node_names();
  for (PeerCheck& check : report.peers) check.name = node_name(check.peer.underlay, names);
  for (const PeerCheck& check : report.peers) {
    for (Finding& finding : diagnose(check, report.scale)) report.problems.push_back(std::move(finding));
  }
  if (!peers.empty()) add_checksum_finding(wrong_before, report);
  return report;
}

}  // namespace merino::ctl
