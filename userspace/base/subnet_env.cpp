#include "base/subnet_env.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>

#include "base/file.h"
#include "base/printable.h"

namespace merino {
namespace {

constexpr size_t kMaxFileBytes = 64U << 10U;
constexpr int kMinMtu = 68;     // RFC 791
constexpr int kMaxMtu = 65536;  // that of the loopback device
constexpr const char* kRewriteRemedy = "remove the file and restart merinod, which writes it anew";

using Values = std::map<std::string_view, std::string_view>;

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string_view unquote(std::string_view value) {
  const bool quoted = value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.front() == value.back();
  return quoted ? value.substr(1, value.size() - 2) : value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// The last of two equal keys wins, as in a shell that sources the file.
Result<Values> read_values(std::string_view text, const std::string& path) {
  Values values;
  for (const std::string_view raw_line : split(text, '\n')) {
    const std::string_view line = trim(raw_line);
    if (line.empty() || line.front() == '#') continue;
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      return with_remedy(fail(ErrorKind::invalid, "{} has a line that is not KEY=VALUE: \"{}\"", path, printable(line)), kRewriteRemedy);
    }
    values[trim(line.substr(0, equals))] = unquote(trim(line.substr(equals + 1)));
  }
  return values;
}

// Reads the values of one file; every error names the file and the key.
class ValueReader {
 public:
  ValueReader(const Values& values, const std::string& path) : values_(values), path_(path) {}

  [[nodiscard]] bool has(std::string_view key) const { return values_.count(key) != 0; }

  [[nodiscard]] Status check_complete() const {
    std::string missing;
    const auto require = [&](std::string_view key) {
      if (!has(key)) missing += (missing.empty() ? "" : ", ") + std::string(key);
    };
    const bool v6 = has("FLANNEL_IPV6_NETWORK") || has("FLANNEL_IPV6_SUBNET");
    const bool v4 = has("FLANNEL_NETWORK") || has("FLANNEL_SUBNET") || !v6;
    for (const char* key : {"FLANNEL_NETWORK", "FLANNEL_SUBNET"}) {
      if (v4) require(key);
    }
    for (const char* key : {"FLANNEL_IPV6_NETWORK", "FLANNEL_IPV6_SUBNET"}) {
      if (v6) require(key);
    }
    require("FLANNEL_MTU");
    require("FLANNEL_IPMASQ");
    if (missing.empty()) return ok();
    return with_remedy(fail(ErrorKind::invalid, "{} is missing {}", path_, missing), kRewriteRemedy);
  }

  [[nodiscard]] Result<std::vector<Prefix>> networks(std::string_view key, Family family) const {
    std::vector<Prefix> networks;
    if (!has(key)) return networks;
    for (const std::string_view text : split(values_.at(key), ',')) {
      const auto prefix = Prefix::parse(trim(text));
      if (!prefix || prefix->family() != family) return wrong(key, family == Family::v4 ? "an IPv4 network" : "an IPv6 network");
      const Prefix network = prefix->masked();
      if (std::find(networks.begin(), networks.end(), network) == networks.end()) networks.push_back(network);
    }
    return networks;
  }

  [[nodiscard]] Result<std::optional<Prefix>> subnet(std::string_view key, Family family) const {
    if (!has(key)) return std::nullopt;
    const auto prefix = Prefix::parse(values_.at(key));
    if (!prefix || prefix->family() != family) return wrong(key, family == Family::v4 ? "an IPv4 subnet" : "an IPv6 subnet");
    return *prefix;
  }

  [[nodiscard]] Result<int> mtu() const {
    const std::string_view text = values_.at("FLANNEL_MTU");
    int mtu = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mtu);
    const bool good = error == std::errc() && end == text.data() + text.size() && mtu >= kMinMtu && mtu <= kMaxMtu;
    if (!good) return wrong("FLANNEL_MTU", fmt::format("a number from {} to {}", kMinMtu, kMaxMtu));
    return mtu;
  }

  [[nodiscard]] Result<bool> ip_masq() const {
    const std::string_view text = values_.at("FLANNEL_IPMASQ");
    if (text != "true" && text != "false") return wrong("FLANNEL_IPMASQ", "true or false");
    return text == "true";
  }

 private:
  [[nodiscard]] tl::unexpected<Error> wrong(std::string_view key, std::string_view expected) const {
    return with_remedy(fail(ErrorKind::invalid, "{}: {} is \"{}\", not {}", path_, key, printable(values_.at(key)), expected),
                       kRewriteRemedy);
  }

  const Values& values_;
  const std::string& path_;
};

std::string join(const std::vector<Prefix>& prefixes) {
  std::string text;
  for (const Prefix& prefix : prefixes) text += (text.empty() ? "" : ",") + prefix.to_string();
  return text;
}

}  // namespace

std::string format_subnet_env(const SubnetEnv& env) {
  std::string text;
  if (env.subnet) text += fmt::format("FLANNEL_NETWORK={}\nFLANNEL_SUBNET={}\n", join(env.networks), env.subnet->to_string());
  if (env.subnet_v6) {
    text += fmt::format("FLANNEL_IPV6_NETWORK={}\nFLANNEL_IPV6_SUBNET={}\n", join(env.networks_v6), env.subnet_v6->to_string());
  }
  return text + fmt::format("FLANNEL_MTU={}\nFLANNEL_IPMASQ={}\n", env.mtu, env.ip_masq);
}

Result<SubnetEnv> parse_subnet_env(const std::string& text, const std::string& path_for_errors) {
  const Values values = TRY(read_values(text, path_for_errors));
  const ValueReader reader(values, path_for_errors);
  TRY(reader.check_complete());
  SubnetEnv env;
  env.networks = TRY(reader.networks("FLANNEL_NETWORK", Family::v4));
  env.subnet = TRY(reader.subnet("FLANNEL_SUBNET", Family::v4));
  env.networks_v6 = TRY(reader.networks("FLANNEL_IPV6_NETWORK", Family::v6));
  env.subnet_v6 = TRY(reader.subnet("FLANNEL_IPV6_SUBNET", Family::v6));
  env.mtu = TRY(reader.mtu());
  env.ip_masq = TRY(reader.ip_masq());
  return env;
}

Result<SubnetEnv> load_subnet_env(const std::string& path) {
  const auto text = read_file(path, kMaxFileBytes);
  if (!text && text.error().kind == ErrorKind::not_found) {
    return with_remedy(tl::unexpected(text.error()),
                       "is merinod running on this node? it writes this file when it has a lease; see its log");
  }
  if (!text) return tl::unexpected(text.error());
  return parse_subnet_env(*text, path);
}

}  // namespace merino
