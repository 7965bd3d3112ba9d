// /run/flannel/subnet.env: what the agent tells the CNI plugin, in flannel's format and order.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace merino {

inline constexpr const char* kSubnetEnvPath = "/run/flannel/subnet.env";

struct SubnetEnv {
  std::vector<Prefix> networks;     // FLANNEL_NETWORK; several, comma-separated, occur in the wild
  std::optional<Prefix> subnet;     // FLANNEL_SUBNET: the node's first usable address with the subnet's length, 10.244.98.1/24
  std::vector<Prefix> networks_v6;  // FLANNEL_IPV6_NETWORK
  std::optional<Prefix> subnet_v6;  // FLANNEL_IPV6_SUBNET
  int mtu = 0;
  bool ip_masq = false;

  bool operator==(const SubnetEnv&) const = default;
};

// Byte for byte as flannel writes it:
//   FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n
std::string format_subnet_env(const SubnetEnv& env);

// Reads what flannel or merino wrote. Unknown keys, blank lines, comments (#) and quotes around values are let pass. A missing or wrong
// key is an invalid error that names file and key ("/run/flannel/subnet.env is missing FLANNEL_MTU").
Result<SubnetEnv> parse_subnet_env(const std::string& text, const std::string& path_for_errors);

// not_found, with the remedy (is merinod running? its log), when the file is missing.
Result<SubnetEnv> load_subnet_env(const std::string& path);

}  // namespace merino
