// Configurations of type "flannel": merino in the place of flannel's plugin, and pods that flannel's plugin attached before.
#pragma once

#include <optional>
#include <string>

#include "cni/config.h"
#include "cni/delegate_conf.h"
#include "cni/protocol.h"

namespace merino::cni {

// ADD. A delegate of type bridge is merino itself; any other is executed, found in CNI_PATH. Keeps the delegate's configuration in a file
// as flannel's plugin does. Gives the result as it is printed.
Outcome<std::string> add_delegated(const Environment& environment, const NetworkConf& conf);
// ADD of a configuration of another type. The same file is kept as far as that can be done: on a node that goes back to flannel, its plugin
// frees the pod's address by it.
Outcome<std::string> add_own(const Environment& environment, const NetworkConf& conf);
// STATUS of a configuration of type "flannel".
Outcome<void> status_delegated(const Environment& environment, const NetworkConf& conf);

// What was kept for this container in this network; nullopt: nothing, nothing readable, or another network's.
Result<std::optional<DelegateConf>> kept_delegate(const NetworkConf& conf, const std::string& container_id);
// Removes the file, unless it is another network's.
Status forget_delegate(const NetworkConf& conf, const std::string& container_id);

// `conf` with the ipam section that the pod was attached with.
NetworkConf with_ipam_of(const DelegateConf& delegate, NetworkConf conf, const Environment& environment);

// DEL and CHECK of a pod that another plugin attached, by executing it with what was kept. Where there is no such plugin, or it is the
// bridge plugin and fails (a version of it that is too old), DEL removes the pod's interface here; the address remains for the caller.
// CHECK without the plugin is not_available.
Outcome<void> delete_foreign(const Environment& environment, const DelegateConf& delegate);
Outcome<void> check_foreign(const Environment& environment, const DelegateConf& delegate, const NetworkConf& conf);

}  // namespace merino::cni
