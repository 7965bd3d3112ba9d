#include "datapath/peer_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
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

// What a map says or is to say: ordered by the keys' bytes, each key once. Tens of thousands of peers are compared at each change and at
// each full check, so no tree and no hash.
template <class Key, class Value>
using Table = std::vector<std::pair<Key, Value>>;
using PeerTable = Table<merino_peer_key, merino_peer>;
using NodeTable = Table<merino_node_key, merino_node>;

uint8_t to_abi(PeerKind kind) {
  switch (kind) {
    case PeerKind::vxlan:
      return MERINO_PEER_VXLAN;
    case PeerKind::direct:
      return MERINO_PEER_DIRECT;
    case PeerKind::udp:
      return MERINO_PEER_UDP;
  }
  return 0;
}

// What no merino wrote is shown as what the programs take it for.
PeerKind from_abi(uint8_t kind) {
  switch (kind) {
    case MERINO_PEER_DIRECT:
      return PeerKind::direct;
    case MERINO_PEER_UDP:
      return PeerKind::udp;
    default:
      return PeerKind::vxlan;
  }
}

struct ByKey {
  template <class Key, class Value>
  bool operator()(const std::pair<Key, Value>& a, const std::pair<Key, Value>& b) const {
    return std::memcmp(&a.first, &b.first, sizeof(Key)) < 0;
  }
};

merino_peer to_abi(const Peer& peer) {
  merino_peer out{};
  out.underlay = merino::to_abi(peer.underlay);
  merino::to_abi(peer.vtep_mac, out.vtep_mac);
  out.kind = to_abi(peer.kind);
  return out;
}

template <class Key, class Value>
Result<Table<Key, Value>> read_table(const Map<Key, Value>& map) {
  Table<Key, Value> out = TRY(map.entries());
  std::sort(out.begin(), out.end(), ByKey());
  return out;
}

// The last one of several for one subnet counts.
PeerTable peer_table(const std::vector<Peer>& peers) {
  PeerTable out;
  out.reserve(peers.size());
  for (const Peer& peer : peers) out.emplace_back(to_abi(peer.subnet), to_abi(peer));
  std::stable_sort(out.begin(), out.end(), ByKey());
  const auto last_ones = std::unique(out.rbegin(), out.rend(), [](const auto& a, const auto& b) { return same_bytes(a.first, b.first); });
  out.erase(out.begin(), last_ones.base());
  return out;
}

NodeTable node_table(const std::vector<Peer>& peers) {
  NodeTable out;
  out.reserve(peers.size());
  for (const Peer& peer : peers) out.emplace_back(merino_node_key{to_abi(peer.underlay)}, merino_node{1});
  std::sort(out.begin(), out.end(), ByKey());
  size_t kept = 0;
  for (const auto& [key, node] : out) {
    if (kept > 0 && same_bytes(out[kept - 1].first, key)) {
      out[kept - 1].second.subnets++;
    } else {
      out[kept++] = {key, node};
    }
  }
  out.resize(kept);
  return out;
}

// A table's difference to what its map has.
template <class Key, class Value>
struct Difference {
  Table<Key, Value> missing;  // to be written: new, or with another value
  std::vector<Key> surplus;   // to be removed
  size_t changed = 0;         // how many of `missing` are there with another value
};

template <class Key, class Value>
Difference<Key, Value> difference(const Table<Key, Value>& have, const Table<Key, Value>& want) {
  Difference<Key, Value> out;
  auto found = have.begin();
  for (const auto& entry : want) {
    for (; found != have.end() && ByKey()(*found, entry); ++found) out.surplus.push_back(found->first);
    const bool present = found != have.end() && same_bytes(found->first, entry.first);
    if (!present || !same_bytes(found->second, entry.second)) out.missing.push_back(entry);
    if (!present) continue;
    if (!same_bytes(found->second, entry.second)) out.changed++;
    ++found;
  }
  for (; found != have.end(); ++found) out.surplus.push_back(found->first);
  return out;
}

template <class Key, class Value>
Status remove_all(Map<Key, Value>& map, const std::vector<Key>& keys) {
  for (const Key& key : keys) TRY(map.remove(key));
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
    const Prefix prefix = merino::from_abi(entry.first);
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

std::string name_of(const std::pair<merino_peer_key, merino_peer>& peer) {
  return fmt::format("{} of {}", merino::from_abi(peer.first).to_string(), merino::from_abi(peer.second.underlay).to_string());
}
std::string name_of(const std::pair<merino_node_key, merino_node>& node) { return merino::from_abi(node.first.underlay).to_string(); }

// Names what is not in it.
template <class Key, class Value>
tl::unexpected<Error> map_is_full(const char* map_name, const Map<Key, Value>& map, const Table<Key, Value>& want) {
  constexpr size_t kNamed = 3;
  const auto have = read_table(map);
  if (!have) return tl::unexpected(have.error());
  const auto left = difference(*have, want).missing;
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(left.size(), kNamed); i++) names.push_back(name_of(left[i]));
  if (left.size() > kNamed) names.push_back(fmt::format("{} more", left.size() - kNamed));
  return with_remedy(fail(ErrorKind::exhausted, "map {} is full, {} did not fit: {}", map_name, left.size(), fmt::join(names, ", ")),
                     "remove leases of nodes that are gone; what is in the map goes on");
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
    case PeerKind::udp:
      return "udp";
  }
  return "?";
}

Result<PeerChanges> sync_peers(const std::vector<Peer>& desired) {
  auto peers = TRY(Map<merino_peer_key, merino_peer>::open("peers"));
  auto nodes = TRY(Map<merino_node_key, merino_node>::open("nodes"));
  auto network = TRY(Map<uint32_t, merino_network>::open("network"));

  const PeerTable want_peers = peer_table(desired);
  const PeerTable have_peers = TRY(read_table(peers));
  const auto peers_differ = difference(have_peers, want_peers);
  const auto nodes_differ = difference(TRY(read_table(nodes)), node_table(desired));
  const Lengths v4 = lengths_of(want_peers, Family::v4);
  const Lengths v6 = lengths_of(want_peers, Family::v6);

  TRY(write_lengths(network, united(v4, lengths_of(have_peers, Family::v4)), united(v6, lengths_of(have_peers, Family::v6))));
  // A full map does not keep the rest from being written: what fits is in, and the caller hears of it once.
  const size_t nodes_written = TRY(nodes.update_all(nodes_differ.missing));
  const size_t peers_written = TRY(peers.update_all(peers_differ.missing));
  TRY(remove_all(peers, peers_differ.surplus));
  TRY(remove_all(nodes, nodes_differ.surplus));
  TRY(write_lengths(network, v4, v6));
  if (peers_written < peers_differ.missing.size()) return map_is_full("peers", peers, want_peers);
  if (nodes_written < nodes_differ.missing.size()) return map_is_full("nodes", nodes, node_table(desired));
  return PeerChanges{
      .added = peers_written - peers_differ.changed, .changed = peers_differ.changed, .removed = peers_differ.surplus.size()};
}

Result<std::vector<Peer>> read_peers() {
  auto peers = TRY(Map<merino_peer_key, merino_peer>::open("peers"));
  std::vector<Peer> out;
  for (const auto& [key, value] : TRY(peers.entries())) {
    out.push_back({.subnet = merino::from_abi(key),
                   .underlay = merino::from_abi(value.underlay),
                   .vtep_mac = merino::from_abi(value.vtep_mac),
                   .kind = from_abi(value.kind)});
  }
  std::sort(out.begin(), out.end(), [](const Peer& a, const Peer& b) { return a.subnet < b.subnet; });
  return out;
}

}  // namespace merino
