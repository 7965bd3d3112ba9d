#include "cluster/lease.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "cluster/json_object.h"
#include "cluster/printable.h"

namespace merino {
namespace {

std::string quoted(const std::string& text) { return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

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

Result<VxlanLease> read_vxlan(const JsonObject& object) {
  const auto data = TRY(object.object("BackendData"));
  if (!data) return fail(ErrorKind::decode, "{} is missing", object.where("BackendData"));
  return parse_vxlan_lease(*data);
}

tl::unexpected<Error> bad_key(const std::string& key) {
  return fail(ErrorKind::decode, "\"{}\" is not a subnet key such as 10.244.98.0-24", printable(key));
}

}  // namespace

bool is_node_address(const IpAddress& address) {
  if (address.is_none()) return false;
  if (address.is_v4()) {
    const uint32_t first_byte = address.v4() >> 24U;
    return first_byte != 0 && first_byte != 127 && first_byte < 224;
  }
  return address.bytes()[0] != 0xff && address != IpAddress().plus(1);
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
  std::string out =
      fmt::format(R"({{"PublicIP":"{}","PublicIPv6":)", attributes.public_ip.is_v4() ? attributes.public_ip.to_string() : "0.0.0.0");
  out += attributes.public_ip_v6 ? fmt::format(R"("{}")", attributes.public_ip_v6->to_string()) : "null";
  if (!attributes.backend_type.empty()) out += fmt::format(R"(,"BackendType":{})", quoted(attributes.backend_type));
  if (attributes.vxlan) out += ",\"BackendData\":" + format_vxlan_lease(*attributes.vxlan);
  return out + "}";
}

Result<LeaseAttributes> parse_lease_attributes(const std::string& json) {
  const JsonObject object = TRY(JsonObject::parse(json, "lease"));
  LeaseAttributes attributes;
  const auto public_ip = TRY(read_address(object, "PublicIP", Family::v4));
  if (!public_ip) return fail(ErrorKind::decode, "{} is missing", object.where("PublicIP"));
  attributes.public_ip = *public_ip;
  attributes.public_ip_v6 = TRY(read_address(object, "PublicIPv6", Family::v6));
  attributes.backend_type = TRY(object.string("BackendType")).value_or("");
  if (attributes.backend_type == "vxlan") attributes.vxlan = TRY(read_vxlan(object));
  return attributes;
}

std::string format_subnet_key(const Prefix& subnet) { return fmt::format("{}-{}", subnet.address().to_string(), subnet.length()); }

Result<Prefix> parse_subnet_key(const std::string& key) {
  if (key.find('&') != std::string::npos) {
    return fail(ErrorKind::unsupported, "\"{}\" is the key of a dual-stack lease, which this build cannot use", printable(key));
  }
  const size_t dash = key.rfind('-');
  if (dash == std::string::npos) return bad_key(key);
  // The key is the one spelling of its subnet: what does not come out again the same way (leading zeros, signs, upper case) is none.
  int length = 0;
  const char* end = key.data() + key.size();
  const auto number = std::from_chars(key.data() + dash + 1, end, length);
  const auto address = IpAddress::parse(std::string_view(key).substr(0, dash));
  if (number.ec != std::errc() || number.ptr != end || !address || length < 0 || length > address_bits(address->family()))
    return bad_key(key);
  const Prefix subnet(*address, length);
  if (subnet != subnet.masked()) return fail(ErrorKind::invalid, "\"{}\" has host bits set", printable(key));
  if (format_subnet_key(subnet) != key) return bad_key(key);
  return subnet;
}

}  // namespace merino
