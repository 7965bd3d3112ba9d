#include "datapath/kernel.h"

#include <bpf/btf.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <cerrno>
#include <memory>
#include <unordered_set>

namespace merino {

namespace {

struct BtfCloser {
  void operator()(btf* object) const { btf__free(object); }
};
using Btf = std::unique_ptr<btf, BtfCloser>;

Result<Btf> load_kernel_types() {
  Btf types(btf__load_vmlinux_btf());
  if (types) return types;
  return with_remedy(fail(ErrorKind::unsupported, "the kernel has no type information in /sys/kernel/btf/vmlinux"),
                     "merino needs a kernel built with CONFIG_DEBUG_INFO_BTF, and /sys mounted");
}

bool has_function(const btf* types, const char* name) { return types != nullptr && btf__find_by_name_kind(types, name, BTF_KIND_FUNC) > 0; }

void erase_enumerators(const btf* types, const btf_type* type, std::unordered_set<std::string>& names) {
  const struct btf_enum* values = btf_enum(type);
  for (unsigned i = 0; i < btf_vlen(type); i++) names.erase(btf__name_by_offset(types, values[i].name_off));
}

}  // namespace

Result<std::vector<std::string>> kernel_lacks(const std::vector<std::string>& names) {
  const Btf types = TRY(load_kernel_types());
  std::unordered_set<std::string> missing(names.begin(), names.end());
  for (unsigned id = 1; id < btf__type_cnt(types.get()) && !missing.empty(); id++) {
    const btf_type* type = btf__type_by_id(types.get(), id);
    if (btf_is_enum(type)) erase_enumerators(types.get(), type, missing);
  }
  std::vector<std::string> lacking;
  for (const std::string& name : names) {
    if (missing.contains(name)) lacking.push_back(name);
  }
  return lacking;
}

Status check_kernel() {
  const auto lacking = TRY(
      kernel_lacks({"BPF_FUNC_redirect_neigh", "BPF_FUNC_redirect_peer", "BPF_F_ADJ_ROOM_NO_CSUM_RESET", "BPF_F_ADJ_ROOM_ENCAP_L2_ETH"}));
  if (lacking.empty()) return ok();
  utsname kernel{};
  ::uname(&kernel);
  return with_remedy(fail(ErrorKind::unsupported, "the kernel {} lacks {}", kernel.release, fmt::join(lacking, ", ")),
                     "merino needs Linux 6.1 or later, or another network on this node");
}

Result<bool> kernel_has_conntrack_lookup() {
  const Btf vmlinux = TRY(load_kernel_types());
  constexpr const char* kLookup = "bpf_skb_ct_lookup";
  if (has_function(vmlinux.get(), kLookup)) return true;
  const Btf module(btf__load_module_btf("nf_conntrack", vmlinux.get()));
  return has_function(module.get(), kLookup);
}

}  // namespace merino
