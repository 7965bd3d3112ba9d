#include <linux/netlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>

#include "netlink.h"

namespace merino {

void Netlink::SocketCloser::operator()(nl_sock* socket) const { nl_socket_free(socket); }

Netlink::Netlink(nl_sock* socket) : socket_(socket) {}
Netlink::Netlink(Netlink&&) noexcept = default;
Netlink& Netlink::operator=(Netlink&&) noexcept = default;
Netlink::~Netlink() = default;

Result<Netlink> Netlink::open() {
  Netlink netlink(nl_socket_alloc());
  nl_sock* socket = netlink.socket_.get();
  if (socket == nullptr) return fail_errno(ENOMEM, "open a netlink socket");
  errno = 0;
  if (const int error = nl_connect(socket, NETLINK_ROUTE); error != 0) {
    // libnl has no word for most of what a system call can say.
    if (errno != 0) return fail_errno(errno, "open a netlink socket");
    return fail(ErrorKind::system, "open a netlink socket: {}", nl_geterror(error));
  }
  nl_socket_disable_auto_ack(socket);
  // Filters in dump requests are obeyed, refusals come with the kernel's words and without a copy of the request. Where a kernel lacks
  // one of them the answers are still right: dumps are filtered here too.
  for (const int option : {NETLINK_GET_STRICT_CHK, NETLINK_EXT_ACK, NETLINK_CAP_ACK}) {
    const int on = 1;
    (void)setsockopt(nl_socket_get_fd(socket), SOL_NETLINK, option, &on, sizeof on);
  }
  return netlink;
}

}  // namespace merino
