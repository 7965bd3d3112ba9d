#include "datapath/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "base/file.h"
#include "datapath/pinned_link.h"
#include "datapath/pins.h"

namespace merino {

namespace {

// Newer than libbpf 1.1's headers: enum bpf_attach_type, Linux 6.6.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
// merino's own place among a clsact's filters.
constexpr uint32_t kTcHandle = 1;
constexpr uint32_t kTcPriority = 0x4d45;

bpf_attach_type tcx_type(Direction direction) { return direction == Direction::ingress ? kTcxIngress : kTcxEgress; }
const char* direction_name(Direction direction) { return direction == Direction::ingress ? "ingress" : "egress"; }

// Asked once: does the kernel know tcx (6.6 and later, CONFIG_NET_XGRESS)? An older one refuses the attach type before it looks at the
// interface.
bool kernel_has_tcx() {
  static const bool known = [] {
    uint32_t count = 0;
    const unsigned loopback = 1;
    const int result = bpf_prog_query(static_cast<int>(loopback), kTcxIngress, 0, nullptr, nullptr, &count);
    return result == 0 || errno != EINVAL;
  }();
  return known;
}

struct Pinned {
  Fd fd;
  uint32_t id = 0;
};

Result<Pinned> open_program(Program program) {
  const std::string path = pins::program(program_name(program));
  Fd fd(bpf_obj_get(path.c_str()));
  if (!fd) {
    if (errno == ENOENT)
      return with_remedy(fail(ErrorKind::not_found, "program {} is not pinned", path), "start merinod, it loads the programs");
    return fail_errno(errno, "open program {}", path);
  }
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return fail_errno(errno, "ask the kernel about program {}", path);
  return Pinned{std::move(fd), info.id};
}

Result<bool> attach_tcx(Program program, const AttachPoint& point, const Pinned& pinned) {
  const std::string path = pins::link(point.link_name);
  const PinnedLink link = TRY(open_pinned_link(path));
  if (link.fd && link.ifindex == point.ifindex) {
    if (link.program_id == pinned.id) return false;
    if (bpf_link_update(link.fd.get(), pinned.fd.get(), nullptr) == 0) return true;
    return fail_errno(errno, "put program {} into link {}", program_name(program), path);
  }
  if (link.fd) TRY(remove_file(path));

  const Fd fresh(bpf_link_create(pinned.fd.get(), static_cast<int>(point.ifindex), tcx_type(point.direction), nullptr));
  if (!fresh) {
    return fail_errno(errno, "attach {} to the {} of interface {}", program_name(program), direction_name(point.direction), point.ifindex);
  }
  if (bpf_obj_pin(fresh.get(), path.c_str()) != 0) return fail_errno(errno, "pin link {}", path);
  return true;
}

bpf_tc_hook tc_hook(const AttachPoint& point) {
  bpf_tc_hook hook{};
  hook.sz = sizeof(hook);
  hook.ifindex = static_cast<int>(point.ifindex);
  hook.attach_point = point.direction == Direction::ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
  return hook;
}

bpf_tc_opts tc_opts() {
  bpf_tc_opts opts{};
  opts.sz = sizeof(opts);
  opts.handle = kTcHandle;
  opts.priority = kTcPriority;
  return opts;
}

// The id of merino's program below the clsact; 0 if there is none. libbpf would report each "none" on standard error.
uint32_t clsact_program_id(const AttachPoint& point) {
  libbpf_set_print(nullptr);
  const bpf_tc_hook hook = tc_hook(point);
  bpf_tc_opts opts = tc_opts();
  return bpf_tc_query(&hook, &opts) == 0 ? opts.prog_id : 0;
}

Result<bool> attach_clsact(Program program, const AttachPoint& point, const Pinned& pinned) {
  if (clsact_program_id(point) == pinned.id) return false;
  bpf_tc_hook hook = tc_hook(point);
  if (point.qdisc == Qdisc::own) {
    if (const int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST)
      return fail_errno(-error, "make a clsact qdisc on interface {}", point.ifindex);
  }
  bpf_tc_opts opts = tc_opts();
  opts.prog_fd = pinned.fd.get();
  opts.flags = BPF_TC_F_REPLACE;
  if (const int error = bpf_tc_attach(&hook, &opts); error != 0) {
    // The kernel's words for "there is no such qdisc".
    if (point.qdisc == Qdisc::anothers && (error == -EINVAL || error == -ENOENT)) return false;
    return fail_errno(-error, "attach {} to the {} of interface {} (clsact)", program_name(program), direction_name(point.direction),
                      point.ifindex);
  }
  return true;
}

Status detach_clsact(const AttachPoint& point) {
  if (kernel_has_tcx() || point.ifindex == 0 || clsact_program_id(point) == 0) return ok();
  const bpf_tc_hook hook = tc_hook(point);
  const bpf_tc_opts opts = tc_opts();
  const int error = bpf_tc_detach(&hook, &opts);
  if (error == 0 || error == -ENOENT || error == -ENODEV) return ok();
  return fail_errno(-error, "detach from interface {}", point.ifindex);
}

// The paths of all pinned links.
Result<std::vector<std::string>> link_pins() {
  std::vector<std::string> paths;
  for (const std::string& name : TRY(list_directory(pins::kLinks))) paths.push_back(pins::link(name));
  return paths;
}

}  // namespace

std::string pod_link_name(const std::string& host_ifname) {
  std::string name = "pod_" + host_ifname;
  std::replace(name.begin(), name.end(), '.', '_');  // bpffs reserves dots
  return name;
}

Result<bool> attach(Program program, const AttachPoint& point) {
  const Pinned pinned = TRY(open_program(program));
  return kernel_has_tcx() ? attach_tcx(program, point, pinned) : attach_clsact(program, point, pinned);
}

Result<bool> is_attached(Program program, const AttachPoint& point) {
  const Pinned pinned = TRY(open_program(program));
  if (!kernel_has_tcx()) return clsact_program_id(point) == pinned.id;
  const PinnedLink link = TRY(open_pinned_link(pins::link(point.link_name)));
  return link.fd && link.ifindex == point.ifindex && link.program_id == pinned.id;
}

// Whoever asks the kernel for anything of an interface after the pin is gone waits until the link is: a grace period, all interfaces
// locked.
Status detach(const AttachPoint& point) {
  TRY(detach_clsact(point));
  return remove_file(pins::link(point.link_name));
}

Status remove_dead_links() {
  if (!kernel_has_tcx()) return ok();
  for (const std::string& path : TRY(link_pins())) {
    const PinnedLink link = TRY(open_pinned_link(path));
    if (link.fd && link.ifindex == 0) TRY(remove_file(path));
  }
  return ok();
}

Status detach_all(const std::vector<unsigned>& ifindexes) {
  for (const std::string& path : TRY(link_pins())) TRY(remove_file(path));
  for (const unsigned ifindex : ifindexes) {
    TRY(detach_clsact({"", ifindex, Direction::ingress}));
    TRY(detach_clsact({"", ifindex, Direction::egress}));
  }
  return ok();
}

}  // namespace merino
