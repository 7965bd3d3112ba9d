#include "cni/plugin.h"

#include <exception>
#include <nlohmann/json.hpp>

#include "cni/commands.h"
#include "cni/config.h"
#include "cni/delegate.h"
#include "cni/json_fields.h"

namespace merino::cni {
namespace {

// The spec's first version that has the command.
SpecVersion since(Command command) {
  if (command == Command::check) return SpecVersion::v0_4_0;
  if (command == Command::gc || command == Command::status) return SpecVersion::v1_1_0;
  return SpecVersion::v0_3_0;
}

std::string versions_reply(const std::string& input) {
  // A runtime may write the version that it would like to speak; older ones write nothing.
  const auto json = parse_object(input, "the input");
  return format_versions(json ? string_field(*json, "cniVersion").value_or("") : "");
}

Outcome<std::string> without_text(Outcome<void> outcome) {
  if (!outcome) return tl::unexpected(std::move(outcome.error()));
  return "";
}

Outcome<std::string> dispatch(Command command, const Environment& environment, const std::string& input) {
  const NetworkConf conf = TRY(parse_network_conf(input, environment, command));
  if (conf.version < since(command)) {
    return fail_with(Code::incompatible_version, fmt::format("cniVersion {} has no {}", version_text(conf.version), environment.command),
                     fmt::format("it is there since {}", version_text(since(command))));
  }
  switch (command) {
    case Command::add:
      return conf.type == ConfType::flannel ? add_delegated(environment, conf) : add_own(environment, conf);
    case Command::del:
      return without_text(del(environment, conf));
    case Command::check:
      return without_text(check(environment, conf));
    case Command::gc:
      return without_text(gc(environment, conf));
    case Command::status:
      return without_text(conf.type == ConfType::flannel ? status_delegated(environment, conf) : status(environment, conf));
    case Command::version:
      break;
  }
  return "";
}

Outcome<std::string> answer(const Environment& environment, const std::string& input) {
  const Command command = TRY(check_environment(environment));
  if (command == Command::version) return versions_reply(input);
  return dispatch(command, environment, input);
}

}  // namespace

Reply run(const Environment& environment, const std::string& input) {
  const auto failed = [&](const Failure& failure) {
    return Reply{format_failure(failure, version_of(input)), 1, static_cast<unsigned>(failure.code)};
  };
  try {
    auto text = answer(environment, input);
    if (!text) return failed(text.error());
    return {std::move(*text), 0, 0};
  } catch (const std::exception& error) {
    return failed(Failure(Code::internal, fmt::format("unexpected: {}", error.what())));
  }
}

}  // namespace merino::cni
