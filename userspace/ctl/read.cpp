#include "ctl/read.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "base/fd.h"
#include "base/file.h"
#include "ctl/file_lock.h"
#include "datapath/attach.h"
#include "datapath/programs.h"
#include "datapath/wire_xdp.h"

namespace merino::ctl {

namespace {

// Empty if there is no such interface.
std::string interface_name(unsigned ifindex) {
  char name[IF_NAMESIZE] = {};
  return ifindex != 0 && ::if_indextoname(ifindex, name) != nullptr ? name : "";
}

LinkFact read_link(const std::string& role, unsigned ifindex) {
  LinkFact link{role, interface_name(ifindex), LinkState::missing};
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, link.name.c_str(), link.name.size());
  if (link.name.empty() || !socket || ::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return link;
  link.state = (request.ifr_flags & IFF_UP) != 0 ? LinkState::up : LinkState::down;
  return link;
}

// By its lock: a pid would tell less, for it may be another process' by now, and a container's pids are not the host's.
AgentProcess find_agent() {
  struct stat file {};
  const auto locks = read_file("/proc/locks");
  if (!locks || ::stat(kAgentLockPath, &file) != 0) return AgentProcess::gone;
  return is_locked(*locks, {major(file.st_dev), minor(file.st_dev), file.st_ino}) ? AgentProcess::running : AgentProcess::gone;
}

ProgramFact read_program(Program program, const AttachPoint& point) {
  const std::string name = interface_name(point.ifindex);
  return {program_name(program), name.empty() ? fmt::format("interface {}", point.ifindex) : name,
          point.direction == Direction::ingress ? "ingress" : "egress", is_attached(program, point)};
}

}  // namespace

std::vector<ProgramFact> read_programs(const merino_config& config, const std::vector<PodRow>& pods) {
  std::vector<ProgramFact> programs;
  programs.push_back(read_program(Program::from_wire, {"uplink", config.uplink_ifindex, Direction::ingress}));
  programs.push_back(read_program(Program::from_tunnel, {"device_in", config.device_ifindex, Direction::ingress}));
  programs.push_back(read_program(Program::from_host, {"device_out", config.device_ifindex, Direction::egress}));
  if (const auto xdp = read_wire_xdp(); xdp && *xdp) {
    const std::string direction = fmt::format("XDP, {}", xdp_mode_name((*xdp)->mode));
    programs.push_back({program_name(Program::wire_xdp), interface_name((*xdp)->ifindex), direction, true});
  }
  for (const PodRow& pod : pods) {
    if (!pod.entry || pod.host_ifname.empty()) continue;
    programs.push_back(read_program(Program::from_pod, {pod_link_name(pod.host_ifname), pod.entry->host_ifindex, Direction::ingress}));
  }
  return programs;
}

Result<PodsRead> read_pod_rows() {
  const std::vector<PodEntry> entries = TRY(read_pods());
  AttachmentList list = TRY(list_attachments());
  PodsRead read{join_pods(entries, list.attachments), std::move(list.broken)};
  for (PodRow& row : read.rows) row.host_ifname = interface_name(row.entry ? row.entry->host_ifindex : row.attachment->host_ifindex);
  return read;
}

StatusFacts read_status_facts() {
  StatusFacts facts{std::chrono::system_clock::now(), load_agent_status(),   find_agent(), loaded_config(), program_id(),   {}, {},
                    load_subnet_env(kSubnetEnvPath),  std::vector<PodRow>{}, {},           read_peers(),    read_counters()};
  auto pods = read_pod_rows();
  if (pods) {
    facts.pods = std::move(pods->rows);
    facts.broken_records = std::move(pods->broken_records);
  } else {
    facts.pods = tl::unexpected(std::move(pods).error());
  }
  if (facts.config && *facts.config) {
    const merino_config& config = **facts.config;
    facts.links = {read_link("uplink", config.uplink_ifindex), read_link("device", config.device_ifindex)};
    facts.programs = read_programs(config, facts.pods ? *facts.pods : std::vector<PodRow>{});
  }
  return facts;
}

}  // namespace merino::ctl
