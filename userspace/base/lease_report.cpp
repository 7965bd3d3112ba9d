#include "base/lease_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/file.h"

namespace merino {

using Json = nlohmann::ordered_json;

namespace {

void append_member(std::string& text, std::string_view key, const std::string& value) {
  // Most are plain, and there are many.
  const bool is_plain = std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c < 127 && c != '"' && c != '\\'; });
  fmt::format_to(std::back_inserter(text), R"("{}":)", key);
  if (is_plain) {
    fmt::format_to(std::back_inserter(text), R"("{}",)", value);
  } else {
    text += Json(value).dump(-1, ' ', false, Json::error_handler_t::replace) + ",";
  }
}

}  // namespace

void LeaseReportText::add(const ReportedLease& lease) {
  text_ += text_.size() == 1 ? "{" : ",{";
  append_member(text_, "key", lease.key);
  append_member(text_, "subnet", lease.subnet);
  append_member(text_, "node", lease.node);
  if (!lease.name.empty()) append_member(text_, "name", lease.name);
  append_member(text_, "backend", lease.backend);
  fmt::format_to(std::back_inserter(text_), R"("expires":{},)", lease.expires);
  append_member(text_, "state", lease.state);
  append_member(text_, "why", lease.why);
  text_.back() = '}';
}

std::string LeaseReportText::finish() && { return std::move(text_) + "]\n"; }

std::string format_lease_report(const std::vector<ReportedLease>& leases) {
  LeaseReportText text;
  for (const ReportedLease& lease : leases) text.add(lease);
  return std::move(text).finish();
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
                        each.at("backend").get<std::string>(), each.at("expires").get_ref<const Json::number_integer_t&>(),
                        each.at("state").get<std::string>(), each.at("why").get<std::string>(), each.value("name", "")});
    }
    return leases;
  } catch (const Json::exception& broken) {
    return fail(ErrorKind::decode, "{}: {}", path, broken.what());
  }
}

}  // namespace merino
