#include "ctl/run_trace.h"

#include <netinet/in.h>

#include <algorithm>
#include <csignal>
#include <optional>

#include "ctl/packets.h"
#include "ctl/pcap.h"
#include "ctl/read.h"
#include "datapath/programs.h"
#include "datapath/witness.h"

namespace merino::ctl {

namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t interrupted = 0;

void interrupt(int) { interrupted = 1; }

Result<std::vector<IpAddress>> addresses_of(const std::vector<std::string>& words, const std::vector<PodRow>& pods) {
  std::vector<IpAddress> addresses;
  for (const std::string& word : words) {
    const auto meant = TRY(addresses_meant(word, pods));
    addresses.insert(addresses.end(), meant.begin(), meant.end());
  }
  return addresses;
}

Result<std::vector<merino_reason>> reasons_of(const std::vector<std::string>& names) {
  std::vector<merino_reason> out;
  for (const std::string& name : names) {
    const auto known = std::find_if(reasons().begin(), reasons().end(), [&](const ReasonInfo& info) { return name == info.name; });
    const bool is_action = name == "fast" || name == "stack" || name == "drop";
    if (known == reasons().end() && !is_action)
      return with_remedy(fail(ErrorKind::invalid, "there is no reason \"{}\"", name),
                         "merinoctl counters --all lists them; fast, stack and drop stand for all of theirs");
    for (const ReasonInfo& info : reasons()) {
      if (name == info.name || name == action_name(info.action)) out.push_back(info.reason);
    }
  }
  return out;
}

std::optional<uint8_t> protocol_of(const std::string& name, const std::vector<IpAddress>& addresses) {
  if (name.empty()) return std::nullopt;
  if (name == "tcp") return IPPROTO_TCP;
  if (name == "udp") return IPPROTO_UDP;
  const bool v6 = !addresses.empty() && !addresses.front().is_v4();
  return static_cast<uint8_t>(v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP});
}

struct Sink {
  const TraceRequest& request;
  const PacketNames& names;
  const TellLine& tell;
  std::optional<PcapWriter> pcap;
  int told = 0;

  [[nodiscard]] bool full() const { return request.count > 0 && told >= request.count; }

  [[nodiscard]] std::string told_as(const Sighting& seen) const {
    if (request.output == Format::json) return sighting_json(seen, names);
    if (request.output == Format::yaml) return "---\n" + yaml_of(sighting_json(seen, names));
    return sighting_text(seen, names, width_for(request.output), request.screen);
  }

  Status take(const Sighting& seen) {
    ++told;
    if (pcap) TRY(pcap->write(seen.time, seen.frame, seen.length));
    if (request.pcap == "-") return ok();
    return tell(told_as(seen));
  }
};

}  // namespace

Result<uint64_t> run_trace(const TraceRequest& request, const TellLine& tell) {
  const auto config = TRY(loaded_config());
  const PodsRead pods = TRY(read_pod_rows());
  const PacketNames names = make_packet_names(pods.rows, read_node_names(), config.value_or(merino_config{}));
  TraceFilter filter;
  filter.addresses = TRY(addresses_of(request.addresses, pods.rows));
  if (request.port != 0) filter.port = static_cast<uint16_t>(request.port);
  filter.protocol = protocol_of(request.protocol, filter.addresses);
  filter.reasons = TRY(reasons_of(request.reasons));
  Sink sink{request, names, tell, std::nullopt};
  if (!request.pcap.empty()) sink.pcap = TRY(PcapWriter::open(request.pcap, MERINO_TRACE_BYTES));

  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  Trace trace = TRY(Trace::start(filter));
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(request.seconds));
  while (interrupted == 0 && !sink.full() && (request.seconds <= 0 || Clock::now() < end)) {
    for (const Sighting& seen : TRY(trace.next(std::chrono::milliseconds(200)))) {
      if (!sink.full()) TRY(sink.take(seen));
    }
  }
  return trace.lost();
}

}  // namespace merino::ctl
