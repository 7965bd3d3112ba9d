#include "ctl/bugtool.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "ctl/redact.h"

namespace merino::ctl {

namespace {

namespace fs = std::filesystem;

struct CommandPage {
  const char* name;
  std::vector<std::string> argv;
};

// By sh where a pipe or a pattern is needed; none of them changes anything.
const std::vector<CommandPage>& commands() {
  const auto shell = [](const char* line) { return std::vector<std::string>{"sh", "-c", line}; };
  static const auto* pages = new std::vector<CommandPage>{
      {"kernel.txt",
       shell("uname -a; cat /etc/os-release; cat /proc/cmdline; uptime; ls -l /sys/kernel/btf/vmlinux; zgrep -sE 'BPF|CONNTRACK|VXLAN' "
             "/proc/config.gz || grep -hE 'BPF|CONNTRACK|VXLAN' /boot/config-$(uname -r)")},
      {"modules.txt", {"lsmod"}},
      {"links.txt", {"ip", "-d", "-s", "link", "show"}},
      {"addresses.txt", {"ip", "addr", "show"}},
      {"routes.txt", shell("ip rule; ip route show table all; ip -6 rule; ip -6 route show table all")},
      {"neighbours.txt", shell("ip neigh; ip -6 neigh")},
      {"namespaces.txt", shell("ip netns list; lsns -t net")},
      {"nftables.txt", {"nft", "-a", "list", "ruleset"}},
      {"iptables.txt", shell("iptables-save -c; ip6tables-save -c")},
      {"iptables-legacy.txt", shell("iptables-legacy-save -c; ip6tables-legacy-save -c")},
      {"conntrack.txt", {"conntrack", "-S"}},
      {"sockets.txt", {"ss", "-uanp"}},
      {"offloads.txt", shell("for i in $(ls /sys/class/net); do echo \"== $i\"; ethtool -k $i | grep -E 'offload|checksum'; done")},
      {"qdiscs.txt", {"tc", "-s", "qdisc", "show"}},
      {"bpf-programs.txt", shell("bpftool prog show; bpftool net show; bpftool link show")},
      {"bpf-maps.txt", {"bpftool", "map", "show"}},
      {"map-network.json", {"bpftool", "-jp", "map", "dump", "pinned", "/sys/fs/bpf/merino/network"}},
      {"map-pods.json", {"bpftool", "-jp", "map", "dump", "pinned", "/sys/fs/bpf/merino/pods"}},
      {"map-peers.json", {"bpftool", "-jp", "map", "dump", "pinned", "/sys/fs/bpf/merino/peers"}},
      {"map-nodes.json", {"bpftool", "-jp", "map", "dump", "pinned", "/sys/fs/bpf/merino/nodes"}},
      {"pins.txt", {"find", "/sys/fs/bpf/merino", "-ls"}},
      {"process.txt", shell("ps -eo pid,ppid,lstart,rss,args | grep -E 'PID|[m]erinod|[f]lanneld|[k]ube-proxy|[c]ontainerd$|[c]rio$'")},
      {"journal.txt", {"journalctl", "-u", "merino", "-n", "5000", "--no-pager", "-o", "short-iso-precise"}},
      {"kernel-log.txt", shell("dmesg | tail -n 500")},
      {"cni-files.txt", shell("ls -laR /etc/cni/net.d /run/merino /run/flannel /var/lib/cni/networks; ls -la /opt/cni/bin /usr/lib/cni")},
  };
  return *pages;
}

constexpr const char* kFiles[] = {
    "/etc/kube-flannel/net-conf.json",
    "/etc/kube-flannel/cni-conf.json",
    "/etc/default/merino",
    "/run/flannel/subnet.env",
    "/run/merino/status.json",
    "/run/merino/leases.json",
    "/proc/net/snmp",
    "/proc/net/snmp6",
    "/proc/net/netstat",
    "/proc/net/softnet_stat",
    "/proc/meminfo",
    "/proc/interrupts",
};
constexpr const char* kDirectories[] = {"/etc/cni/net.d", "/run/merino/attachments"};

constexpr size_t kLargestFile = 8U << 20U;

// Files go below a directory that only this user can read, and into the archive from there.
class Collector {
 public:
  explicit Collector(fs::path directory) : directory_(std::move(directory)) {}

  void add(const std::string& name, const std::string& text) {
    const fs::path path = directory_ / name;
    std::error_code ignored;
    fs::create_directories(path.parent_path(), ignored);
    const Status written = write_file_atomic(path, redact(text), 0600);
    if (written) ++files_;
    if (!written) miss(name, written.error().message());
  }
  void add_file(const std::string& path) {
    const auto text = read_file(path, kLargestFile);
    if (text) add("files" + path, *text);
    if (!text && text.error().kind != ErrorKind::not_found) miss(path, text.error().message());
  }
  void add_directory(const std::string& path) {
    std::error_code error;
    std::vector<std::string> names;
    for (auto file = fs::directory_iterator(path, error); !error && file != fs::directory_iterator(); file.increment(error)) {
      if (file->is_regular_file(error)) names.push_back(file->path());
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) add_file(name);
  }
  void add_command(const CommandPage& page) {
    ProcessRequest request;
    request.argv = page.argv;
    request.timeout = std::chrono::seconds(20);
    request.max_output_bytes = kLargestFile;
    const auto output = run_process(request);
    if (!output) {
      miss(page.name, output.error().message());
      return;
    }
    std::string text = fmt::format("# {}\n{}", fmt::join(page.argv, " "), output->out);
    if (!output->succeeded()) text += fmt::format("# {}\n", output->outcome());
    if (!output->err.empty()) text += "# standard error:\n" + output->err;
    add(page.name, text);
  }
  void miss(const std::string& what, const std::string& why) { missing_.push_back(what + ": " + why); }

  [[nodiscard]] size_t files() const { return files_; }
  [[nodiscard]] const std::vector<std::string>& missing() const { return missing_; }

 private:
  fs::path directory_;
  size_t files_ = 0;
  std::vector<std::string> missing_;
};

class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> make() {
    std::string path = (fs::temp_directory_path() / "merino-bugtool.XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) return fail_errno(errno, "make a directory below {}", fs::temp_directory_path().string());
    return TemporaryDirectory(std::move(path));
  }
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// "bug.tar.gz" becomes a directory "bug" in the archive.
std::string stem_of(const std::string& archive) {
  const std::string name = fs::path(archive).filename();
  return name.substr(0, name.find('.'));
}

Status pack(const std::string& parent, const std::string& stem, const std::string& archive) {
  Fd out(::open(archive.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!out && errno == EEXIST) return with_remedy(fail(ErrorKind::exists, "{} exists already", archive), "name another file");
  if (!out) return fail_errno(errno, "make {}", archive);
  ProcessRequest request;
  request.argv = {"tar", "-C", parent, "-czf", archive, stem};
  const auto done = run_process(request);
  if (done && done->succeeded()) return ok();
  ::unlink(archive.c_str());
  if (!done) return tl::unexpected(done.error());
  return fail(ErrorKind::system, "tar: {}: {}", done->outcome(), done->err);
}

}  // namespace

Result<BugtoolReport> write_bugtool(const BugtoolRequest& request) {
  const TemporaryDirectory scratch = TRY(TemporaryDirectory::make());
  std::string stem = stem_of(request.archive);
  if (stem.empty()) return fail(ErrorKind::invalid, "\"{}\" is no name of an archive", request.archive);
  Collector collector(fs::path(scratch.path()) / stem);
  for (const BugtoolPage& page : request.pages) collector.add(page.name, page.text());
  for (const CommandPage& page : commands()) collector.add_command(page);
  for (const char* path : kFiles) collector.add_file(path);
  for (const char* path : kDirectories) collector.add_directory(path);
  if (!collector.missing().empty()) collector.add("missing.txt", fmt::format("{}\n", fmt::join(collector.missing(), "\n")));
  TRY(pack(scratch.path(), stem, request.archive));
  return BugtoolReport{request.archive, collector.files(), collector.missing()};
}

}  // namespace merino::ctl
