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
readonly conflist=$lab/10-merino.conflist
node_count=0
backend=vxlan
families=(4) # 4, 6 or both

# Of an address family: the world outside, the pod network, the address of node N.
declare -rA outside=([4]=192.168.77.254 [6]=fd00:77::254)
declare -rA network=([4]=10.244.0.0/16 [6]=fd10:244::/48)
node_address() { # N FAMILY
  if [[ $2 == 4 ]]; then echo "192.168.77.$1"; else echo "fd00:77::$1"; fi
}
has_family() { [[ " ${families[*]} " == *" $1 "* ]]; }
# 10.0.0.1:80, [fd00::1]:80
bracketed() { if [[ $1 == *:* ]]; then echo "[$1]"; else echo "$1"; fi; }
endpoint() { echo "$(bracketed "$1"):$2"; }
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

net_conf() {
  local object='{"Type": "vxlan"}'
  case $backend in
    direct-routing) object='{"Type": "vxlan", "DirectRouting": true}' ;;
    host-gw | udp) object="{\"Type\": \"$backend\"}" ;;
  esac
  echo "{"
  if has_family 4; then echo "  \"Network\": \"${network[4]}\","; else echo '  "EnableIPv4": false,'; fi
  if has_family 6; then echo "  \"EnableIPv6\": true, \"IPv6Network\": \"${network[6]}\","; fi
  echo "  \"Backend\": $object"
  echo "}"
}

lab_files() {
  local build=$1
  mkdir -p "$lab"/{bin,log,node,leases,address}
  install -m 0755 "$build/userspace/agent/merinod" "$build/userspace/ctl/merinoctl" "$build/cni/merino" "$lab/bin"
  net_conf >"$lab/net-conf.json"
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
  ip addr add "${outside[4]}/24" dev wire
  ip addr add "${outside[6]}/64" dev wire nodad
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
  on "$node" ip addr add "$(node_address "$n" 4)/24" dev eth0
  on "$node" ip addr add "$(node_address "$n" 6)/64" dev eth0 nodad
  on "$node" ip route add default via "${outside[4]}"
  on "$node" ip route add default via "${outside[6]}"
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
  jq -r '.ips[].address | split("/")[0]' "$lab/log/$pod.json" >"$lab/address/$pod"
}

address_of() { # POD FAMILY
  if [[ $2 == 4 ]]; then grep -v : "$lab/address/$1"; else grep : "$lab/address/$1"; fi
}

# serve POD PORT: answers each connection with the pod's name and the address that it sees.
serve() {
  local pod=$1 port=$2
  # shellcheck disable=SC2016  # socat sets the variable
  background servers pod "$pod" socat "TCP4-LISTEN:$port,fork,reuseaddr" 'SYSTEM:echo '"$pod"' sees $SOCAT_PEERADDR'
  # shellcheck disable=SC2016  # socat sets the variable
  background servers pod "$pod" socat "TCP6-LISTEN:$port,fork,reuseaddr,ipv6only=1" 'SYSTEM:echo '"$pod"' sees $SOCAT_PEERADDR'
}

restore_rules() { # NODE FAMILY: of the address family, from standard input
  if [[ $2 == 4 ]]; then on "$1" iptables-restore --noflush; else on "$1" ip6tables-restore --noflush; fi
}

# The rules that kube-proxy writes for a ClusterIP service with one endpoint.
add_service() { # NODE FAMILY NAME CLUSTER_IP BACKEND_IP
  local node=$1 family=$2
  shift 2
  restore_rules "$node" "$family" <<RULES
*nat
:KUBE-SVC-$1 - [0:0]
:KUBE-SEP-$1 - [0:0]
-A KUBE-SERVICES -d $2 -p tcp -m comment --comment "demo/$1 cluster IP" -m tcp --dport 80 -j KUBE-SVC-$1
-A KUBE-SVC-$1 ! -s ${network[$family]} -d $2 -p tcp -m comment --comment "demo/$1 cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-$1 -m comment --comment "demo/$1 -> $3" -j KUBE-SEP-$1
-A KUBE-SEP-$1 -s $3 -m comment --comment "demo/$1" -j KUBE-MARK-MASQ
-A KUBE-SEP-$1 -p tcp -m comment --comment "demo/$1" -m tcp -j DNAT --to-destination $(endpoint "$3" 8080)
COMMIT
RULES
}

add_service_chains() { # NODE FAMILY
  restore_rules "$1" "$2" <<'RULES'
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
