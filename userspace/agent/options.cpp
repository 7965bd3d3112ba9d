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
enum class FlagOrigin { flannel, merino, unsupported };

struct Flag {
  std::string name;
  FlagKind kind;
  std::string default_text;
  std::string help;
  std::function<Status(CommandLine&, const std::string&)> apply;
  FlagOrigin origin = FlagOrigin::flannel;
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

Apply list_into(std::vector<std::string> AgentOptions::*field) {
  return [field](CommandLine& line, const std::string& value) {
    (line.options.*field).push_back(value);
    return ok();
  };
}

Apply address_into(std::optional<IpAddress> AgentOptions::*field) {
  return [field](CommandLine& line, const std::string& value) -> Status {
    auto address = IpAddress::parse(value);
    if (!address || !address->is_v4()) return fail(ErrorKind::invalid, "\"{}\" is not an IPv4 address", value);
    line.options.*field = *address;
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

// A flag of flanneld that is known and not honoured yet: its default says nothing, any other value is refused.
Flag unsupported(const std::string& name, FlagKind kind, const std::string& default_text) {
  const auto refuse = [kind, default_text](CommandLine&, const std::string& value) -> Status {
    if (value == default_text) return ok();
    if (kind == FlagKind::boolean && TRY(parse_go_bool(value)) == (default_text == "true")) return ok();
    return with_remedy(fail(ErrorKind::unsupported, "unsupported in this version"),
                       "leave the flag out, and use --lease-dir as the lease store");
  };
  return {name, kind, default_text, "not supported in this version", refuse, FlagOrigin::unsupported};
}

std::vector<Flag> make_flags() {
  using enum FlagKind;
  const AgentOptions defaults;
  std::vector<Flag> flags = {
      {"lease-dir", value, "", "directory of lease files that all nodes of the network share: the lease store",
       text_into(&AgentOptions::lease_dir), FlagOrigin::merino},
      {"log-level", value, defaults.log_level, "debug, info, warning or error", apply_log_level, FlagOrigin::merino},
      {"net-config-path", value, defaults.net_conf_path, "the network's configuration", text_into(&AgentOptions::net_conf_path)},
      {"subnet-file", value, defaults.subnet_file, "what the CNI plugin reads is written here", text_into(&AgentOptions::subnet_file)},
      {"iface", repeated, "", "interface for traffic between nodes, by address or name; the first that exists is taken",
       list_into(&AgentOptions::ifaces)},
      {"iface-regex", repeated, "", "the same by a regular expression, matched against all addresses, then against names",
       list_into(&AgentOptions::iface_regexes)},
      {"iface-can-reach", value, "", "the same by the route to this address", address_into(&AgentOptions::iface_can_reach)},
      {"public-ip", value, "", "address under which other nodes reach this one (default: the interface's)",
       address_into(&AgentOptions::public_ip)},
      {"ip-masq", boolean, "false", "masquerade traffic of pods that leaves the network", bool_into(&AgentOptions::ip_masq, true)},
      {"ip-masq-fully-random-disable", boolean, "false", "do not randomise the ports of masqueraded traffic",
       bool_into(&AgentOptions::masq_fully_random, false)},
      {"iptables-forward-rules", boolean, "true", "accept forwarded traffic of the network where the FORWARD policy is to drop",
       bool_into(&AgentOptions::forward_rules, true)},
      {"iptables-resync", value, "5", "seconds between two checks of masquerade and forward rules",
       number_into(&AgentOptions::rules_resync, 1, 86400)},
      {"subnet-lease-renew-margin", value, "60", "minutes before its end at which the lease is renewed (1 to 1439)",
       number_into(&AgentOptions::renew_margin, 1, 1439)},
      {"healthz-ip", value, defaults.healthz_ip, "address of /healthz and /readyz", text_into(&AgentOptions::healthz_ip)},
      {"healthz-port", value, "0", "port of /healthz and /readyz; 0 is off", number_into(&AgentOptions::healthz_port, 0, 65535)},
      {"v", value, "0", "verbosity; 1 and above is --log-level=debug", apply_verbosity},
      {"version", boolean, "false", "print the version and exit", command(Command::version)},
      {"help", boolean, "false", "print this text and exit", command(Command::help)},
      {"h", boolean, "false", "the same", command(Command::help)},
  };
  const std::vector<std::pair<std::string, std::string>> values = {{"etcd-endpoints", "http://127.0.0.1:4001,http://127.0.0.1:2379"},
                                                                   {"etcd-prefix", "/coreos.com/network"},
                                                                   {"etcd-keyfile", ""},
                                                                   {"etcd-certfile", ""},
                                                                   {"etcd-cafile", ""},
                                                                   {"etcd-username", ""},
                                                                   {"etcd-password", ""},
                                                                   {"kube-api-url", ""},
                                                                   {"kubeconfig-file", ""},
                                                                   {"kube-annotation-prefix", "flannel.alpha.coreos.com"},
                                                                   {"public-ipv6", ""},
                                                                   {"vmodule", ""},
                                                                   {"log_backtrace_at", ":0"}};
  for (const auto& [name, default_text] : values) flags.push_back(unsupported(name, value, default_text));
  flags.push_back(unsupported("kube-subnet-mgr", boolean, "false"));
  flags.push_back(unsupported("set-node-network-unavailable", boolean, "true"));
  flags.push_back(unsupported("ip-blackhole-route", boolean, "false"));
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
  if (line.command == Command::run && line.options.lease_dir.empty()) {
    return with_remedy(fail(ErrorKind::invalid, "no lease store is chosen"),
                       "add --lease-dir DIR, a directory that all nodes of the network share");
  }
  return line;
}

std::string help_text() {
  std::string text =
      "merinod: the agent of the merino pod network.\n\n"
      "Usage: merinod --lease-dir DIR [flags]\n\n"
      "Flags may be written -flag, --flag, --flag=value or --flag value (booleans: --flag or --flag=false).\n"
      "FLANNELD_<NAME> in the environment (upper case, '_' for '-') sets a flag that is not given.\n\n";
  for (const Flag& flag : all_flags()) {
    std::string left = "--" + flag.name;
    if (flag.kind != FlagKind::boolean) left += " value";
    text += fmt::format("  {:<32} {}", left, flag.help);
    if (flag.kind == FlagKind::repeated) text += "; may be given several times";
    if (!flag.default_text.empty() && flag.origin != FlagOrigin::unsupported) text += fmt::format(" (default {})", flag.default_text);
    text += "\n";
  }
  return text;
}

}  // namespace merino
