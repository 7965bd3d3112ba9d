// flood: puts forged VXLAN packets onto a wire. Their sender is no peer of anybody.
//
//   flood INTERFACE MAC SENDER ADDRESS RATE MILLISECONDS      prints {"sent": packets, "seconds": …}
//   flood forward FROM TO      prints "ready", and carries everybody else's frames from one wire to the other, bare as well, until it is
//   killed
//
// RATE is in packets a second; 0: as fast as one CPU can.
//
// INTERFACE is the near end of the wire (a veth); MAC and ADDRESS are the victim's at its far end. What arrives there is bare frames, as
// from a network card: no skb is made of them here, by BPF_PROG_TEST_RUN with live frames (Linux 5.18). So the receiver pays what it would
// pay.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fmt/core.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/address.h"
#include "base/fd.h"
#include "pace.skel.h"

namespace {

constexpr uint16_t kVxlanPort = 8472;
constexpr uint32_t kVni = 1;
constexpr int kAtOnce = 1 << 19;  // each call waits for the kernel to give its buffers back
constexpr uint32_t kBatch = 64;
constexpr uint64_t kSecond = 1'000'000'000;  // in nanoseconds

// The smallest UDP packet from one address of the pod network to another, in a tunnel.
struct Forgery {
  ether_header ethernet{};
  iphdr ip{};
  udphdr udp{};
  uint32_t vxlan_flags = htonl(0x08000000);
  uint32_t vni = htonl(kVni << 8U);
  ether_header inner_ethernet{};
  iphdr inner_ip{};
  udphdr inner_udp{};
} __attribute__((packed));

void fill_ip(iphdr& ip, size_t length, const char* from, const char* to) {
  ip.version = 4;
  ip.ihl = 5;
  ip.ttl = 64;
  ip.protocol = IPPROTO_UDP;
  ip.tot_len = htons(static_cast<uint16_t>(length));
  ip.saddr = ::inet_addr(from);
  ip.daddr = ::inet_addr(to);
  uint32_t sum = 0;
  uint16_t words[sizeof(ip) / 2];
  std::memcpy(words, &ip, sizeof(ip));
  for (const uint16_t word : words) sum += word;
  sum = (sum & 0xffffU) + (sum >> 16U);
  ip.check = static_cast<uint16_t>(~(sum + (sum >> 16U)));
}

void fill_udp(udphdr& udp, size_t length, uint16_t port) {
  udp.source = htons(50000);
  udp.dest = htons(port);
  udp.len = htons(static_cast<uint16_t>(length));
}

Forgery forge(const merino::MacAddress& mac, const char* sender, const char* address) {
  Forgery packet;
  const size_t inner = sizeof(packet.inner_ip) + sizeof(packet.inner_udp);
  const size_t payload = sizeof(packet.vxlan_flags) + sizeof(packet.vni) + sizeof(packet.inner_ethernet) + inner;
  iphdr ip{};
  fill_ip(ip, sizeof(iphdr) + sizeof(udphdr) + payload, sender, address);
  packet.ip = ip;
  udphdr udp{};
  fill_udp(udp, sizeof(udphdr) + payload, kVxlanPort);
  packet.udp = udp;
  std::copy(mac.bytes().begin(), mac.bytes().end(), packet.ethernet.ether_dhost);
  packet.ethernet.ether_shost[0] = 2;
  packet.ethernet.ether_type = htons(ETHERTYPE_IP);
  packet.inner_ethernet = packet.ethernet;
  fill_ip(ip, inner, "10.244.200.2", "10.244.1.2");
  packet.inner_ip = ip;
  fill_udp(udp, sizeof(udphdr), 80);
  packet.inner_udp = udp;
  return packet;
}

int fail(const char* what) {
  fmt::print(stderr, "flood: {}: {}\n", what, std::strerror(errno));
  return 1;
}

struct PaceCloser {
  void operator()(pace_bpf* pace) const { pace_bpf__destroy(pace); }
};
using Pace = std::unique_ptr<pace_bpf, PaceCloser>;

Pace load_pace(unsigned ifindex, uint64_t rate) {
  Pace pace(pace_bpf__open());
  if (!pace) return pace;
  pace->rodata->ifindex = ifindex;
  pace->rodata->interval_ns = rate > 0 ? kSecond / rate : 0;
  if (pace_bpf__load(pace.get()) != 0) pace.reset();
  return pace;
}

int flood(const Pace& pace, const Forgery& packet, std::chrono::milliseconds length) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  while (Clock::now() < begin + length) {
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = &packet;
    options.data_size_in = sizeof(packet);
    options.repeat = kAtOnce;
    options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    options.batch_size = kBatch;
    if (bpf_prog_test_run_opts(bpf_program__fd(pace->progs.pace), &options) != 0) return fail("send");
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  fmt::print("{{\"sent\": {}, \"seconds\": {:.3f}}}\n", pace->bss->sent, seconds);
  return 0;
}

int forward(const char* from, const char* to) {
  const Pace pace = load_pace(::if_nametoindex(to), 0);
  if (!pace) return fail("load the program");
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags = XDP_FLAGS_DRV_MODE;
  const int program = bpf_program__fd(pace->progs.forward);
  const merino::Fd link(bpf_link_create(program, static_cast<int>(::if_nametoindex(from)), BPF_XDP, &options));
  if (!link) return fail(from);
  fmt::print("ready\n");
  std::fflush(stdout);
  ::pause();
  return 0;
}

uint64_t number(const char* text) {
  uint64_t value = 0;
  const std::string_view digits = text;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "forward") return forward(argv[2], argv[3]);
  const auto mac = merino::MacAddress::parse(argc == 7 ? argv[2] : "");
  if (!mac) {
    fmt::print(stderr, "usage: flood INTERFACE MAC SENDER ADDRESS RATE MILLISECONDS | flood forward FROM TO\n");
    return 2;
  }
  const unsigned ifindex = ::if_nametoindex(argv[1]);
  if (ifindex == 0) return fail(argv[1]);
  const Pace pace = load_pace(ifindex, number(argv[5]));
  if (!pace) return fail("load the program");
  return flood(pace, forge(*mac, argv[3], argv[4]), std::chrono::milliseconds(number(argv[6])));
}
