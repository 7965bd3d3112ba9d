// Plays the proxy of flannel's udp backend: what is routed to the TUN device leaves as the payload of a UDP datagram to the node that has
// the destination's subnet, the bare IPv4 packet without a header; what comes in such a datagram goes into the device. Each way takes one
// from the TTL.
//
//   flannel_udp ADDRESS PORT TUN-ADDRESS MTU ROUTES-FILE     prints "ready" when the device flannel0 is there
//
// The file has a line "10.244.1.0/24 192.168.88.12" for each peer; SIGHUP has it read again.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/fd.h"

namespace {

volatile std::sig_atomic_t reload = 1;

[[noreturn]] void die(const std::string& what) {
  fmt::print(stderr, "{}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

struct Route {
  merino::Prefix subnet;
  merino::IpAddress node;
};

std::vector<Route> read_routes(const char* path) {
  std::vector<Route> routes;
  std::ifstream file(path);
  std::string subnet;
  std::string node;
  while (file >> subnet >> node) routes.push_back({merino::Prefix::parse(subnet).value(), merino::IpAddress::parse(node).value()});
  return routes;
}

uint16_t checksum(const uint8_t* data, size_t size) {
  uint32_t sum = 0;
  for (size_t i = 0; i < size; i++) sum += i % 2 == 0 ? data[i] << 8U : data[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<uint16_t>(~sum));
}

// False if nothing is left of it.
bool decrement_ttl(iphdr& ip) {
  if (ip.ttl <= 1) return false;
  ip.ttl--;
  // RFC 1624: the word that holds the TTL has become smaller by 0x0100.
  const uint32_t sum = ntohs(ip.check) + 0x100U;
  ip.check = htons(static_cast<uint16_t>(sum + (sum >> 16)));
  return true;
}

merino::Fd open_tun() {
  merino::Fd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!tun) die("open /dev/net/tun");
  ifreq request{};
  std::strcpy(request.ifr_name, "flannel%d");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(tun.get(), TUNSETIFF, &request) != 0) die("make flannel0");
  return tun;
}

sockaddr_in endpoint(const merino::IpAddress& address, uint16_t port) {
  sockaddr_in end{};
  end.sin_family = AF_INET;
  end.sin_port = htons(port);
  std::memcpy(&end.sin_addr, address.network_bytes(), sizeof(end.sin_addr));
  return end;
}

merino::Fd open_socket(const merino::IpAddress& address, uint16_t port) {
  merino::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_in local = endpoint(address, port);
  const int size = 8 << 20;  // a busy machine must not lose what it has no time to read
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) die("bind the UDP port");
  return fd;
}

class Proxy {
 public:
  Proxy(const merino::IpAddress& address, uint16_t port, const merino::IpAddress& tun_address, size_t mtu, const char* routes_path)
      : port_(port),
        tun_address_(tun_address),
        buffer_(mtu),
        routes_path_(routes_path),
        tun_(open_tun()),
        socket_(open_socket(address, port)) {}

  [[noreturn]] void run(const sigset_t& while_waiting) {
    for (;;) {
      if (reload != 0) {
        reload = 0;
        routes_ = read_routes(routes_path_);
      }
      pollfd fds[2] = {{tun_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
      if (::ppoll(fds, 2, nullptr, &while_waiting) < 0) continue;
      if (fds[0].revents != 0) {
        while (send_one()) continue;
      }
      if (fds[1].revents != 0) {
        while (receive_one()) continue;
      }
    }
  }

 private:
  iphdr* header(ssize_t size) {
    auto* ip = reinterpret_cast<iphdr*>(buffer_.data());
    return size >= static_cast<ssize_t>(sizeof(iphdr)) && ip->version == 4 ? ip : nullptr;
  }

  // From the device to the node that has the destination. False: there is none waiting.
  bool send_one() {
    const ssize_t size = ::read(tun_.get(), buffer_.data(), buffer_.size());
    if (size < 0) return false;
    iphdr* ip = header(size);
    if (ip == nullptr) return true;
    const auto to = merino::IpAddress::from_network(merino::Family::v4, &ip->daddr);
    const auto route = std::find_if(routes_.begin(), routes_.end(), [&](const Route& one) { return one.subnet.contains(to); });
    if (route == routes_.end()) {
      refuse(*ip, size);
    } else if (decrement_ttl(*ip)) {
      const sockaddr_in node = endpoint(route->node, port_);
      ::sendto(socket_.get(), buffer_.data(), static_cast<size_t>(size), 0, reinterpret_cast<const sockaddr*>(&node), sizeof(node));
    }
    return true;
  }

  // What is longer than the device's MTU is cut off.
  bool receive_one() {
    const ssize_t size = ::recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
    if (size < 0) return errno == ECONNREFUSED;
    iphdr* ip = header(size);
    if (ip != nullptr && decrement_ttl(*ip) && ::write(tun_.get(), buffer_.data(), static_cast<size_t>(size)) < 0) return true;
    return true;
  }

  // "Network unreachable", into the device.
  void refuse(const iphdr& about, ssize_t size) {
    struct {
      iphdr ip;
      icmphdr icmp;
      uint8_t quoted[sizeof(iphdr) + 8];
    } answer{};
    answer.ip.version = 4;
    answer.ip.ihl = 5;
    answer.ip.ttl = 8;
    answer.ip.protocol = IPPROTO_ICMP;
    answer.ip.tot_len = htons(sizeof(answer));
    std::memcpy(&answer.ip.saddr, tun_address_.network_bytes(), sizeof(answer.ip.saddr));
    answer.ip.daddr = about.saddr;
    answer.ip.check = checksum(reinterpret_cast<const uint8_t*>(&answer.ip), sizeof(answer.ip));
    answer.icmp.type = ICMP_DEST_UNREACH;
    answer.icmp.code = ICMP_NET_UNREACH;
    std::memcpy(answer.quoted, buffer_.data(), std::min(sizeof(answer.quoted), static_cast<size_t>(size)));
    answer.icmp.checksum = checksum(reinterpret_cast<const uint8_t*>(&answer.icmp), sizeof(answer) - sizeof(answer.ip));
    if (::write(tun_.get(), &answer, sizeof(answer)) < 0) die("write to flannel0");
  }

  const uint16_t port_;
  const merino::IpAddress tun_address_;
  std::vector<uint8_t> buffer_;
  const char* const routes_path_;
  merino::Fd tun_;
  merino::Fd socket_;
  std::vector<Route> routes_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    fmt::print(stderr, "usage: flannel_udp ADDRESS PORT TUN-ADDRESS MTU ROUTES-FILE\n");
    return 2;
  }
  sigset_t hang_up;
  sigset_t before;
  sigemptyset(&hang_up);
  sigaddset(&hang_up, SIGHUP);
  sigprocmask(SIG_BLOCK, &hang_up, &before);  // it comes while ppoll waits, or not at all
  ::signal(SIGHUP, [](int) { reload = 1; });
  Proxy proxy(merino::IpAddress::parse(argv[1]).value(), static_cast<uint16_t>(std::stoul(argv[2])),
              merino::IpAddress::parse(argv[3]).value(), std::stoul(argv[4]), argv[5]);
  fmt::print("ready\n");
  std::fflush(stdout);
  proxy.run(before);
}
