#include "bpf/loaded_programs.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/pkt_cls.h>

#include <cerrno>
#include <cstring>
#include <ostream>
#include <stdexcept>

#include "base/address.h"
#include "bpf/stage.h"
#include "datapath/built_in.h"
#include "datapath/convert.h"
#include "merino.skel.h"
#include "stage.skel.h"

namespace merino::test {

namespace {

constexpr const char* kReasonNames[] = {
#define X(name, action, meaning, remedy) #name,
    MERINO_REASONS(X)
#undef X
};

enum Action { FAST = TC_ACT_REDIRECT, STACK = TC_ACT_UNSPEC, DROP = TC_ACT_SHOT };

constexpr int kVerdicts[] = {
#define X(name, action, meaning, remedy) action,
    MERINO_REASONS(X)
#undef X
};

template <class Key, class Value>
void update(const bpf_map* map, const Key& key, const Value& value) {
  if (bpf_map_update_elem(bpf_map__fd(map), &key, &value, BPF_ANY) != 0)
    throw std::runtime_error(fmt::format("update map {}: {}", bpf_map__name(map), std::strerror(errno)));
}

merino_addr address(const std::string& text) { return to_abi(IpAddress::parse(text).value()); }
merino_peer_key subnet_key(const std::string& text) { return to_abi(Prefix::parse(text).value()); }

const char* interface_of(Program program) {
  switch (program) {
    case Program::from_pod:
      return "vetha";
    case Program::from_wire:
      return "uplink";
    default:
      return "merino0";
  }
}

}  // namespace

const char* name_of(Program program) {
  switch (program) {
    case Program::from_pod:
      return "from_pod";
    case Program::from_wire:
      return "from_wire";
    case Program::from_tunnel:
      return "from_tunnel";
    case Program::from_host:
      return "from_host";
    case Program::wire_xdp:
      return "wire_xdp";
  }
  return "?";
}

const char* name_of(merino_reason reason) { return reason < MERINO_REASON_COUNT ? kReasonNames[reason] : "none"; }
int verdict_of(merino_reason reason) { return kVerdicts[reason]; }

std::string verdict_name(int verdict) {
  switch (verdict) {
    case TC_ACT_UNSPEC:
      return "STACK";
    case TC_ACT_SHOT:
      return "DROP";
    case TC_ACT_REDIRECT:
      return "FAST";
    default:
      return fmt::format("verdict {}", verdict);
  }
}

std::ostream& operator<<(std::ostream& out, const Count& count) {
  return out << name_of(count.reason) << " " << count.packets << " packets " << count.bytes << " bytes";
}

merino_reason Outcome::reason() const {
  if (counted.size() != 1 || counted.front().packets != 1)
    throw std::runtime_error(fmt::format("{} reasons were counted instead of one", counted.size()));
  return counted.front().reason;
}

LoadedPrograms::LoadedPrograms(const merino_config& config) {
  const LibbpfLog log;
  programs_ = merino_bpf__open();
  stage_ = stage_bpf__open();
  if (programs_ != nullptr) std::memcpy(&programs_->rodata_config->merino_config, &config, sizeof(config));
  if (programs_ == nullptr || stage_ == nullptr || merino_bpf__load(programs_) != 0 || stage_bpf__load(stage_) != 0) {
    merino_bpf__destroy(programs_);
    stage_bpf__destroy(stage_);
    throw std::runtime_error("the BPF programs do not load (as root?): " + LibbpfLog::tail());
  }
  for (const Program program : kPrograms) update(stage_->maps.programs, static_cast<uint32_t>(program), fd(program));
}

LoadedPrograms::~LoadedPrograms() {
  merino_bpf__destroy(programs_);
  stage_bpf__destroy(stage_);
}

void LoadedPrograms::fill() {
  add_pod(kPodA, "vetha", kPodAMac, kHostAMac);
  add_pod(kPodB, "vethb", kPodBMac, kHostBMac);
  add_pod(kPodA6, "vetha", kPodAMac, kHostAMac);
  add_pod(kPodB6, "vethb", kPodBMac, kHostBMac);
  add_peer(kSubnet2, kPeer2, kVtep2Mac);
  add_peer(kSubnet3, kPeer3, kVtep3Mac);
  add_peer(kSubnet2V6, kPeer2V6, kVtep2Mac6);
  add_peer(kSubnet3V6, kPeer3V6, kVtep3Mac6);
  add_peer(kSubnetOverV6, kPeer2V6, kVtep2Mac6);
  add_peer(kSubnetOverV4, kPeer2, kVtep2Mac);
  set_prefix_lengths({24}, {64});
}

void LoadedPrograms::fill_udp() {
  fill();
  put_peer(kSubnet2, kPeer2, kNoMac, MERINO_PEER_UDP);
  put_peer(kSubnet3, kPeer3, kNoMac, MERINO_PEER_UDP);
}

void LoadedPrograms::add_pod(const std::string& pod_address, const std::string& host_interface, const std::string& pod_mac,
                             const std::string& host_mac, merino_delivery delivery) {
  merino_pod pod{};
  pod.gateway = address(IpAddress::parse(pod_address).value().family() == Family::v6 ? kGateway6 : kGateway);
  pod.ifindex = Topology::ifindex(host_interface);
  to_abi(MacAddress::parse(pod_mac).value(), pod.pod_mac);
  to_abi(MacAddress::parse(host_mac).value(), pod.host_mac);
  pod.delivery = delivery;
  update(programs_->maps.pods, merino_pod_key{address(pod_address)}, pod);
}

void LoadedPrograms::fill_direct() {
  fill();
  add_direct_peer(kSubnet2, kPeer2, kWireMac);
  add_direct_peer(kSubnet3, kPeer3, kNoMac);
  add_direct_peer(kSubnet2V6, kPeer2V6, kWireMac);
  add_direct_peer(kSubnet3V6, kPeer3V6, kNoMac);
  add_peer(kSubnet4, kPeer4, kVtep4Mac);
}

void LoadedPrograms::add_peer(const std::string& subnet, const std::string& underlay, const std::string& vtep_mac) {
  put_peer(subnet, underlay, vtep_mac, MERINO_PEER_VXLAN);
}

void LoadedPrograms::add_direct_peer(const std::string& subnet, const std::string& next_hop, const std::string& neighbour_mac) {
  put_peer(subnet, next_hop, neighbour_mac, MERINO_PEER_DIRECT);
}

void LoadedPrograms::put_peer(const std::string& subnet, const std::string& underlay, const std::string& mac, merino_peer_kind kind) {
  merino_peer peer{};
  peer.underlay = address(underlay);
  to_abi(MacAddress::parse(mac).value(), peer.vtep_mac);
  peer.kind = static_cast<uint8_t>(kind);
  update(programs_->maps.peers, subnet_key(subnet), peer);
  add_node(underlay);
}

void LoadedPrograms::add_node(const std::string& underlay) {
  update(programs_->maps.nodes, merino_node_key{address(underlay)}, merino_node{1});
}

void LoadedPrograms::remove_peer(const std::string& subnet) {
  const merino_peer_key key = subnet_key(subnet);
  if (bpf_map_delete_elem(peers_fd(), &key) != 0) throw std::runtime_error("no peer has the subnet " + subnet);
}

void LoadedPrograms::set_prefix_lengths(const std::vector<int>& v4, const std::vector<int>& v6) {
  merino_network network{};
  network.abi_version = MERINO_ABI_VERSION;
  network.peers_v4.count = static_cast<uint32_t>(v4.size());
  for (size_t i = 0; i < v4.size(); ++i) network.peers_v4.lens[i] = static_cast<uint8_t>(v4[i] + 96);
  network.peers_v6.count = static_cast<uint32_t>(v6.size());
  for (size_t i = 0; i < v6.size(); ++i) network.peers_v6.lens[i] = static_cast<uint8_t>(v6[i]);
  update(programs_->maps.network, uint32_t{0}, network);
}

int LoadedPrograms::prepare(Program program, const Metadata& metadata) {
  if (!metadata.vlan && !metadata.tunnel) return fd(program);
  stage stage{};
  stage.program = static_cast<uint32_t>(program);
  stage.has_vlan = metadata.vlan ? 1 : 0;
  stage.vlan_tci = metadata.vlan.value_or(0);
  if (metadata.tunnel) {
    stage.has_tunnel = 1;
    stage.tunnel_vni = metadata.tunnel->vni;
    const IpAddress remote = IpAddress::parse(metadata.tunnel->remote).value();
    const IpAddress local = IpAddress::parse(metadata.tunnel->local).value();
    stage.tunnel_v6 = remote.family() == Family::v6 ? 1 : 0;
    if (stage.tunnel_v6 != 0) {
      std::memcpy(stage.tunnel_remote6, remote.bytes().data(), sizeof(stage.tunnel_remote6));
      std::memcpy(stage.tunnel_local6, local.bytes().data(), sizeof(stage.tunnel_local6));
    } else {
      stage.tunnel_remote = remote.v4();
      stage.tunnel_local = local.v4();
    }
  }
  update(stage_->maps.stages, uint32_t{0}, stage);
  return bpf_program__fd(stage_->progs.prepare);
}

Outcome LoadedPrograms::run_uncounted(Program program, const Frame& frame, const Metadata& metadata) {
  __sk_buff context{};
  context.ifindex = Topology::ifindex(metadata.interface.empty() ? interface_of(program) : metadata.interface);
  context.gso_size = metadata.gso_size;
  Outcome outcome;
  outcome.frame.resize(frame.size() + 256);
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = outcome.frame.data(),
              .data_size_in = static_cast<uint32_t>(frame.size()), .data_size_out = static_cast<uint32_t>(outcome.frame.size()),
              .ctx_in = &context, .ctx_size_in = sizeof(context));
  if (bpf_prog_test_run_opts(prepare(program, metadata), &options) != 0)
    throw std::runtime_error(fmt::format("run {} on {} bytes: {}", name_of(program), frame.size(), std::strerror(errno)));
  outcome.verdict = static_cast<int>(options.retval);
  outcome.frame.resize(options.data_size_out);
  return outcome;
}

Outcome LoadedPrograms::run(Program program, const Frame& frame, const Metadata& metadata) {
  const auto before = counters();
  Outcome outcome = run_uncounted(program, frame, metadata);
  outcome.counted = counted_since(before);
  return outcome;
}

std::vector<merino_counter> LoadedPrograms::counters() const {
  std::vector<merino_counter> per_cpu(static_cast<size_t>(libbpf_num_possible_cpus()));
  std::vector<merino_counter> sums(MERINO_MAX_REASONS);
  for (uint32_t reason = 0; reason < sums.size(); ++reason) {
    if (bpf_map_lookup_elem(bpf_map__fd(programs_->maps.counters), &reason, per_cpu.data()) != 0)
      throw std::runtime_error(fmt::format("read counter {}: {}", reason, std::strerror(errno)));
    for (const auto& counter : per_cpu) {
      sums[reason].packets += counter.packets;
      sums[reason].bytes += counter.bytes;
    }
  }
  return sums;
}

std::vector<Count> LoadedPrograms::counted_since(const std::vector<merino_counter>& before) const {
  const auto now = counters();
  std::vector<Count> counts;
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i].packets != before[i].packets || now[i].bytes != before[i].bytes)
      counts.push_back({static_cast<merino_reason>(i), now[i].packets - before[i].packets, now[i].bytes - before[i].bytes});
  }
  return counts;
}

int LoadedPrograms::fd(Program program) const {
  switch (program) {
    case Program::from_pod:
      return bpf_program__fd(programs_->progs.from_pod);
    case Program::from_wire:
      return bpf_program__fd(programs_->progs.from_wire);
    case Program::from_tunnel:
      return bpf_program__fd(programs_->progs.from_tunnel);
    case Program::from_host:
      return bpf_program__fd(programs_->progs.from_host);
    case Program::wire_xdp:
      break;
  }
  return -1;
}

LoadedPrograms::Size LoadedPrograms::size(Program program) const {
  bpf_prog_info info{};
  uint32_t len = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd(program), &info, &len) != 0)
    throw std::runtime_error(fmt::format("program info: {}", std::strerror(errno)));
  return {info.verified_insns, info.xlated_prog_len / 8};
}

int LoadedPrograms::peers_fd() const { return bpf_map__fd(programs_->maps.peers); }
int LoadedPrograms::map_fd(const char* name) const { return bpf_object__find_map_fd_by_name(programs_->obj, name); }

int LoadedPrograms::pods_fd() const { return bpf_map__fd(programs_->maps.pods); }
int LoadedPrograms::counting_program() const { return bpf_program__fd(stage_->progs.count_seen); }

uint64_t LoadedPrograms::seen() const {
  const uint32_t zero = 0;
  uint64_t count = 0;
  if (bpf_map_lookup_elem(bpf_map__fd(stage_->maps.seen), &zero, &count) != 0)
    throw std::runtime_error(fmt::format("read the next program's count: {}", std::strerror(errno)));
  return count;
}

}  // namespace merino::test
