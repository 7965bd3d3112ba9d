#include "datapath/pinned_link.h"

#include <bpf/bpf.h>

#include <cerrno>

namespace merino {

Result<PinnedLink> open_pinned_link(const std::string& path) {
  PinnedLink link;
  link.fd = Fd(bpf_obj_get(path.c_str()));
  if (!link.fd) {
    if (errno == ENOENT) return link;
    return fail_errno(errno, "open link {}", path);
  }
  bpf_link_info info{};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(link.fd.get(), &info, &size) != 0) return fail_errno(errno, "ask the kernel about link {}", path);
  // bpf_link_info.tcx is newer than the headers; its ifindex lies where that of XDP links does.
  link.ifindex = info.xdp.ifindex;
  link.program_id = info.prog_id;
  return link;
}

}  // namespace merino
