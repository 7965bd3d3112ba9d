// Links, veth pairs, addresses, neighbours, events, namespaces and kernel settings.
#include <gmock/gmock.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "netlink_fixture.h"

namespace merino::netlink_test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// --- links

using Links = NetlinkTest;

TEST_F(Links, LoopbackIsDescribed) {
  const auto lo = must(netlink().link_by_name("lo"));
  ASSERT_TRUE(lo);
  EXPECT_EQ(lo->index, 1U);
  EXPECT_EQ(lo->kind, "");
  EXPECT_EQ(lo->mtu, 65536);
  EXPECT_TRUE(lo->is_up());
  EXPECT_TRUE(lo->is_loopback());
  EXPECT_FALSE(lo->ethernet);
}

TEST_F(Links, ByNameAndByIndexAreTheSameLink) {
  run_ip("link add d0 address 02:00:00:00:00:07 mtu 1400 type bridge");
  const auto link = must(netlink().link_by_name("d0"));
  ASSERT_TRUE(link);
  EXPECT_EQ(link->name, "d0");
  EXPECT_EQ(link->kind, "bridge");
  EXPECT_EQ(link->mac, mac("02:00:00:00:00:07"));
  EXPECT_EQ(link->mtu, 1400);
  EXPECT_TRUE(link->ethernet);
  EXPECT_FALSE(link->is_up());
  const auto same = must(netlink().link_by_index(link->index));
  ASSERT_TRUE(same);
  EXPECT_EQ(same->name, "d0");
}

TEST_F(Links, NameOfAnIndex) {
  run_ip("link add d0 type bridge");
  EXPECT_EQ(link_name(index_of("d0")), "d0");
  run_ip("link set d0 name d1");
  EXPECT_EQ(link_name(index_of("d1")), "d1");
  EXPECT_FALSE(link_name(0));
  EXPECT_FALSE(link_name(4711));
}

TEST_F(Links, MissingLinkIsNothingAndNoError) {
  EXPECT_FALSE(must(netlink().link_by_name("none")));
  EXPECT_FALSE(must(netlink().link_by_name("")));
  EXPECT_FALSE(must(netlink().link_by_name(std::string(20, 'x'))));
  EXPECT_FALSE(must(netlink().link_by_name(std::string(1000, 'x'))));
  EXPECT_FALSE(must(netlink().link_by_index(4711)));
  EXPECT_FALSE(must(netlink().link_by_index(0)));
}

TEST_F(Links, AlternativeNameLeadsToTheRealOne) {
  make_device("d0");
  run_ip("link property add dev d0 altname a-name-longer-than-fifteen");
  const auto link = must(netlink().link_by_name("a-name-longer-than-fifteen"));
  ASSERT_TRUE(link);
  EXPECT_EQ(link->name, "d0");
}

TEST_F(Links, ListHasEveryLinkOnce) {
  run_ip("link add d1 type veth peer name d2");
  run_ip("link add b0 type bridge");
  run_ip("link set d1 master b0");
  const auto links = must(netlink().links());
  ASSERT_EQ(links.size(), 4U);
  const auto d1 = std::ranges::find(links, "d1", &Link::name);
  ASSERT_NE(d1, links.end());
  EXPECT_EQ(d1->master_index, index_of("b0"));
}

TEST_F(Links, ListOfManyLinksIsComplete) {
  run("for i in $(seq 300); do echo link add d$i type bridge; done | ip -batch -");
  EXPECT_EQ(must(netlink().links()).size(), 301U);
}

TEST_F(Links, UpMtuAndDelete) {
  const unsigned index = make_device("d0");
  must(netlink().set_link_up(index));
  must(netlink().set_link_mtu(index, 1234));
  const auto link = must(netlink().link_by_index(index));
  ASSERT_TRUE(link);
  EXPECT_TRUE(link->is_up());
  EXPECT_EQ(link->mtu, 1234);
  must(netlink().delete_link(index));
  EXPECT_FALSE(must(netlink().link_by_index(index)));
  must(netlink().delete_link(index));
}

TEST_F(Links, ChangesOfMissingLinkAreNotFound) {
  EXPECT_EQ(error_of(netlink().set_link_up(4711)).kind, ErrorKind::not_found);
  const Error error = error_of(netlink().set_link_mtu(4711, 1400));
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_EQ(error.sys_errno, ENODEV);
  EXPECT_THAT(error.message(), HasSubstr("set the MTU of interface 4711 to 1400"));
}

TEST_F(Links, RefusalCarriesTheKernelsWords) {
  const unsigned index = make_device("d0");
  const Error error = error_of(netlink().set_link_mtu(index, -1));
  EXPECT_EQ(error.sys_errno, EINVAL);
  EXPECT_THAT(error.message(), HasSubstr("mtu less than device minimum"));
}

TEST_F(Links, LoopbackCannotBeDeleted) { EXPECT_EQ(error_of(netlink().delete_link(1)).kind, ErrorKind::unsupported); }

TEST_F(Links, WithoutThePrivilegeTheRemedyIsSaid) {
  const unsigned index = make_device("d0");
  auto unprivileged = must(Netlink::open());
  ASSERT_EQ(seteuid(65534), 0);
  const Status refused = unprivileged.set_link_up(index);
  const bool readable = must(unprivileged.link_by_name("d0")).has_value();
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_TRUE(readable);
  const Error error = error_of(refused);
  EXPECT_EQ(error.sys_errno, EPERM);
  EXPECT_THAT(error.remedy, HasSubstr("CAP_NET_ADMIN"));
}

TEST_F(Links, SocketStaysInItsNamespace) {
  make_device("d0");
  const Fd other = new_namespace();
  auto inside = must(in_network_namespace(other.get(), Netlink::open));
  EXPECT_TRUE(must(netlink().link_by_name("d0")));
  EXPECT_FALSE(must(inside.link_by_name("d0")));
}

// --- veth

class Veth : public NetlinkTest {
 protected:
  VethSpec spec{"vethhost", "eth0", mac("02:00:00:00:01:01"), mac("02:00:00:00:01:02"), 1450};
  Fd pod = new_namespace();
};

TEST_F(Veth, BothEndsAreAsOrdered) {
  must(netlink().create_veth(spec, pod.get()));
  const auto host = must(netlink().link_by_name("vethhost"));
  ASSERT_TRUE(host);
  EXPECT_EQ(host->kind, "veth");
  EXPECT_EQ(host->mac, spec.host_mac);
  EXPECT_EQ(host->mtu, 1450);
  EXPECT_FALSE(host->is_up());
  EXPECT_FALSE(must(netlink().link_by_name("eth0")));

  auto inside = must(in_network_namespace(pod.get(), Netlink::open));
  const auto end = must(inside.link_by_name("eth0"));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->mac, spec.pod_mac);
  EXPECT_EQ(end->mtu, 1450);
  EXPECT_FALSE(end->is_up());
  EXPECT_EQ(end->index, host->peer_index);
  EXPECT_EQ(end->peer_index, host->index);
  must(
      run_in_network_namespace(pod.get(), [&] { EXPECT_THAT(run_ip("-d -o link show eth0"), HasSubstr("numtxqueues 1 numrxqueues 1 ")); }));
}

TEST_F(Veth, TakenHostNameIsNamed) {
  make_device("vethhost");
  const Error error = error_of(netlink().create_veth(spec, pod.get()));
  EXPECT_EQ(error.kind, ErrorKind::exists);
  EXPECT_THAT(error.message(), HasSubstr("make veth vethhost: the host has an interface of that name already"));
}

TEST_F(Veth, TakenPodNameIsNamedAndNothingIsLeft) {
  must(netlink().create_veth(spec, pod.get()));
  VethSpec second = spec;
  second.host_name = "vethother";
  const Error error = error_of(netlink().create_veth(second, pod.get()));
  EXPECT_EQ(error.kind, ErrorKind::exists);
  EXPECT_THAT(error.message(), HasSubstr("the pod has an interface eth0 already"));
  EXPECT_FALSE(must(netlink().link_by_name("vethother")));
}

TEST_F(Veth, DescriptorThatIsNoNamespaceIsRefused) {
  const Fd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(error_of(netlink().create_veth(spec, file.get())).kind, ErrorKind::invalid);
  error_of(netlink().create_veth(spec, -1));
  EXPECT_FALSE(must(netlink().link_by_name("vethhost")));
}

TEST_F(Veth, NamesThatTheKernelWouldNotTakeLiterally) {
  for (const char* name : {"", ".", "..", "a/b", "a:b", "a b", "veth%d", "sixteen-letters-"}) {
    VethSpec wrong = spec;
    wrong.host_name = name;
    EXPECT_EQ(error_of(netlink().create_veth(wrong, pod.get())).kind, ErrorKind::invalid) << name;
    wrong = spec;
    wrong.pod_name = name;
    EXPECT_EQ(error_of(netlink().create_veth(wrong, pod.get())).kind, ErrorKind::invalid) << name;
  }
  EXPECT_EQ(must(netlink().links()).size(), 1U);
}

TEST_F(Veth, DeletedPodNamespaceTakesBothEnds) {
  must(netlink().create_veth(spec, pod.get()));
  const unsigned index = index_of("vethhost");
  pod.reset();
  for (int i = 0; i < 600 && must(netlink().link_by_index(index)); ++i) usleep(100000);
  EXPECT_FALSE(must(netlink().link_by_index(index)));
}

// --- addresses

class Addresses : public NetlinkTest {
 protected:
  void SetUp() override {
    NetlinkTest::SetUp();
    device_index = make_device("d0");
    run_ip("link set d0 up");
  }
  std::vector<std::string> present() {
    std::vector<std::string> texts;
    for (const auto& address : must(netlink().addresses(device_index))) texts.push_back(address.prefix.to_string());
    return texts;
  }
  unsigned device_index = 0;
};

TEST_F(Addresses, AddedOnce) {
  EXPECT_TRUE(must(netlink().ensure_address(device_index, prefix("10.1.0.5/24"))));
  EXPECT_FALSE(must(netlink().ensure_address(device_index, prefix("10.1.0.5/24"))));
  EXPECT_TRUE(must(netlink().ensure_address(device_index, prefix("fd00::5/64"), IFA_F_NODAD)));
  EXPECT_FALSE(must(netlink().ensure_address(device_index, prefix("fd00::5/64"), IFA_F_NODAD)));
  EXPECT_THAT(present(), testing::UnorderedElementsAre("10.1.0.5/24", "fd00::5/64"));
  EXPECT_THAT(run_ip("-o addr show d0"), HasSubstr("inet 10.1.0.5/24 scope global"));
  EXPECT_THAT(run_ip("route"), HasSubstr("10.1.0.0/24 dev d0"));
}

TEST_F(Addresses, WithoutPrefixRoute) {
  EXPECT_TRUE(must(netlink().ensure_address(device_index, prefix("10.1.0.5/24"), IFA_F_NOPREFIXROUTE)));
  EXPECT_FALSE(must(netlink().ensure_address(device_index, prefix("10.1.0.5/24"), IFA_F_NOPREFIXROUTE)));
  EXPECT_EQ(run_ip("route"), "");
}

TEST_F(Addresses, OtherFlagsByHandArePutRight) {
  run_ip("addr add 10.1.0.5/24 dev d0 noprefixroute");
  run_ip("addr add fd00::5/64 dev d0 nodad noprefixroute");
  for (const char* address : {"10.1.0.5/24", "fd00::5/64"}) {
    EXPECT_TRUE(must(netlink().ensure_address(device_index, prefix(address)))) << address;
    EXPECT_FALSE(must(netlink().ensure_address(device_index, prefix(address)))) << address;
  }
  EXPECT_THAT(run_ip("route"), HasSubstr("10.1.0.0/24"));
  EXPECT_THAT(run_ip("-6 route"), HasSubstr("fd00::/64"));
}

TEST_F(Addresses, OtherPrefixLengthByHandIsPutRight) {
  run_ip("addr add 10.1.0.5/16 dev d0");
  run_ip("addr add fd00::5/48 dev d0 nodad");
  EXPECT_TRUE(must(netlink().ensure_address(device_index, prefix("10.1.0.5/24"))));
  EXPECT_TRUE(must(netlink().ensure_address(device_index, prefix("fd00::5/64"), IFA_F_NODAD)));
  EXPECT_THAT(present(), testing::UnorderedElementsAre("10.1.0.5/24", "fd00::5/64"));

  run_ip("addr add 10.1.0.5/16 dev d0");  // beside the right one
  EXPECT_TRUE(must(netlink().ensure_address(device_index, prefix("10.1.0.5/24"))));
  EXPECT_FALSE(must(netlink().ensure_address(device_index, prefix("10.1.0.5/24"))));
  EXPECT_THAT(present(), Not(Contains("10.1.0.5/16")));
}

TEST_F(Addresses, LifetimeByHandIsPutRight) {
  run_ip("addr add 10.1.0.5/24 dev d0 valid_lft 100 preferred_lft 50");
  EXPECT_TRUE(must(netlink().ensure_address(device_index, prefix("10.1.0.5/24"))));
  EXPECT_THAT(run_ip("addr show d0"), HasSubstr("valid_lft forever"));
}

TEST_F(Addresses, OthersStay) {
  run_ip("addr add 10.1.0.6/24 dev d0");
  EXPECT_TRUE(must(netlink().ensure_address(device_index, prefix("10.1.0.5/24"))));
  EXPECT_THAT(present(), testing::UnorderedElementsAre("10.1.0.6/24", "10.1.0.5/24"));
}

TEST_F(Addresses, ListIsOfOneLinkOrOfAll) {
  run_ip("addr add 10.1.0.5/24 dev d0");
  EXPECT_THAT(present(), testing::ElementsAre("10.1.0.5/24"));
  const auto all = must(netlink().addresses());
  EXPECT_EQ(std::ranges::count(all, 1U, &LinkAddress::link_index), 2);  // 127.0.0.1 and ::1
  EXPECT_EQ(std::ranges::count(all, device_index, &LinkAddress::link_index), 1);
}

TEST_F(Addresses, RemovedOnceOrTwice) {
  run_ip("addr add 10.1.0.5/24 dev d0");
  run_ip("addr add fd00::5/64 dev d0");
  for (int i = 0; i < 2; ++i) {
    must(netlink().remove_address(device_index, prefix("10.1.0.5/24")));
    must(netlink().remove_address(device_index, prefix("fd00::5/64")));
  }
  must(netlink().remove_address(4711, prefix("10.1.0.5/24")));
  EXPECT_TRUE(present().empty());
}

TEST_F(Addresses, MissingLinkIsNotFound) {
  EXPECT_EQ(error_of(netlink().ensure_address(4711, prefix("10.1.0.5/24"))).kind, ErrorKind::not_found);
  EXPECT_EQ(error_of(netlink().ensure_address(4711, prefix("fd00::5/64"))).kind, ErrorKind::not_found);
  EXPECT_EQ(error_of(netlink().addresses(4711)).kind, ErrorKind::not_found);
}

// --- neighbours

using Neighbours = Addresses;

TEST_F(Neighbours, SetOnce) {
  for (const char* address : {"169.254.1.1", "fe80::1"}) {
    EXPECT_TRUE(must(netlink().ensure_neighbour(device_index, ip(address), mac("02:00:00:00:00:01")))) << address;
    EXPECT_FALSE(must(netlink().ensure_neighbour(device_index, ip(address), mac("02:00:00:00:00:01")))) << address;
  }
  EXPECT_THAT(run_ip("neigh show dev d0"), HasSubstr("169.254.1.1 lladdr 02:00:00:00:00:01 PERMANENT"));
  EXPECT_THAT(run_ip("-6 neigh show dev d0"), HasSubstr("fe80::1 lladdr 02:00:00:00:00:01"));
}

TEST_F(Neighbours, OtherMacAndStateByHandArePutRight) {
  for (const char* state : {"lladdr 02:00:00:00:00:99 nud permanent", "lladdr 02:00:00:00:00:01 nud reachable", "nud failed"}) {
    run_ip(std::string("neigh replace 169.254.1.1 dev d0 ") + state);
    EXPECT_TRUE(must(netlink().ensure_neighbour(device_index, ip("169.254.1.1"), mac("02:00:00:00:00:01")))) << state;
    EXPECT_THAT(run_ip("neigh show dev d0"), HasSubstr("169.254.1.1 lladdr 02:00:00:00:00:01 PERMANENT")) << state;
  }
}

TEST_F(Neighbours, MissingLinkIsNotFound) {
  EXPECT_EQ(error_of(netlink().ensure_neighbour(4711, ip("10.1.0.1"), mac("02:00:00:00:00:01"))).kind, ErrorKind::not_found);
}

TEST_F(Neighbours, ListOfTheInterfacesUsableOnes) {
  const unsigned other = make_device("d1");
  run_ip("link set d1 up");
  run_ip("neigh add 10.1.0.1 lladdr 02:00:00:00:00:01 dev d0 nud permanent");
  run_ip("neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev d0 nud stale");
  run_ip("neigh add 10.1.0.3 dev d0 nud failed");
  run_ip("neigh add 10.1.0.4 lladdr 02:00:00:00:00:04 dev d1 nud stale");
  EXPECT_THAT(must(netlink().neighbours(device_index, Family::v4)),
              testing::UnorderedElementsAre(Neighbour{ip("10.1.0.1"), mac("02:00:00:00:00:01")},
                                            Neighbour{ip("10.1.0.2"), mac("02:00:00:00:00:02")}));
  EXPECT_THAT(must(netlink().neighbours(other, Family::v4)), testing::ElementsAre(Neighbour{ip("10.1.0.4"), mac("02:00:00:00:00:04")}));
}

TEST_F(Neighbours, AskedForByTheKernel) {
  must(netlink().probe_neighbour(device_index, ip("10.1.0.9")));
  EXPECT_THAT(run_ip("neigh show 10.1.0.9 dev d0"), HasSubstr("INCOMPLETE"));
  must(netlink().probe_neighbour(device_index, ip("10.1.0.9")));
  EXPECT_EQ(error_of(netlink().probe_neighbour(4711, ip("10.1.0.1"))).kind, ErrorKind::not_found);
}

// --- events

class Events : public NetlinkTest {
 protected:
  static bool readable(const NetlinkEvents& events) {
    pollfd waiting{events.fd(), POLLIN, 0};
    return poll(&waiting, 1, 0) == 1;
  }
};

TEST_F(Events, NeighboursHaveATopicOfTheirOwn) {
  make_device("d0");
  run_ip("link set d0 up");
  auto neighbours = must(NetlinkEvents::open(NetlinkTopic::neighbours));
  EXPECT_TRUE(raises_no_event([] { run_ip("neigh replace 10.1.0.1 lladdr 02:00:00:00:00:01 dev d0 nud permanent"); }));
  EXPECT_TRUE(must(neighbours.drain()));
  run_ip("addr add 10.1.0.5/24 dev d0");
  run_ip("neigh del 10.1.0.1 dev d0");
  EXPECT_TRUE(readable(neighbours));
}

TEST_F(Events, EachKindOfChangeIsSeen) {
  make_device("d0");
  EXPECT_TRUE(raises_no_event([] { run_ip("link show"); }));
  auto events = must(NetlinkEvents::open());
  for (const char* change :
       {"link set d0 up", "addr add 10.1.0.5/24 dev d0", "addr add fd00::5/64 dev d0 nodad", "route add 10.2.0.0/16 dev d0",
        "-6 route add fd01::/64 dev d0", "route del 10.2.0.0/16 dev d0", "link del d0"}) {
    run_ip(change);
    EXPECT_TRUE(readable(events)) << change;
    EXPECT_TRUE(must(events.drain())) << change;
    while (must(events.drain())) {  // an IPv6 event that comes a little later
    }
  }
}

TEST_F(Events, NeighboursAreLeftOut) {
  make_device("d0");
  run_ip("link set d0 up");
  EXPECT_TRUE(raises_no_event([] { run_ip("neigh replace 10.1.0.1 lladdr 02:00:00:00:00:01 dev d0 nud permanent"); }));
}

TEST_F(Events, LostEventsAreAnEvent) {
  make_device("d0");
  auto events = must(NetlinkEvents::open());
  run("yes 'link set d0 up\nlink set d0 down' | head -4000 | ip -batch -");
  ASSERT_NE(run("awk 'NR > 1 && $9 > 0' /proc/net/netlink"), "") << "nothing was lost";
  EXPECT_TRUE(must(events.drain()));
  run_ip("link set d0 mtu 1400");
  EXPECT_TRUE(must(events.drain()));
}

// --- namespaces

using Namespaces = NetlinkTest;

TEST_F(Namespaces, TheCallerStaysWhereItIs) {
  make_device("d0");
  const Fd other = new_namespace();
  must(run_in_network_namespace(other.get(), [&] { EXPECT_EQ(run_ip("-o link | grep -c d0@ || true"), "0\n"); }));
  EXPECT_EQ(run_ip("-o link | grep -c d0@"), "1\n");
}

TEST_F(Namespaces, OnlyANetworkNamespaceIsEntered) {
  const Fd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const int fd : {file.get(), -1})
    EXPECT_EQ(error_of(run_in_network_namespace(fd, [] { ADD_FAILURE() << "it is in none"; })).kind, ErrorKind::not_found);
}

TEST_F(Namespaces, PathsThatAreNone) {
  char directory[] = "/tmp/merino-netlink-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string base = directory;
  run("touch " + base + "/file && mkfifo " + base + "/fifo && ln -s nowhere " + base + "/link");
  for (const std::string& path : {base + "/missing", base + "/file", base + "/fifo", base + "/link", base + "/file/below", base,
                                  std::string("/proc/self/ns/mnt"), std::string("/dev/null"), std::string()}) {
    const Error error = error_of(open_network_namespace(path));
    EXPECT_EQ(error.kind, ErrorKind::not_found) << path;
    EXPECT_THAT(error.message(), HasSubstr("open network namespace " + path));
  }
  std::filesystem::remove_all(base);
}

// --- kernel settings

using Sysctl = NetlinkTest;

TEST_F(Sysctl, WrittenOnlyIfDifferent) {
  run("echo 0 > /proc/sys/net/ipv4/ip_forward");
  EXPECT_TRUE(must(ensure_sysctl("net.ipv4.ip_forward", "1")));
  EXPECT_EQ(run("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
  EXPECT_FALSE(must(ensure_sysctl("net.ipv4.ip_forward", "1")));
}

TEST_F(Sysctl, ValuesAreComparedWithoutRegardToSpace) {
  run("echo 4096 8192 16384 > /proc/sys/net/ipv4/tcp_rmem");
  EXPECT_FALSE(must(ensure_sysctl("net.ipv4.tcp_rmem", "4096 8192 16384")));
  EXPECT_TRUE(must(ensure_sysctl("net.ipv4.tcp_rmem", "4096 8192 16385")));
  EXPECT_FALSE(must(ensure_sysctl("net.ipv4.tcp_rmem", "4096\t8192\t16385\n")));
}

TEST_F(Sysctl, NamesWithDotsAreWrittenWithSlashes) {
  run_ip("link add d0.100 type bridge");
  EXPECT_TRUE(must(ensure_sysctl("net/ipv4/conf/d0.100/rp_filter", "2")));
  EXPECT_EQ(run("cat /proc/sys/net/ipv4/conf/d0.100/rp_filter"), "2\n");
  EXPECT_EQ(error_of(ensure_sysctl("net.ipv4.conf.d0.100.rp_filter", "2")).kind, ErrorKind::not_found);
}

TEST_F(Sysctl, WrongNamesAndValues) {
  EXPECT_EQ(error_of(ensure_sysctl("net.ipv4.no_such_setting", "1")).kind, ErrorKind::not_found);
  EXPECT_EQ(error_of(ensure_sysctl("net.ipv4.ip_forward", "many")).kind, ErrorKind::invalid);
  for (const char* key : {"", "/net/ipv4/ip_forward", "net/../kernel/hostname", "..", "net..ipv4", "../../etc/hostname"}) {
    EXPECT_EQ(error_of(ensure_sysctl(key, "1")).kind, ErrorKind::invalid) << key;
  }
}

TEST_F(Sysctl, IsOfTheThreadsNamespace) {
  EXPECT_TRUE(must(ensure_sysctl("net.ipv4.conf.lo.rp_filter", "2")));
  const Fd other = new_namespace();
  EXPECT_TRUE(must(in_network_namespace(other.get(), [] { return ensure_sysctl("net.ipv4.conf.lo.rp_filter", "2"); })));
}

}  // namespace
}  // namespace merino::netlink_test
