#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/address.h"

namespace merino {
namespace base_address_test {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
Prefix net(std::string_view text) { return Prefix::parse(text).value(); }

TEST(IpAddress, GoodTextsComeBackAsTheyAre) {
  for (const char* text : {"0.0.0.0", "10.0.0.1", "255.255.255.255", "fd00::1", "::1", "2001:db8:1:2:3:4:5:6"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
  }
  EXPECT_EQ(ip("2001:0db8:0:0:0:0:0:1").to_string(), "2001:db8::1");
  EXPECT_EQ(ip("FD00::A").to_string(), "fd00::a");
}

TEST(IpAddress, BadTextsAreDecodeErrorsThatQuoteThem) {
  using std::string_view_literals::operator""sv;
  for (
      const std::string_view text :
      {""sv,          " "sv,         "10"sv,         "10.0.0"sv,     "10.0.0.256"sv,      "10.0.0.1.2"sv,   "010.0.0.1"sv, "10.0.0.01"sv,
       "10.0.0.1 "sv, " 10.0.0.1"sv, "10.0.0.1\0"sv, "10.0.0.1/8"sv, "0x0a.0.0.1"sv,      "-1.0.0.1"sv,     "[fd00::1]"sv, "fe80::1%eth0"sv,
       ":::"sv,       "1::2::3"sv,   "12345::"sv,    "fd00:"sv,      "::ffff:10.0.0.1"sv, "::ffff:a00:1"sv, "localhost"sv}) {
    const auto address = IpAddress::parse(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().kind, ErrorKind::decode);
    EXPECT_THAT(address.error().message(), testing::HasSubstr(std::string(text)));
  }
}

TEST(IpAddress, BytesAreThoseOfTheMaps) {
  const std::array<uint8_t, 16> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 244, 1, 5};
  EXPECT_EQ(ip("10.244.1.5").bytes(), mapped);
  EXPECT_EQ(IpAddress::from_bytes(mapped), ip("10.244.1.5"));
  EXPECT_EQ(IpAddress::from_v4(0x0af40105), ip("10.244.1.5"));
  EXPECT_EQ(ip("10.244.1.5").v4(), 0x0af40105U);
}

TEST(IpAddress, NetworkBytesGoToTheKernelAndBack) {
  for (const char* text : {"10.244.1.5", "fd00::1:2"}) {
    const IpAddress address = ip(text);
    EXPECT_EQ(static_cast<int>(address.network_size()) * 8, address_bits(address.family()));
    EXPECT_EQ(IpAddress::from_network(address.family(), address.network_bytes()), address);
  }
}

TEST(IpAddress, FamilyAndNone) {
  EXPECT_TRUE(ip("10.0.0.1").is_v4());
  EXPECT_FALSE(ip("fd00::1").is_v4());
  EXPECT_TRUE(IpAddress().is_none());
  EXPECT_EQ(IpAddress().family(), Family::v6);
  EXPECT_FALSE(ip("0.0.0.0").is_none());  // an IPv4 address, unlike "none"
}

TEST(IpAddress, PlusCarriesOverBytes) {
  EXPECT_EQ(ip("10.0.0.255").plus(1), ip("10.0.1.0"));
  EXPECT_EQ(ip("10.244.0.0").plus(0x10001), ip("10.245.0.1"));
  EXPECT_EQ(ip("10.0.0.1").plus(0), ip("10.0.0.1"));
  EXPECT_EQ(ip("fd00::ffff:ffff:ffff:ffff").plus(1), ip("fd00:0:0:1::"));
  EXPECT_EQ(ip("fd00::").plus(0xffffffffffffffff), ip("fd00::ffff:ffff:ffff:ffff"));
  EXPECT_EQ(ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").plus(1), IpAddress());
}

TEST(IpAddress, OrderIsNumeric) {
  EXPECT_LT(ip("9.255.255.255"), ip("10.0.0.0"));
  EXPECT_LT(ip("10.0.0.2"), ip("10.0.0.10"));
}

TEST(Prefix, GoodTextsComeBackAsTheyAre) {
  for (const char* text : {"0.0.0.0/0", "10.244.1.5/24", "10.0.0.1/32", "::/0", "fd00:1::/48", "fd00::1/128"}) {
    const auto prefix = Prefix::parse(text);
    ASSERT_TRUE(prefix) << text;
    EXPECT_EQ(prefix->to_string(), text);
  }
}

TEST(Prefix, BadTextsAreDecodeErrors) {
  for (const char* text : {"", "/", "/24", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08",
                           "10.0.0.0/8 ", "10.0.0.0/ 8", "10.0.0.0/8/8", "10.0.0.0/x", "10.0.0.0/255.0.0.0",
                           "10.0.0.0/99999999999999999999", "10.0.0/8", "fd00::/129", "::ffff:10.0.0.0/104"}) {
    const auto prefix = Prefix::parse(text);
    ASSERT_FALSE(prefix) << text;
    EXPECT_EQ(prefix.error().kind, ErrorKind::decode) << text;
  }
}

TEST(Prefix, LengthOutOfRangeIsClamped) {
  EXPECT_EQ(Prefix(ip("10.0.0.0"), 33).length(), 32);
  EXPECT_EQ(Prefix(ip("10.0.0.0"), -1).length(), 0);
  EXPECT_EQ(Prefix(ip("fd00::"), 129).length(), 128);
}

struct PrefixCase {
  const char* text;
  int mapped_length;
  const char* masked;
  const char* last;
};

class PrefixArithmetic : public testing::TestWithParam<PrefixCase> {};

TEST_P(PrefixArithmetic, MaskedLastAndMappedLength) {
  const Prefix prefix = net(GetParam().text);
  EXPECT_EQ(prefix.mapped_length(), GetParam().mapped_length);
  EXPECT_EQ(prefix.masked().to_string(), GetParam().masked);
  EXPECT_EQ(prefix.last().to_string(), GetParam().last);
  EXPECT_TRUE(prefix.contains(prefix.address()));
  EXPECT_TRUE(prefix.contains(prefix.last()));
  EXPECT_TRUE(prefix.length() == 0 || !prefix.contains(prefix.last().plus(1)));
}

INSTANTIATE_TEST_SUITE_P(BothFamilies, PrefixArithmetic,
                         testing::Values(PrefixCase{"10.244.1.5/24", 120, "10.244.1.0/24", "10.244.1.255"},
                                         PrefixCase{"10.244.201.5/18", 114, "10.244.192.0/18", "10.244.255.255"},
                                         PrefixCase{"10.0.0.1/32", 128, "10.0.0.1/32", "10.0.0.1"},
                                         PrefixCase{"10.0.0.3/31", 127, "10.0.0.2/31", "10.0.0.3"},
                                         PrefixCase{"10.1.2.3/0", 96, "0.0.0.0/0", "255.255.255.255"},
                                         PrefixCase{"10.1.2.3/1", 97, "0.0.0.0/1", "127.255.255.255"},
                                         PrefixCase{"fd00:1:2:3:4::5/64", 64, "fd00:1:2:3::/64", "fd00:1:2:3:ffff:ffff:ffff:ffff"},
                                         PrefixCase{"fd00::f5/124", 124, "fd00::f0/124", "fd00::ff"},
                                         PrefixCase{"fd00::1/0", 0, "::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}));

TEST(Prefix, ContainsAddresses) {
  EXPECT_TRUE(net("10.244.1.5/24").contains(ip("10.244.1.0")));
  EXPECT_FALSE(net("10.244.1.0/24").contains(ip("10.244.2.0")));
  EXPECT_FALSE(net("10.244.1.0/24").contains(ip("10.244.0.255")));
  EXPECT_TRUE(net("fd00::/64").contains(ip("fd00::ffff")));
  EXPECT_FALSE(net("fd00::/64").contains(ip("fd00:0:0:1::")));
}

TEST(Prefix, NeverContainsTheOtherFamily) {
  EXPECT_FALSE(net("::/0").contains(ip("10.0.0.1")));
  EXPECT_FALSE(net("0.0.0.0/0").contains(ip("fd00::1")));
  EXPECT_FALSE(net("0.0.0.0/0").contains(IpAddress()));
  EXPECT_FALSE(net("::/0").contains(net("10.0.0.0/8")));
}

TEST(Prefix, ContainsAndOverlapsPrefixes) {
  EXPECT_TRUE(net("10.244.0.0/16").contains(net("10.244.7.0/24")));
  EXPECT_TRUE(net("10.244.0.0/16").contains(net("10.244.0.0/16")));
  EXPECT_FALSE(net("10.244.7.0/24").contains(net("10.244.0.0/16")));
  EXPECT_TRUE(net("10.244.7.0/24").overlaps(net("10.244.0.0/16")));
  EXPECT_TRUE(net("10.244.0.0/16").overlaps(net("10.244.7.0/24")));
  EXPECT_FALSE(net("10.244.6.0/24").overlaps(net("10.244.7.0/24")));
}

TEST(MacAddress, GoodTexts) {
  const std::array<uint8_t, 6> bytes = {0x46, 0x65, 0x8d, 0x36, 0xf7, 0x4e};
  EXPECT_EQ(MacAddress::parse("46:65:8d:36:f7:4e").value().bytes(), bytes);
  EXPECT_EQ(MacAddress::parse("46:65:8D:36:F7:4E").value().to_string(), "46:65:8d:36:f7:4e");
}

TEST(MacAddress, BadTextsAreDecodeErrors) {
  for (const char* text : {"", "46:65:8d:36:f7", "46:65:8d:36:f7:4e:00", "46-65-8d-36-f7-4e", "46658d36f74e", "46:65:8d:36:f7:4g",
                           "4:65:8d:36:f7:4e0", "46:65:8d:36:f7:-1", "+6:65:8d:36:f7:4e", " 6:65:8d:36:f7:4e", "46:65:8d:36:f7:4e "}) {
    const auto mac = MacAddress::parse(text);
    ASSERT_FALSE(mac) << text;
    EXPECT_EQ(mac.error().kind, ErrorKind::decode);
  }
}

TEST(MacAddress, RandomIsLocalUnicastAndNew) {
  for (int i = 0; i < 200; ++i) {
    const MacAddress mac = MacAddress::random();
    EXPECT_TRUE(mac.is_unicast());
    EXPECT_EQ(mac.bytes()[0] & 3, 2);
    EXPECT_NE(mac, MacAddress::random());
  }
}

TEST(MacAddress, NoneAndMulticastAreNotUnicast) {
  EXPECT_TRUE(MacAddress().is_none());
  EXPECT_FALSE(MacAddress().is_unicast());
  EXPECT_FALSE(MacAddress::parse("01:00:5e:00:00:01").value().is_unicast());
  EXPECT_FALSE(MacAddress::parse("ff:ff:ff:ff:ff:ff").value().is_unicast());
  EXPECT_TRUE(MacAddress::parse("00:00:00:00:00:01").value().is_unicast());
}

}  // namespace base_address_test
}  // namespace merino
