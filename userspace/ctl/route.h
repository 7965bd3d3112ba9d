// `merinoctl route`: what would happen to a packet, and why, step by step. The programs decide themselves (datapath/trial.h); what the
// host's stack does between them is asked of the kernel's routes.
#pragma once

#include <string>
#include <vector>

#include "ctl/packet.h"
#include "ctl/status.h"
#include "ctl/table.h"
#include "ctl/views.h"
#include "datapath/peer_table.h"
#include "datapath/trial.h"
#include "netlink/netlink.h"

namespace merino::ctl {

struct RouteStep {
  std::string where;   // "from_pod on mr1234", "stack"
  std::string result;  // a reason's name, or what the stack does
  std::string why;
};

enum class RouteEnd {
  delivered,  // to a pod of this node
  sent,       // out of this node
  stack,      // the host's stack decides: to a process of the host, or by rules that are not merino's
  dropped,
};
// "delivered", "sent", "stack", "dropped"
const char* route_end_name(RouteEnd end);

struct RouteAnswer {
  PacketFlow flow;
  std::vector<RouteStep> steps;
  RouteEnd end = RouteEnd::stack;
  std::string conclusion;
  std::vector<std::string> notes;
};

// What is known of this node beside its programs.
struct RouteSite {
  const Trial& trial;
  Netlink& netlink;
  std::vector<PodRow> pods;
  std::vector<Peer> peers;
  NodeNames nodes;
  std::vector<ProgramFact> programs;  // where they should be, and whether they are
};

Result<RouteAnswer> follow_route(const RouteSite& site, const PacketFlow& flow);

std::string route_text(const RouteAnswer& answer, const Screen& screen);
std::string route_json(const RouteAnswer& answer);

}  // namespace merino::ctl
