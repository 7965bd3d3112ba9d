// Links, addresses, routes and neighbours of the current network namespace. The only user of libnl.
//
// Every "ensure" reads first and changes only what differs; it returns true if anything had to be changed. Errors name the object
// and what was tried, and carry the kernel's own words where it gives any. Interfaces are named by index where they exist already, so
// that a rename between two calls does no harm.
//
// Nothing that is called for a pod grows with the number of pods: single objects are asked for by key, dumps are filtered by the kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "netlink/events.h"
#include "netlink/namespace.h"
#include "netlink/sysctl.h"

struct nl_sock;

namespace merino {

struct Link {
  unsigned index = 0;
  std::string name;
  std::string kind;  // "vxlan", "veth", "bridge", ...; empty for plain devices
  MacAddress mac;
  int mtu = 0;
  unsigned flags = 0;       // IFF_*
  unsigned peer_index = 0;  // IFLA_LINK: the veth's other end, a VLAN's parent
  unsigned master_index = 0;
  std::optional<int> peer_netns;  // the namespace's number in this one, when peer_index is in another
  std::string qdisc;
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
  std::optional<IpAddress> gateway;  // of the destination's family; none: on-link
  std::optional<IpAddress> source;   // preferred source
  unsigned link_index = 0;           // 0: several next hops
  uint8_t scope = 0;                 // RT_SCOPE_UNIVERSE with a gateway, RT_SCOPE_LINK without
  int mtu = 0;                       // 0: the device's

  bool operator==(const Route&) const = default;
};

// later: a device that is made stays down, and may share its port with another one until it is set up; one that is up stays up.
enum class Activation { now, later };

struct Neighbour {
  IpAddress address;
  MacAddress mac;
  bool operator==(const Neighbour&) const = default;
};

struct VxlanSpec {
  std::string name;
  uint16_t port = 0;  // host order
  MacAddress mac;
  int mtu = 0;
  Activation activation = Activation::now;
};

struct VethEnd {
  Link link;
  std::vector<Prefix> addresses;
};

struct VethSpec {
  std::string host_name;
  std::string pod_name;  // final name, given inside the pod's namespace
  MacAddress host_mac;
  MacAddress pod_mac;
  int mtu = 0;
};

// The name of one of this namespace's interfaces; nullopt if there is none. Takes no lock in the kernel, so that it can be asked for each
// of hundreds.
std::optional<std::string> link_name(unsigned index);

// One rtnetlink socket, bound to the namespace in which it was opened (a thread that enters another namespace afterwards does not move
// it). For one thread at a time.
class Netlink {
 public:
  static Result<Netlink> open();
  Netlink(Netlink&&) noexcept;
  Netlink& operator=(Netlink&&) noexcept;
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;
  ~Netlink();

  // --- links
  Result<std::vector<Link>> links();
  // nullopt: no such interface. An alternative name is found too, and the Link then carries the real one.
  Result<std::optional<Link>> link_by_name(const std::string& name);
  Result<std::optional<Link>> link_by_index(unsigned index);
  // The external-mode (collect metadata), NOARP VXLAN device with this port, MAC and MTU, and up unless that is for later. A device of that
  // name which is something else, or has another port or mode, is deleted and made anew; another MAC or MTU is set in place. exists (with
  // the remedy) when another VXLAN device, named in the text, holds the UDP port: then nothing was changed; or when a process holds it,
  // which shows only when the device is set up: a device that was made for that is deleted again.
  struct VxlanResult {
    unsigned index;
    bool changed;
  };
  Result<VxlanResult> ensure_vxlan(const VxlanSpec& spec);
  // Makes a veth pair whose pod side is born in the namespace behind `netns_fd` with its final name and MAC; both down. exists if a
  // name is taken (the text says which and where).
  Status create_veth(const VethSpec& spec, int netns_fd);
  // The end of a veth that is in another namespace. nullopt: it is no such veth, or gone.
  Result<std::optional<VethEnd>> veth_peer(const Link& host_side);
  // A bridge with a MAC of its own, which stays as ports come and go; down. Its index.
  Result<unsigned> create_bridge(const std::string& name);
  // A port of the bridge, in hairpin mode: frames may go back by the port that they came from.
  Status set_bridge_port(unsigned index, unsigned bridge_index);
  Status set_link_up(unsigned index);
  Status set_link_down(unsigned index);
  Status set_link_mtu(unsigned index, int mtu);
  Status delete_link(unsigned index);  // gone already: success

  // --- addresses
  Result<std::vector<LinkAddress>> addresses(std::optional<unsigned> link_index = std::nullopt);
  // `flags`: IFA_F_NOPREFIXROUTE, IFA_F_NODAD, ... The same address with another prefix length, a lifetime or a failed duplicate
  // check is replaced; other addresses stay.
  Result<bool> ensure_address(unsigned link_index, const Prefix& prefix, uint32_t flags = 0);
  Status remove_address(unsigned link_index, const Prefix& prefix);  // gone already: success

  // --- routes (unicast, table main)
  Result<std::vector<Route>> routes(Family family);
  // Those that may lead over one interface: its own, and those with several next hops.
  Result<std::vector<Route>> routes_over(unsigned link_index, Family family);
  // Exactly this route for its destination (replaces one that differs, same metric 0). IPv6 has no scopes: there it is not compared.
  Result<bool> ensure_route(const Route& route);
  // By destination, interface and gateway if one is given. Gone already: success.
  Status remove_route(const Route& route);
  // RTM_GETROUTE: which interface, source and gateway the kernel would use. unavailable: unreachable.
  Result<Route> route_to(const IpAddress& destination);

  // --- a routing table beside main
  // Makes the table have exactly these IPv6 routes (gateway, source and MTU as they say), with the MTU locked: a "packet too big" does not
  // change it. True if anything had to be changed.
  Result<bool> ensure_locked_routes(uint32_t table, const std::vector<Route>& routes);
  // The IPv6 rule of this priority: UDP packets of this host's own to `port` go by `table`, and by main where that has no route.
  Result<bool> ensure_udp_rule(uint32_t priority, uint32_t table, uint16_t port);
  Status remove_rule(uint32_t priority, uint32_t table);  // gone already: success

  // Are there rules beside the kernel's own three? Then main does not say alone where a packet goes.
  Result<bool> has_policy_rules(Family family);

  // --- neighbours
  Result<bool> ensure_neighbour(unsigned link_index, const IpAddress& address, const MacAddress& mac);  // NUD_PERMANENT
  // Those of one interface that have a MAC address to send to.
  Result<std::vector<Neighbour>> neighbours(unsigned link_index, Family family);
  // The host answers on this interface who asks for one of these addresses (IPv6 proxy entries; the setting proxy_ndp must be on), and for
  // no other of `network`.
  Result<bool> ensure_proxies(unsigned link_index, const Prefix& network, const std::vector<IpAddress>& addresses);
  // Lets the kernel find a neighbour that it does not have, as a packet to it would; does not wait. The answer is an event. Not for one
  // that it has: a permanent entry would lose its MAC address.
  Status probe_neighbour(unsigned link_index, const IpAddress& address);

 private:
  struct SocketCloser {
    void operator()(nl_sock* socket) const;
  };
  explicit Netlink(nl_sock* socket);
  std::unique_ptr<nl_sock, SocketCloser> socket_;
};

}  // namespace merino
