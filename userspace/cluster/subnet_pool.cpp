#include "cluster/subnet_pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"

namespace merino {
namespace {

// How flannel's keys of one family are called, and their limits.
struct FamilyKeys {
  Family family;
  const char* enable;
  bool enabled_by_default;
  const char* network;
  const char* subnet_len;
  const char* subnet_min;
  const char* subnet_max;
  int usual_len;    // of a node's subnet, where the network has room for four of them
  int longest_len;  // of a node's subnet
  const char* remedy;
};

constexpr FamilyKeys kKeys[] = {
    {Family::v4, "EnableIPv4", true, "Network", "SubnetLen", "SubnetMin", "SubnetMax", 24, 30,
     R"(set "Network": "10.244.0.0/16", or another IPv4 network that nothing else uses)"},
    {Family::v6, "EnableIPv6", false, "IPv6Network", "IPv6SubnetLen", "IPv6SubnetMin", "IPv6SubnetMax", 64, 126,
     R"(set "IPv6Network": "fd10:244::/48", or another IPv6 network that nothing else uses)"},
};

Result<Prefix> read_network(const JsonObject& object, const FamilyKeys& keys) {
  const auto text = TRY(object.string(keys.network));
  if (!text || text->empty()) {
    return with_remedy(fail(ErrorKind::invalid, "{} is missing: please define a correct {} parameter in the flannel config",
                            object.where(keys.network), keys.network),
                       keys.remedy);
  }
  const auto network = Prefix::parse(*text);
  if (!network || network->family() != keys.family || network->length() == 0) {
    return with_remedy(fail(network ? ErrorKind::invalid : ErrorKind::decode,
                            "{} must be an {} network, found \"{}\": please define a correct {} parameter in the flannel config",
                            object.where(keys.network), family_name(keys.family), printable(*text), keys.network),
                       keys.remedy);
  }
  // Of what Prefix takes for IPv4 addresses; the range's neighbour stands for it.
  static const IpAddress beside_mapped = IpAddress::parse("::fffe:0:0").value_or(IpAddress());
  if (network->length() < 96 && network->contains(beside_mapped)) {
    return with_remedy(fail(ErrorKind::invalid, "{} is {}, which contains the IPv4-mapped addresses, ::ffff:0:0/96",
                            object.where(keys.network), network->to_string()),
                       keys.remedy);
  }
  return network->masked();
}

Result<int> read_subnet_len(const JsonObject& object, const FamilyKeys& keys, const Prefix& network) {
  const int shortest = network.length() + 2;  // four subnets
  const auto wanted = static_cast<int>(TRY(object.integer(keys.subnet_len, 0, 255)).value_or(0));
  if (wanted == 0) {
    if (shortest > keys.longest_len) {
      return with_remedy(fail(ErrorKind::invalid, "{} is {}: network is too small. Minimum useful network prefix is /{}",
                              object.where(keys.network), network.to_string(), keys.longest_len - 2),
                         "define a larger " + std::string(keys.network));
    }
    return std::max(keys.usual_len, shortest);
  }
  if (wanted > keys.longest_len) {
    return with_remedy(fail(ErrorKind::invalid, "{} is {}: {} must be less than /{}", object.where(keys.subnet_len), wanted,
                            keys.subnet_len, keys.longest_len + 1),
                       fmt::format("set it to {} or less", keys.longest_len));
  }
  if (wanted < shortest) {
    return with_remedy(fail(ErrorKind::invalid, "{} is {} and {} is {}: network must be able to accommodate at least four subnets",
                            object.where(keys.subnet_len), wanted, keys.network, network.to_string()),
                       fmt::format("set {} to {} or more", keys.subnet_len, shortest));
  }
  return wanted;
}

// The first or the last subnet. 0.0.0.0 and :: mean the default, as for flannel.
Result<IpAddress> read_bound(const JsonObject& object, const FamilyKeys& keys, const char* key, const SubnetPool& pool,
                             const IpAddress& otherwise) {
  const auto text = TRY(object.string(key));
  if (!text) return otherwise;
  const auto address = IpAddress::parse(*text);
  if (!address || address->family() != keys.family) {
    return fail(ErrorKind::decode, "{} must be an {} address, found \"{}\"", object.where(key), family_name(keys.family), printable(*text));
  }
  if (Prefix(*address, 0).masked().address() == *address) return otherwise;
  if (!pool.network.contains(*address)) {
    return with_remedy(fail(ErrorKind::invalid, "{} is {}: {} is not in the range of the {}", object.where(key), *text, key, keys.network),
                       "choose an address in " + pool.network.to_string());
  }
  const IpAddress boundary = Prefix(*address, pool.subnet_len).masked().address();
  if (*address != boundary) {
    return with_remedy(fail(ErrorKind::invalid, "{} is not on a {} boundary: {}", object.where(key), keys.subnet_len, *text),
                       fmt::format("set {} to {}, where a /{} begins", key, boundary.to_string(), pool.subnet_len));
  }
  return *address;
}

Result<SubnetPool> read_pool(const JsonObject& object, const FamilyKeys& keys) {
  SubnetPool pool;
  pool.network = TRY(read_network(object, keys));
  pool.subnet_len = TRY(read_subnet_len(object, keys, pool.network));
  const Prefix first(pool.network.address(), pool.subnet_len);
  const IpAddress second = first.last().plus(1);  // the first subnet holds the network's own address
  const IpAddress last = Prefix(pool.network.last(), pool.subnet_len).masked().address();
  pool.subnet_min = TRY(read_bound(object, keys, keys.subnet_min, pool, second));
  pool.subnet_max = TRY(read_bound(object, keys, keys.subnet_max, pool, last));
  if (pool.subnet_min > pool.subnet_max) {
    return with_remedy(fail(ErrorKind::invalid, "{} {} is above {} {}: no subnet is left to lease", object.where(keys.subnet_min),
                            pool.subnet_min.to_string(), keys.subnet_max, pool.subnet_max.to_string()),
                       "swap them");
  }
  return pool;
}

}  // namespace

Result<PerFamily<SubnetPool>> read_pools(const JsonObject& object) {
  PerFamily<SubnetPool> pools;
  for (const FamilyKeys& keys : kKeys) {
    if (TRY(object.boolean(keys.enable)).value_or(keys.enabled_by_default)) pools[keys.family] = TRY(read_pool(object, keys));
  }
  if (!pools.empty()) return pools;
  return with_remedy(fail(ErrorKind::invalid, "{} and EnableIPv6 are both false: there is no network at all", object.where("EnableIPv4")),
                     "enable one of them");
}

}  // namespace merino
