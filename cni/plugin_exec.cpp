#include "cni/plugin_exec.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/process.h"
#include "cni/json_fields.h"

namespace merino::cni {
namespace {

// Longer than kubelet waits for a pod's network; merely keeps a hung program from staying for ever.
constexpr std::chrono::minutes kTimeout{4};

Failure failure_of(const PluginCall& call, const ProcessOutput& output) {
  const std::string who = fmt::format("{} {} failed on {}", call.role, call.type, call.command);
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

Outcome<std::string> find_plugin(const std::string& role, const std::string& type, const std::string& cni_path) {
  const bool is_name = !type.empty() && type.find('/') == std::string::npos;
  std::string_view rest = cni_path;
  while (is_name && !rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    if (directory.empty()) continue;
    std::string path = fmt::format("{}/{}", directory, type);
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return fail_with(Code::invalid_config, fmt::format("there is no {} {} in CNI_PATH \"{}\"", role, type, cni_path),
                   "install it, or name another one in the network configuration");
}

Outcome<std::string> call_plugin(const PluginCall& call, const std::string& cni_path) {
  ProcessRequest request;
  request.argv = {TRY(find_plugin(call.role, call.type, cni_path))};
  request.input = call.conf;
  request.environment = {
      {"CNI_COMMAND", call.command}, {"CNI_CONTAINERID", call.id.container_id}, {"CNI_IFNAME", call.id.ifname}, {"CNI_NETNS", call.netns}};
  request.timeout = kTimeout;
  ProcessOutput output = TRY(run_process(request));
  std::fputs(output.err.c_str(), stderr);
  if (!output.succeeded()) return tl::unexpected(failure_of(call, output));
  return std::move(output.out);
}

}  // namespace merino::cni
