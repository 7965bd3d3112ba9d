// Flows that the stack translates stay with the stack, in both directions; everything else leaves it.
#include "bpf/conntrack.h"

#include <gtest/gtest.h>

#include "bpf/fixture.h"

namespace merino::test::conntrack_test {

namespace {

constexpr const char* kService = "10.96.0.10";

class Conntrack : public BpfTest {
 protected:
  void connection(const std::string& protocol, const Tuple& original, const Tuple& reply) {
    add_connection(topology.node(), protocol, original, reply);
  }
  static Tins::IP packet(const std::string& protocol, const Tuple& tuple) {
    if (protocol == "udp") return udp_ports(tuple.src, tuple.dst, tuple.sport, tuple.dport);
    Tins::IP ip = tcp(tuple.src, tuple.dst);
    auto& header = ip.rfind_pdu<Tins::TCP>();
    header.sport(tuple.sport);
    header.dport(tuple.dport);
    return ip;
  }
  void from_pod(const std::string& protocol, const Tuple& tuple, merino_reason reason) {
    expect(Program::from_pod, from_pod_a(packet(protocol, tuple)), reason);
  }
  void from_peer(const std::string& protocol, const Tuple& tuple, merino_reason fast_reason) {
    const bool fast = fast_reason != MERINO_TRANSLATED;
    expect(Program::from_wire, tunnelled(packet(protocol, tuple)), fast ? MERINO_DECAP : MERINO_TRANSLATED);
    expect(Program::from_tunnel, inner_frame(packet(protocol, tuple)), {.tunnel = Metadata::TunnelKey{}},
           fast ? MERINO_TUNNEL : MERINO_TRANSLATED);
  }
  void from_local_pod(const std::string& protocol, const Tuple& tuple, merino_reason reason) {
    expect(Program::from_pod, from_pod_b(packet(protocol, tuple)), {.interface = "vethb"}, reason);
  }
};

constexpr const char* kProtocols[] = {"tcp", "udp"};

TEST_F(Conntrack, LeavesUntrackedFlowsFast) {
  for (const char* protocol : kProtocols) {
    SCOPED_TRACE(protocol);
    from_pod(protocol, {kPodA, 1000, kPodAtPeer2, 80}, MERINO_ENCAP);
    from_peer(protocol, {kPodAtPeer2, 80, kPodA, 1000}, MERINO_DECAP);
  }
}

TEST_F(Conntrack, LeavesTrackedFlowsFast) {
  for (const char* protocol : kProtocols) {
    SCOPED_TRACE(protocol);
    const Tuple flow{kPodA, 1000, kPodAtPeer2, 80};
    connection(protocol, flow, mirror(flow));
    from_pod(protocol, flow, MERINO_ENCAP);
    from_peer(protocol, mirror(flow), MERINO_DECAP);
    const Tuple incoming{kPodAtPeer2, 1001, kPodA, 80};
    connection(protocol, incoming, mirror(incoming));
    from_peer(protocol, incoming, MERINO_DECAP);
    from_pod(protocol, mirror(incoming), MERINO_ENCAP);
    const Tuple local{kPodA, 1002, kPodB, 80};
    connection(protocol, local, mirror(local));
    from_pod(protocol, local, MERINO_LOCAL);
    from_local_pod(protocol, mirror(local), MERINO_LOCAL);
  }
}

TEST_F(Conntrack, LeavesAServiceOfAnotherNodeToTheStack) {
  for (const char* protocol : kProtocols) {
    SCOPED_TRACE(protocol);
    connection(protocol, {kPodA, 1000, kService, 80}, {kPodAtPeer2, 8080, kPodA, 1000});
    from_pod(protocol, {kPodA, 1000, kService, 80}, MERINO_NO_ROUTE);
    from_peer(protocol, {kPodAtPeer2, 8080, kPodA, 1000}, MERINO_TRANSLATED);
    // Neither the other direction of those addresses nor another port is the translated flow.
    from_peer(protocol, {kPodAtPeer2, 8081, kPodA, 1000}, MERINO_DECAP);
    from_peer(protocol, {kPodAtPeer2, 8080, kPodA, 1001}, MERINO_DECAP);
  }
}

TEST_F(Conntrack, LeavesAServiceOfThisNodeToTheStack) {
  for (const char* protocol : kProtocols) {
    SCOPED_TRACE(protocol);
    connection(protocol, {kPodA, 1000, kService, 80}, {kPodB, 8080, kPodA, 1000});
    from_local_pod(protocol, {kPodB, 8080, kPodA, 1000}, MERINO_TRANSLATED);
    from_local_pod(protocol, {kPodB, 8081, kPodA, 1000}, MERINO_LOCAL);
  }
}

// A rule may translate from one pod address to another: then both directions look like plain pod traffic.
TEST_F(Conntrack, LeavesTranslationBetweenPodsToTheStack) {
  for (const char* protocol : kProtocols) {
    SCOPED_TRACE(protocol);
    connection(protocol, {kPodA, 1000, kPodAtPeer3, 80}, {kPodAtPeer2, 80, kPodA, 1000});
    from_pod(protocol, {kPodA, 1000, kPodAtPeer3, 80}, MERINO_TRANSLATED);
    from_peer(protocol, {kPodAtPeer2, 80, kPodA, 1000}, MERINO_TRANSLATED);
  }
}

TEST_F(Conntrack, LeavesTranslatedSourcesToTheStack) {
  for (const char* protocol : kProtocols) {
    SCOPED_TRACE(protocol);
    // To pod A, in the name of another address of the peer's subnet.
    connection(protocol, {kPodAtPeer2, 1000, kPodA, 80}, {kPodA, 80, "10.244.2.200", 1000});
    from_peer(protocol, {kPodAtPeer2, 1000, kPodA, 80}, MERINO_TRANSLATED);
    from_pod(protocol, {kPodA, 80, "10.244.2.200", 1000}, MERINO_TRANSLATED);
  }
}

TEST_F(Conntrack, LeavesTranslatedPortsToTheStack) {
  for (const char* protocol : kProtocols) {
    SCOPED_TRACE(protocol);
    connection(protocol, {kPodA, 1000, kPodAtPeer2, 80}, {kPodAtPeer2, 8080, kPodA, 1000});
    from_pod(protocol, {kPodA, 1000, kPodAtPeer2, 80}, MERINO_TRANSLATED);
    from_peer(protocol, {kPodAtPeer2, 8080, kPodA, 1000}, MERINO_TRANSLATED);
    connection(protocol, {kPodA, 2000, kPodAtPeer2, 81}, {kPodAtPeer2, 81, kPodA, 2001});
    from_pod(protocol, {kPodA, 2000, kPodAtPeer2, 81}, MERINO_TRANSLATED);
    from_peer(protocol, {kPodAtPeer2, 81, kPodA, 2001}, MERINO_TRANSLATED);
  }
}

TEST_F(Conntrack, TellsTheProtocolsApart) {
  connection("tcp", {kPodA, 1000, kPodAtPeer2, 80}, {kPodAtPeer2, 8080, kPodA, 1000});
  from_pod("tcp", {kPodA, 1000, kPodAtPeer2, 80}, MERINO_TRANSLATED);
  from_pod("udp", {kPodA, 1000, kPodAtPeer2, 80}, MERINO_ENCAP);
}

// A TCP connection is asked about at its first and last packets, and at all others only while nothing is remembered of it.
class Connection : public Conntrack {
 protected:
  static Tins::IP segment(const Tuple& tuple, uint16_t flags) {
    Tins::IP ip = packet("tcp", tuple);
    ip.rfind_pdu<Tins::TCP>().flags(flags);
    return ip;
  }
  void out(uint16_t flags, merino_reason reason) {
    SCOPED_TRACE(flags);
    expect(Program::from_pod, from_pod_a(segment(kOut, flags)), reason);
  }
  void in(uint16_t flags, merino_reason reason) {
    SCOPED_TRACE(flags);
    expect(Program::from_wire, tunnelled(segment(mirror(kOut), flags)), reason);
  }
  // As the stack does it for a service, with the addresses and ports of the connection.
  void translate() { connection("tcp", {kPodA, 1000, kService, 80}, mirror(kOut)); }

  static constexpr uint16_t kSyn = Tins::TCP::SYN, kAck = Tins::TCP::ACK, kFin = Tins::TCP::FIN, kRst = Tins::TCP::RST;
  const Tuple kOut{kPodA, 1000, kPodAtPeer2, 80};
};

TEST_F(Connection, ThatWasNotSeenToBeginIsAskedAboutEachTime) {
  in(kAck, MERINO_DECAP);
  in(kAck, MERINO_DECAP);
  translate();
  in(kAck, MERINO_TRANSLATED);
}

TEST_F(Connection, IsPlainFromItsBeginningToItsEnd) {
  out(kSyn, MERINO_ENCAP);
  in(kSyn | kAck, MERINO_DECAP);
  out(kAck, MERINO_ENCAP);
  translate();
  in(kAck, MERINO_DECAP);
  in(kAck | Tins::TCP::PSH, MERINO_DECAP);
  in(kFin | kAck, MERINO_TRANSLATED);
  in(kAck, MERINO_TRANSLATED);
}

TEST_F(Connection, IsForgottenAtItsEnd) {
  for (const uint16_t end : std::initializer_list<uint16_t>{kFin | kAck, kRst, kRst | kAck, kSyn | kFin, kSyn | kRst}) {
    SCOPED_TRACE(end);
    in(kSyn | kAck, MERINO_DECAP);
    in(end, MERINO_DECAP);
    connection("tcp", {kPodA, 1000, kService, 80}, mirror(kOut));
    in(kAck, MERINO_TRANSLATED);
    topology.node().run("conntrack -D -p tcp 2>/dev/null");
  }
}

// The service's connection has the addresses and ports of one that ended without a word.
TEST_F(Connection, IsAskedAboutAgainWhenAnotherBegins) {
  in(kSyn | kAck, MERINO_DECAP);
  in(kAck, MERINO_DECAP);
  translate();
  in(kSyn | kAck, MERINO_TRANSLATED);
  in(kAck, MERINO_TRANSLATED);
  topology.node().run("conntrack -D -p tcp");
  in(kAck, MERINO_DECAP);
  in(kSyn | kAck, MERINO_DECAP);
  translate();
  in(kAck, MERINO_DECAP);
}

// The answers would be translated; the stack finds another source port for it.
TEST_F(Connection, ThatBeginsBesideATranslatedOneGoesToTheStack) {
  translate();
  out(kSyn, MERINO_TRANSLATED);
  connection("tcp", {kPodAtPeer2, 1001, kNode, 80}, {kPodA, 8080, kPodAtPeer2, 1001});
  expect(Program::from_wire, tunnelled(segment({kPodAtPeer2, 1001, kPodA, 8080}, kSyn)), MERINO_TRANSLATED);
  expect(Program::from_wire, tunnelled(segment({kPodAtPeer2, 1002, kPodA, 8080}, kSyn)), MERINO_DECAP);
}

TEST_F(Connection, IsNoOtherAndNotItsOtherDirection) {
  out(kSyn, MERINO_ENCAP);
  translate();
  in(kAck, MERINO_TRANSLATED);
  connection("tcp", {kPodA, 1001, kPodAtPeer3, 80}, {kPodAtPeer2, 80, kPodA, 1001});
  expect(Program::from_pod, from_pod_a(packet("tcp", {kPodA, 1001, kPodAtPeer3, 80})), MERINO_TRANSLATED);
}

TEST_F(Connection, IsTheSameToAllPrograms) {
  in(kSyn | kAck, MERINO_DECAP);
  translate();
  const Frame inner = inner_frame(segment(mirror(kOut), kAck));
  expect(Program::from_tunnel, inner, {.tunnel = Metadata::TunnelKey{}}, MERINO_TUNNEL);
  expect(Program::from_tunnel, inner_frame(segment(mirror(kOut), kSyn | kAck)), {.tunnel = Metadata::TunnelKey{}}, MERINO_TRANSLATED);
  in(kAck, MERINO_TRANSLATED);
}

// UDP has no beginning.
TEST_F(Connection, IsNotUdp) {
  from_peer("udp", {kPodAtPeer2, 8080, kPodA, 1000}, MERINO_DECAP);
  connection("udp", {kPodA, 1000, kService, 80}, {kPodAtPeer2, 8080, kPodA, 1000});
  from_peer("udp", {kPodAtPeer2, 8080, kPodA, 1000}, MERINO_TRANSLATED);
}

// The stack has translated before, so from_host has nothing to ask.
TEST_F(Conntrack, IsNotAskedBehindTheStack) {
  connection("tcp", {kPodA, 1000, kService, 80}, {kPodAtPeer2, 80, kPodA, 1000});
  expect(Program::from_host, ethernet(kVtep2Mac, kVtepMac, packet("tcp", {kPodA, 1000, kPodAtPeer2, 80})), MERINO_HOST_ENCAP);
}

// What conntrack knows in another namespace says nothing about this one.
TEST_F(Conntrack, IsAskedInThisNamespace) {
  add_connection(topology.wire(), "tcp", {kPodA, 1000, kPodAtPeer2, 80}, {kPodAtPeer2, 8080, kPodA, 1000});
  from_pod("tcp", {kPodA, 1000, kPodAtPeer2, 80}, MERINO_ENCAP);
}

}  // namespace

}  // namespace merino::test::conntrack_test
