#include "agent/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <map>

namespace merino {

namespace {

enum class FlagKind { boolean, value, repeated };

struct Flag {
  std::string name;
  FlagKind kind;
  std::string default_text;
  std::string help;
  std::function<Status(CommandLine&, const std::string&)> apply;
};

using Apply = std::function<Status(CommandLine&, const std::string&)>;

Result<bool> parse_go_bool(const std::string& text) {
  static const std::map<std::string, bool> spellings = {{"1", true},    {"t", true},      {"T", true},      {"true", true},
                                                        {"TRUE", true}, {"True", true},   {"0", false},     {"f", false},
                                                        {"F", false},   {"false", false}, {"FALSE", false}, {"False", false}};
  const auto found = spellings.find(text);
  if (found == spellings.end()) return fail(ErrorKind::invalid, "\"{}\" is neither true nor false", text);
  return found->second;
}

Result<long> parse_number(const std::string& text, long low, long high) {
  long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < low || number > high) {
    return fail(ErrorKind::invalid, "\"{}\" is not a number from {} to {}", text, low, high);
  }
  return number;
}

Apply text_into(std::string AgentOptions::*field) {
  return [field](CommandLine& line, const std::string& value) {
    line.options.*field = value;
    return ok();
  };
}

// Into a field of one of the stores' options: `group` is that store's, `field` its member.
template <class Group>
Apply text_into(Group AgentOptions::*group, std::string Group::*field) {
  return [group, field](CommandLine& line, const std::string& value) {
    line.options.*group.*field = value;
    return ok();
  };
}

Status apply_etcd_endpoints(CommandLine& line, const std::string& value) {
  line.options.etcd.endpoints.clear();
  for (size_t at = 0; at <= value.size();) {
    const size_t comma = std::min(value.find(',', at), value.size());
    if (comma > at) line.options.etcd.endpoints.push_back(value.substr(at, comma - at));
    at = comma + 1;
  }
  if (!line.options.etcd.endpoints.empty()) return ok();
  return fail(ErrorKind::invalid, "\"{}\" names no endpoint", value);
}

Status apply_network_unavailable(CommandLine& line, const std::string& value) {
  line.options.kube.set_node_network_unavailable = TRY(parse_go_bool(value));
  return ok();
}

// flanneld's log library has it, merinod's does not need it; a wrong value of it would stop flanneld, but not the network.
Status accept_without_effect(CommandLine&, const std::string&) { return ok(); }

Status apply_boolean_without_effect(CommandLine&, const std::string& value) {
  TRY(parse_go_bool(value));
  return ok();
}

Status apply_kube_subnet_mgr(CommandLine& line, const std::string& value) {
  if (TRY(parse_go_bool(value))) line.options.store = StoreKind::kube;
  return ok();
}

Apply list_into(std::vector<std::string> AgentOptions::*field) {
  return [field](CommandLine& line, const std::string& value) {
    (line.options.*field).push_back(value);
    return ok();
  };
}

Apply address_into(std::optional<IpAddress> AgentOptions::*field) {
  return [field](CommandLine& line, const std::string& value) -> Status {
    auto address = IpAddress::parse(value);
    if (!address) return fail(ErrorKind::invalid, "\"{}\" is not an IP address", value);
    line.options.*field = *address;
    return ok();
  };
}

// An empty value is no address, as for flanneld.
Apply public_ip_of(Family family) {
  return [family](CommandLine& line, const std::string& value) -> Status {
    if (value.empty()) return ok();
    auto address = IpAddress::parse(value);
    if (!address || address->family() != family) return fail(ErrorKind::invalid, "\"{}\" is not an {} address", value, family_name(family));
    line.options.public_ip[family] = *address;
    return ok();
  };
}

// `when_true` is what the field becomes for --flag=true: flags named "...-disable" clear it.
Apply bool_into(bool AgentOptions::*field, bool when_true) {
  return [field, when_true](CommandLine& line, const std::string& value) -> Status {
    line.options.*field = TRY(parse_go_bool(value)) == when_true;
    return ok();
  };
}

template <class Field>
Apply number_into(Field AgentOptions::*field, long low, long high) {
  return [field, low, high](CommandLine& line, const std::string& value) -> Status {
    line.options.*field = static_cast<Field>(TRY(parse_number(value, low, high)));
    return ok();
  };
}

Apply command(Command chosen) {
  return [chosen](CommandLine& line, const std::string& value) -> Status {
    if (TRY(parse_go_bool(value))) line.command = chosen;
    return ok();
  };
}

Status apply_verbosity(CommandLine& line, const std::string& value) {
  if (TRY(parse_number(value, 0, 10)) > 0) line.options.log_level = "debug";
  return ok();
}

Status apply_log_level(CommandLine& line, const std::string& value) {
  static const std::vector<std::string> levels = {"debug", "info", "warning", "error"};
  if (std::find(levels.begin(), levels.end(), value) == levels.end()) {
    return fail(ErrorKind::invalid, "\"{}\" is not one of {}", value, fmt::join(levels, ", "));
  }
  line.options.log_level = value;
  return ok();
}

Status apply_wire_xdp(CommandLine& line, const std::string& value) {
  static const std::map<std::string, WireXdp> choices = {
      {"off", WireXdp::off}, {"auto", WireXdp::automatic}, {"native", WireXdp::native}, {"generic", WireXdp::generic}};
  const auto found = choices.find(value);
  if (found == choices.end()) return fail(ErrorKind::invalid, "\"{}\" is not one of off, auto, native, generic", value);
  line.options.wire_xdp = found->second;
  return ok();
}

Status apply_log_format(CommandLine& line, const std::string& value) {
  if (value != "text" && value != "json") return fail(ErrorKind::invalid, "\"{}\" is neither text nor json", value);
  line.options.log_format = value == "json" ? LogFormat::json : LogFormat::text;
  return ok();
}

std::vector<Flag> make_flags() {
  using enum FlagKind;
  const AgentOptions defaults;
  std::vector<Flag> flags = {
      {"lease-dir", value, "", "directory of lease files that all nodes of the network share: the lease store",
       text_into(&AgentOptions::lease_dir)},
      {"log-level", value, defaults.log_level, "debug, info, warning or error", apply_log_level},
      {"log-format", value, "text", "text, or json: one object a line", apply_log_format},
      {"net-config-path", value, defaults.net_conf_path, "the network's configuration", text_into(&AgentOptions::net_conf_path)},
      {"subnet-file", value, defaults.subnet_file, "what the CNI plugin reads is written here", text_into(&AgentOptions::subnet_file)},
      {"iface", repeated, "", "interface for traffic between nodes, by address or name; the first that exists is taken",
       list_into(&AgentOptions::ifaces)},
      {"iface-regex", repeated, "", "the same by a regular expression, matched against all addresses, then against names",
       list_into(&AgentOptions::iface_regexes)},
      {"iface-can-reach", value, "", "the same by the route to this address", address_into(&AgentOptions::iface_can_reach)},
      {"public-ip", value, "", "address under which other nodes reach this one (default: the interface's)", public_ip_of(Family::v4)},
      {"public-ipv6", value, "", "the same for IPv6", public_ip_of(Family::v6)},
      {"ip-masq", boolean, "false", "masquerade traffic of pods that leaves the network", bool_into(&AgentOptions::ip_masq, true)},
      {"ip-masq-fully-random-disable", boolean, "false", "do not randomise the ports of masqueraded traffic",
       bool_into(&AgentOptions::masq_fully_random, false)},
      {"iptables-forward-rules", boolean, "true", "accept forwarded traffic of the network where the FORWARD policy is to drop",
       bool_into(&AgentOptions::forward_rules, true)},
      {"iptables-resync", value, "5", "seconds between two checks of masquerade and forward rules",
       number_into(&AgentOptions::rules_resync, 1, 86400)},
      {"full-check", value, "10", "seconds between two comparisons of everything, whatever events tell",
       number_into(&AgentOptions::full_check, 1, 86400)},
      {"wire-xdp", value, "off",
       "drop forged tunnel packets by XDP on the uplink, before the kernel works on them: off, auto, native or generic", apply_wire_xdp},
      {"subnet-lease-renew-margin", value, "60", "minutes before its end at which the lease is renewed (1 to 1439)",
       number_into(&AgentOptions::renew_margin, 1, 1439)},
      {"healthz-ip", value, defaults.healthz_ip, "address of /healthz and /readyz", text_into(&AgentOptions::healthz_ip)},
      {"healthz-port", value, "0", "port of /healthz and /readyz; 0 is off", number_into(&AgentOptions::healthz_port, 0, 65535)},
      {"metrics-ip", value, defaults.metrics_ip, "address of /metrics, for Prometheus", text_into(&AgentOptions::metrics_ip)},
      {"metrics-port", value, "0", "port of /metrics; 0 is off", number_into(&AgentOptions::metrics_port, 0, 65535)},
      {"etcd-endpoints", value, fmt::format("{}", fmt::join(defaults.etcd.endpoints, ",")), "etcd's client URLs, separated by commas",
       apply_etcd_endpoints},
      {"etcd-prefix", value, defaults.etcd.prefix, "where the network's configuration and leases are in etcd",
       text_into(&AgentOptions::etcd, &EtcdOptions::prefix)},
      {"etcd-keyfile", value, "", "private key of the client's certificate for etcd",
       text_into(&AgentOptions::etcd, &EtcdOptions::keyfile)},
      {"etcd-certfile", value, "", "client's certificate for etcd", text_into(&AgentOptions::etcd, &EtcdOptions::certfile)},
      {"etcd-cafile", value, "", "certificate authority of etcd's certificates", text_into(&AgentOptions::etcd, &EtcdOptions::cafile)},
      {"etcd-username", value, "", "user of etcd", text_into(&AgentOptions::etcd, &EtcdOptions::username)},
      {"etcd-password", value, "", "password of that user", text_into(&AgentOptions::etcd, &EtcdOptions::password)},
      {"kube-subnet-mgr", boolean, "false", "leases are annotations of Kubernetes' Nodes, subnets their podCIDRs", apply_kube_subnet_mgr},
      {"kube-api-url", value, "", "URL of the Kubernetes API server (default: the kubeconfig's, or the cluster that merinod runs in)",
       text_into(&AgentOptions::kube, &KubeOptions::api_url)},
      {"kubeconfig-file", value, "", "credentials for the API server (default: the service account of merinod's pod)",
       text_into(&AgentOptions::kube, &KubeOptions::kubeconfig_file)},
      {"kube-annotation-prefix", value, defaults.kube.annotation_prefix, "prefix of the annotations",
       text_into(&AgentOptions::kube, &KubeOptions::annotation_prefix)},
      {"set-node-network-unavailable", boolean, "true", "set the Node's condition NetworkUnavailable to False once the network is up",
       apply_network_unavailable},
      {"ip-blackhole-route", boolean, "false",
       "without effect: what has the address of no pod is dropped in merino0 and counted, with or without a route for it",
       apply_boolean_without_effect},
      {"vmodule", value, "", "without effect, for flanneld's command lines", accept_without_effect},
      {"log_backtrace_at", value, ":0", "without effect, for flanneld's command lines", accept_without_effect},
      {"v", value, "0", "verbosity; 1 and above is --log-level=debug", apply_verbosity},
      {"cleanup", boolean, "false", "take everything of merino's off this node, whose merinod must have ended, and exit",
       command(Command::cleanup)},
      {"version", boolean, "false", "print the version and exit", command(Command::version)},
      {"help", boolean, "false", "print this text and exit", command(Command::help)},
      {"h", boolean, "false", "the same", command(Command::help)},
  };
  return flags;
}

const std::vector<Flag>& all_flags() {
  static const std::vector<Flag> flags = make_flags();
  return flags;
}

const Flag* find_flag(const std::string& name) {
  const auto& flags = all_flags();
  const auto found = std::find_if(flags.begin(), flags.end(), [&](const Flag& flag) { return flag.name == name; });
  return found == flags.end() ? nullptr : &*found;
}

std::string environment_name(const Flag& flag) {
  std::string name = "FLANNELD_" + flag.name;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
  return name;
}

Status apply_flag(const Flag& flag, CommandLine& line, const std::string& value, const std::string& seen_as) {
  auto applied = flag.apply(line, value);
  if (!applied) return in_context(std::move(applied).error(), seen_as);
  return ok();
}

struct Token {
  const Flag* flag;
  std::string value;
  std::string seen_as;
};

// One flag at `arguments[at]`; moves `at` behind it.
Result<Token> next_token(const std::vector<std::string>& arguments, size_t& at) {
  const std::string& argument = arguments[at++];
  const size_t dashes = argument.starts_with("--") ? 2 : 1;
  if (argument[0] != '-' || argument.size() == dashes) {
    return with_remedy(fail(ErrorKind::invalid, "unexpected argument \"{}\"", argument), "merinod takes only flags; see merinod --help");
  }
  const size_t equals = argument.find('=');
  const std::string name = argument.substr(dashes, equals == std::string::npos ? equals : equals - dashes);
  const Flag* flag = find_flag(name);
  if (flag == nullptr) return with_remedy(fail(ErrorKind::invalid, "unknown flag --{}", name), "merinod --help lists all flags");
  const std::string seen_as = "flag --" + name;
  if (equals != std::string::npos) return Token{flag, argument.substr(equals + 1), seen_as};
  if (flag->kind == FlagKind::boolean) return Token{flag, "true", seen_as};
  if (at == arguments.size()) return fail(ErrorKind::invalid, "{} needs a value", seen_as);
  return Token{flag, arguments[at++], seen_as};
}

Status choose_store(AgentOptions& options) {
  if (options.lease_dir.empty()) return ok();
  if (options.store == StoreKind::kube) {
    return with_remedy(fail(ErrorKind::invalid, "--kube-subnet-mgr and --lease-dir name two lease stores"), "leave one of them out");
  }
  options.store = StoreKind::directory;
  return ok();
}

void read_pod_identity(KubeOptions& kube, const Environment& environment) {
  kube.node_name = environment("NODE_NAME").value_or("");
  kube.pod_name = environment("POD_NAME").value_or("");
  kube.pod_namespace = environment("POD_NAMESPACE").value_or("");
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments, const Environment& environment) {
  CommandLine line;
  std::vector<const Flag*> given;
  for (size_t at = 0; at < arguments.size();) {
    const Token token = TRY(next_token(arguments, at));
    TRY(apply_flag(*token.flag, line, token.value, token.seen_as));
    given.push_back(token.flag);
  }
  if (line.command != Command::run) return line;
  for (const Flag& flag : all_flags()) {
    if (std::find(given.begin(), given.end(), &flag) != given.end()) continue;
    const std::string variable = environment_name(flag);
    const auto value = environment(variable);
    if (value && !value->empty()) TRY(apply_flag(flag, line, *value, "environment variable " + variable));
  }
  TRY(choose_store(line.options));
  read_pod_identity(line.options.kube, environment);
  return line;
}

std::string help_text() {
  std::string text =
      "merinod: the agent of the merino pod network.\n\n"
      "Usage: merinod [flags]\n\n"
      "Leases are in etcd (the default), in Kubernetes (--kube-subnet-mgr) or in a directory (--lease-dir DIR).\n"
      "Flags may be written -flag, --flag, --flag=value or --flag value (booleans: --flag or --flag=false).\n"
      "FLANNELD_<NAME> in the environment (upper case, '_' for '-') sets a flag that is not given.\n"
      "With --kube-subnet-mgr: NODE_NAME, or POD_NAME and POD_NAMESPACE, say which Node this is.\n\n";
  for (const Flag& flag : all_flags()) {
    std::string left = "--" + flag.name;
    if (flag.kind != FlagKind::boolean) left += " value";
    text += fmt::format("  {:<32} {}", left, flag.help);
    if (flag.kind == FlagKind::repeated) text += "; may be given several times";
    if (!flag.default_text.empty()) text += fmt::format(" (default {})", flag.default_text);
    text += "\n";
  }
  return text;
}

}  // namespace merino
