#include "bpf/loaded_wire_xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/address.h"
#include "datapath/built_in.h"
#include "wire_xdp.skel.h"

namespace merino::test {

LoadedWireXdp::LoadedWireXdp(const LoadedPrograms& programs, const merino_config& config) : programs_(programs) {
  const LibbpfLog log;
  skeleton_ = wire_xdp_bpf__open();
  if (skeleton_ == nullptr) throw std::runtime_error("the object of wire_xdp does not open");
  std::memcpy(&skeleton_->rodata_config->merino_config, &config, sizeof(config));
  const MacAddress mac = MacAddress::parse(kUplinkMac).value();
  std::copy(mac.bytes().begin(), mac.bytes().end(), skeleton_->rodata_config->uplink_mac);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    const char* name = bpf_map__name(map);
    if (name[0] != '.') bpf_map__reuse_fd(map, programs.map_fd(name));
  }
  bpf_program__set_flags(skeleton_->progs.wire_xdp, BPF_F_XDP_HAS_FRAGS);
  if (wire_xdp_bpf__load(skeleton_) != 0) {
    wire_xdp_bpf__destroy(skeleton_);
    throw std::runtime_error("wire_xdp does not load (as root?): " + LibbpfLog::tail());
  }
}

LoadedWireXdp::~LoadedWireXdp() { wire_xdp_bpf__destroy(skeleton_); }

int LoadedWireXdp::fd() const { return bpf_program__fd(skeleton_->progs.wire_xdp); }

Outcome LoadedWireXdp::run(const Frame& frame) {
  const auto before = programs_.counters();
  Outcome outcome = run_uncounted(frame);
  outcome.counted = programs_.counted_since(before);
  return outcome;
}

Outcome LoadedWireXdp::run_uncounted(const Frame& frame) {
  Outcome outcome;
  outcome.frame.resize(frame.size() + 256);
  xdp_md context{};
  context.data_end = static_cast<uint32_t>(frame.size());
  context.ingress_ifindex = Topology::ifindex("uplink");
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = outcome.frame.data(),
              .data_size_in = static_cast<uint32_t>(frame.size()), .data_size_out = static_cast<uint32_t>(outcome.frame.size()),
              .ctx_in = &context, .ctx_size_in = sizeof(context));
  if (bpf_prog_test_run_opts(fd(), &options) != 0)
    throw std::runtime_error(fmt::format("run wire_xdp on {} bytes: {}", frame.size(), std::strerror(errno)));
  outcome.verdict = static_cast<int>(options.retval);
  outcome.frame.resize(options.data_size_out);
  return outcome;
}

}  // namespace merino::test
