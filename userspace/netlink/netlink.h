// The only user of libnl: links, addresses, routes and neighbours of the current network namespace.
//
// Every "ensure" reads first and changes only what differs; it returns true if anything had to be changed. Errors name the object
// and what was tried. Interfaces are named by index where they exist already, so that a rename between two calls does no harm.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"

struct nl_sock;

namespace merino {

struct Link {
  unsigned index = 0;
  std::string name;
  std::string kind;  // "vxlan", "veth", "bridge", ...; empty for plain devices
  MacAddress mac;
  int mtu = 0;
  unsigned flags = 0;     // IFF_*
  unsigned peer_index = 0;  // IFLA_LINK: the veth's other end, a VLAN's parent
  unsigned master_index = 0;
  bool ethernet = false;  // ARPHRD_ETHER

  [[nodiscard]] bool is_up() const;        // IFF_UP
  [[nodiscard]] bool is_loopback() const;  // IFF_LOOPBACK
};

struct LinkAddress {
  unsigned link_index = 0;
  Prefix prefix;
  uint8_t scope = 0;   // RT_SCOPE_*
  uint32_t flags = 0;  // IFA_F_*
};

struct Route {
  Prefix destination;                // 0.0.0.0/0 for a default route
  std::optional<IpAddress> gateway;  // none: on-link
  std::optional<IpAddress> source;   // preferred source
  unsigned link_index = 0;
  uint8_t scope = 0;  // RT_SCOPE_UNIVERSE with a gateway, RT_SCOPE_LINK without
  int mtu = 0;        // 0: the device's

  bool operator==(const Route&) const = default;
};

struct VxlanSpec {
  std::string name;
  uint16_t port = 0;  // host order
  MacAddress mac;
  int mtu = 0;
};

struct VethSpec {
  std::string host_name;
  std::string pod_name;  // final name, given inside the pod's namespace
  MacAddress host_mac;
  MacAddress pod_mac;
  int mtu = 0;
};

// One rtnetlink socket, bound to the namespace in which it was opened (a thread that enters another namespace afterwards does not move it).
class Netlink {
 public:
  static Result<Netlink> open();
  Netlink(Netlink&&) noexcept;
  Netlink& operator=(Netlink&&) noexcept;
  ~Netlink();

  // --- links
  Result<std::vector<Link>> links();
  Result<std::optional<Link>> link_by_name(const std::string& name);  // nullopt: no such interface
  Result<std::optional<Link>> link_by_index(unsigned index);
  // The external-mode (collect metadata), NOARP VXLAN device with this port, MAC and MTU, and up. A device of that name which is
  // something else, or has another port or mode, is deleted and made anew; another MAC or MTU is set in place.
  // exists (with the remedy) when another VXLAN device, named in the text, holds the UDP port.
  struct VxlanResult { unsigned index; bool changed; };
  Result<VxlanResult> ensure_vxlan(const VxlanSpec& spec);
  // Makes a veth pair whose pod side is born in the namespace behind `netns_fd` with its final name and MAC; both down. exists if a name is taken.
  Status create_veth(const VethSpec& spec, int netns_fd);
  Status set_link_up(unsigned index);
  Status set_link_mtu(unsigned index, int mtu);
  Status delete_link(unsigned index);  // gone already: success

  // --- addresses
  Result<std::vector<LinkAddress>> addresses(std::optional<unsigned> link_index = std::nullopt);
  // `flags`: IFA_F_NOPREFIXROUTE, IFA_F_NODAD, ...
  Result<bool> ensure_address(unsigned link_index, const Prefix& prefix, uint32_t flags = 0);
  Status remove_address(unsigned link_index, const Prefix& prefix);

  // --- routes (table main)
  Result<std::vector<Route>> routes(Family family);
  // Exactly this route for its destination (replaces one that differs, same metric 0).
  Result<bool> ensure_route(const Route& route);
  Status remove_route(const Route& route);  // gone already: success
  // RTM_GETROUTE: which interface, source and gateway the kernel would use. unavailable: unreachable.
  Result<Route> route_to(const IpAddress& destination);

  // --- neighbours
  Result<bool> ensure_neighbour(unsigned link_index, const IpAddress& address, const MacAddress& mac);  // NUD_PERMANENT

 private:
  struct SocketCloser { void operator()(nl_sock* socket) const; };
  explicit Netlink(nl_sock* socket);
  std::unique_ptr<nl_sock, SocketCloser> socket_;
};

// Link, address, route and neighbour changes of the current namespace, as "something changed": the receiver compares state anyway.
class NetlinkEvents {
 public:
  static Result<NetlinkEvents> open();
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Reads what is pending; true if there was any (also on ENOBUFS: events were lost, so something happened).
  Result<bool> drain();

 private:
  explicit NetlinkEvents(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// The calling thread inside another network namespace, until destruction.
class NamespaceGuard {
 public:
  // not_found when `netns_fd`'s namespace cannot be entered.
  static Result<NamespaceGuard> enter(int netns_fd);
  NamespaceGuard(NamespaceGuard&&) noexcept = default;
  NamespaceGuard& operator=(NamespaceGuard&&) noexcept = default;
  ~NamespaceGuard();

 private:
  explicit NamespaceGuard(Fd original) : original_(std::move(original)) {}
  Fd original_;
};

// Opens a network namespace by path ("/run/netns/x", "/proc/PID/ns/net"); not_found if missing or not a namespace (nsfs is checked).
Result<Fd> open_network_namespace(const std::string& path);

// Sets /proc/sys/<key with dots as slashes>; reads first. true if it had to be changed. "net.ipv4.conf.merino0.rp_filter": a name with
// dots in it (eth0.100) is written with '/' instead: "net/ipv4/conf/eth0.100/rp_filter".
Result<bool> ensure_sysctl(const std::string& key, const std::string& value);

}  // namespace merino
