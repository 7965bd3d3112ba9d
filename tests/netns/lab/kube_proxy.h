// Services as kube-proxy's iptables mode makes them (Kubernetes 1.27 to 1.31): the same chains, matches and order.
#pragma once

#include <string>
#include <vector>

#include "lab/place.h"

namespace merino::lab {

struct Service {
  std::string name;        // "web": makes the chains' names
  std::string protocol;    // "tcp" or "udp"
  std::string cluster_ip;  // says the family
  int port = 80;
  std::vector<std::string> backends;  // "10.244.1.2:8080", "[fd10:244:0:1::2]:8080"
  int node_port = 0;                  // 0: none
};

// Writes the rules of both families into the tables nat and filter. Once a place.
void install_kube_proxy(const Place& where, const std::vector<Service>& services);

}  // namespace merino::lab
