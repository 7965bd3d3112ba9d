// PeerTable against the kernel's maps: the difference that it finds and applies, and what it does when a map is full.
#include "datapath/peer_table.h"

#include <gmock/gmock.h>
#include <sys/mount.h>

#include <filesystem>

#include "abi.h"
#include "datapath/map.h"
#include "datapath/programs.h"

namespace merino::peer_table_test {

namespace {

class PeerTableTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr), 0) << "these tests need root";
    const Status loaded = load_programs(merino_config{});
    ASSERT_TRUE(loaded) << loaded.error().message();
  }
  void TearDown() override { ::umount2("/sys/fs/bpf", MNT_DETACH); }

  static Peer peer(const std::string& subnet, const std::string& underlay, uint8_t mac = 1) {
    return {.subnet = Prefix::parse(subnet).value(),
            .underlay = IpAddress::parse(underlay).value(),
            .vtep_mac = MacAddress({2, 0, 0, 0, 0, mac}),
            .kind = PeerKind::vxlan};
  }
  // The /24s of 10.0.0.0/8 and on, each of a node of its own.
  static std::vector<Peer> many(uint32_t count) {
    std::vector<Peer> peers;
    for (uint32_t i = 0; i < count; ++i) {
      peers.push_back({.subnet = Prefix(IpAddress::from_v4(0x0a000000U + (i << 8U)), 24),
                       .underlay = IpAddress::from_v4(0xac100000U + i),
                       .vtep_mac = MacAddress({2, 0, 0, 0, 0, 1}),
                       .kind = PeerKind::vxlan});
    }
    return peers;
  }
  static PeerTable& table() {
    static PeerTable one;
    return one;
  }
  static PeerChanges sync(const std::vector<Peer>& peers) {
    const auto changes = table().sync(peers);
    if (!changes) throw std::runtime_error(changes.error().message());
    return *changes;
  }
  static std::vector<Peer> read() { return read_peers().value(); }
  // How many subnets each node has, in the order of their addresses.
  static std::vector<uint32_t> nodes() {
    auto entries = Map<merino_node_key, merino_node>::open("nodes").value().entries().value();
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return std::memcmp(&a.first, &b.first, 16) < 0; });
    std::vector<uint32_t> out;
    for (const auto& [key, node] : entries) out.push_back(node.subnets);
    return out;
  }
  // IPv4 prefix lengths that the programs look for.
  static std::vector<int> lengths() {
    merino_network network{};
    if (!Map<uint32_t, merino_network>::open("network").value().lookup(0, network).value()) return {};
    std::vector<int> out;
    for (uint32_t i = 0; i < network.peers_v4.count; ++i) out.push_back(network.peers_v4.lens[i] - 96);
    return out;
  }
  static void expect(const PeerChanges& changes, size_t added, size_t changed, size_t removed) {
    EXPECT_EQ(changes.added, added);
    EXPECT_EQ(changes.changed, changed);
    EXPECT_EQ(changes.removed, removed);
  }
};

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(PeerTableTest, AppliesTheDifference) {
  const Peer a = peer("10.244.1.0/24", "192.168.1.1");
  const Peer b = peer("10.244.2.0/24", "192.168.1.2");
  const Peer c = peer("10.244.3.0/24", "192.168.1.3");
  expect(sync({c, a, b}), 3, 0, 0);
  EXPECT_THAT(read(), ElementsAre(a, b, c));
  expect(sync({a, b, c}), 0, 0, 0);

  const Peer moved = peer("10.244.2.0/24", "192.168.1.9");
  const Peer d = peer("10.244.0.0/24", "192.168.1.3");
  expect(sync({moved, d, c}), 1, 1, 1);
  EXPECT_THAT(read(), ElementsAre(d, moved, c));
  EXPECT_THAT(nodes(), ElementsAre(2, 1));

  expect(sync({}), 0, 0, 3);
  EXPECT_THAT(read(), IsEmpty());
  EXPECT_THAT(nodes(), IsEmpty());
}

TEST_F(PeerTableTest, TakesTheLastOfSeveralForOneSubnet) {
  const Peer first = peer("10.244.1.0/24", "192.168.1.1", 1);
  const Peer last = peer("10.244.1.0/24", "192.168.1.1", 2);
  expect(sync({first, last}), 1, 0, 0);
  EXPECT_THAT(read(), ElementsAre(last));
  expect(sync({first, last}), 0, 0, 0);
}

TEST_F(PeerTableTest, SaysWhichPrefixLengthsOccur) {
  sync({peer("10.244.1.0/24", "192.168.1.1"), peer("10.244.2.0/25", "192.168.1.2"), peer("10.245.0.0/16", "192.168.1.3")});
  EXPECT_THAT(lengths(), ElementsAre(25, 24, 16));
  sync({peer("10.244.1.0/24", "192.168.1.1")});
  EXPECT_THAT(lengths(), ElementsAre(24));
  sync({});
  EXPECT_THAT(lengths(), IsEmpty());
}

TEST_F(PeerTableTest, ChangesASinglePeerAsTheWholeComparisonWould) {
  const Peer a = peer("10.244.1.0/24", "192.168.1.1");
  const Peer b = peer("10.244.2.0/24", "192.168.1.1");
  EXPECT_FALSE(table().apply({}, {})) << "what the maps say is not known yet";
  sync({a, b});
  ASSERT_TRUE(table().apply({}, {}));

  const Peer moved = peer("10.244.2.0/24", "192.168.1.2");
  const Peer larger = peer("10.245.0.0/16", "192.168.1.2");
  const auto changed = table().apply({b}, {moved, larger});
  ASSERT_TRUE(changed) << changed.error().message();
  expect(*changed, 1, 1, 0);
  EXPECT_THAT(read(), ElementsAre(a, moved, larger));
  EXPECT_THAT(nodes(), ElementsAre(1, 2));
  EXPECT_THAT(lengths(), ElementsAre(24, 16));

  const auto removed = table().apply({a, larger}, {});
  ASSERT_TRUE(removed) << removed.error().message();
  expect(*removed, 0, 0, 2);
  EXPECT_THAT(read(), ElementsAre(moved));
  EXPECT_THAT(nodes(), ElementsAre(1));
  EXPECT_THAT(lengths(), ElementsAre(24));
  expect(sync({moved}), 0, 0, 0);
}

TEST_F(PeerTableTest, AnErrorLeavesNoMapOpen) {
  const auto open_files = [] { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); };
  sync({});
  ASSERT_TRUE(std::filesystem::remove(MERINO_PIN_ROOT "/network"));
  const auto before = open_files();
  EXPECT_FALSE(table().sync({peer("10.244.1.0/24", "192.168.1.1")})) << "the last of the maps is gone";
  EXPECT_EQ(open_files(), before);
}

TEST_F(PeerTableTest, DoesNotGoOnFromMapsThatSayOtherwise) {
  const Peer a = peer("10.244.1.0/24", "192.168.1.1");
  sync({a});
  const auto wrong = table().apply({peer("10.244.9.0/24", "192.168.1.9")}, {});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, ErrorKind::invalid);
  EXPECT_FALSE(table().apply({}, {a})) << "after an error the maps are read again";

  sync({a});
  const auto others = [](bool are_there) {
    ASSERT_EQ(::umount2("/sys/fs/bpf", MNT_DETACH), 0);
    ASSERT_EQ(::mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr), 0);
    if (are_there) {
      ASSERT_TRUE(load_programs(merino_config{}));
    }
  };
  others(true);
  EXPECT_FALSE(table().apply({}, {})) << "the maps are not those that were written";
  sync({a});
  others(false);
  EXPECT_FALSE(table().apply({}, {})) << "there are no maps";
  others(true);
  expect(sync({a}), 1, 0, 0);
}

TEST_F(PeerTableTest, PutsInWhatFitsWhenAMapIsFull) {
  const auto too_many = many(MERINO_MAX_PEERS + 10);
  const auto full = table().sync(too_many);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::exhausted);
  EXPECT_THAT(full.error().message(), testing::AllOf(testing::HasSubstr("10 did not fit"), testing::HasSubstr("7 more")));
  EXPECT_EQ(read().size(), static_cast<size_t>(MERINO_MAX_PEERS));

  // What is there is still changed, and room that is made is used.
  auto changed = many(MERINO_MAX_PEERS);
  changed.back().vtep_mac = MacAddress({2, 0, 0, 0, 0, 9});
  expect(sync(changed), 0, 1, 0);
  EXPECT_TRUE(read() == changed);
}

}  // namespace

}  // namespace merino::peer_table_test
