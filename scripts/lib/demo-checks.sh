#!/bin/bash
# What the demo shows, and checks. Sourced by demo-inside.

# shellcheck source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

readonly transfer_mib=256
declare -rA remote_service=([4]=10.96.0.10 [6]=fd10:96::10)
declare -rA local_service=([4]=10.96.0.11 [6]=fd10:96::11)
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
knows_all_peers() { [[ $(on "$1" merinoctl peers -o json 2>/dev/null | jq length) == $(((node_count - 1) * ${#families[@]})) ]]; }
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

# What plain pod traffic between two nodes is counted as, at the sender and at the receiver.
fast_out() { # FAMILY
  case $backend-$1 in
    direct-routing-* | host-gw-*) echo direct ;;
    vxlan-6) echo encap_driver ;;
    *) echo encap ;;
  esac
}
fast_in() { if [[ $backend =~ ^(direct-routing|host-gw)$ ]]; then echo direct_in; else echo decap tunnel; fi; }

# The answer of a demo server, its IPv6 addresses in short form: socat writes them in full.
# ask WHERE... ADDRESS PORT; WHERE is "on NODE", "pod POD" or nothing (the world outside)
ask() {
  local where=("${@:1:$#-2}") answer
  answer=$("${where[@]}" socat -u -T 3 "TCP:$(endpoint "${@: -2}"),connect-timeout=3" STDOUT 2>&1) || true
  if [[ $answer =~ ^(.* sees )\[([0-9a-f:]+)\]$ ]]; then
    answer=${BASH_REMATCH[1]}$(getent ahostsv6 "${BASH_REMATCH[2]}" | awk 'NR == 1 { print $1 }')
  fi
  echo "$answer"
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
    ok "$node" "$(node_address "${node#node}" "${families[0]}") has $(on "$node" merinoctl status -o json |
      jq -r '[.agent.network | .subnet, .subnet_ipv6 | values] | join(" and ")')"
  done
}

set_up_pods() {
  local pod
  headline "Pods: network namespaces, attached by CNI ADD (merino, then portmap)"
  for pod in $(pod_names); do
    add_pod "$pod" || give_up "CNI ADD of $pod"
    ok "$pod on $(node_of "$pod")" "$(paste -sd ' ' "$lab/address/$pod")"
    serve "$pod" 8080
  done
  for pod in $(pod_names); do until_true 5 listens 8080 pod "$pod" || give_up "the server in $pod does not listen"; done
}

# One row of the matrix: the round trip in ms, or what ping says.
ping_row() { # pod|on FROM FAMILY
  local enter=$1 from=$2 target answer
  printf '  %-6s' "$from"
  for target in $(pod_names); do
    answer=$("$enter" "$from" ping -n -q -c 1 -W 3 "$(address_of "$target" "$3")" 2>&1 | sed -n 's|^rtt.* = \([0-9.]*\)/.*|\1|p') || true
    printf ' %7s' "${answer:-lost}"
    [[ -n $answer ]] || lost+=("$from-$target")
  done
  echo
}

show_ping_matrix() { # FAMILY
  local from names lost=()
  mapfile -t names < <(pod_names)
  headline "Ping over IPv$1, round trip in ms: each pod and each node to each pod"
  printf '  %-6s' ''
  printf ' %7s' "${names[@]}"
  echo
  for from in "${names[@]}"; do ping_row pod "$from" "$1"; done
  for from in $(node_names); do ping_row on "$from" "$1"; done
  if ((${#lost[@]} == 0)); then ok "everyone reaches every pod"; else bad "pings" "lost: ${lost[*]}"; fi
}

show_transfer() { # FAMILY
  local to sent received started tenths fast_before fast receiver reason
  to=$(address_of pod2a "$1")
  reason=$(fast_out "$1")
  headline "TCP over IPv$1 from pod1a on node1 to pod2a on node2, $transfer_mib MiB of random bytes"
  head -c "${transfer_mib}M" /dev/urandom >"$lab/sent"
  sent=$(sha256sum <"$lab/sent")
  fast_before=$(counted node1 bytes "$reason")
  background transfer pod pod2a timeout 60 socat -u -b 1048576 "TCP$1-LISTEN:5001,reuseaddr" "OPEN:$lab/received,creat,trunc"
  receiver=$!
  until_true 5 listens 5001 pod pod2a || give_up "the receiver in pod2a does not listen"
  started=$(date +%s%N)
  pod pod1a timeout 60 socat -u -b 1048576 "OPEN:$lab/sent" "TCP:$(endpoint "$to" 5001)" 2>>"$lab/log/transfer.log" || true
  wait "$receiver" || true
  tenths=$((transfer_mib * 8 * 1048576 * 10 / ($(date +%s%N) - started)))
  received=$(sha256sum <"$lab/received")
  rm -f "$lab/sent" "$lab/received"
  expect "checksum of what arrived" "${sent%% *}" "${received%% *}"
  ok "rate" "$((tenths / 10)).$((tenths % 10)) Gbit/s"
  fast=$(($(counted node1 bytes "$reason") - fast_before))
  if ((fast >= transfer_mib * 1048576)); then
    ok "it went the fast way" "node1 counted $((fast / 1048576)) MiB as $reason"
  else
    bad "it went the fast way" "node1 counted only $fast bytes as $reason"
  fi
}

show_connections() { # FAMILY
  headline "TCP connections over IPv$1: pod1a asks servers in other pods"
  expect "pod1b on its own node" "pod1b sees $(address_of pod1a "$1")" "$(ask pod pod1a "$(address_of pod1b "$1")" 8080)"
  expect "pod2b on node2" "pod2b sees $(address_of pod1a "$1")" "$(ask pod pod1a "$(address_of pod2b "$1")" 8080)"
}

show_services() { # FAMILY
  local node client remote=${remote_service[$1]} local=${local_service[$1]} world=${outside[$1]}
  client=$(address_of pod1a "$1")
  headline "Services over IPv$1: addresses that iptables translates as kube-proxy does"
  for node in $(node_names); do
    add_service_chains "$node" "$1"
    add_service "$node" "$1" REMOTE "$remote" "$(address_of pod2a "$1")"
    add_service "$node" "$1" LOCAL "$local" "$(address_of pod1b "$1")"
  done
  expect "pod1a to $remote, backend on node2" "pod2a sees $client" "$(ask pod pod1a "$remote" 80)"
  expect "pod1a to $local, backend on its own node" "pod1b sees $client" "$(ask pod pod1a "$local" 80)"
  expect "node1 itself to $local" "pod1b" "$(ask on node1 "$local" 80 | cut -d ' ' -f 1)"
  expect "from outside to node1's host port 8088" "pod1a sees $world" "$(ask "$(node_address 1 "$1")" 8088)"
  # shellcheck disable=SC2016  # socat sets the variable
  background servers socat "TCP$1-LISTEN:900$1,fork,reuseaddr,bind=$(bracketed "$world")" 'SYSTEM:echo outside sees $SOCAT_PEERADDR'
  until_true 5 listens "900$1" || give_up "the server outside does not listen"
  expect "pod1a to the outside, masqueraded" "outside sees $(node_address 1 "$1")" "$(ask pod pod1a "$world" "900$1")"
}

show_tables() {
  local family
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
  for family in "${families[@]}"; do expect_counted node1 "$(fast_out "$family")"; done
  expect_counted node1 translated
  # shellcheck disable=SC2046  # words
  expect_counted node2 $(fast_in)
}

# demo NODES BUILD_DIR BACKEND FAMILY
demo() {
  local family
  node_count=$1
  backend=$3
  case $4 in
    ipv6) families=(6) ;;
    dual) families=(4 6) ;;
  esac
  trap 'give_up "$BASH_COMMAND"' ERR
  set -E
  set_up_nodes "$2"
  set_up_pods
  for family in "${families[@]}"; do
    show_ping_matrix "$family"
    show_connections "$family"
    show_transfer "$family"
    show_services "$family"
  done
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
