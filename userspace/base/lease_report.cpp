#include "base/lease_report.h"

#include <nlohmann/json.hpp>

#include "base/file.h"

namespace merino {

using Json = nlohmann::ordered_json;

std::string format_lease_report(const std::vector<ReportedLease>& leases) {
  Json list = Json::array();
  for (const ReportedLease& lease : leases) {
    Json out = {{"key", lease.key}, {"subnet", lease.subnet}, {"node", lease.node}};
    if (!lease.name.empty()) out["name"] = lease.name;
    out["backend"] = lease.backend;
    out["expires"] = lease.expires;
    out["state"] = lease.state;
    out["why"] = lease.why;
    list.push_back(std::move(out));
  }
  return list.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<std::vector<ReportedLease>> load_lease_report(const std::string& path) {
  constexpr size_t kLargest = 64U << 20U;
  const auto text = read_file(path, kLargest);
  if (!text && text.error().kind == ErrorKind::not_found)
    return with_remedy(fail(ErrorKind::not_found, "{} does not exist", path), "start merinod on this node");
  if (!text) return tl::unexpected(text.error());
  try {
    std::vector<ReportedLease> leases;
    for (const Json& each : Json::parse(*text)) {
      leases.push_back({each.at("key").get<std::string>(), each.at("subnet").get<std::string>(), each.at("node").get<std::string>(),
                        each.at("backend").get<std::string>(), each.at("expires").get<int64_t>(), each.at("state").get<std::string>(),
                        each.at("why").get<std::string>(), each.value("name", "")});
    }
    return leases;
  } catch (const Json::exception& broken) {
    return fail(ErrorKind::decode, "{}: {}", path, broken.what());
  }
}

}  // namespace merino
