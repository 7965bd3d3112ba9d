#include "agent/masquerade.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "agent/nft.h"

namespace merino {

namespace {

const char* multicast_of(Family family) { return family == Family::v4 ? "224.0.0.0/4" : "ff00::/8"; }

// "ip merino"
std::string table_of(Family family) { return fmt::format("{} merino", nft_protocol(family)); }

// An empty listing: there is no such table.
Result<std::string> list_table(Family family) {
  const std::string table = table_of(family);
  const std::string tables = TRY(run_nft(NftFormat::text, fmt::format("list tables {}", nft_protocol(family)), "list the nftables tables"));
  if (("\n" + tables).find(fmt::format("\ntable {}\n", table)) == std::string::npos) return "";
  return run_nft(NftFormat::text, "list table " + table, "list the rules of nftables table " + table);
}

}  // namespace

std::string masquerade_table(const MasqueradeRules& rules) {
  const Family family = rules.network.family();
  const char* ip = nft_protocol(family);
  const std::string network = rules.network.masked().to_string();
  const std::string subnet = rules.subnet.masked().to_string();
  const std::string verdict = rules.ports == MasqueradePorts::fully_random ? "masquerade fully-random" : "masquerade";
  // Mark 0x4000 is kube-proxy's "masquerade this": it does so itself.
  const std::string lines[] = {
      "meta mark & 0x00004000 == 0x00004000 return",
      fmt::format("{0} saddr {1} {0} daddr {2} return", ip, subnet, network),
      fmt::format("{0} saddr {1} {0} daddr {2} return", ip, network, subnet),
      fmt::format("{0} saddr != {1} {0} daddr {2} return", ip, network, subnet),
      fmt::format("{0} saddr {1} {0} daddr != {2} {3}", ip, network, multicast_of(family), verdict),
      fmt::format("{0} saddr != {1} {0} daddr {1} {2}", ip, network, verdict),
  };
  std::string table =
      fmt::format("table {} {{\n\tchain postrouting {{\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n", table_of(family));
  for (const std::string& line : lines) table += fmt::format("\t\t{} comment \"merino masq\"\n", line);
  return table + "\t}\n}\n";
}

Result<bool> Masquerade::ensure(const MasqueradeRules& rules) {
  const Family family = rules.network.family();
  const std::string name = table_of(family);
  const std::string wanted = masquerade_table(rules);
  const std::string current = TRY(list_table(family));
  auto& written = written_[family];
  if (current == wanted || (written && written->table == wanted && written->listing == current)) return false;
  // "add" first, because deleting what is not there fails.
  TRY(run_nft(NftFormat::text, fmt::format("add table {0}\ndelete table {0}\n{1}", name, wanted),
              "write the masquerade rules to nftables table " + name));
  spdlog::info("nftables table {} {}: pod traffic that leaves {} is masqueraded", name, current.empty() ? "made" : "replaced",
               rules.network.to_string());
  auto listing = TRY(list_table(family));
  written = Written{wanted, std::move(listing)};
  return true;
}

Result<bool> Masquerade::ensure_absent(Family family) {
  if (TRY(list_table(family)).empty()) return false;
  const std::string name = table_of(family);
  TRY(run_nft(NftFormat::text, "delete table " + name, "remove nftables table " + name));
  spdlog::info("nftables table {} removed: pod traffic is not masqueraded by merino", name);
  return true;
}

}  // namespace merino
