// A node on which flanneld was running: its device, routes and rules make way for merino's, in this order, so that next to nothing is lost.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/per_family.h"
#include "base/result.h"
#include "netlink/netlink.h"

namespace merino {

struct Site;

// flanneld's VXLAN device of one family: "flannel.1", "flannel-v6.1".
std::string flannel_device_name(uint32_t vni, Family family);

// The device if it is there and is what flanneld makes.
Result<std::optional<Link>> flannel_device(Netlink& netlink, uint32_t vni, Family family);

// The bridge that has a gateway address of the pods: flannel's delegate made it (cni0), with those of both families. nullopt if there is
// none.
Result<std::optional<Link>> gateway_bridge(Netlink& netlink, const PerFamily<IpAddress>& gateways);

// flanneld's rules in nftables, written by itself or by iptables-nft; the legacy iptables keeps its own.
struct FlannelChain {
  std::string family;  // "ip" or "ip6"
  std::string table;   // iptables' "nat" or "filter"
  std::string name;    // FLANNEL-POSTRTG or FLANNEL-FWD
  bool operator==(const FlannelChain&) const = default;
};
struct FlannelRules {
  std::vector<FlannelChain> chains;
  std::vector<std::string> tables;  // "ip flannel-ipv4", "ip6 flannel-ipv6"
};
// From nft's JSON of all chains, and of all tables.
Result<std::vector<FlannelChain>> parse_flannel_chains(const std::string& nft_json);
Result<std::vector<std::string>> parse_flannel_tables(const std::string& nft_json);
// Handles of a chain's rules that jump to `target`, from nft's JSON.
Result<std::vector<uint64_t>> parse_jumps(const std::string& nft_json, const std::string& target);

// Removes them all, in every variant; true if there were any.
Result<bool> remove_flannel_rules();

}  // namespace merino
