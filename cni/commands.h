// What the plugin does for each command, with a validated environment and configuration.
#pragma once

#include "cni/config.h"
#include "cni/ipam.h"
#include "cni/protocol.h"

namespace merino::cni {

// Makes the pod's interface. Order: address, record, veth, addresses and routes, program, map entry. A failure unwinds all of it.
Outcome<AddResult> add(const Environment& environment, NetworkConf conf);

// Takes away what ADD made or began to make; whatever is gone already is passed over.
Outcome<void> del(const Environment& environment, const NetworkConf& conf);

// Compares what is there with prevResult and with the record. Changes nothing.
Outcome<void> check(const Environment& environment, const NetworkConf& conf);

// DEL for every attachment of this network that is not among the valid ones, and for addresses that nobody has.
Outcome<void> gc(const Environment& environment, const NetworkConf& conf);

// Could ADD work now? not_available: no; limited_connectivity: no, and pods that exist are affected too.
Outcome<void> status(const Environment& environment, NetworkConf conf);

}  // namespace merino::cni
