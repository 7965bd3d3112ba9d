#include "datapath/peer_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>

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
using PeerEntries = Table<merino_peer_key, merino_peer>;
using NodeEntries = Table<merino_node_key, merino_node>;

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
PeerEntries peer_entries(const std::vector<Peer>& peers) {
  PeerEntries out;
  out.reserve(peers.size());
  for (const Peer& peer : peers) out.emplace_back(to_abi(peer.subnet), to_abi(peer));
  std::stable_sort(out.begin(), out.end(), ByKey());
  const auto last_ones = std::unique(out.rbegin(), out.rend(), [](const auto& a, const auto& b) { return same_bytes(a.first, b.first); });
  out.erase(out.begin(), last_ones.base());
  return out;
}

NodeEntries node_entries(const std::vector<Peer>& peers) {
  NodeEntries out;
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

PrefixLengths lengths_of(const PeerEntries& peers) {
  PrefixLengths out;
  for (const auto& entry : peers) {
    const Prefix subnet = merino::from_abi(entry.first);
    out[{subnet.family(), subnet.mapped_length()}]++;
  }
  return out;
}

// The longest first: the programs take the first that fits.
Result<merino_prefix_lens> to_abi(const PrefixLengths& lengths, Family family) {
  merino_prefix_lens out{};
  const auto is_its = [&](const auto& entry) { return entry.first.first == family; };
  const auto count = static_cast<size_t>(std::count_if(lengths.begin(), lengths.end(), is_its));
  if (count > MERINO_MAX_PREFIX_LENS) {
    return fail(ErrorKind::invalid, "node subnets have {} different prefix lengths, {} are possible", count, MERINO_MAX_PREFIX_LENS);
  }
  out.count = static_cast<uint32_t>(count);
  size_t at = count;
  for (const auto& entry : lengths) {
    if (is_its(entry)) out.lens[--at] = static_cast<uint8_t>(entry.first.second);
  }
  return out;
}

std::string name_of(const std::pair<merino_peer_key, merino_peer>& peer) {
  return fmt::format("{} of {}", merino::from_abi(peer.first).to_string(), merino::from_abi(peer.second.underlay).to_string());
}
std::string name_of(const std::pair<merino_node_key, merino_node>& node) { return merino::from_abi(node.first.underlay).to_string(); }

// Names those of the entries that are not in it.
template <class Key, class Value>
tl::unexpected<Error> map_is_full(const char* map_name, const Map<Key, Value>& map, const std::vector<std::pair<Key, Value>>& entries) {
  constexpr size_t kNamed = 3;
  size_t left = 0;
  std::vector<std::string> names;
  for (const auto& entry : entries) {
    Value value{};
    const auto is_there = map.lookup(entry.first, value);
    if (!is_there) return tl::unexpected(is_there.error());
    if (!*is_there && ++left <= kNamed) names.push_back(name_of(entry));
  }
  if (left > kNamed) names.push_back(fmt::format("{} more", left - kNamed));
  return with_remedy(fail(ErrorKind::exhausted, "map {} is full, {} did not fit: {}", map_name, left, fmt::join(names, ", ")),
                     "remove leases of nodes that are gone; what is in the map goes on");
}

struct PeerMaps {
  Map<merino_peer_key, merino_peer> peers;
  Map<merino_node_key, merino_node> nodes;
  Map<uint32_t, merino_network> network;
  std::array<uint32_t, 3> ids{};
};

Result<PeerMaps> open_maps() {
  auto peers = TRY((Map<merino_peer_key, merino_peer>::open("peers")));
  auto nodes = TRY((Map<merino_node_key, merino_node>::open("nodes")));
  auto network = TRY((Map<uint32_t, merino_network>::open("network")));
  PeerMaps maps{.peers = std::move(peers), .nodes = std::move(nodes), .network = std::move(network)};
  maps.ids = {TRY(maps.peers.id()), TRY(maps.nodes.id()), TRY(maps.network.id())};
  return maps;
}

Status write_lengths(PeerMaps& maps, const PrefixLengths& lengths) {
  merino_network value{};
  if (!TRY(maps.network.lookup(0, value))) return fail(ErrorKind::not_found, "map network has no entry");
  const merino_network before = value;
  value.peers_v4 = TRY(to_abi(lengths, Family::v4));
  value.peers_v6 = TRY(to_abi(lengths, Family::v6));
  return same_bytes(before, value) ? ok() : maps.network.update(0, value);
}

struct Changes {
  Difference<merino_peer_key, merino_peer> peers;
  Difference<merino_node_key, merino_node> nodes;
  PrefixLengths before, after;
};

Result<PeerChanges> carry_out(PeerMaps& maps, const Changes& changes) {
  PrefixLengths meanwhile = changes.before;
  meanwhile.insert(changes.after.begin(), changes.after.end());
  TRY(write_lengths(maps, meanwhile));
  // A full map does not keep the rest from being written: what fits is in, and the caller hears of it once.
  const size_t nodes_written = TRY(maps.nodes.update_all(changes.nodes.missing));
  const size_t peers_written = TRY(maps.peers.update_all(changes.peers.missing));
  TRY(remove_all(maps.peers, changes.peers.surplus));
  TRY(remove_all(maps.nodes, changes.nodes.surplus));
  TRY(write_lengths(maps, changes.after));
  if (peers_written < changes.peers.missing.size()) return map_is_full("peers", maps.peers, changes.peers.missing);
  if (nodes_written < changes.nodes.missing.size()) return map_is_full("nodes", maps.nodes, changes.nodes.missing);
  return PeerChanges{
      .added = peers_written - changes.peers.changed, .changed = changes.peers.changed, .removed = changes.peers.surplus.size()};
}

// From the numbers of subnets that nodes lose and gain, and those that they have.
Result<Difference<merino_node_key, merino_node>> count_nodes(const PeerMaps& maps, const std::vector<Peer>& gone,
                                                             const std::vector<Peer>& come) {
  std::map<IpAddress, int64_t> shifts;
  for (const Peer& peer : gone) shifts[peer.underlay]--;
  for (const Peer& peer : come) shifts[peer.underlay]++;
  Difference<merino_node_key, merino_node> out;
  for (const auto& [address, shift] : shifts) {
    if (shift == 0) continue;
    const merino_node_key key{merino::to_abi(address)};
    merino_node node{};
    const bool is_there = TRY(maps.nodes.lookup(key, node));
    const int64_t subnets = (is_there ? node.subnets : 0) + shift;
    if (subnets < 0) return fail(ErrorKind::invalid, "map nodes lacks subnets of {}", address.to_string());
    if (subnets > 0) out.missing.emplace_back(key, merino_node{static_cast<uint32_t>(subnets)});
    if (subnets == 0) out.surplus.push_back(key);
  }
  return out;
}

Result<PrefixLengths> count_lengths(PrefixLengths lengths, const PeerEntries& gone, const PeerEntries& come) {
  for (const auto& [length, count] : lengths_of(come)) lengths[length] += count;
  for (const auto& [length, count] : lengths_of(gone)) {
    if (lengths[length] < count) return fail(ErrorKind::invalid, "more subnets go than there were");
    lengths[length] -= count;
  }
  std::erase_if(lengths, [](const auto& entry) { return entry.second == 0; });
  return lengths;
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

Result<PeerChanges> PeerTable::sync(const std::vector<Peer>& desired) {
  known_.reset();
  PeerMaps maps = TRY(open_maps());
  Changes changes;
  {
    const PeerEntries want = peer_entries(desired);
    const PeerEntries have = TRY(read_table(maps.peers));
    const NodeEntries nodes = TRY(read_table(maps.nodes));
    changes = {.peers = difference(have, want),
               .nodes = difference(nodes, node_entries(desired)),
               .before = lengths_of(have),
               .after = lengths_of(want)};
  }
  const PeerChanges done = TRY(carry_out(maps, changes));
  known_ = Known{maps.ids, std::move(changes.after)};
  return done;
}

Result<PeerChanges> PeerTable::apply(const std::vector<Peer>& gone, const std::vector<Peer>& come) {
  if (!known_) return fail(ErrorKind::invalid, "what the maps say is not known");
  const Known known = *std::exchange(known_, std::nullopt);
  PeerMaps maps = TRY(open_maps());
  if (maps.ids != known.maps) return fail(ErrorKind::invalid, "the maps are not those that were written");
  const PeerEntries before = peer_entries(gone);
  const PeerEntries after = peer_entries(come);
  auto nodes = TRY(count_nodes(maps, gone, come));
  auto lengths = TRY(count_lengths(known.lengths, before, after));
  Changes changes{.peers = difference(before, after), .nodes = std::move(nodes), .before = known.lengths, .after = std::move(lengths)};
  const PeerChanges done = TRY(carry_out(maps, changes));
  known_ = Known{maps.ids, std::move(changes.after)};
  return done;
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
