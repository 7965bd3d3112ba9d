#include "netlink/events.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace merino {

Result<NetlinkEvents> NetlinkEvents::open(NetlinkTopic topic) {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return fail_errno(errno, "open a socket for netlink events");

  // Enough for the burst of a few hundred pods; a lost event is noticed anyway. Without the privilege the system's limit holds.
  const int buffer_size = 1 << 20;
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_size, sizeof buffer_size) != 0) {
    (void)setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &buffer_size, sizeof buffer_size);
  }
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = topic == NetlinkTopic::neighbours
                         ? RTMGRP_NEIGH
                         : RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0) {
    return fail_errno(errno, "subscribe to netlink events");
  }
  return NetlinkEvents(std::move(socket));
}

Result<bool> NetlinkEvents::drain() {
  bool any = false;
  for (;;) {
    std::array<char, 64> start{};  // what it says does not matter; the rest of the message is dropped
    if (recv(fd_.get(), start.data(), start.size(), 0) >= 0 || errno == ENOBUFS) {
      any = true;
    } else if (errno == EAGAIN) {
      return any;
    } else if (errno != EINTR) {
      return fail_errno(errno, "read netlink events");
    }
  }
}

}  // namespace merino
