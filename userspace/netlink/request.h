// One rtnetlink request, its answer, and the attributes of a message. Internal to netlink/.
#pragma once

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/result.h"

struct nl_sock;

namespace merino {

// Built attribute by attribute. What does not fit is noticed when it is sent.
class Request {
 public:
  // `header` is the family header of the message type: ifinfomsg, ifaddrmsg, rtmsg, ndmsg.
  template <class Header>
  Request(int type, int flags, const Header& header) : message_(nlmsg_alloc_simple(type, flags)) {
    append(header);
  }

  template <class T>
  Request& put(int attribute, const T& value) {
    return put_bytes(attribute, &value, sizeof value);
  }
  Request& put(int attribute, const std::string& text) { return put_bytes(attribute, text.c_str(), text.size() + 1); }
  Request& put(int attribute, const IpAddress& address) { return put_bytes(attribute, address.network_bytes(), address.network_size()); }
  Request& put(int attribute, const MacAddress& mac) { return put_bytes(attribute, mac.bytes().data(), mac.bytes().size()); }

  // `body()` puts the attributes that belong inside.
  template <class Body>
  Request& nest(int attribute, Body body) {
    nlattr* start = message_ ? nla_nest_start(message_.get(), attribute) : nullptr;
    body();
    if (start == nullptr || nla_nest_end(message_.get(), start) != 0) complete_ = false;
    return *this;
  }

  // A bare structure, as VETH_INFO_PEER has in front of its attributes.
  template <class T>
  Request& append(const T& structure) {
    T copy = structure;
    if (!message_ || nlmsg_append(message_.get(), &copy, sizeof copy, NLMSG_ALIGNTO) != 0) complete_ = false;
    return *this;
  }

  [[nodiscard]] nl_msg* message() const { return message_.get(); }
  [[nodiscard]] bool complete() const { return complete_; }

 private:
  Request& put_bytes(int attribute, const void* data, size_t size);

  struct MessageCloser {
    void operator()(nl_msg* message) const { nlmsg_free(message); }
  };
  std::unique_ptr<nl_msg, MessageCloser> message_;
  bool complete_ = true;
};

// The attributes of a received message or of one nest in it. Valid as long as the message is. A missing or too short attribute reads as
// the fallback.
class Attributes {
 public:
  Attributes(const nlmsghdr& message, size_t header_size);
  [[nodiscard]] Attributes nest(int attribute) const;

  [[nodiscard]] bool has(int attribute) const { return find(attribute, 0) != nullptr; }
  template <class T>
  [[nodiscard]] T get(int attribute, T fallback = {}) const {
    if (const nlattr* found = find(attribute, sizeof fallback)) memcpy(&fallback, nla_data(found), sizeof fallback);
    return fallback;
  }
  [[nodiscard]] std::string text(int attribute) const;
  [[nodiscard]] std::optional<IpAddress> address(int attribute, Family family) const;
  [[nodiscard]] MacAddress mac(int attribute) const;

 private:
  static constexpr int kMaxAttribute = 127;

  Attributes() = default;
  [[nodiscard]] const nlattr* find(int attribute, int min_size) const;

  std::array<nlattr*, kMaxAttribute + 1> table_{};
};

template <class Header>
const Header& family_header(const nlmsghdr& message) {
  return *static_cast<const Header*>(nlmsg_data(&message));
}

// Sends the request and reads its answer to the end. `on_message` gets each message of the answer; `what` says in errors what was tried
// ("set merino0 up"). The error carries the kernel's errno, the kind that it means, and the kernel's own text where it gave one.
Status exchange(nl_sock* socket, Request& request, std::string_view what, const std::function<void(const nlmsghdr&)>& on_message = {});

// Every object of a dump for which `parse` gives a value. A dump that was torn by a change meanwhile is asked for again.
template <class T>
Result<std::vector<T>> dump(nl_sock* socket, Request& request, std::string_view what,
                            const std::function<std::optional<T>(const nlmsghdr&)>& parse) {
  constexpr int kAttempts = 10;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::vector<T> found;
    bool torn = false;
    TRY(exchange(socket, request, what, [&](const nlmsghdr& message) {
      torn = torn || (message.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
      if (message.nlmsg_type == NLMSG_DONE) return;
      if (auto object = parse(message)) found.push_back(*std::move(object));
    }));
    if (!torn) return found;
  }
  return fail(ErrorKind::unavailable, "{}: the kernel's tables changed during each of {} attempts", what, kAttempts);
}

inline int kernel_family(Family family) { return family == Family::v4 ? AF_INET : AF_INET6; }

}  // namespace merino
