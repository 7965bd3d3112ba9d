#include "agent/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>

namespace merino {

namespace {

constexpr unsigned kKept[] = {CAP_NET_ADMIN, CAP_NET_RAW,    CAP_BPF,          CAP_PERFMON,
                              CAP_SYS_ADMIN, CAP_SYS_MODULE, CAP_DAC_OVERRIDE, CAP_NET_BIND_SERVICE};

bool is_kept(unsigned capability) { return std::find(std::begin(kKept), std::end(kKept), capability) != std::end(kKept); }

// The bounding set: what a program that is executed can have at most. EINVAL: the kernel knows no such capability, nor any after it.
Status shrink_bounding_set() {
  for (unsigned capability = 0; capability < 64; capability++) {
    const int held = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) return ok();
    if (held == 0 || is_kept(capability)) continue;
    // EPERM: without CAP_SETPCAP; a unit or a runtime that took that away has set the bounds itself.
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM)
      return fail_errno(errno, "drop capability {} from the bounding set", capability);
  }
  return ok();
}

}  // namespace

Status drop_privileges() {
  TRY(shrink_bounding_set());
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "set no_new_privs");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return fail_errno(errno, "read the capabilities");
  std::array<unsigned, _LINUX_CAPABILITY_U32S_3> kept{};
  for (const unsigned capability : kKept) kept[CAP_TO_INDEX(capability)] |= CAP_TO_MASK(capability);
  for (size_t i = 0; i < sets.size(); i++) {
    sets[i].permitted &= kept[i];
    sets[i].effective &= kept[i];
    sets[i].inheritable &= kept[i];
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return fail_errno(errno, "drop capabilities");
  return ok();
}

}  // namespace merino
