// What a CNI runtime and a plugin say to each other around the network configuration: the environment, spec versions, errors, VERSION.
// CNI specification 0.3.0 to 1.1.0, sections 2 and 5.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace merino::cni {

enum class Command { add, del, check, gc, status, version };

enum class SpecVersion { v0_3_0, v0_3_1, v0_4_0, v1_0_0, v1_1_0 };
inline constexpr SpecVersion kLatestVersion = SpecVersion::v1_1_0;
const char* version_text(SpecVersion version);
std::optional<SpecVersion> parse_version(std::string_view text);

// The spec's well-known error codes; kInternal is libcni's.
enum class Code : unsigned {
  incompatible_version = 1,
  unknown_container = 3,
  invalid_environment = 4,
  io_failure = 5,
  decoding_failure = 6,
  invalid_config = 7,
  invalid_netns = 8,
  try_again_later = 11,
  not_available = 50,         // STATUS: ADD cannot work now
  limited_connectivity = 51,  // STATUS: nor do the containers that exist already
  internal = 999,
};

// What is printed when a command fails. Runtimes show "msg; details".
struct Failure {
  Failure(Code failure_code, std::string message, std::string failure_details = "")
      : code(failure_code), msg(std::move(message)), details(std::move(failure_details)) {}
  // The house's errors: unavailable and exhausted become "try again later", the remedy becomes the details.
  Failure(const Error& error);  // NOLINT(google-explicit-constructor): TRY passes errors of the libraries on as failures

  Code code;
  std::string msg;
  std::string details;
};

template <class T>
using Outcome = tl::expected<T, Failure>;

[[nodiscard]] inline tl::unexpected<Failure> fail_with(Code code, std::string msg, std::string details = "") {
  return tl::unexpected(Failure(code, std::move(msg), std::move(details)));
}

// One interface of one container: the key of everything that is stored.
struct AttachmentId {
  std::string container_id;
  std::string ifname;
  auto operator<=>(const AttachmentId&) const = default;
};

// The CNI_* variables as they are; what is not set is empty.
struct Environment {
  std::string command;
  std::string container_id;
  std::string netns;
  std::string ifname;
  std::string args;
  std::string path;
  bool netns_override = false;  // CNI_NETNS_OVERRIDE: the container may be in the plugin's own namespace

  [[nodiscard]] AttachmentId attachment() const { return {container_id, ifname}; }
};
Environment read_environment();

// The command, when everything that it requires is set and well-formed. The container ID and the interface name are then safe as
// parts of file names.
Outcome<Command> check_environment(const Environment& environment);

// The spec's rule for container IDs and network names: [a-zA-Z0-9][a-zA-Z0-9_.-]*
bool is_valid_identifier(std::string_view text);
// At most 15 bytes, neither "." nor "..", no '/', ':' or whitespace.
bool is_valid_ifname(std::string_view text);

// Value of `key` in CNI_ARGS ("IgnoreUnknown=1;IP=10.1.2.3"); empty if it is not there.
std::string argument(const std::string& args, std::string_view key);

std::string format_failure(const Failure& failure, SpecVersion version);
// `requested`: the version that the runtime named, which is given back.
std::string format_versions(std::string_view requested);

}  // namespace merino::cni

namespace merino::detail {
// TRY for outcomes.
template <class T>
T take(cni::Outcome<T>&& outcome) {
  return *std::move(outcome);
}
inline void take(cni::Outcome<void>&&) {}
}  // namespace merino::detail
