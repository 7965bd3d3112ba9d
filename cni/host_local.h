// The host-local IPAM plugin, built in: the same configuration, behaviour and directory (address_store.h) without a second process.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cni/address_range.h"
#include "cni/address_store.h"
#include "cni/ipam.h"

namespace merino::cni {

inline constexpr const char* kDefaultDataDir = "/var/lib/cni/networks";

struct HostLocalConf {
  std::string network;
  std::string data_dir = kDefaultDataDir;
  std::vector<RangeSet> ranges;
  std::vector<ResultRoute> routes;
  std::string resolv_conf;                 // a resolv.conf(5) for the result's dns
  std::vector<IpAddress> requested;        // by CNI_ARGS (IP=), args.cni.ips or runtimeConfig.ips
  std::string boot_id_path = kBootIdPath;  // no key of the configuration sets it
};

// The network's "ipam", "runtimeConfig" and "args". No ranges at all is no error here: the node's subnet is the default.
// Errors (invalid) name the key.
Result<HostLocalConf> parse_host_local(const nlohmann::json& conf, const std::string& cni_args);

// nameserver, domain, search and options of a resolv.conf(5).
Dns parse_resolv_conf(const std::string& text);

class HostLocal : public Ipam {
 public:
  explicit HostLocal(HostLocalConf conf) : conf_(std::move(conf)) {}

  Outcome<AddResult> add(const AttachmentId& id, const std::string& netns) override;
  Outcome<void> del(const AttachmentId& id, const std::string& netns) override;
  Outcome<void> check(const AttachmentId& id, const std::string& netns) override;
  Outcome<void> gc(const std::vector<AttachmentId>& valid) override;
  Outcome<void> status() override;
  Outcome<std::vector<std::pair<AttachmentId, IpAddress>>> allocations() override;

 private:
  [[nodiscard]] AddressDirectory directory() const { return {conf_.data_dir, conf_.network, conf_.boot_id_path}; }

  HostLocalConf conf_;
};

}  // namespace merino::cni
