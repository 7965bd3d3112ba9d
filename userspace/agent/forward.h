// The slow path through a host that drops what it forwards.
//
// In nftables an accept ends only the chain it stands in; a later base chain of the same hook may still drop. So an accept in a chain of
// ours cannot help, and each chain that is hooked at forward and refuses in the end (iptables-nft's, Docker's, firewalld's, an operator's)
// gets two rules for each family of the pod network: source in the network, destination in the network. They overrule the end, not the
// rules that an operator wrote:
//   policy drop                            they stand last, as flannel's
//   a last rule that drops or rejects all  before that rule
//   firewalld's filter_FORWARD             before its last jump, to the zones, which reject on their own
// As plain nftables rules with a counter they are what iptables-nft lists as
//   -A FORWARD -s 10.244.0.0/16 -m comment --comment "merino forward" -j ACCEPT
// The legacy iptables keeps its rules apart from nftables, those of each family in tables of their own; its own commands add them there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace merino {

struct ForwardChain {
  std::string family;  // "ip", "ip6" or "inet"
  std::string table;
  std::string name;
  bool drops_by_policy = false;
  bool operator==(const ForwardChain&) const = default;
};

struct ForwardRules {
  bool from_network = false;
  bool to_network = false;
  std::optional<uint64_t> end;  // handle of the rule at which everything that got so far is refused
  std::vector<uint64_t> stale;  // handles of rules of ours for another network of the family
};

// From nft's JSON: the base chains at forward that see the family.
Result<std::vector<ForwardChain>> parse_forward_chains(const std::string& nft_json, Family family);

// From nft's JSON of one chain: which of our rules it has. Rules that iptables wrote or restored count as ours by what they do.
Result<ForwardRules> parse_forward_rules(const std::string& nft_json, const Prefix& network);

// From `iptables -S FORWARD`: true if the policy is DROP.
bool legacy_policy_drops(const std::string& listing);

// Makes every chain that refuses let the network through; true if a rule had to be added.
Result<bool> ensure_forwarding(const Prefix& network);

// Takes the rules for `network` out of every chain again; success when there is none.
Status remove_forwarding(const Prefix& network);

}  // namespace merino
