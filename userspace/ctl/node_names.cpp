#include "ctl/node_names.h"

#include <fmt/format.h>

#include <sstream>

#include "base/printable.h"

namespace merino::ctl {

namespace {

constexpr size_t kLongestName = 253;  // of any object of Kubernetes

void add_names(const ReportedLease& lease, NodeNames& names) {
  if (lease.name.empty()) return;
  std::istringstream addresses(lease.node);
  for (std::string text; std::getline(addresses, text, ',');) {
    if (const auto address = IpAddress::parse(text)) names.emplace(*address, printable(lease.name, kLongestName));
  }
}

}  // namespace

NodeNames node_names(const std::vector<ReportedLease>& leases) {
  NodeNames names;
  for (const ReportedLease& lease : leases) {
    if (lease.state != "ignored") add_names(lease, names);
  }
  for (const ReportedLease& lease : leases) add_names(lease, names);
  return names;
}

NodeNames read_node_names() { return node_names(load_lease_report().value_or(std::vector<ReportedLease>{})); }

std::string node_name(const IpAddress& address, const NodeNames& names) {
  const auto known = names.find(address);
  return known == names.end() ? "" : known->second;
}

std::string node_title(const IpAddress& address, const NodeNames& names) {
  const std::string name = node_name(address, names);
  return name.empty() ? address.to_string() : fmt::format("{} ({})", address.to_string(), name);
}

}  // namespace merino::ctl
