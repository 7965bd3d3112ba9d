#include "cni/protocol.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace merino::cni {
namespace {

struct VersionName {
  SpecVersion version;
  const char* text;
};
constexpr std::array<VersionName, 5> kVersions = {{{SpecVersion::v0_3_0, "0.3.0"},
                                                   {SpecVersion::v0_3_1, "0.3.1"},
                                                   {SpecVersion::v0_4_0, "0.4.0"},
                                                   {SpecVersion::v1_0_0, "1.0.0"},
                                                   {SpecVersion::v1_1_0, "1.1.0"}}};

struct CommandName {
  Command command;
  const char* text;
};
constexpr std::array<CommandName, 6> kCommands = {{{Command::add, "ADD"},
                                                   {Command::del, "DEL"},
                                                   {Command::check, "CHECK"},
                                                   {Command::gc, "GC"},
                                                   {Command::status, "STATUS"},
                                                   {Command::version, "VERSION"}}};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_ascii_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

Code code_for(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
    case ErrorKind::unsupported:
      return Code::invalid_config;
    case ErrorKind::decode:
      return Code::decoding_failure;
    case ErrorKind::unavailable:
    case ErrorKind::exhausted:
      return Code::try_again_later;
    case ErrorKind::system:
    case ErrorKind::not_found:
    case ErrorKind::exists:
      return Code::internal;
  }
  return Code::internal;
}

Outcome<void> require(const std::string& value, const char* name, const std::string& command) {
  if (!value.empty()) return {};
  return fail_with(Code::invalid_environment, fmt::format("{} is not set, {} needs it", name, command));
}

Outcome<void> check_attachment(const Environment& environment) {
  TRY(require(environment.container_id, "CNI_CONTAINERID", environment.command));
  TRY(require(environment.ifname, "CNI_IFNAME", environment.command));
  if (!is_valid_identifier(environment.container_id)) {
    return fail_with(Code::invalid_environment, fmt::format("CNI_CONTAINERID \"{}\" is not a container ID", environment.container_id),
                     "letters, digits, '_', '.' and '-', and a letter or a digit first");
  }
  // A file name of that length cannot be made.
  if (environment.container_id.size() > 200) return fail_with(Code::invalid_environment, "CNI_CONTAINERID is longer than 200 bytes");
  if (!is_valid_ifname(environment.ifname)) {
    return fail_with(Code::invalid_environment, fmt::format("CNI_IFNAME \"{}\" is not an interface name", environment.ifname),
                     R"(at most 15 bytes, not "." or "..", without '/', ':' and whitespace)");
  }
  return {};
}

// Strings may come from the environment with any bytes in them.
std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

const char* version_text(SpecVersion version) { return kVersions[static_cast<size_t>(version)].text; }

std::optional<SpecVersion> parse_version(std::string_view text) {
  const auto* found = std::find_if(kVersions.begin(), kVersions.end(), [&](const VersionName& name) { return text == name.text; });
  if (found == kVersions.end()) return std::nullopt;
  return found->version;
}

Failure::Failure(const Error& error) : code(code_for(error.kind)), details(error.remedy) {
  Error without_remedy = error;
  without_remedy.remedy.clear();
  msg = without_remedy.message();
}

Environment read_environment() {
  Environment environment;
  environment.command = variable("CNI_COMMAND");
  environment.container_id = variable("CNI_CONTAINERID");
  environment.netns = variable("CNI_NETNS");
  environment.ifname = variable("CNI_IFNAME");
  environment.args = variable("CNI_ARGS");
  environment.path = variable("CNI_PATH");
  std::string override_text = variable("CNI_NETNS_OVERRIDE");
  std::transform(override_text.begin(), override_text.end(), override_text.begin(), [](unsigned char c) { return std::toupper(c); });
  environment.netns_override = override_text == "TRUE" || override_text == "1";
  return environment;
}

bool is_valid_identifier(std::string_view text) {
  const auto allowed = [](char c) { return is_ascii_alnum(c) || c == '_' || c == '.' || c == '-'; };
  return !text.empty() && is_ascii_alnum(text[0]) && std::all_of(text.begin(), text.end(), allowed);
}

bool is_valid_ifname(std::string_view text) {
  if (text.empty() || text.size() > 15 || text == "." || text == "..") return false;
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c == '/' || c == ':' || std::isspace(c) != 0; });
}

Outcome<Command> check_environment(const Environment& environment) {
  if (environment.command.empty()) return fail_with(Code::invalid_environment, "CNI_COMMAND is not set");
  const auto* found =
      std::find_if(kCommands.begin(), kCommands.end(), [&](const CommandName& name) { return environment.command == name.text; });
  if (found == kCommands.end()) {
    return fail_with(Code::invalid_environment, fmt::format("CNI_COMMAND \"{}\" is not a CNI command", environment.command));
  }
  const Command command = found->command;
  if (command == Command::add || command == Command::check || command == Command::del) TRY(check_attachment(environment));
  if (command == Command::add || command == Command::check) TRY(require(environment.netns, "CNI_NETNS", environment.command));
  return command;
}

std::string argument(const std::string& args, std::string_view key) {
  std::string_view rest = args;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find(';'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == key) return std::string(pair.substr(equals + 1));
  }
  return "";
}

std::string format_failure(const Failure& failure, SpecVersion version) {
  nlohmann::ordered_json json;
  json["cniVersion"] = version_text(version);
  json["code"] = static_cast<unsigned>(failure.code);
  json["msg"] = failure.msg;
  if (!failure.details.empty()) json["details"] = failure.details;
  return dump(json);
}

std::string format_versions(std::string_view requested) {
  nlohmann::ordered_json json;
  json["cniVersion"] = requested.empty() ? version_text(kLatestVersion) : std::string(requested);
  auto& supported = json["supportedVersions"] = nlohmann::ordered_json::array();
  for (const VersionName& name : kVersions) supported.push_back(name.text);
  return dump(json);
}

}  // namespace merino::cni
