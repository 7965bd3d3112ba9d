#include "cni/host_local.h"

#include <algorithm>
#include <set>

namespace merino::cni {
namespace {

using Allocation = AddressStore::Allocation;

// Of these, what the attachment has; files of old versions, without an interface name, count only when there is nothing else.
std::vector<IpAddress> addresses_of(const AttachmentId& id, const std::vector<Allocation>& allocations) {
  std::vector<IpAddress> exact;
  std::vector<IpAddress> old;
  for (const Allocation& allocation : allocations) {
    if (allocation.owner == id) exact.push_back(allocation.address);
    if (allocation.owner == AttachmentId{id.container_id, ""}) old.push_back(allocation.address);
  }
  return exact.empty() ? old : exact;
}

Error exhausted(const RangeSet& set, const HostLocalConf& conf) {
  auto error = fail(ErrorKind::exhausted, "no address is free in {}: {}/{} holds one file for each address in use", to_string(set),
                    conf.data_dir, conf.network);
  return with_remedy(error,
                     "delete pods, give the node a larger subnet, or, if files name containers that no longer exist, remove those files")
      .value();
}

// One allocation of an attachment: an address out of each range set. Gives everything back unless commit() is called.
class Reservation {
 public:
  Reservation(const HostLocalConf& conf, AddressStore& store, AttachmentId id) : conf_(conf), store_(store), id_(std::move(id)) {}
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() {
    for (const ResultAddress& address : reserved_) (void)store_.release(address.address.address());
  }

  Status run() {
    const std::vector<Allocation> allocations = TRY(store_.allocations());
    for (const Allocation& allocation : allocations) taken_.insert(allocation.address);
    owned_ = addresses_of(id_, allocations);
    std::vector<IpAddress> requested = conf_.requested;
    for (size_t i = 0; i < conf_.ranges.size(); ++i) {
      const RangeSet& set = conf_.ranges[i];
      const auto wish = std::find_if(requested.begin(), requested.end(), [&](const IpAddress& ip) { return range_of(set, ip) != nullptr; });
      if (wish == requested.end()) {
        TRY(reserve_next(set, i));
        continue;
      }
      TRY(reserve_requested(set, i, *wish));
      requested.erase(wish);
    }
    if (requested.empty()) return ok();
    return fail(ErrorKind::invalid, "the requested address {} is in no range of network {}", requested[0].to_string(), conf_.network);
  }

  std::vector<ResultAddress> commit() { return std::exchange(reserved_, {}); }

 private:
  Status reserve_requested(const RangeSet& set, size_t index, const IpAddress& address) {
    const AddressRange* range = range_of(set, address);
    if (!range->allows(address)) {
      return fail(ErrorKind::invalid, "the requested address {} is the gateway or no host address of {}", address.to_string(),
                  range->subnet.to_string());
    }
    if (taken_.count(address) != 0) {
      return fail(ErrorKind::exists, "the requested address {} is taken, see {}/{}/{}", address.to_string(), conf_.data_dir, conf_.network,
                  address.to_string());
    }
    return reserve(*range, index, address);
  }

  Status reserve_next(const RangeSet& set, size_t index) {
    for (const IpAddress& address : owned_) {
      if (range_of(set, address) == nullptr) continue;
      return with_remedy(
          fail(ErrorKind::exists, "container {} has the address {} on {} already", id_.container_id, address.to_string(), id_.ifname),
          "the runtime has to call DEL before it calls ADD again");
    }
    RangeWalk walk(set, store_.last_reserved(index));
    while (const auto candidate = walk.next()) {
      if (taken_.count(candidate->address) == 0) return reserve(*candidate->range, index, candidate->address);
    }
    return tl::unexpected(exhausted(set, conf_));
  }

  Status reserve(const AddressRange& range, size_t index, const IpAddress& address) {
    TRY(store_.reserve(address, id_));
    taken_.insert(address);
    reserved_.push_back({Prefix(address, range.subnet.length()), range.gateway, std::nullopt});
    return store_.set_last_reserved(index, address);
  }

  const HostLocalConf& conf_;
  AddressStore& store_;
  AttachmentId id_;
  std::set<IpAddress> taken_;
  std::vector<IpAddress> owned_;
  std::vector<ResultAddress> reserved_;
};

}  // namespace

Outcome<AddResult> HostLocal::add(const AttachmentId& id, const std::string& /*netns*/) {
  if (conf_.ranges.empty()) return fail_with(Code::invalid_config, "ipam has no ranges to allocate from");
  AddResult result;
  if (!conf_.resolv_conf.empty()) result.dns = parse_resolv_conf(TRY(read_file(conf_.resolv_conf)));
  AddressStore store = TRY(AddressStore::create(directory()));
  store.release_earlier_boots();
  Reservation reservation(conf_, store, id);
  TRY(reservation.run());
  result.addresses = reservation.commit();
  result.routes = conf_.routes;
  return result;
}

Outcome<void> HostLocal::del(const AttachmentId& id, const std::string& /*netns*/) {
  std::optional<AddressStore> store = TRY(AddressStore::open(directory()));
  if (!store) return {};
  const std::vector<Allocation> allocations = TRY(store->allocations());
  const std::vector<IpAddress> own = addresses_of(id, allocations);
  for (const IpAddress& address : own) TRY(store->release(address));
  TRY(store->sweep());
  // One that could not be read may be what is missing: the runtime tries again.
  const auto unread = std::find_if(allocations.begin(), allocations.end(), [](const Allocation& each) { return each.error.has_value(); });
  if (own.size() < std::max<size_t>(conf_.ranges.size(), 1) && unread != allocations.end()) return tl::unexpected(Failure(*unread->error));
  return {};
}

Outcome<void> HostLocal::check(const AttachmentId& id, const std::string& /*netns*/) {
  const std::optional<AddressStore> store = TRY(AddressStore::open(directory()));
  if (store && !addresses_of(id, TRY(store->allocations())).empty()) return {};
  return fail_with(Code::internal,
                   fmt::format("{}/{} holds no address of container {} on {}", conf_.data_dir, conf_.network, id.container_id, id.ifname));
}

Outcome<void> HostLocal::gc(const std::vector<AttachmentId>& valid) {
  std::optional<AddressStore> store = TRY(AddressStore::open(directory()));
  if (!store) return {};
  std::set<AttachmentId> owners;
  for (const AttachmentId& id : valid) owners.insert({id, AttachmentId{id.container_id, ""}});
  for (const Allocation& allocation : TRY(store->allocations())) {
    // Of one that cannot be read nobody knows whether it is in use.
    if (!allocation.error && owners.count(allocation.owner) == 0) TRY(store->release(allocation.address));
  }
  TRY(store->sweep());
  return {};
}

Outcome<void> HostLocal::status() {
  if (conf_.ranges.empty()) return fail_with(Code::invalid_config, "ipam has no ranges to allocate from");
  // Not whether an address is free: runtimes declare the node not ready if this fails, which a full node is not.
  TRY(AddressStore::open(directory()));
  return {};
}

Outcome<std::vector<std::pair<AttachmentId, IpAddress>>> HostLocal::allocations() {
  std::vector<std::pair<AttachmentId, IpAddress>> found;
  const std::optional<AddressStore> store = TRY(AddressStore::open(directory()));
  if (!store) return found;
  for (const Allocation& allocation : TRY(store->allocations())) found.emplace_back(allocation.owner, allocation.address);
  return found;
}

}  // namespace merino::cni
