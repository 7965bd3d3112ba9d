#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cni/host_local.h"
#include "cni/json_fields.h"

namespace merino::cni {
namespace {

// nullopt: there is no subnet in it (an ipam section without the old, single range).
Result<std::optional<AddressRange>> parse_range(const Json& json) {
  if (!json.is_object()) return fail(ErrorKind::invalid, "a range must be an object with \"subnet\"");
  const std::optional<Prefix> subnet = TRY(prefix_field(json, "subnet"));
  if (!subnet) return std::nullopt;
  RangeBounds bounds;
  bounds.start = TRY(address_field(json, "rangeStart"));
  bounds.end = TRY(address_field(json, "rangeEnd"));
  bounds.gateway = TRY(address_field(json, "gateway"));
  return TRY(make_range(*subnet, bounds));
}

Result<RangeSet> parse_range_set(const Json& json) {
  if (!json.is_array()) return fail(ErrorKind::invalid, "a range set must be an array of ranges");
  RangeSet set;
  for (const Json& element : json) {
    const std::optional<AddressRange> range = TRY(parse_range(element));
    if (!range) return fail(ErrorKind::invalid, "a range has no \"subnet\"");
    set.push_back(*range);
  }
  return set;
}

Status append_range_sets(const Json& object, const char* key, std::vector<RangeSet>& sets) {
  const Json* array = TRY(find_array(object, key));
  if (array == nullptr) return ok();
  for (const Json& element : *array) {
    auto set = parse_range_set(element);
    if (!set) return in_context(std::move(set.error()), key);
    sets.push_back(std::move(*set));
  }
  return ok();
}

// "10.1.2.3", or "10.1.2.3/24" of which the prefix length is without effect.
Status append_requested(const std::string& text, const char* key, std::vector<IpAddress>& requested) {
  auto address = IpAddress::parse(text.substr(0, text.find('/')));
  if (!address) return in_context(std::move(address.error()), key);
  if (std::find(requested.begin(), requested.end(), *address) == requested.end()) requested.push_back(*address);
  return ok();
}

Status append_requested_list(const Json* object, std::vector<IpAddress>& requested) {
  if (object == nullptr) return ok();
  for (const std::string& text : TRY(strings_field(*object, "ips"))) TRY(append_requested(text, "ips", requested));
  return ok();
}

Result<std::vector<IpAddress>> parse_requested(const Json& conf, const Json* runtime_config, const std::string& cni_args) {
  std::vector<IpAddress> requested;
  const std::string argument_text = argument(cni_args, "IP");
  if (!argument_text.empty()) TRY(append_requested(argument_text, "CNI_ARGS IP", requested));
  if (const Json* args = TRY(find_object(conf, "args"))) {
    const Json* cni_part = TRY(find_object(*args, "cni"));
    TRY(append_requested_list(cni_part, requested));
  }
  TRY(append_requested_list(runtime_config, requested));
  return requested;
}

}  // namespace

Result<HostLocalConf> parse_host_local(const Json& conf, const std::string& cni_args) {
  const Json* ipam = TRY(find_object(conf, "ipam"));
  const Json* runtime_config = TRY(find_object(conf, "runtimeConfig"));
  HostLocalConf out;
  out.network = TRY(string_field(conf, "name"));
  // The order decides over the numbers of last_reserved_ip files: the runtime's ranges, the single range, the list.
  if (runtime_config != nullptr) TRY(append_range_sets(*runtime_config, "ipRanges", out.ranges));
  if (ipam != nullptr) {
    if (const auto single = TRY(parse_range(*ipam))) out.ranges.push_back({*single});
    TRY(append_range_sets(*ipam, "ranges", out.ranges));
    out.routes = TRY(parse_routes(*ipam));
    out.resolv_conf = TRY(string_field(*ipam, "resolvConf"));
    const std::string data_dir = TRY(string_field(*ipam, "dataDir"));
    if (!data_dir.empty()) out.data_dir = data_dir;
  }
  TRY(check_range_sets(out.ranges));
  out.requested = TRY(parse_requested(conf, runtime_config, cni_args));
  return out;
}

Dns parse_resolv_conf(const std::string& text) {
  Dns dns;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string keyword;
    std::vector<std::string> values;
    words >> keyword;
    for (std::string value; words >> value && value[0] != '#' && value[0] != ';';) values.push_back(value);
    if (values.empty()) continue;
    if (keyword == "nameserver") dns.nameservers.push_back(values[0]);
    if (keyword == "domain") dns.domain = values[0];
    if (keyword == "search") dns.search.insert(dns.search.end(), values.begin(), values.end());
    if (keyword == "options") dns.options.insert(dns.options.end(), values.begin(), values.end());
  }
  return dns;
}

}  // namespace merino::cni
