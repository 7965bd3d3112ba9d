#include "agent/forward.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/nft.h"
#include "agent/nft_json.h"
#include "base/file.h"
#include "base/process.h"

namespace merino {

namespace {

using nlohmann::json;

constexpr const char* kComment = "merino forward";

json address_match(const char* field, const Prefix& network) {
  const json prefix = {{"prefix", {{"addr", network.masked().address().to_string()}, {"len", network.length()}}}};
  const json payload = {{"protocol", nft_protocol(network.family())}, {"field", field}};
  return {{"match", {{"op", "=="}, {"left", {{"payload", payload}}}, {"right", prefix}}}};
}

// Chains of "inet" have rules for either family: does this one look into packets of the other?
bool is_of_other_family(const json& rule, Family family) {
  const char* other = nft_protocol(family == Family::v4 ? Family::v6 : Family::v4);
  const json::json_pointer payload("/match/left/payload");
  const json expressions = rule.value("expr", json::array());
  return std::any_of(expressions.begin(), expressions.end(), [&](const json& expression) {
    return expression.is_object() && expression.contains(payload) && nft_text(expression[payload], "protocol") == other;
  });
}

// What a rule does, without counters and without the comment as iptables stores it (an xt extension).
json essence(const json& rule) {
  json out = json::array();
  for (const json& expression : rule.value("expr", json::array())) {
    const bool comment = expression.contains("xt") && nft_text(expression["xt"], "name") == "comment";
    if (!comment && !expression.contains("counter")) out.push_back(expression);
  }
  return out;
}

// A rule that concerns every packet: the key of its one statement ("drop", "jump"); empty for others.
std::string unconditional_statement(const json& rule) {
  std::string statement;
  for (const json& expression : essence(rule)) {
    if (!expression.is_object() || expression.size() != 1 || !statement.empty()) return "";
    const bool iptables_reject = expression.contains("xt") && nft_text(expression["xt"], "name") == "REJECT";
    if (expression.begin().key() != "log") statement = iptables_reject ? "reject" : expression.begin().key();
  }
  return statement;
}

// Where a chain refuses what got so far.
std::optional<uint64_t> end_of(const std::vector<json>& rules) {
  if (rules.empty()) return std::nullopt;
  const std::string last = unconditional_statement(rules.back());
  if (last != "drop" && last != "reject") return std::nullopt;
  const bool firewalld = nft_text(rules.back(), "table") == "firewalld";
  const bool jumps_before = rules.size() > 1 && unconditional_statement(rules[rules.size() - 2]) == "jump";
  return nft_handle(firewalld && jumps_before ? rules[rules.size() - 2] : rules.back());
}

json accepting(const char* field, const Prefix& network) { return json::array({address_match(field, network), {{"accept", nullptr}}}); }

json reference(const ForwardChain& chain) { return {{"family", chain.family}, {"table", chain.table}}; }

std::string describe(const ForwardChain& chain) { return fmt::format("nftables chain {} {} {}", chain.family, chain.table, chain.name); }

// At the chain's end, or before the rule with the handle `end`.
json add_rule(const ForwardChain& chain, const char* field, const Prefix& network, std::optional<uint64_t> end) {
  json rule = reference(chain);
  rule["chain"] = chain.name;
  rule["comment"] = kComment;
  rule["expr"] = json::array({address_match(field, network), {{"counter", nullptr}}, {{"accept", nullptr}}});
  if (!end) return {{"add", {{"rule", rule}}}};
  rule["handle"] = *end;
  return {{"insert", {{"rule", rule}}}};
}

json delete_rule(const ForwardChain& chain, uint64_t handle) {
  json rule = reference(chain);
  rule["chain"] = chain.name;
  rule["handle"] = handle;
  return {{"delete", {{"rule", rule}}}};
}

json list_chain(const ForwardChain& chain) {
  json object = reference(chain);
  object["name"] = chain.name;
  return {{"list", {{"chain", object}}}};
}

std::string transaction(const json& commands) { return json{{"nftables", commands}}.dump(); }

Result<bool> ensure_chain(const ForwardChain& chain, const Prefix& network) {
  const std::string what = describe(chain);
  const std::string listing = TRY(run_nft(NftFormat::json, transaction(json::array({list_chain(chain)})), "list " + what));
  const ForwardRules rules = TRY(parse_forward_rules(listing, network));
  const bool refuses = chain.drops_by_policy || rules.end;
  json commands = json::array();
  if (refuses && !rules.from_network) commands.push_back(add_rule(chain, "saddr", network, rules.end));
  if (refuses && !rules.to_network) commands.push_back(add_rule(chain, "daddr", network, rules.end));
  for (const uint64_t handle : rules.stale) commands.push_back(delete_rule(chain, handle));
  if (commands.empty()) return false;
  TRY(run_nft(NftFormat::json, transaction(commands), "add accept rules to " + what));
  spdlog::info("{} refuses what no rule accepts: accept rules for {} added", what, network.to_string());
  return true;
}

// Whatever its policy is by now. Only rules with our comment: one without may be an operator's.
Status clean_chain(const ForwardChain& chain, Family family) {
  const std::string what = describe(chain);
  const std::string listing = TRY(run_nft(NftFormat::json, transaction(json::array({list_chain(chain)})), "list " + what));
  json commands = json::array();
  for (const json& rule : TRY(nft_objects(listing, "rule"))) {
    const auto handle = nft_handle(rule);
    if (handle && nft_text(rule, "comment") == kComment && !is_of_other_family(rule, family))
      commands.push_back(delete_rule(chain, *handle));
  }
  if (commands.empty()) return ok();
  TRY(run_nft(NftFormat::json, transaction(commands), "remove accept rules from " + what));
  spdlog::info("{}: accept rules removed", what);
  return ok();
}

std::vector<std::string> legacy_rule(const char* direction, const Prefix& network) {
  return {direction, network.masked().to_string(), "-m", "comment", "--comment", kComment, "-j", "ACCEPT"};
}

Result<ProcessOutput> run_legacy(const std::string& program, const std::string& action, const std::vector<std::string>& rule) {
  ProcessRequest request;
  request.argv = {program, "-w", "5", action, "FORWARD"};
  request.argv.insert(request.argv.end(), rule.begin(), rule.end());
  request.timeout = std::chrono::seconds(10);
  return run_process(request);
}

// Where there is no iptables-legacy, iptables may be it.
Result<std::string> legacy_program(Family family) {
  const std::string plain = family == Family::v4 ? "iptables" : "ip6tables";
  for (const std::string& program : {plain + "-legacy", plain}) {
    ProcessRequest request;
    request.argv = {program, "--version"};
    const auto output = run_process(request);
    if (!output && output.error().kind == ErrorKind::not_found) continue;
    if (!output) return tl::unexpected(output.error());
    if (output->out.find("nf_tables") == std::string::npos) return program;
  }
  return with_remedy(fail(ErrorKind::not_found, "the kernel has rules of the legacy iptables, but there is no command {}-legacy", plain),
                     "install iptables, or start merinod with --iptables-forward-rules=false");
}

Result<bool> legacy_filter_in_use(Family family) {
  const auto names = read_file(family == Family::v4 ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names");
  if (!names && names.error().kind == ErrorKind::not_found) return false;
  if (!names) return tl::unexpected(names.error());
  return ("\n" + *names).find("\nfilter\n") != std::string::npos;
}

Result<bool> ensure_legacy(const Prefix& network) {
  // Only asked when the table is there: the command's mere listing would make it.
  if (!TRY(legacy_filter_in_use(network.family()))) return false;
  const std::string program = TRY(legacy_program(network.family()));
  const ProcessOutput listing = TRY(run_legacy(program, "-S", {}));
  if (!listing.succeeded()) return fail(ErrorKind::system, "{} -S FORWARD: {}: {}", program, listing.outcome(), listing.err);
  if (!legacy_policy_drops(listing.out)) return false;
  bool changed = false;
  for (const char* direction : {"-s", "-d"}) {
    const auto rule = legacy_rule(direction, network);
    if (TRY(run_legacy(program, "-C", rule)).succeeded()) continue;
    const ProcessOutput added = TRY(run_legacy(program, "-A", rule));
    if (!added.succeeded()) return fail(ErrorKind::system, "{} -A FORWARD: {}: {}", program, added.outcome(), added.err);
    changed = true;
  }
  if (changed) spdlog::info("{}'s FORWARD policy is DROP: accept rules for {} added at its end", program, network.to_string());
  return changed;
}

Status clean_legacy(const Prefix& network) {
  if (!TRY(legacy_filter_in_use(network.family()))) return ok();
  const auto program = legacy_program(network.family());
  if (!program && program.error().kind == ErrorKind::not_found) return ok();
  if (!program) return tl::unexpected(program.error());
  constexpr int kMostCopies = 16;
  for (const char* direction : {"-s", "-d"}) {
    const auto rule = legacy_rule(direction, network);
    for (int i = 0; i < kMostCopies && TRY(run_legacy(*program, "-D", rule)).succeeded(); ++i) {
      spdlog::info("{}: accept rule removed from FORWARD", *program);
    }
  }
  return ok();
}

}  // namespace

Result<std::vector<ForwardChain>> parse_forward_chains(const std::string& nft_json, Family family) {
  std::vector<ForwardChain> out;
  for (const json& chain : TRY(nft_objects(nft_json, "chain"))) {
    ForwardChain found{nft_text(chain, "family"), nft_text(chain, "table"), nft_text(chain, "name"), nft_text(chain, "policy") == "drop"};
    const bool sees_family = found.family == nft_protocol(family) || found.family == "inet";
    if (sees_family && nft_text(chain, "hook") == "forward") out.push_back(std::move(found));
  }
  return out;
}

Result<ForwardRules> parse_forward_rules(const std::string& nft_json, const Prefix& network) {
  ForwardRules found;
  const std::vector<json> rules = TRY(nft_objects(nft_json, "rule"));
  for (const json& rule : rules) {
    const json its = essence(rule);
    if (its == accepting("saddr", network)) {
      found.from_network = true;
    } else if (its == accepting("daddr", network)) {
      found.to_network = true;
    } else if (const auto handle = nft_handle(rule);
               handle && nft_text(rule, "comment") == kComment && !is_of_other_family(rule, network.family())) {
      found.stale.push_back(*handle);
    }
  }
  found.end = end_of(rules);
  return found;
}

bool legacy_policy_drops(const std::string& listing) { return ("\n" + listing).find("\n-P FORWARD DROP\n") != std::string::npos; }

Status remove_forwarding(const Prefix& network) {
  const std::string chains = TRY(run_nft(NftFormat::json, "list chains", "list the nftables chains"));
  for (const ForwardChain& chain : TRY(parse_forward_chains(chains, network.family()))) TRY(clean_chain(chain, network.family()));
  return clean_legacy(network);
}

Result<bool> ensure_forwarding(const Prefix& network) {
  const std::string chains = TRY(run_nft(NftFormat::json, "list chains", "list the nftables chains"));
  bool changed = false;
  for (const ForwardChain& chain : TRY(parse_forward_chains(chains, network.family()))) changed |= TRY(ensure_chain(chain, network));
  changed |= TRY(ensure_legacy(network));
  return changed;
}

}  // namespace merino
