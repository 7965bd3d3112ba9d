#include "agent/masquerade.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "agent/nft.h"

namespace merino {

namespace {

// An empty listing: there is no such table.
Result<std::string> list_table() {
  const std::string tables = TRY(run_nft(NftFormat::text, "list tables ip", "list the nftables tables"));
  if (("\n" + tables).find("\ntable ip merino\n") == std::string::npos) return "";
  return run_nft(NftFormat::text, "list table ip merino", "list the rules of nftables table ip merino");
}

}  // namespace

std::string masquerade_table(const MasqueradeRules& rules) {
  const std::string network = rules.network.masked().to_string();
  const std::string subnet = rules.subnet.masked().to_string();
  const std::string verdict = rules.ports == MasqueradePorts::fully_random ? "masquerade fully-random" : "masquerade";
  // Mark 0x4000 is kube-proxy's "masquerade this": it does so itself.
  const std::string lines[] = {
      "meta mark & 0x00004000 == 0x00004000 return",
      fmt::format("ip saddr {} ip daddr {} return", subnet, network),
      fmt::format("ip saddr {} ip daddr {} return", network, subnet),
      fmt::format("ip saddr != {} ip daddr {} return", network, subnet),
      fmt::format("ip saddr {} ip daddr != 224.0.0.0/4 {}", network, verdict),
      fmt::format("ip saddr != {0} ip daddr {0} {1}", network, verdict),
  };
  std::string table = "table ip merino {\n\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n";
  for (const std::string& line : lines) table += fmt::format("\t\t{} comment \"merino masq\"\n", line);
  return table + "\t}\n}\n";
}

Result<bool> Masquerade::ensure(const MasqueradeRules& rules) {
  const std::string wanted = masquerade_table(rules);
  const std::string current = TRY(list_table());
  if (current == wanted || (applied_ == wanted && current == listing_)) return false;
  // "add" first, because deleting what is not there fails.
  TRY(run_nft(NftFormat::text, "add table ip merino\ndelete table ip merino\n" + wanted,
              "write the masquerade rules to nftables table ip merino"));
  spdlog::info("nftables table ip merino {}: pod traffic that leaves {} is masqueraded", current.empty() ? "made" : "replaced",
               rules.network.to_string());
  applied_ = wanted;
  listing_ = TRY(list_table());
  return true;
}

Result<bool> Masquerade::ensure_absent() {
  if (TRY(list_table()).empty()) return false;
  TRY(run_nft(NftFormat::text, "delete table ip merino", "remove nftables table ip merino"));
  spdlog::info("nftables table ip merino removed: pod traffic is not masqueraded by merino");
  return true;
}

}  // namespace merino
