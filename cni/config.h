// The network configuration that the runtime writes to standard input. Keys:
//
//   name, cniVersion   as the specification says
//   subnetFile         what the node's agent wrote, /run/flannel/subnet.env
//   mtu                of the pods' interfaces; default: FLANNEL_MTU of subnetFile
//   ipam               type host-local (the default) is built in and takes host-local's keys; without ranges it is the node's subnet,
//                      and the pod network is routed. Any other type is a program in CNI_PATH.
//   delivery           "peer" (default): packets for a pod skip the host side of its veth. "redirect": they pass it, for programs,
//                      captures and a qdisc there. A bandwidth plugin later in the chain needs it, which merino cannot see: declare the
//                      capability "bandwidth" on merino too. Then it is chosen for pods whose ingress is limited, and those whose egress
//                      is limited go through the stack, both ways.
//   dns                for the result, instead of what IPAM says
//   delegate           type "flannel" only: what flannel's plugin would tell the bridge plugin; see delegate_conf.h
//   dataDir            where flannel's plugin keeps that for its DEL, /var/lib/cni/flannel
//
// Unknown keys are let pass, as other plugins' keys stand in shared configurations.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/subnet_env.h"
#include "cni/delegate_file.h"
#include "cni/host_local.h"
#include "cni/protocol.h"
#include "cni/result.h"
#include "datapath/pod_table.h"

namespace merino::cni {

// flannel: a configuration of flannel's plugin, which merino stands in for. merino: any other type; the file's name decides who is called.
enum class ConfType { merino, flannel };

// Has the pod a default route through its gateway, or only the routes that IPAM gives?
enum class DefaultRoute { gateway, as_given };

struct NetworkConf {
  ConfType type = ConfType::merino;
  SpecVersion version = kLatestVersion;
  std::string name;
  std::string subnet_file = kSubnetEnvPath;
  std::string data_dir = kDelegateDir;
  std::optional<int> mtu;  // absent: subnet.env's
  Delivery delivery = Delivery::peer;
  DefaultRoute default_route = DefaultRoute::gateway;
  Dns dns;
  std::string ipam_type = "host-local";
  HostLocalConf host_local;  // when ipam_type is host-local
  bool has_prev_result = false;
  std::optional<AddResult> prev_result;         // for CHECK and DEL; DEL does without it when it is broken
  std::vector<AttachmentId> valid_attachments;  // for GC
  std::string text;                             // as it came, for an IPAM plugin

  // Does ADD need subnet.env, because MTU or ranges are not in here?
  [[nodiscard]] bool needs_subnet_env() const;
};

// Failures: decoding_failure (no JSON), invalid_config (key and type in the text), incompatible_version. What only ADD needs (ranges)
// is looked at only for ADD and STATUS, so that a broken configuration does not keep pods from going away.
Outcome<NetworkConf> parse_network_conf(const std::string& text, const Environment& environment, Command command);

// The same from what flannel's plugin would tell the bridge plugin (delegate_conf.h). invalid_config too: VLANs, which merino has not.
Outcome<NetworkConf> parse_bridge_conf(const std::string& text, const Environment& environment, Command command);

// The version that the configuration names, as far as that can be told: errors are written in it.
SpecVersion version_of(const std::string& text);

// Fills in what the node's agent decides: MTU, and as the default range and routes the node's subnet and the pod network.
void apply_subnet_env(NetworkConf& conf, const SubnetEnv& env);

}  // namespace merino::cni
