#include "netlink/request.h"

#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>

namespace merino {
namespace {

constexpr size_t kReceiveSize = 32768;  // the kernel fills dumps up to this

ErrorKind kind_of(int kernel_errno) {
  switch (kernel_errno) {
    case ENODEV:
    case ENOENT:
    case ESRCH:
    case ENXIO:
      return ErrorKind::not_found;
    case EEXIST:
    case EADDRINUSE:
      return ErrorKind::exists;
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
      return ErrorKind::unsupported;
    case EINVAL:
    case ERANGE:
      return ErrorKind::invalid;
    default:
      return ErrorKind::system;
  }
}

tl::unexpected<Error> kernel_error(int kernel_errno, const std::string& kernel_text, std::string_view what) {
  auto error = fail_errno(kernel_errno, "{}{}{}", what, kernel_text.empty() ? "" : ": ", kernel_text);
  error.value().kind = kind_of(kernel_errno);
  if (kernel_errno == EPERM) return with_remedy(std::move(error), "run as root (CAP_NET_ADMIN is needed)");
  return error;
}

// The kernel's words are an attribute behind the echoed request.
std::string kernel_text_of(const nlmsghdr& message) {
  if ((message.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return "";
  const auto& error = family_header<nlmsgerr>(message);
  size_t skip = sizeof error;
  if ((message.nlmsg_flags & NLM_F_CAPPED) == 0) skip += error.msg.nlmsg_len - NLMSG_HDRLEN;
  return Attributes(message, skip).text(NLMSGERR_ATTR_MSG);
}

// One NLMSG_ERROR (0 is the acknowledgement) or NLMSG_DONE (which carries the error of a dump).
Status final_status(const nlmsghdr& message, std::string_view what) {
  if (nlmsg_datalen(&message) < static_cast<int>(sizeof(int))) return ok();
  const int code = -family_header<int>(message);
  if (code == 0) return ok();
  const bool has_text = message.nlmsg_type == NLMSG_ERROR && nlmsg_datalen(&message) >= static_cast<int>(sizeof(nlmsgerr));
  return kernel_error(code, has_text ? kernel_text_of(message) : "", what);
}

Result<size_t> receive(nl_sock* socket, void* buffer, size_t size, std::string_view what) {
  for (;;) {
    const ssize_t length = recv(nl_socket_get_fd(socket), buffer, size, MSG_TRUNC);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return fail_errno(errno, "{}: read the kernel's answer", what);
    if (static_cast<size_t>(length) > size) return fail_errno(EMSGSIZE, "{}: read the kernel's answer of {} bytes", what, length);
    return static_cast<size_t>(length);
  }
}

}  // namespace

Request& Request::put_bytes(int attribute, const void* data, size_t size) {
  if (!message_ || nla_put(message_.get(), attribute, static_cast<int>(size), data) != 0) complete_ = false;
  return *this;
}

Attributes::Attributes(const nlmsghdr& message, size_t header_size) {
  const int size = static_cast<int>(header_size);
  if (nlmsg_datalen(&message) < size) return;
  nla_parse(table_.data(), kMaxAttribute, nlmsg_attrdata(&message, size), nlmsg_attrlen(&message, size), nullptr);
}

Attributes Attributes::nest(int attribute) const {
  Attributes inner;
  if (const nlattr* found = find(attribute, 0)) {
    nla_parse(inner.table_.data(), kMaxAttribute, static_cast<nlattr*>(nla_data(found)), nla_len(found), nullptr);
  }
  return inner;
}

const nlattr* Attributes::find(int attribute, int min_size) const {
  const nlattr* found = table_.at(static_cast<size_t>(attribute));
  return found != nullptr && nla_len(found) >= min_size ? found : nullptr;
}

std::string Attributes::text(int attribute) const {
  const nlattr* found = find(attribute, 0);
  if (found == nullptr) return "";
  const char* text = static_cast<const char*>(nla_data(found));
  return {text, strnlen(text, static_cast<size_t>(nla_len(found)))};
}

std::optional<IpAddress> Attributes::address(int attribute, Family family) const {
  const nlattr* found = find(attribute, address_bits(family) / 8);
  if (found == nullptr) return std::nullopt;
  return IpAddress::from_network(family, nla_data(found));
}

MacAddress Attributes::mac(int attribute) const {
  std::array<uint8_t, 6> bytes{};
  const nlattr* found = find(attribute, bytes.size());
  // Tunnels have link addresses of 4 or 16 bytes.
  if (found == nullptr || static_cast<size_t>(nla_len(found)) != bytes.size()) return {};
  memcpy(bytes.data(), nla_data(found), bytes.size());
  return MacAddress(bytes);
}

Status exchange(nl_sock* socket, Request& request, std::string_view what, const std::function<void(const nlmsghdr&)>& on_message) {
  if (!request.complete()) return fail_errno(EMSGSIZE, "{}: build the netlink message", what);
  nlmsghdr& sent = *nlmsg_hdr(request.message());
  sent.nlmsg_seq = NL_AUTO_SEQ;  // a request that is sent again is a new one
  nl_complete_msg(socket, request.message());
  if (send(nl_socket_get_fd(socket), &sent, sent.nlmsg_len, 0) < 0) return fail_errno(errno, "{}: send to the kernel", what);

  const auto buffer = std::make_unique_for_overwrite<char[]>(kReceiveSize);
  for (;;) {
    int left = static_cast<int>(TRY(receive(socket, buffer.get(), kReceiveSize, what)));
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.get()); nlmsg_ok(message, left); message = nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != sent.nlmsg_seq) continue;  // left over from an exchange that failed half-way
      if (message->nlmsg_type == NLMSG_ERROR) return final_status(*message, what);
      if (on_message) on_message(*message);
      if (message->nlmsg_type == NLMSG_DONE) return final_status(*message, what);
      if ((sent.nlmsg_flags & NLM_F_ACK) == 0 && (message->nlmsg_flags & NLM_F_MULTI) == 0) return ok();
    }
  }
}

}  // namespace merino
