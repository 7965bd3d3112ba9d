#include "cni/result.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cni/json_fields.h"

namespace merino::cni {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson interfaces_json(const std::vector<ResultInterface>& interfaces, SpecVersion version) {
  OrderedJson array = OrderedJson::array();
  for (const ResultInterface& interface : interfaces) {
    OrderedJson json;
    json["name"] = interface.name;
    if (!interface.mac.empty()) json["mac"] = interface.mac;
    if (interface.mtu > 0 && version >= SpecVersion::v1_1_0) json["mtu"] = interface.mtu;
    if (!interface.sandbox.empty()) json["sandbox"] = interface.sandbox;
    array.push_back(std::move(json));
  }
  return array;
}

OrderedJson addresses_json(const std::vector<ResultAddress>& addresses, SpecVersion version) {
  OrderedJson array = OrderedJson::array();
  for (const ResultAddress& address : addresses) {
    OrderedJson json;
    if (version < SpecVersion::v1_0_0) json["version"] = address.address.family() == Family::v4 ? "4" : "6";
    if (address.interface) json["interface"] = *address.interface;
    json["address"] = address.address.to_string();
    if (address.gateway) json["gateway"] = address.gateway->to_string();
    array.push_back(std::move(json));
  }
  return array;
}

OrderedJson routes_json(const std::vector<ResultRoute>& routes, SpecVersion version) {
  OrderedJson array = OrderedJson::array();
  for (const ResultRoute& route : routes) {
    OrderedJson json;
    json["dst"] = route.destination.to_string();
    if (route.gateway) json["gw"] = route.gateway->to_string();
    if (route.mtu > 0 && version >= SpecVersion::v1_1_0) json["mtu"] = route.mtu;
    array.push_back(std::move(json));
  }
  return array;
}

OrderedJson dns_json(const Dns& dns) {
  OrderedJson json = OrderedJson::object();
  if (!dns.nameservers.empty()) json["nameservers"] = dns.nameservers;
  if (!dns.domain.empty()) json["domain"] = dns.domain;
  if (!dns.search.empty()) json["search"] = dns.search;
  if (!dns.options.empty()) json["options"] = dns.options;
  return json;
}

Result<std::vector<ResultInterface>> parse_interfaces(const Json& object) {
  std::vector<ResultInterface> interfaces;
  const Json* array = TRY(find_array(object, "interfaces"));
  if (array == nullptr) return interfaces;
  for (const Json& element : *array) {
    if (!element.is_object()) return fail(ErrorKind::invalid, "key \"interfaces\" must be an array of objects");
    ResultInterface interface;
    interface.name = TRY(string_field(element, "name"));
    interface.mac = TRY(string_field(element, "mac"));
    interface.mtu = static_cast<int>(TRY(integer_field(element, "mtu")).value_or(0));
    interface.sandbox = TRY(string_field(element, "sandbox"));
    interfaces.push_back(std::move(interface));
  }
  return interfaces;
}

Result<ResultAddress> parse_address(const Json& element) {
  if (!element.is_object()) return fail(ErrorKind::invalid, "key \"ips\" must be an array of objects");
  const std::optional<Prefix> prefix = TRY(prefix_field(element, "address"));
  if (!prefix) return fail(ErrorKind::invalid, R"(an element of "ips" has no "address")");
  ResultAddress address;
  address.address = *prefix;
  address.gateway = TRY(address_field(element, "gateway"));
  const std::optional<int64_t> interface = TRY(integer_field(element, "interface"));
  // libcni's older results say -1 for "no interface".
  if (interface && *interface >= 0) address.interface = static_cast<size_t>(*interface);
  return address;
}

Result<ResultRoute> parse_route(const Json& element) {
  if (!element.is_object()) return fail(ErrorKind::invalid, "key \"routes\" must be an array of objects");
  const std::optional<Prefix> destination = TRY(prefix_field(element, "dst"));
  if (!destination) return fail(ErrorKind::invalid, R"(an element of "routes" has no "dst")");
  for (const char* key : {"table", "scope", "priority", "advmss"}) {
    if (TRY(integer_field(element, key)).value_or(0) != 0) {
      return fail(ErrorKind::invalid, "route {} has the key \"{}\", which merino does not support", destination->to_string(), key);
    }
  }
  ResultRoute route;
  route.destination = destination->masked();
  route.gateway = TRY(address_field(element, "gw"));
  const int64_t mtu = TRY(integer_field(element, "mtu")).value_or(0);
  if (mtu < 0 || mtu > 65535) return fail(ErrorKind::invalid, "route {} has the MTU {}", destination->to_string(), mtu);
  route.mtu = static_cast<int>(mtu);
  return route;
}

}  // namespace

std::string format_result(const AddResult& result, SpecVersion version) {
  OrderedJson json;
  json["cniVersion"] = version_text(version);
  json["interfaces"] = interfaces_json(result.interfaces, version);
  json["ips"] = addresses_json(result.addresses, version);
  json["routes"] = routes_json(result.routes, version);
  json["dns"] = dns_json(result.dns);
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

Result<AddResult> parse_result(const Json& json) {
  AddResult result;
  result.interfaces = TRY(parse_interfaces(json));
  if (const Json* array = TRY(find_array(json, "ips"))) {
    for (const Json& element : *array) result.addresses.push_back(TRY(parse_address(element)));
  }
  result.routes = TRY(parse_routes(json));
  result.dns = TRY(parse_dns(json));
  return result;
}

Result<Dns> parse_dns(const Json& object) {
  Dns dns;
  const Json* json = TRY(find_object(object, "dns"));
  if (json == nullptr) return dns;
  dns.nameservers = TRY(strings_field(*json, "nameservers"));
  dns.domain = TRY(string_field(*json, "domain"));
  dns.search = TRY(strings_field(*json, "search"));
  dns.options = TRY(strings_field(*json, "options"));
  return dns;
}

Result<std::vector<ResultRoute>> parse_routes(const Json& object) {
  std::vector<ResultRoute> routes;
  const Json* array = TRY(find_array(object, "routes"));
  if (array == nullptr) return routes;
  for (const Json& element : *array) routes.push_back(TRY(parse_route(element)));
  return routes;
}

}  // namespace merino::cni
