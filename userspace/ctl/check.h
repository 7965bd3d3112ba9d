// `merinoctl check`: does this node reach the others by the real way, and what on the host would keep it from doing so? Probes go where
// pods' packets go: to the device address of each peer (merino0's, or flannel.1's), through the tunnel and back, and to pods that are
// named.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "abi.h"
#include "ctl/probe.h"
#include "ctl/status.h"
#include "ctl/table.h"
#include "datapath/peer_table.h"

namespace merino::ctl {

// From the host, or from inside of a pod.
struct TunnelProbe {
  EchoResult small;
  EchoResult large;    // as large as pods may send
  size_t largest = 0;  // of what gets through, if the large ones do not
  KnockAnswer tcp = KnockAnswer::silence;
  KnockAnswer udp = KnockAnswer::silence;
};

struct PeerCheck {
  Peer peer;
  std::string name;             // of its node, if it is known
  std::string underlay_device;  // by which the kernel would send to the node itself
  EchoResult underlay;          // to the node's own address
  TunnelProbe host;
  std::optional<TunnelProbe> pod;     // if there is a pod to send from
  std::string obstacle;               // why this host could not even send
  std::string pod_obstacle;           // why that pod could not
  std::optional<Prefix> answers_for;  // silent: another subnet of the same node, for which it does answer
};

// A pod that was named.
struct PodCheck {
  IpAddress address;
  std::string name;          // "default/web-0" of a pod of this node
  std::optional<Peer> peer;  // in whose subnet it is; none: a pod of this node
  std::string node;          // the name of its node, if it is known
  TunnelProbe host;
  std::optional<TunnelProbe> pod;  // if there is another pod to send from
  std::string obstacle;            // why this host could not even send
  std::string pod_obstacle;        // why that pod could not
};

// What the probes are compared with.
struct CheckScale {
  std::string uplink;
  size_t pod_mtu = 0;
  uint16_t port = 0;     // of the tunnel; 0: none
  std::string pod_name;  // of the pod that was sent from; empty: none
};

// Packets that arrived with a wrong checksum in the calling thread's network namespace, by snmp and snmp6 of /proc.
uint64_t count_checksum_errors();

// What is wrong with the way to one peer; empty: nothing.
std::vector<Finding> diagnose(const PeerCheck& check, const CheckScale& scale);
// What is wrong with the way to one pod; empty: nothing.
std::vector<Finding> diagnose(const PodCheck& check, const CheckScale& scale);

struct CheckReport {
  std::string title;              // version, node, time, kernel
  std::vector<Finding> problems;  // of this host, and of its ways
  std::vector<Finding> notices;
  std::vector<std::string> sound;  // what was looked at and is fine
  std::vector<PeerCheck> peers;
  std::vector<PodCheck> pods;
  CheckScale scale;
};

std::string check_text(const CheckReport& report, Width width, const Screen& screen);
std::string check_json(const CheckReport& report);

}  // namespace merino::ctl
