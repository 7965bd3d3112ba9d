#!/bin/bash
# Nodes and pods in namespaces. Sourced; runs inside the lab (see scripts/demo): nothing here has to be cleaned up.
#
# A node is a network namespace and a mount namespace with its own /run, /var/lib/cni, /sys and bpffs, so that merino's fixed paths are the
# node's own. (`ip netns exec` mounts /sys anew and hides the bpffs: nodes and pods are entered with nsenter.)
# Each node has a process that holds its namespaces; its pid stands in $lab/node/NAME.
# The lab's own network is the wire between the nodes: a bridge, with an address that stands for the world outside.

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly lib
readonly lab=/run/lab
export PATH=$lab/bin:/usr/sbin:/sbin:$PATH
readonly outside=192.168.77.254
readonly network=10.244.0.0/16
readonly conflist=$lab/10-merino.conflist
node_count=0

node_address() { echo "192.168.77.$1"; }
node_names() {
  local n
  for ((n = 1; n <= node_count; n++)); do echo "node$n"; done
}
pod_names() {
  local n
  for ((n = 1; n <= node_count; n++)); do printf '%s\n' "pod${n}a" "pod${n}b"; done
}
# pod2a is on node2.
node_of() { echo "node${1:3:1}"; }

# on NODE COMMAND...
on() {
  local holder
  holder=$(<"$lab/node/$1")
  shift
  nsenter --target "$holder" --mount --net -- "$@"
}

# pod POD COMMAND...
pod() {
  local pod=$1
  shift
  on "$(node_of "$pod")" nsenter --net="/run/netns/$pod" -- "$@"
}

# enter NODE|POD [COMMAND...]
enter() {
  local target=$1
  shift
  (($# > 0)) || set -- bash
  if [[ $target =~ ^node[1-9]$ && -e $lab/node/$target ]]; then
    on "$target" "$@"
  elif [[ $target =~ ^pod[1-9][ab]$ && -e $lab/address/$target ]]; then
    pod "$target" "$@"
  else
    echo "demo: there is no node or pod $target; there are: $(cd "$lab/node" && echo *) $(cd "$lab/address" && echo *)" >&2
    return 1
  fi
}

# background LOG COMMAND...: leaves it running in the lab.
background() {
  local log=$lab/log/$1.log
  shift
  (trap - ERR && "$@") </dev/null >>"$log" 2>&1 &
}

lab_files() {
  local build=$1
  mkdir -p "$lab"/{bin,log,node,leases,address}
  install -m 0755 "$build/userspace/agent/merinod" "$build/userspace/ctl/merinoctl" "$build/cni/merino" "$lab/bin"
  cat >"$lab/net-conf.json" <<JSON
{"Network": "$network", "Backend": {"Type": "vxlan"}}
JSON
  cat >"$conflist" <<'JSON'
{
  "name": "cbr0",
  "cniVersion": "1.0.0",
  "plugins": [
    {"type": "merino"},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
}

wire_up() {
  ip link set lo up
  ip link add wire type bridge
  ip addr add "$outside/24" dev wire
  ip link set wire up
}

# Becomes the process that holds a node's namespaces. $1: the node's name
# shellcheck disable=SC2016  # expanded by the shell that runs it
readonly hold_node='
  set -e
  run=/run/lab/$1.run
  mkdir -p "$run"
  mount -n -t tmpfs -o mode=0755 run "$run"
  mkdir "$run/lab"
  mount -n --bind /run/lab "$run/lab"
  mount -n --move "$run" /run
  if [ -d /var/lib/cni ]; then mount -n -t tmpfs cni /var/lib/cni; else mount -n -t tmpfs lib /var/lib; fi
  mount -n -t sysfs sys /sys
  mount -n -t bpf bpf /sys/fs/bpf
  ip link set lo up
  echo $$ >"/run/lab/node/$1.new"
  mv "/run/lab/node/$1.new" "/run/lab/node/$1"
  exec sleep infinity
'

add_node() {
  local n=$1 node=node$1 holder
  setsid unshare --net --mount --propagation private -- sh -c "$hold_node" sh "$node" </dev/null >"$lab/log/$node-namespaces.log" 2>&1 &
  holder=$!
  until [[ -e $lab/node/$node ]]; do
    kill -0 "$holder" || return 1
    sleep 0.02
  done
  ip link add "$node" type veth peer name eth0 netns "$holder"
  ip link set "$node" master wire up
  on "$node" ip link set eth0 up
  on "$node" ip addr add "$(node_address "$n")/24" dev eth0
  on "$node" ip route add default via "$outside"
}

start_agent() {
  background "$1" on "$1" merinod --lease-dir="$lab/leases" --net-config-path="$lab/net-conf.json" --ip-masq
}

# A pod is a network namespace; what makes it a pod is the CNI call.
add_pod() {
  local pod=$1 node mappings='{}'
  node=$(node_of "$pod")
  [[ $pod != pod1a ]] || mappings='{"portMappings": [{"hostPort": 8088, "containerPort": 8080, "protocol": "tcp"}]}'
  on "$node" ip netns add "$pod"
  pod "$pod" ip link set lo up
  on "$node" env CNI_PATH="$lab/bin:/usr/lib/cni:/opt/cni/bin" CAP_ARGS="$mappings" \
    "$lib/../cni-run" ADD "$conflist" "$pod" "/run/netns/$pod" eth0 >"$lab/log/$pod.json" 2>"$lab/log/$pod.log" || return 1
  jq -r '.ips[0].address | split("/")[0]' "$lab/log/$pod.json" >"$lab/address/$pod"
}

address_of() { cat "$lab/address/$1"; }

# serve POD PORT: answers each connection with the pod's name and the address that it sees.
serve() {
  local pod=$1 port=$2
  # shellcheck disable=SC2016  # socat sets the variable
  background servers pod "$pod" socat "TCP-LISTEN:$port,fork,reuseaddr" 'SYSTEM:echo '"$pod"' sees $SOCAT_PEERADDR'
}

# The rules that kube-proxy writes for a ClusterIP service with one endpoint. service NODE NAME CLUSTER_IP BACKEND_IP
add_service() {
  on "$1" iptables-restore --noflush <<RULES
*nat
:KUBE-SVC-$2 - [0:0]
:KUBE-SEP-$2 - [0:0]
-A KUBE-SERVICES -d $3/32 -p tcp -m comment --comment "demo/$2 cluster IP" -m tcp --dport 80 -j KUBE-SVC-$2
-A KUBE-SVC-$2 ! -s $network -d $3/32 -p tcp -m comment --comment "demo/$2 cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-$2 -m comment --comment "demo/$2 -> $4:8080" -j KUBE-SEP-$2
-A KUBE-SEP-$2 -s $4/32 -m comment --comment "demo/$2" -j KUBE-MARK-MASQ
-A KUBE-SEP-$2 -p tcp -m comment --comment "demo/$2" -m tcp -j DNAT --to-destination $4:8080
COMMIT
RULES
}

add_service_chains() {
  on "$1" iptables-restore --noflush <<'RULES'
*nat
:KUBE-SERVICES - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
COMMIT
RULES
}
