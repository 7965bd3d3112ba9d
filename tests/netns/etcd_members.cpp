#include "etcd_members.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <stdlib.h>

#include <sstream>

#include "lab/sandbox.h"
#include "support/slowdown.h"

namespace merino::lab {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

// The beginning of a command of etcdctl's, which gives up after the seconds (stretched by slowdown()).
std::string etcdctl(const std::vector<std::string>& endpoints, const std::string& flags, int seconds) {
  return fmt::format("ETCDCTL_API=3 etcdctl --command-timeout={}s --endpoints {} {}", seconds * test::slowdown(), fmt::join(endpoints, ","),
                     flags);
}

std::string new_directory() {
  std::string path = std::string(kSharedDir) + "/etcd.XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw Failure("mkdtemp " + path);
  return path;
}

}  // namespace

EtcdMembers::EtcdMembers(const Place& place, EtcdSetup setup)
    : place_(place), setup_(std::move(setup)), directory_(new_directory()), processes_(setup_.members) {
  ctl_flags = setup_.ctl_flags;
  place_.must("command -v etcd etcdctl");  // packages etcd-server and etcd-client
  for (int member = 0; member < setup_.members; ++member) start(member);
  wait_healthy();
}

std::string EtcdMembers::url(int member) const { return fmt::format("{}://{}:{}", setup_.scheme, setup_.address, 2379 + member * 10); }
std::string EtcdMembers::peer_url(int member) const { return fmt::format("http://{}:{}", setup_.address, peer_port(member)); }

std::vector<std::string> EtcdMembers::urls() const {
  std::vector<std::string> out;
  for (int member = 0; member < setup_.members; ++member) out.push_back(url(member));
  return out;
}

void EtcdMembers::start(int member) {
  std::vector<std::string> cluster;
  for (int n = 0; n < setup_.members; ++n) cluster.push_back(fmt::format("m{}={}", n, peer_url(n)));
  const std::string data = fmt::format("{}/m{}", directory_, member);
  const int user = user_of(member);
  place_.must(fmt::format("install -d -m 0700 -o {0} -g {0} {1}; chmod 0755 {2}", user, data, directory_));
  processes_.at(member) =
      place_.start(fmt::format("exec setpriv --reuid {6} --regid {6} --clear-groups etcd --name m{0} --data-dir {1} --listen-client-urls "
                               "{2} --advertise-client-urls {2} --listen-peer-urls {3} "
                               "--initial-advertise-peer-urls {3} --initial-cluster {4} --logger zap --log-level warn {5}",
                               member, data, url(member), peer_url(member), fmt::join(cluster, ","), setup_.flags, user),
                   fmt::format("{}/m{}.log", directory_, member));
}

void EtcdMembers::wait_healthy() const {
  const std::string command = etcdctl(urls(), ctl_flags, 2) + " endpoint health";
  // Whoever has no permission to look is answered, too.
  const bool healthy = eventually([&] { return place_.run(command).ok(); }, std::chrono::seconds(30), std::chrono::milliseconds(50));
  if (!healthy) throw Failure("etcd is not healthy: " + place_.run(command + "; tail -n 5 " + directory_ + "/*.log").err);
}

std::string EtcdMembers::ctl(const std::string& arguments) const {
  std::string text = place_.must(etcdctl(urls(), ctl_flags, 5) + " " + arguments);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

void EtcdMembers::put(const std::string& key, const std::string& value, const std::string& flags) const {
  place_.must(fmt::format("{} put {} {}", etcdctl(urls(), ctl_flags, 5), flags, key), value);
}

std::string EtcdMembers::lease_of(const std::string& key) const {
  const std::string text = ctl("get -w fields " + key);  // ... "Lease" : 7587862094297505290
  const size_t at = text.find("\"Lease\" : ");
  if (at == std::string::npos) throw Failure("there is no key " + key);
  return fmt::format("{:x}", std::stoll(text.substr(at + 10)));
}

std::vector<std::string> EtcdMembers::leases() const {
  auto lines = lines_of(ctl("lease list"));  // "found 1 leases" and one a line
  if (!lines.empty()) lines.erase(lines.begin());
  return lines;
}

std::vector<std::string> EtcdMembers::keys(const std::string& prefix) const { return lines_of(ctl("get --prefix --keys-only " + prefix)); }

int EtcdMembers::leader() const {
  for (int member = 0; member < setup_.members; ++member) {
    const Output output = place_.run(etcdctl({url(member)}, ctl_flags, 2) + " endpoint status -w fields");
    const auto field = [&](const std::string& name) {
      const size_t at = output.out.find("\"" + name + "\" : ");
      return at == std::string::npos ? std::string()
                                     : output.out.substr(at + name.size() + 5, output.out.find('\n', at) - at - name.size() - 5);
    };
    if (output.ok() && !field("MemberID").empty() && field("MemberID") == field("Leader")) return member;
  }
  throw Failure("etcd has no leader");
}

}  // namespace merino::lab
