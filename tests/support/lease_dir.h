// A lease directory of the test's own, and what stands in it without the store's help.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cluster/directory_store.h"
#include "support/golden.h"
#include "support/temp_dir.h"

namespace merino::test {

inline IpAddress ip(const std::string& text) { return IpAddress::parse(text).value(); }
inline Prefix prefix(const std::string& text) { return Prefix::parse(text).value(); }

inline NetConf net_conf(const std::string& network, const std::string& more = "") {
  return parse_net_conf(R"({"Network": ")" + network + "\"" + more + R"(, "Backend": {"Type": "vxlan"}})", "test").value();
}

inline LeaseAttributes attributes(const std::string& public_ip, const std::string& mac = "f2:91:b4:a4:d8:06") {
  return {.public_ip = ip(public_ip), .backend_type = "vxlan", .vxlan = {VxlanLease{1, MacAddress::parse(mac).value()}, {}}};
}

inline constexpr const char* kMacV6 = "46:65:8d:36:f7:4e";

// Of a node with both families, or, without a `v4`, with IPv6 alone.
inline LeaseAttributes attributes_of(const std::string& v4, const std::string& v6) {
  LeaseAttributes out;
  if (!v4.empty()) out = attributes(v4);
  out.backend_type = "vxlan";
  out.public_ip.v6 = ip(v6);
  out.vxlan.v6 = VxlanLease{1, MacAddress::parse(kMacV6).value()};
  return out;
}

// "10.244.1.0/24", "fd10:244:0:1::/64", or both with a comma between.
inline Subnets subnets_of(const std::string& text) {
  const size_t comma = text.find(',');
  Subnets out = prefix(text.substr(0, comma));
  if (comma != std::string::npos) out.v6 = prefix(text.substr(comma + 1));
  return out;
}

inline NetConf dual_conf(const std::string& more = "") {
  return net_conf("10.244.0.0/16", R"(, "EnableIPv6": true, "IPv6Network": "fd10:244::/48")" + more);
}

inline LeaseRequest request(const std::string& public_ip, const std::string& previous = "") {
  return {.attributes = attributes(public_ip), .previous = previous.empty() ? Subnets{} : prefix(previous)};
}

// A store that looks at its directory every ten milliseconds instead of every five seconds.
inline constexpr DirectoryStoreTiming kImpatient{.check_interval = std::chrono::milliseconds(10),
                                                 .lock_patience = std::chrono::milliseconds(60000)};

class LeaseDir {
 public:
  LeaseDir() { std::filesystem::create_directory(subnets()); }

  [[nodiscard]] std::string path() const { return dir_.path(); }
  [[nodiscard]] std::string subnets() const { return dir_.file("subnets"); }
  [[nodiscard]] std::string file(const std::string& key) const { return subnets() + "/" + key; }

  [[nodiscard]] std::unique_ptr<LeaseStore> open(const DirectoryStoreTiming& timing = {}) const {
    auto store = open_directory_store(path(), timing);
    if (!store) throw std::runtime_error(store.error().message());
    return std::move(*store);
  }

  void write(const std::string& key, const std::string& content) const { write_text(file(key), content); }
  void write_lease(const std::string& key, const std::string& public_ip) const {
    write(key, format_lease_attributes(attributes(public_ip)));
  }
  [[nodiscard]] std::string read(const std::string& key) const { return read_text(file(key)); }

  // Makes the file as old as if it had been renewed `age` ago.
  void set_age(const std::string& key, std::chrono::milliseconds age) const {
    const auto time = (std::chrono::system_clock::now() - age).time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
    const timespec then{.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(time - seconds).count()};
    const timespec times[2]{then, then};
    if (::utimensat(AT_FDCWD, file(key).c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) throw std::runtime_error("utimensat " + key);
  }
  void expire(const std::string& key) const { set_age(key, kLeaseTtl + std::chrono::seconds(1)); }
  void reserve(const std::string& key) const {
    if (::chmod(file(key).c_str(), 0444) != 0) throw std::runtime_error("chmod " + key);
  }

  [[nodiscard]] struct stat status(const std::string& key) const {
    struct stat out {};
    if (::lstat(file(key).c_str(), &out) != 0) throw std::runtime_error("lstat " + key);
    return out;
  }

  // All names in DIR/subnets, hidden ones too.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(subnets())) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  TempDir dir_;
};

// "10.244.1.0/24 192.168.0.1" for each lease.
inline std::vector<std::string> listed(LeaseStore& store) {
  auto set = store.list();
  if (!set) throw std::runtime_error(set.error().message());
  std::vector<std::string> out;
  for (const Lease& lease : set->leases) out.push_back(to_string(lease.subnet) + " " + to_string(lease.attributes.public_ip));
  return out;
}

// "key: reason" for each rejected entry.
inline std::vector<std::string> rejected(LeaseStore& store) {
  auto set = store.list();
  if (!set) throw std::runtime_error(set.error().message());
  std::vector<std::string> out;
  for (const RejectedLease& lease : set->rejected) out.push_back(lease.key + ": " + lease.reason);
  return out;
}

}  // namespace merino::test
