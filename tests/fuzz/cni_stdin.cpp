// What a container runtime gives to the plugin: the environment and standard input.
#include <nlohmann/json.hpp>

#include "cni/config.h"
#include "cni/delegate_conf.h"
#include "cni/plugin.h"
#include "property.h"

namespace merino::fuzz {
namespace {

// An error object of the specification, whatever stood in the input.
void require_error_object(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  require(json.is_object() && json.contains("code") && json.contains("msg") && json["msg"].is_string(), "a failure is an error object");
}

// VERSION and what cannot be understood do nothing to the machine, so the whole plugin can be called.
void run_harmless(cni::Environment environment, const std::string& input) {
  environment.command = "VERSION";
  const cni::Reply version = cni::run(environment, input);
  require(version.exit_code == 0 && nlohmann::json::parse(version.text).contains("supportedVersions"), "VERSION is answered");
  environment.command = "NONSENSE";
  const cni::Reply refused = cni::run(environment, input);
  require(refused.exit_code != 0, "an unknown command fails");
  require_error_object(refused.text);
}

void parse_for(const cni::Environment& environment, const std::string& input, cni::Command command) {
  for (const auto& parsed : {cni::parse_network_conf(input, environment, command), cni::parse_bridge_conf(input, environment, command)}) {
    if (!parsed) {
      require_error_object(cni::format_failure(parsed.error(), cni::version_of(input)));
      continue;
    }
    require(cni::is_valid_identifier(parsed->name), "a network's name is safe as a part of a file's name");
    for (const cni::AttachmentId& id : parsed->valid_attachments) require(!id.container_id.empty(), "a valid attachment has a container");
    for (const cni::RangeSet& set : parsed->host_local.ranges) {
      for (const cni::AddressRange& range : set)
        require(range.subnet.contains(range.start) && range.subnet.contains(range.end) && range.start <= range.end,
                "a range is in its subnet");
    }
  }
}

}  // namespace
}  // namespace merino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using namespace merino::fuzz;
  // Three lines of environment, then standard input.
  std::string lines[3];
  const std::string text(data, data + size);
  size_t at = 0;
  for (std::string& line : lines) {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos) return 0;
    line = text.substr(at, end - at);
    at = end + 1;
  }
  const std::string input = text.substr(at);
  cni::Environment environment{
      .command = "ADD", .container_id = lines[0], .netns = "/proc/self/ns/net", .ifname = lines[1], .args = lines[2], .path = "/nowhere"};
  if (const auto command = cni::check_environment(environment); command) {
    require(environment.container_id.find('/') == std::string::npos && environment.ifname.find('/') == std::string::npos,
            "container and interface are safe as parts of files' names");
  } else {
    require_error_object(cni::format_failure(command.error(), cni::kLatestVersion));
  }
  run_harmless(environment, input);
  for (const cni::Command command : {cni::Command::add, cni::Command::del, cni::Command::check, cni::Command::gc, cni::Command::status})
    parse_for(environment, input, command);
  SubnetEnv env;
  env.networks = {Prefix::parse("10.244.0.0/16").value()};
  env.subnet = Prefix::parse("10.244.9.1/24").value();
  env.mtu = 1450;
  if (const auto rendered = cni::render_delegate(input, env); rendered)
    require(cni::parse_delegate(rendered->text).has_value(), "what is rendered is read back");
  static_cast<void>(cni::parse_delegate(input));
  return 0;
}
