#include "cluster/lease.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/printable.h"
#include "cluster/json_object.h"

namespace merino {
namespace {

Result<std::optional<IpAddress>> read_address(const JsonObject& object, std::string_view key, Family family) {
  const auto text = TRY(object.string(key));
  if (!text) return std::nullopt;
  const auto address = IpAddress::parse(*text);
  if (!address || address->family() != family) {
    return fail(ErrorKind::decode, "{} must be an {} address, found \"{}\"", object.where(key), family == Family::v4 ? "IPv4" : "IPv6",
                printable(*text));
  }
  if (!is_node_address(*address)) {
    return fail(ErrorKind::invalid, "{} must be the unicast address of a node, found \"{}\"", object.where(key), printable(*text));
  }
  return *address;
}

constexpr const char* public_ip_key(Family family) { return family == Family::v4 ? "PublicIP" : "PublicIPv6"; }
constexpr const char* backend_data_key(Family family) { return family == Family::v4 ? "BackendData" : "BackendV6Data"; }

Result<PerFamily<IpAddress>> read_public_ip(const JsonObject& object) {
  PerFamily<IpAddress> out;
  // Go's zero value stands where there is no IPv4.
  const bool absent = TRY(object.string(public_ip_key(Family::v4))).value_or("0.0.0.0") == "0.0.0.0";
  out.v6 = TRY(read_address(object, public_ip_key(Family::v6), Family::v6));
  if (!absent || !out.v6) out.v4 = TRY(read_address(object, public_ip_key(Family::v4), Family::v4));
  if (out.empty()) return fail(ErrorKind::decode, "{} is missing", object.where(public_ip_key(Family::v4)));
  return out;
}

Result<std::optional<VxlanLease>> read_vxlan(const JsonObject& object, Family family) {
  const auto data = TRY(object.object(backend_data_key(family)));
  if (data) return TRY(parse_vxlan_lease(*data));
  if (family == Family::v6) return std::nullopt;
  return fail(ErrorKind::decode, "{} is missing", object.where(backend_data_key(family)));
}

tl::unexpected<Error> bad_key(const std::string& key) {
  return fail(ErrorKind::decode, "\"{}\" is not a subnet key such as 10.244.98.0-24", printable(key));
}

Result<Prefix> parse_one_subnet(const std::string& key, const std::string& part) {
  const size_t dash = part.rfind('-');
  if (dash == std::string::npos) return bad_key(key);
  int length = 0;
  const char* end = part.data() + part.size();
  const auto number = std::from_chars(part.data() + dash + 1, end, length);
  const auto address = IpAddress::parse(std::string_view(part).substr(0, dash));
  if (number.ec != std::errc() || number.ptr != end || !address || length < 0 || length > address_bits(address->family()))
    return bad_key(key);
  const Prefix subnet(*address, length);
  if (subnet != subnet.masked()) return fail(ErrorKind::invalid, "\"{}\" has host bits set", printable(key));
  // The key is the one spelling of its subnet: what does not come out again the same way (leading zeros, signs, upper case) is none.
  if (format_subnet_key(subnet) != part) return bad_key(key);
  return subnet;
}

}  // namespace

bool is_node_address(const IpAddress& address) {
  if (address.is_none()) return false;
  if (address.is_v4()) {
    const uint32_t first_byte = address.v4() >> 24U;
    return first_byte != 0 && first_byte != 127 && first_byte < 224;
  }
  const auto& bytes = address.bytes();
  const bool is_link_local = bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80;
  return bytes[0] != 0xff && !is_link_local && address != IpAddress().plus(1);
}

bool is_same_node(const PerFamily<IpAddress>& a, const PerFamily<IpAddress>& b) {
  if (a.v4 && b.v4) return a.v4 == b.v4;
  return a.v6 && a.v6 == b.v6;
}

bool overlap(const Subnets& a, const Subnets& b) {
  return std::any_of(kFamilies.begin(), kFamilies.end(),
                     [&](Family family) { return a[family] && b[family] && a[family]->overlaps(*b[family]); });
}

std::string format_vxlan_lease(const VxlanLease& vxlan) {
  return fmt::format(R"({{"VNI":{},"VtepMAC":"{}"}})", vxlan.vni, vxlan.vtep_mac.to_string());
}

Result<VxlanLease> parse_vxlan_lease(const JsonObject& data) {
  const auto vni = TRY(data.integer("VNI", 0, kLargestVni));
  if (!vni) return fail(ErrorKind::decode, "{} is missing", data.where("VNI"));
  const auto text = TRY(data.string("VtepMAC"));
  if (!text) return fail(ErrorKind::decode, "{} is missing", data.where("VtepMAC"));
  const auto mac = MacAddress::parse(*text);
  if (!mac) return fail(ErrorKind::decode, "{} must be a MAC address, found \"{}\"", data.where("VtepMAC"), printable(*text));
  if (!mac->is_unicast()) {
    return fail(ErrorKind::invalid, "{} must be a unicast MAC address, found \"{}\"", data.where("VtepMAC"), printable(*text));
  }
  return VxlanLease{.vni = static_cast<uint32_t>(*vni), .vtep_mac = *mac};
}

std::string format_lease_attributes(const LeaseAttributes& attributes) {
  const PerFamily<IpAddress>& ip = attributes.public_ip;
  std::string out = fmt::format(R"({{"PublicIP":"{}","PublicIPv6":)", ip.v4 ? ip.v4->to_string() : "0.0.0.0");
  out += ip.v6 ? fmt::format(R"("{}")", ip.v6->to_string()) : "null";
  if (!attributes.backend_type.empty()) out += fmt::format(R"(,"BackendType":{})", quote_json(attributes.backend_type));
  for (const Family family : kFamilies) {
    const auto& vxlan = attributes.vxlan[family];
    if (vxlan) out += fmt::format(R"(,"{}":{})", backend_data_key(family), format_vxlan_lease(*vxlan));
  }
  return out + "}";
}

Result<LeaseAttributes> parse_lease_attributes(const std::string& json) {
  const JsonObject object = TRY(JsonObject::parse(json, "lease"));
  LeaseAttributes attributes;
  attributes.public_ip = TRY(read_public_ip(object));
  attributes.backend_type = TRY(object.string("BackendType")).value_or("");
  if (attributes.backend_type != "vxlan") return attributes;
  for (const Family family : kFamilies) {
    if (attributes.public_ip[family]) attributes.vxlan[family] = TRY(read_vxlan(object, family));
  }
  return attributes;
}

std::string format_subnet_key(const Subnets& subnets) {
  std::string key;
  for (const Family family : kFamilies) {
    const auto& subnet = subnets[family];
    if (!subnet) continue;
    if (!key.empty()) key += '&';
    key += fmt::format("{}-{}", subnet->address().to_string(), subnet->length());
  }
  return key;
}

Result<Subnets> parse_subnet_key(const std::string& key) {
  const size_t both = key.find('&');
  Subnets subnets = TRY(parse_one_subnet(key, key.substr(0, both)));
  if (both == std::string::npos) return subnets;
  const Prefix second = TRY(parse_one_subnet(key, key.substr(both + 1)));
  if (!subnets.v4 || second.family() != Family::v6) return bad_key(key);
  subnets.v6 = second;
  return subnets;
}

}  // namespace merino
