#include "datapath/peer_table.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "datapath/convert.h"
#include "datapath/map.h"

namespace merino {

namespace {

static_assert(sizeof(merino_addr) == 16 && sizeof(merino_peer_key) == 20 && sizeof(merino_peer) == 24 && sizeof(merino_node) == 4);
static_assert(sizeof(merino_network) == 72);

template <class T>
bool same_bytes(const T& a, const T& b) {
  static_assert(std::has_unique_object_representations_v<T>);
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

struct ByBytes {
  template <class T>
  bool operator()(const T& a, const T& b) const {
    return std::memcmp(&a, &b, sizeof(T)) < 0;
  }
};

template <class Key, class Value>
using Table = std::map<Key, Value, ByBytes>;
using PeerTable = Table<merino_peer_key, merino_peer>;
using NodeTable = Table<merino_node_key, merino_node>;

merino_peer to_abi(const Peer& peer) {
  merino_peer out{};
  out.underlay = merino::to_abi(peer.underlay);
  merino::to_abi(peer.vtep_mac, out.vtep_mac);
  out.kind = peer.kind == PeerKind::direct ? MERINO_PEER_DIRECT : MERINO_PEER_VXLAN;
  return out;
}

template <class Key, class Value>
Result<Table<Key, Value>> read_table(const Map<Key, Value>& map) {
  Table<Key, Value> out;
  for (const auto& [key, value] : TRY(map.entries())) out.emplace(key, value);
  return out;
}

// A full map does not keep the rest from being written: what fits is in, and the caller hears of it once.
template <class Key, class Value>
Status write_missing(Map<Key, Value>& map, const Table<Key, Value>& have, const Table<Key, Value>& want, PeerChanges* changes) {
  Status result;
  for (const auto& [key, value] : want) {
    const auto found = have.find(key);
    if (found != have.end() && same_bytes(found->second, value)) continue;
    Status written = map.update(key, value);
    if (!written) {
      if (written.error().kind != ErrorKind::exhausted) return written;
      result = std::move(written);
      continue;
    }
    if (changes != nullptr) (found == have.end() ? changes->added : changes->changed)++;
  }
  return result;
}

template <class Key, class Value>
Status remove_surplus(Map<Key, Value>& map, const Table<Key, Value>& have, const Table<Key, Value>& want, PeerChanges* changes) {
  for (const auto& [key, value] : have) {
    if (want.contains(key)) continue;
    TRY(map.remove(key));
    if (changes != nullptr) changes->removed++;
  }
  return ok();
}

using Lengths = std::set<int, std::greater<>>;

Result<merino_prefix_lens> to_abi(const Lengths& lengths) {
  merino_prefix_lens out{};
  if (lengths.size() > MERINO_MAX_PREFIX_LENS) {
    return fail(ErrorKind::invalid, "node subnets have {} different prefix lengths, {} are possible", lengths.size(),
                MERINO_MAX_PREFIX_LENS);
  }
  for (const int length : lengths) out.lens[out.count++] = static_cast<uint8_t>(length);
  return out;
}

Lengths lengths_of(const PeerTable& peers, Family family) {
  Lengths out;
  for (const auto& entry : peers) {
    const Prefix prefix = from_abi(entry.first);
    if (prefix.family() == family) out.insert(prefix.mapped_length());
  }
  return out;
}

Status write_lengths(Map<uint32_t, merino_network>& network, const Lengths& v4, const Lengths& v6) {
  merino_network value{};
  if (!TRY(network.lookup(0, value))) return fail(ErrorKind::not_found, "map network has no entry");
  const merino_network before = value;
  value.peers_v4 = TRY(to_abi(v4));
  value.peers_v6 = TRY(to_abi(v6));
  return same_bytes(before, value) ? ok() : network.update(0, value);
}

Lengths united(Lengths a, const Lengths& b) {
  a.insert(b.begin(), b.end());
  return a;
}

}  // namespace

const char* peer_kind_name(PeerKind kind) {
  switch (kind) {
    case PeerKind::vxlan:
      return "vxlan";
    case PeerKind::direct:
      return "direct";
  }
  return "?";
}

Result<PeerChanges> sync_peers(const std::vector<Peer>& desired) {
  auto peers = TRY(Map<merino_peer_key, merino_peer>::open("peers"));
  auto nodes = TRY(Map<merino_node_key, merino_node>::open("nodes"));
  auto network = TRY(Map<uint32_t, merino_network>::open("network"));

  PeerTable want_peers;
  NodeTable want_nodes;
  for (const Peer& peer : desired) {
    want_peers.insert_or_assign(to_abi(peer.subnet), to_abi(peer));
    want_nodes[merino_node_key{to_abi(peer.underlay)}].subnets++;
  }
  const PeerTable have_peers = TRY(read_table(peers));
  const NodeTable have_nodes = TRY(read_table(nodes));
  const Lengths v4 = lengths_of(want_peers, Family::v4);
  const Lengths v6 = lengths_of(want_peers, Family::v6);

  PeerChanges changes;
  TRY(write_lengths(network, united(v4, lengths_of(have_peers, Family::v4)), united(v6, lengths_of(have_peers, Family::v6))));
  const Status nodes_written = write_missing<merino_node_key, merino_node>(nodes, have_nodes, want_nodes, nullptr);
  const Status peers_written = write_missing<merino_peer_key, merino_peer>(peers, have_peers, want_peers, &changes);
  TRY(remove_surplus<merino_peer_key, merino_peer>(peers, have_peers, want_peers, &changes));
  TRY(remove_surplus<merino_node_key, merino_node>(nodes, have_nodes, want_nodes, nullptr));
  TRY(write_lengths(network, v4, v6));
  if (!nodes_written) return tl::unexpected(nodes_written.error());
  if (!peers_written) return tl::unexpected(peers_written.error());
  return changes;
}

Result<std::vector<Peer>> read_peers() {
  auto peers = TRY(Map<merino_peer_key, merino_peer>::open("peers"));
  std::vector<Peer> out;
  for (const auto& [key, value] : TRY(peers.entries())) {
    out.push_back({.subnet = from_abi(key),
                   .underlay = from_abi(value.underlay),
                   .vtep_mac = from_abi(value.vtep_mac),
                   .kind = value.kind == MERINO_PEER_DIRECT ? PeerKind::direct : PeerKind::vxlan});
  }
  std::sort(out.begin(), out.end(), [](const Peer& a, const Peer& b) { return a.subnet < b.subnet; });
  return out;
}

}  // namespace merino
