#include "cni/ipam_exec.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/process.h"
#include "cni/json_fields.h"

namespace merino::cni {
namespace {

// Longer than kubelet waits for a pod's network; merely keeps a hung program from staying for ever.
constexpr std::chrono::minutes kTimeout{4};

// The program's own error object, with its name before the message.
Failure failure_of(const std::string& type, const char* command, const ProcessOutput& output) {
  const std::string who = fmt::format("IPAM plugin {} failed on {}", type, command);
  if (const auto json = parse_object(output.out, "its output")) {
    const auto msg = string_field(*json, "msg");
    const auto code = integer_field(*json, "code");
    if (msg && !msg->empty() && code) {
      const auto number = static_cast<unsigned>(code->value_or(static_cast<int64_t>(Code::internal)));
      return {static_cast<Code>(number), fmt::format("{}: {}", who, *msg), string_field(*json, "details").value_or("")};
    }
  }
  return {Code::internal, fmt::format("{}: {}", who, output.outcome()), output.err.substr(0, 1000)};
}

}  // namespace

Outcome<std::string> IpamExec::find_program() const {
  std::string_view rest = environment_.path;
  while (!rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    if (directory.empty()) continue;
    std::string path = fmt::format("{}/{}", directory, type_);
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return fail_with(Code::invalid_config, fmt::format("there is no IPAM plugin {} in CNI_PATH \"{}\"", type_, environment_.path),
                   "install it, or leave \"ipam.type\" out: host-local is built in");
}

Outcome<std::string> IpamExec::call(const char* command, const AttachmentId& id, const std::string& netns) const {
  ProcessRequest request;
  request.argv = {TRY(find_program())};
  request.input = conf_text_;
  request.environment = {{"CNI_COMMAND", command}, {"CNI_CONTAINERID", id.container_id}, {"CNI_IFNAME", id.ifname}, {"CNI_NETNS", netns}};
  request.timeout = kTimeout;
  ProcessOutput output = TRY(run_process(request));
  std::fputs(output.err.c_str(), stderr);
  if (!output.succeeded()) return tl::unexpected(failure_of(type_, command, output));
  return std::move(output.out);
}

Outcome<AddResult> IpamExec::add(const AttachmentId& id, const std::string& netns) {
  const auto give_back = [&](Failure failure) {
    (void)call("DEL", id, netns);
    return tl::unexpected(std::move(failure));
  };
  const auto output = call("ADD", id, netns);
  if (!output) return give_back(output.error());
  const auto json = parse_object(*output, fmt::format("the result of IPAM plugin {}", type_));
  if (!json) return give_back(json.error());
  auto result = parse_result(*json);
  if (!result) return give_back(Failure(Code::decoding_failure, fmt::format("IPAM plugin {}: {}", type_, result.error().message())));
  if (result->addresses.empty()) return give_back(Failure(Code::internal, fmt::format("IPAM plugin {} gave no address", type_)));
  return std::move(*result);
}

Outcome<void> IpamExec::del(const AttachmentId& id, const std::string& netns) {
  TRY(call("DEL", id, netns));
  return {};
}

Outcome<void> IpamExec::check(const AttachmentId& id, const std::string& netns) {
  if (version_ >= SpecVersion::v0_4_0) TRY(call("CHECK", id, netns));
  return {};
}

Outcome<void> IpamExec::gc(const std::vector<AttachmentId>& /*valid: it stands in the configuration*/) {
  if (version_ >= SpecVersion::v1_1_0) TRY(call("GC", {}, ""));
  return {};
}

Outcome<void> IpamExec::status() {
  if (version_ >= SpecVersion::v1_1_0) TRY(call("STATUS", {}, ""));
  return {};
}

Outcome<std::vector<std::pair<AttachmentId, IpAddress>>> IpamExec::allocations() {
  return std::vector<std::pair<AttachmentId, IpAddress>>{};
}

std::unique_ptr<Ipam> make_ipam(const NetworkConf& conf, const Environment& environment) {
  if (conf.ipam_type == "host-local") return std::make_unique<HostLocal>(conf.host_local);
  return std::make_unique<IpamExec>(conf, environment);
}

}  // namespace merino::cni
