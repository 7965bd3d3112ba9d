#include "datapath/abi_version.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/fd.h"
#include "datapath/pins.h"

namespace merino {

Result<uint32_t> pinned_abi_version() {
  const std::string path = pins::map("network");
  const Fd fd(bpf_obj_get(path.c_str()));
  if (!fd && errno == ENOENT) return 0;
  if (!fd) return fail_errno(errno, "open map {}", path);
  bpf_map_info info{};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return fail_errno(errno, "ask the kernel about map {}", path);
  // Another version's entry may be of any size; it begins with the version.
  std::vector<char> value(info.value_size + sizeof(uint32_t));
  const uint32_t zero = 0;
  if (bpf_map_lookup_elem(fd.get(), &zero, value.data()) != 0) return fail_errno(errno, "read map {}", path);
  uint32_t version = 0;
  std::memcpy(&version, value.data(), sizeof(version));
  return version;
}

Status check_abi_version() {
  const uint32_t version = TRY(pinned_abi_version());
  if (version == MERINO_ABI_VERSION || version == 0) return ok();
  return with_remedy(
      fail(ErrorKind::unsupported, "the maps below {} have ABI version {}, this version of merino knows version {}", pins::kRoot, version,
           MERINO_ABI_VERSION),
      version > MERINO_ABI_VERSION
          ? "install the newer version again, or remove the pins and restart: pods go through the kernel's slow path meanwhile"
          : "start merinod of this version, it makes them anew; pods go on meanwhile");
}

}  // namespace merino
