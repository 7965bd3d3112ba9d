#include "datapath/wire_xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "datapath/built_in.h"
#include "datapath/pinned_link.h"
#include "datapath/pinned_maps.h"
#include "datapath/pins.h"
#include "wire_xdp.skel.h"

namespace merino {

namespace {

using Frozen = std::remove_pointer_t<decltype(wire_xdp_bpf::rodata_config)>;
static_assert(std::has_unique_object_representations_v<Frozen>, "it is compared by its bytes");

constexpr std::array kSharedMaps = {"peers", "nodes", "network", "counters", "drops"};
constexpr const char* kOff = "or --wire-xdp=off: from_wire drops the same packets, only later";

std::string link_path() { return pins::link("wire_xdp"); }

struct XdpSkeletonCloser {
  void operator()(wire_xdp_bpf* skeleton) const { wire_xdp_bpf__destroy(skeleton); }
};
using XdpSkeleton = std::unique_ptr<wire_xdp_bpf, XdpSkeletonCloser>;

Frozen frozen(merino_config config, const MacAddress& mac) {
  size_t size = 0;
  const void* bytes = wire_xdp_bpf__elf_bytes(&size);
  config.program_id = object_id({static_cast<const unsigned char*>(bytes), size});
  Frozen value{};
  std::memcpy(&value.merino_config, &config, sizeof(config));
  std::copy(mac.bytes().begin(), mac.bytes().end(), value.uplink_mac);
  return value;
}

// Is the program this build's with this configuration, and are its maps the pinned ones?
Result<bool> is_current(uint32_t program_id, const Frozen& wanted) {
  const Fd program(bpf_prog_get_fd_by_id(program_id));
  if (!program) return false;
  const std::vector<uint32_t> ids = TRY(used_maps(program.get(), link_path()));
  const uint32_t config_id = config_map_id(ids, sizeof(Frozen));
  if (config_id == 0 || !TRY(pins_show(kSharedMaps, {ids.begin(), ids.end()}))) return false;
  const Fd map(bpf_map_get_fd_by_id(config_id));
  Frozen value{};
  const uint32_t zero = 0;
  if (!map || bpf_map_lookup_elem(map.get(), &zero, &value) != 0) return fail_errno(errno, "read the configuration of wire_xdp");
  return std::memcmp(&value, &wanted, sizeof(value)) == 0;
}

Result<bpf_xdp_query_opts> ask_interface(unsigned ifindex) {
  bpf_xdp_query_opts answer{};
  answer.sz = sizeof(answer);
  if (const int error = bpf_xdp_query(static_cast<int>(ifindex), 0, &answer); error != 0)
    return fail_errno(-error, "ask for the XDP program of interface {}", ifindex);
  return answer;
}

Result<XdpMode> mode_of(const PinnedLink& link) {
  const auto answer = TRY(ask_interface(link.ifindex));
  return answer.skb_prog_id == link.program_id ? XdpMode::generic : XdpMode::native;
}

tl::unexpected<Error> occupied(unsigned ifindex) {
  return with_remedy(fail(ErrorKind::exists, "another XDP program is on interface {}, which has room for one", ifindex),
                     fmt::format("take it off (bpftool net show), {}", kOff));
}

tl::unexpected<Error> refused(int error, const WireXdpPlace& place) {
  if (error == EBUSY || error == EEXIST) return occupied(place.ifindex);
  if (error == EOPNOTSUPP) {
    return with_remedy(fail(ErrorKind::unsupported, "interface {} has no {} XDP", place.ifindex, xdp_mode_name(place.mode)),
                       fmt::format("--wire-xdp=generic works everywhere, and saves less; {}", kOff));
  }
  return with_remedy(
      fail_errno(error, "attach wire_xdp to interface {} ({} XDP)", place.ifindex, xdp_mode_name(place.mode)),
      fmt::format("the kernel's log has the driver's reason, often an MTU or a number of queues; --wire-xdp=generic, {}", kOff));
}

// Packets of several buffers as they are: native drivers want that for large MTUs, and a veth for GSO. In generic mode Linux 6.18 copies
// each packet for such a program and forgets how long its Ethernet header is: from_wire would get frames that begin with the IP header.
uint32_t load_flags(XdpMode mode) { return mode == XdpMode::native ? BPF_F_XDP_HAS_FRAGS : 0; }

Result<XdpSkeleton> load(const Frozen& wanted, XdpMode mode) {
  const LibbpfLog log;
  XdpSkeleton skeleton(wire_xdp_bpf__open());
  if (!skeleton) return fail_errno(errno, "open the built-in object of wire_xdp: {}", LibbpfLog::tail());
  TRY(name_map_pins(*skeleton->obj, MapPins::kept));
  std::memcpy(skeleton->rodata_config, &wanted, sizeof(wanted));
  bpf_program__set_flags(skeleton->progs.wire_xdp, load_flags(mode));
  if (const int error = wire_xdp_bpf__load(skeleton.get()); error != 0)
    return with_remedy(fail_errno(-error, "load wire_xdp: {}", LibbpfLog::tail()), kOff + 3);
  return skeleton;
}

// Off the interface at once: whoever attaches next finds it free. The pin alone would go some time later.
Status take_off(const PinnedLink& link) {
  if (link.fd && bpf_link_detach(link.fd.get()) != 0 && errno != ENODEV) return fail_errno(errno, "detach link {}", link_path());
  return remove_file(link_path());
}

Status attach_fresh(int program, const WireXdpPlace& place) {
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags = place.mode == XdpMode::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const Fd link(bpf_link_create(program, static_cast<int>(place.ifindex), BPF_XDP, &options));
  if (!link) return refused(errno, place);
  if (bpf_obj_pin(link.get(), link_path().c_str()) != 0) return fail_errno(errno, "pin link {}", link_path());
  return ok();
}

}  // namespace

const char* xdp_mode_name(XdpMode mode) { return mode == XdpMode::native ? "native" : "generic"; }

Result<bool> ensure_wire_xdp(merino_config config, const WireXdpPlace& place) {
  const Frozen wanted = frozen(config, place.mac);
  PinnedLink link = TRY(open_pinned_link(link_path()));
  if (link.fd && (link.ifindex != place.ifindex || TRY(mode_of(link)) != place.mode)) {
    TRY(take_off(link));
    link = PinnedLink{};
  }
  if (link.fd && TRY(is_current(link.program_id, wanted))) return false;
  // Asked before the load, which would be in vain.
  if (!link.fd && TRY(ask_interface(place.ifindex)).attach_mode != XDP_ATTACHED_NONE) return occupied(place.ifindex);
  const auto skeleton = load(wanted, place.mode);
  if (!skeleton) {
    TRY(take_off(link));
    return tl::unexpected(skeleton.error());
  }
  const int program = bpf_program__fd((*skeleton)->progs.wire_xdp);
  if (!link.fd) {
    TRY(attach_fresh(program, place));
  } else if (bpf_link_update(link.fd.get(), program, nullptr) != 0) {
    const int error = errno;
    TRY(take_off(link));
    return fail_errno(error, "put wire_xdp into link {}", link_path());
  }
  return true;
}

Result<bool> remove_wire_xdp() {
  const PinnedLink link = TRY(open_pinned_link(link_path()));
  if (!link.fd) return false;
  TRY(take_off(link));
  return true;
}

Result<std::optional<WireXdpState>> read_wire_xdp() {
  const PinnedLink link = TRY(open_pinned_link(link_path()));
  if (!link.fd || link.ifindex == 0) return std::nullopt;
  return WireXdpState{link.ifindex, TRY(mode_of(link))};
}

}  // namespace merino
