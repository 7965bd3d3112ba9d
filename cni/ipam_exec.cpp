#include "cni/ipam_exec.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cni/json_fields.h"
#include "cni/plugin_exec.h"

namespace merino::cni {

Outcome<std::string> IpamExec::call(const char* command, const AttachmentId& id, const std::string& netns) const {
  return call_plugin({"IPAM plugin", type_, command, id, netns, conf_text_}, environment_.path);
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
