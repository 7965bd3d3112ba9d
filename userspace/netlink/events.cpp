#include "netlink/events.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace merino {

namespace {

unsigned groups_of(NetlinkTopic topic) {
  switch (topic) {
    case NetlinkTopic::network:
      // RTMGRP_TC: below clsact the programs are filters of a qdisc.
      return RTMGRP_LINK | RTMGRP_TC | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE;
    case NetlinkTopic::neighbours:
    case NetlinkTopic::lost_neighbours:
      return RTMGRP_NEIGH;
    case NetlinkTopic::packet_filter:
      return 1U << (NFNLGRP_NFTABLES - 1);
  }
  return 0;
}

}  // namespace

Result<NetlinkEvents> NetlinkEvents::open(NetlinkTopic topic) {
  const int protocol = topic == NetlinkTopic::packet_filter ? NETLINK_NETFILTER : NETLINK_ROUTE;
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (!socket) return fail_errno(errno, "open a socket for netlink events");

  // Enough for the burst of a few hundred pods; a lost event is noticed anyway. Without the privilege the system's limit holds.
  const int buffer_size = 1 << 20;
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_size, sizeof buffer_size) != 0) {
    (void)setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &buffer_size, sizeof buffer_size);
  }
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = groups_of(topic);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0) {
    return fail_errno(errno, "subscribe to netlink events");
  }
  return NetlinkEvents(std::move(socket), topic);
}

Result<bool> NetlinkEvents::drain() {
  bool any = false;
  for (;;) {
    std::array<char, 64> start{};  // what else it says does not matter; the rest of the message is dropped
    const ssize_t size = recv(fd_.get(), start.data(), start.size(), 0);
    if (size >= static_cast<ssize_t>(sizeof(nlmsghdr))) {
      nlmsghdr header{};
      std::memcpy(&header, start.data(), sizeof header);
      any |= topic_ != NetlinkTopic::lost_neighbours || header.nlmsg_type == RTM_DELNEIGH;
    } else if (size >= 0 || errno == ENOBUFS) {
      any = true;
    } else if (errno == EAGAIN) {
      return any;
    } else if (errno != EINTR) {
      return fail_errno(errno, "read netlink events");
    }
  }
}

}  // namespace merino
