#include "agent/takeover.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "agent/nft.h"
#include "agent/nft_json.h"
#include "agent/steps.h"
#include "base/file.h"
#include "base/process.h"

namespace merino {

namespace {

using nlohmann::json;

// So often flanneld's things are removed again before merinod stops contending with whoever makes them.
constexpr int kPatience = 3;

struct LegacyChain {
  const char* table;
  const char* parent;
  const char* name;
  const char* comment;
};
constexpr std::array<LegacyChain, 2> kLegacyChains = {
    {{"nat", "POSTROUTING", "FLANNEL-POSTRTG", "flanneld masq"}, {"filter", "FORWARD", "FLANNEL-FWD", "flanneld forward"}}};

const LegacyChain* known_chain(const std::string& name) {
  const auto* found =
      std::find_if(kLegacyChains.begin(), kLegacyChains.end(), [&](const LegacyChain& chain) { return name == chain.name; });
  return found == kLegacyChains.end() ? nullptr : found;
}

Result<FlannelRules> find_flannel_rules() {
  const std::string chains = TRY(run_nft(NftFormat::json, "list chains", "list the nftables chains"));
  const std::string tables = TRY(run_nft(NftFormat::json, "list tables", "list the nftables tables"));
  FlannelRules rules;
  rules.chains = TRY(parse_flannel_chains(chains));
  rules.tables = TRY(parse_flannel_tables(tables));
  return rules;
}

// The chain with everything that leads to it, in one transaction.
Status remove_chain(const FlannelChain& chain) {
  const LegacyChain* known = known_chain(chain.name);
  const std::string table = fmt::format("{} {}", chain.family, chain.table);
  const std::string parent = fmt::format("{} {}", table, known->parent);
  const std::string purpose = fmt::format("remove flannel's nftables chain {} {}", table, chain.name);
  const json list = {{"chain", {{"family", chain.family}, {"table", chain.table}, {"name", known->parent}}}};
  const json request = {{"nftables", json::array({{{"list", list}}})}};
  const std::string listing = TRY(run_nft(NftFormat::json, request.dump(), purpose));
  std::string commands;
  for (const uint64_t handle : TRY(parse_jumps(listing, chain.name))) commands += fmt::format("delete rule {} handle {}\n", parent, handle);
  commands += fmt::format("flush chain {0} {1}\ndelete chain {0} {1}\n", table, chain.name);
  TRY(run_nft(NftFormat::text, commands, purpose));
  spdlog::info("flannel's nftables chain {} {} removed", table, chain.name);
  return ok();
}

Result<bool> remove_from_nftables() {
  const FlannelRules rules = TRY(find_flannel_rules());
  for (const auto& chain : rules.chains) TRY(remove_chain(chain));
  for (const std::string& table : rules.tables) {
    TRY(run_nft(NftFormat::text, "delete table " + table, "remove flannel's nftables table " + table));
    spdlog::info("flannel's nftables table {} removed", table);
  }
  return !rules.chains.empty() || !rules.tables.empty();
}

Result<bool> run_legacy(const std::string& program, std::vector<std::string> arguments) {
  ProcessRequest request;
  request.argv = {program, "-w", "5"};
  request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
  request.timeout = std::chrono::seconds(10);
  const auto output = run_process(request);
  // Who has no such command has no rules of it either, or cannot be helped here.
  if (!output && output.error().kind == ErrorKind::not_found) return false;
  if (!output) return tl::unexpected(output.error());
  return output->succeeded();
}

Result<bool> remove_legacy_chain(const std::string& program, const LegacyChain& chain) {
  const std::vector<std::string> table = {"-t", chain.table};
  const auto with = [&](std::vector<std::string> rest) {
    rest.insert(rest.begin(), table.begin(), table.end());
    return rest;
  };
  if (!TRY(run_legacy(program, with({"-S", chain.name})))) return false;
  constexpr int kMostCopies = 16;
  for (int i = 0; i < kMostCopies; ++i) {
    const bool with_comment =
        TRY(run_legacy(program, with({"-D", chain.parent, "-m", "comment", "--comment", chain.comment, "-j", chain.name})));
    if (!with_comment && !TRY(run_legacy(program, with({"-D", chain.parent, "-j", chain.name})))) break;
  }
  TRY(run_legacy(program, with({"-F", chain.name})));
  if (!TRY(run_legacy(program, with({"-X", chain.name})))) {
    return with_remedy(fail(ErrorKind::system, "{}: flannel's chain {} in table {} cannot be removed", program, chain.name, chain.table),
                       fmt::format("remove the rules that jump to it: {} -t {} -S", program, chain.table));
  }
  spdlog::info("{}: flannel's chain {} removed", program, chain.name);
  return true;
}

// Asked only where the kernel has the table: the command would make it.
Result<bool> remove_from_legacy(const std::string& program, const std::string& tables_path) {
  const auto tables = read_file(tables_path);
  if (!tables) return false;
  bool changed = false;
  for (const LegacyChain& chain : kLegacyChains) {
    if (("\n" + *tables).find(fmt::format("\n{}\n", chain.table)) == std::string::npos) continue;
    changed |= TRY(remove_legacy_chain(program, chain));
  }
  return changed;
}

tl::unexpected<Error> contended(const std::string& what) {
  return with_remedy(fail(ErrorKind::exists, "{} came back {} times: flanneld runs beside merinod", what, kPatience),
                     "stop flanneld (kubectl -n kube-flannel delete daemonset kube-flannel-ds, or systemctl disable --now flanneld), then "
                     "restart merinod");
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::string flannel_device_name(uint32_t vni, Family family) { return fmt::format("flannel{}.{}", family == Family::v4 ? "" : "-v6", vni); }

Result<std::optional<Link>> flannel_device(Netlink& netlink, uint32_t vni, Family family) {
  const std::string name = flannel_device_name(vni, family);
  auto link = TRY(netlink.link_by_name(name));
  if (!link || link->kind != "vxlan" || link->name != name) return std::nullopt;
  return link;
}

Result<std::vector<FlannelChain>> parse_flannel_chains(const std::string& nft_json) {
  std::vector<FlannelChain> chains;
  for (const json& object : TRY(nft_objects(nft_json, "chain"))) {
    FlannelChain chain{nft_text(object, "family"), nft_text(object, "table"), nft_text(object, "name")};
    const LegacyChain* known = known_chain(chain.name);
    const bool ip = chain.family == "ip" || chain.family == "ip6";
    if (ip && known != nullptr && chain.table == known->table) chains.push_back(std::move(chain));
  }
  return chains;
}

Result<std::vector<std::string>> parse_flannel_tables(const std::string& nft_json) {
  std::vector<std::string> tables;
  for (const json& object : TRY(nft_objects(nft_json, "table"))) {
    const std::string table = nft_text(object, "family") + " " + nft_text(object, "name");
    if (table == "ip flannel-ipv4" || table == "ip6 flannel-ipv6") tables.push_back(table);
  }
  return tables;
}

Result<std::vector<uint64_t>> parse_jumps(const std::string& nft_json, const std::string& target) {
  std::vector<uint64_t> handles;
  for (const json& rule : TRY(nft_objects(nft_json, "rule"))) {
    const auto handle = nft_handle(rule);
    if (!handle) continue;
    for (const json& expression : rule.value("expr", json::array())) {
      const bool jumps = expression.is_object() && expression.contains("jump") && nft_text(expression["jump"], "target") == target;
      if (jumps) handles.push_back(*handle);
    }
  }
  return handles;
}

Result<bool> remove_flannel_rules() {
  bool changed = TRY(remove_from_nftables());
  changed |= TRY(remove_from_legacy("iptables-legacy", "/proc/net/ip_tables_names"));
  changed |= TRY(remove_from_legacy("ip6tables-legacy", "/proc/net/ip6_tables_names"));
  return changed;
}

// Everything is ready but the UDP port, which merino0 needs in both families: the kernel gives it to one device at a time.
Result<bool> take_over_device(Site& site) {
  std::vector<Link> devices;
  std::string names;
  for (const Family family : kFamilies) {
    const auto device = TRY(flannel_device(site.netlink, site.node.conf.vxlan.vni, family));
    if (!device) continue;
    names += (names.empty() ? "" : " and ") + device->name;
    devices.push_back(*device);
  }
  if (devices.empty()) return false;
  if (site.device_takeovers > kPatience) return contended("flannel's device " + names);
  const auto start = std::chrono::steady_clock::now();
  for (const Link& device : devices) TRY(site.netlink.set_link_down(device.index));
  TRY(keep_device(site));
  TRY(keep_route(site));
  const double took = milliseconds_since(start);
  for (const Link& device : devices) TRY(site.netlink.delete_link(device.index));
  ++site.device_takeovers;
  spdlog::info("{} taken over by {} within {:.1f} ms, and removed with its routes, neighbours and forwarding entries", names, kDeviceName,
               took);
  return true;
}

Result<bool> take_over_rules(Site& site) {
  if (site.rules_takeovers > kPatience) {
    const FlannelRules rules = TRY(find_flannel_rules());
    if (rules.chains.empty() && rules.tables.empty()) return false;
    return contended("flannel's rules");
  }
  if (!TRY(remove_flannel_rules())) return false;
  ++site.rules_takeovers;
  return true;
}

}  // namespace merino
