// host-local's directory as a crash, another program or an attacker with access to it may leave it; resolv.conf; "ipam" of a configuration.
#include "cni/host_local.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cni/address_store.h"
#include "property.h"

namespace merino::fuzz {
namespace {

constexpr const char* kNetwork = "net";

// A directory in memory that is empty at first and goes with the process.
class Directory {
 public:
  Directory() {
    std::string name = "/dev/shm/merino-fuzz.XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Lines "name content", as files of the network's directory.
void write_files(const std::string& directory, const std::string& text) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  size_t at = 0;
  for (int count = 0; at < text.size() && count < 8; count++) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const size_t blank = line.find(' ');
    const std::string name = line.substr(0, blank);
    if (!name.empty() && name.size() < 100 && name != "." && name != ".." && name.find('/') == std::string::npos &&
        name.find('\0') == std::string::npos)
      std::ofstream(directory + "/" + name) << (blank == std::string::npos ? "" : line.substr(blank + 1));
    at = end + 1;
  }
}

void require_usable(const std::string& data_dir) {
  const auto store = cni::AddressStore::open({data_dir, kNetwork});
  require(store && *store, "a directory that is there is opened");
  const auto allocations = (*store)->allocations();
  require(allocations.has_value(), "strange files do not hinder the others");
  static_cast<void>((*store)->last_reserved(0));
}

// One more pod gets an address that nobody has; what is in the way is an error, not a second owner.
void require_exclusive(const std::string& data_dir) {
  cni::HostLocalConf conf;
  conf.network = kNetwork;
  conf.data_dir = data_dir;
  conf.ranges = {{cni::make_range(Prefix::parse("10.244.9.0/29").value(), {}).value()}};
  cni::HostLocal ipam(conf);
  const auto before = ipam.allocations();
  const auto added = ipam.add({"fuzzed-container", "eth0"}, "");
  if (!added || !before) return;
  for (const auto& [owner, address] : *before) {
    const bool own = owner == cni::AttachmentId{"fuzzed-container", "eth0"};
    require(own || address != added->addresses.front().address.address(), "an address is given out once");
  }
}

}  // namespace
}  // namespace merino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using namespace merino::fuzz;
  static const Directory directory;
  const std::string text(data, data + size);
  write_files(directory.path() + "/" + kNetwork, text);
  require_usable(directory.path());
  require_exclusive(directory.path());
  cni::parse_resolv_conf(text);
  if (const auto json = nlohmann::json::parse(text, nullptr, false); json.is_object()) {
    const auto conf = cni::parse_host_local(json, "");
    require(conf || !conf.error().message().empty(), "an error has a text");
  }
  return 0;
}
