#!/bin/bash
# What the demo shows, and checks. Sourced by demo-inside.

# shellcheck source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

readonly transfer_mib=256
readonly remote_service=10.96.0.10
readonly local_service=10.96.0.11
passed=0
failed=()

green="" red="" bold="" plain=""
if [[ -t 1 && -z ${NO_COLOR-} ]]; then
  green=$'\e[32m' red=$'\e[31m' bold=$'\e[1m' plain=$'\e[0m'
fi

headline() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# ok TITLE DETAIL / bad TITLE DETAIL
ok() {
  passed=$((passed + 1))
  printf '  %sok%s      %s%s\n' "$green" "$plain" "$1" "${2:+: $2}"
}
bad() {
  failed+=("$1")
  printf '  %sFAILED%s  %s%s\n' "$red" "$plain" "$1" "${2:+: $2}"
}

# expect TITLE WANTED GOT
expect() {
  if [[ $3 == "$2" ]]; then ok "$1" "$3"; else bad "$1" "expected '$2', got '$3'"; fi
}

# until_true SECONDS COMMAND...
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

log_tails() {
  local log
  for log in "$lab"/log/*.log; do
    [[ -s $log ]] || continue
    printf '\n--- the end of %s\n' "${log##*/}"
    tail -n 15 "$log"
  done
}

give_up() {
  log_tails
  printf '\n%sdemo: could not be set up: %s%s\n' "$red" "$*" "$plain"
  exit 2
}

healthy() { on "$1" merinoctl status >/dev/null 2>&1; }
knows_all_peers() { [[ $(on "$1" merinoctl peers -o json 2>/dev/null | jq length) == $((node_count - 1)) ]]; }
listens() { [[ -n $("${@:2}" ss -Hltn "sport = :$1") ]]; }

# How often (or how many bytes of) a reason was counted on a node. counted NODE FIELD REASON...
counted() {
  local node=$1 field=$2
  shift 2
  on "$node" merinoctl counters -o json |
    jq --arg field "$field" '[.[] | select(.reason | IN($ARGS.positional[])) | .[$field]] | add // 0' --args "$@"
}

# expect_counted NODE REASON...: at least one of them.
expect_counted() {
  local title="$1 counted ${*:2}" packets
  packets=$(counted "$1" packets "${@:2}")
  if ((packets > 0)); then ok "$title" "$packets packets"; else bad "$title" "no packet"; fi
}

# The answer of a demo server. ask WHERE... ADDRESS PORT; WHERE is "on NODE", "pod POD" or nothing (the world outside)
ask() {
  local where=("${@:1:$#-2}") address=${*: -2:1} port=${*: -1}
  "${where[@]}" socat -u -T 3 "TCP:$address:$port,connect-timeout=3" STDOUT 2>&1 || true
}

set_up_nodes() {
  local node
  headline "Nodes: an agent each, which takes a lease from a shared directory"
  lab_files "$1"
  wire_up
  for node in $(node_names); do add_node "${node#node}"; done
  for node in $(node_names); do start_agent "$node"; done
  for node in $(node_names); do
    if ! until_true 20 healthy "$node" || ! until_true 20 knows_all_peers "$node"; then
      on "$node" merinoctl status || true
      give_up "$node is not healthy, or does not know its peers"
    fi
    ok "$node" "$(node_address "${node#node}") has $(on "$node" merinoctl status -o json | jq -r .agent.network.subnet)"
  done
}

set_up_pods() {
  local pod
  headline "Pods: network namespaces, attached by CNI ADD (merino, then portmap)"
  for pod in $(pod_names); do
    add_pod "$pod" || give_up "CNI ADD of $pod"
    ok "$pod on $(node_of "$pod")" "$(address_of "$pod")"
    serve "$pod" 8080
  done
  for pod in $(pod_names); do until_true 5 listens 8080 pod "$pod" || give_up "the server in $pod does not listen"; done
}

# One row of the matrix: the round trip in ms, or what ping says.
ping_row() {
  local enter=$1 from=$2 target answer
  printf '  %-6s' "$from"
  for target in $(pod_names); do
    answer=$("$enter" "$from" ping -n -q -c 1 -W 3 "$(address_of "$target")" 2>&1 | sed -n 's|^rtt.* = \([0-9.]*\)/.*|\1|p') || true
    printf ' %7s' "${answer:-lost}"
    [[ -n $answer ]] || lost+=("$from-$target")
  done
  echo
}

show_ping_matrix() {
  local from names lost=()
  mapfile -t names < <(pod_names)
  headline "Ping, round trip in ms: each pod and each node to each pod"
  printf '  %-6s' ''
  printf ' %7s' "${names[@]}"
  echo
  for from in "${names[@]}"; do ping_row pod "$from"; done
  for from in $(node_names); do ping_row on "$from"; done
  if ((${#lost[@]} == 0)); then ok "everyone reaches every pod"; else bad "pings" "lost: ${lost[*]}"; fi
}

show_transfer() {
  local to sent received started tenths fast_before fast receiver
  to=$(address_of pod2a)
  headline "TCP from pod1a on node1 to pod2a on node2, $transfer_mib MiB of random bytes"
  head -c "${transfer_mib}M" /dev/urandom >"$lab/sent"
  sent=$(sha256sum <"$lab/sent")
  fast_before=$(counted node1 bytes encap)
  background transfer pod pod2a timeout 60 socat -u -b 1048576 TCP-LISTEN:5001,reuseaddr "OPEN:$lab/received,creat,trunc"
  receiver=$!
  until_true 5 listens 5001 pod pod2a || give_up "the receiver in pod2a does not listen"
  started=$(date +%s%N)
  pod pod1a timeout 60 socat -u -b 1048576 "OPEN:$lab/sent" "TCP:$to:5001" 2>>"$lab/log/transfer.log" || true
  wait "$receiver" || true
  tenths=$((transfer_mib * 8 * 1048576 * 10 / ($(date +%s%N) - started)))
  received=$(sha256sum <"$lab/received")
  rm -f "$lab/sent" "$lab/received"
  expect "checksum of what arrived" "${sent%% *}" "${received%% *}"
  ok "rate" "$((tenths / 10)).$((tenths % 10)) Gbit/s"
  fast=$(($(counted node1 bytes encap) - fast_before))
  if ((fast >= transfer_mib * 1048576)); then
    ok "it went the fast way" "$((fast / 1048576)) MiB encapsulated by from_pod on node1"
  else
    bad "it went the fast way" "only $fast bytes were encapsulated by from_pod on node1"
  fi
}

show_connections() {
  headline "TCP connections: pod1a asks servers in other pods"
  expect "pod1b on its own node" "pod1b sees $(address_of pod1a)" "$(ask pod pod1a "$(address_of pod1b)" 8080)"
  expect "pod2b on node2" "pod2b sees $(address_of pod1a)" "$(ask pod pod1a "$(address_of pod2b)" 8080)"
}

show_services() {
  local node
  headline "Services: addresses that iptables translates as kube-proxy does"
  for node in $(node_names); do
    add_service_chains "$node"
    add_service "$node" REMOTE "$remote_service" "$(address_of pod2a)"
    add_service "$node" LOCAL "$local_service" "$(address_of pod1b)"
  done
  expect "pod1a to $remote_service, backend on node2" "pod2a sees $(address_of pod1a)" "$(ask pod pod1a "$remote_service" 80)"
  expect "pod1a to $local_service, backend on its own node" "pod1b sees $(address_of pod1a)" "$(ask pod pod1a "$local_service" 80)"
  expect "node1 itself to $local_service" "pod1b" "$(ask on node1 "$local_service" 80 | cut -d ' ' -f 1)"
  expect "from outside to node1's host port 8088" "pod1a sees $outside" "$(ask "$(node_address 1)" 8088)"
  # shellcheck disable=SC2016  # socat sets the variable
  background servers socat "TCP-LISTEN:9000,fork,reuseaddr,bind=$outside" 'SYSTEM:echo outside sees $SOCAT_PEERADDR'
  until_true 5 listens 9000 || give_up "the server outside does not listen"
  expect "pod1a to the outside, masqueraded" "outside sees $(node_address 1)" "$(ask pod pod1a "$outside" 9000)"
}

show_tables() {
  headline "node1# merinoctl status"
  if on node1 merinoctl status; then ok "node1 is healthy"; else bad "node1 is healthy" "see above"; fi
  headline "node1# merinoctl peers"
  on node1 merinoctl peers
  headline "node1# bpftool map dump pinned /sys/fs/bpf/merino/peers"
  on node1 bpftool map dump pinned /sys/fs/bpf/merino/peers
  headline "node1# merinoctl counters"
  on node1 merinoctl counters
  echo
  expect_counted node1 local
  expect_counted node1 encap
  expect_counted node1 translated
  expect_counted node2 decap tunnel
}

# demo NODES BUILD_DIR
demo() {
  node_count=$1
  trap 'give_up "$BASH_COMMAND"' ERR
  set -E
  set_up_nodes "$2"
  set_up_pods
  show_ping_matrix
  show_connections
  show_transfer
  show_services
  show_tables
  if ((${#failed[@]} == 0)); then
    printf '\n%sdemo: all %d checks passed%s\n' "$green" "$passed" "$plain"
    return 0
  fi
  log_tails
  printf '\n%sdemo: %d of %d checks failed:%s\n' "$red" "${#failed[@]}" "$((passed + ${#failed[@]}))" "$plain"
  printf '  %s\n' "${failed[@]}"
  exit 1
}
