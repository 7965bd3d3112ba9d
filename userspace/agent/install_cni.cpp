#include "agent/install_cni.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fd.h"
#include "base/file.h"

namespace merino {

namespace {

using nlohmann::json;

constexpr const char* kPackagedPlugin = "/usr/lib/cni/merino";
constexpr size_t kLargestPlugin = 256U << 20U;
constexpr size_t kLargestConf = 1U << 20U;
constexpr size_t kMkstempLetters = 6;

// A name in a directory, not a path.
Status check_file_name(const std::string& name) {
  if (!name.empty() && name[0] != '.' && name.find('/') == std::string::npos) return ok();
  return fail(ErrorKind::invalid, "\"{}\" is not a file name", name);
}

Result<std::string> find_plugin(const std::string& asked_for) {
  if (!asked_for.empty()) return asked_for;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::vector<std::string> places = {kPackagedPlugin};
  if (!error) places.insert(places.begin(), self.parent_path() / "merino");
  for (const std::string& place : places) {
    if (std::filesystem::is_regular_file(place, error)) return place;
  }
  return with_remedy(fail(ErrorKind::not_found, "the plugin is neither {}", fmt::join(places, " nor ")), "name its file with --plugin");
}

// The plugin, on the host, finds the maps in the host's BPF file system. An agent in a container cannot mount one there, only in a place of
// its own, which nobody else would see.
Status check_bpffs(const std::string& path) {
  struct statfs fs {};
  if (::statfs(path.c_str(), &fs) != 0) return fail_errno(errno, "look at {}", path);
  if (fs.f_type == BPF_FS_MAGIC) return ok();
  return with_remedy(fail(ErrorKind::invalid, "{} of this node is not a BPF file system", path),
                     fmt::format("mount it on the node: mount -t bpf bpf {0} (and in /etc/fstab: bpf {0} bpf defaults 0 0)", path));
}

// What a runtime could not use must not get into its directory: it would refuse every pod. The names of the list's plugins.
Result<std::vector<std::string>> plugins_of(const std::string& conf, const std::string& path) {
  const json list = json::parse(conf, nullptr, false);
  if (list.is_discarded()) return fail(ErrorKind::invalid, "{} is not JSON", path);
  const auto entry_missing = [&](const char* what) {
    return fail(ErrorKind::invalid, "{} is not a network configuration list: {}", path, what);
  };
  if (!list.is_object() || !list.contains("name") || !list["name"].is_string()) return entry_missing("it has no \"name\"");
  if (!list.contains("plugins") || !list["plugins"].is_array() || list["plugins"].empty()) return entry_missing("it has no \"plugins\"");
  std::vector<std::string> types;
  for (const json& plugin : list["plugins"]) {
    if (!plugin.is_object() || !plugin.contains("type") || !plugin["type"].is_string()) return entry_missing("a plugin has no \"type\"");
    types.push_back(plugin["type"]);
    TRY(check_file_name(types.back()));
  }
  return types;
}

// One installation into a directory at a time, by a lock on the directory itself: nothing is left in it.
Result<Fd> lock_directory(const std::string& directory) {
  TRY(make_directories(directory));
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open directory {}", directory);
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno(errno, "lock directory {}", directory);
  }
  return fd;
}

// Temporary files of installations that were killed; see write_file_atomic. The directory is locked.
void remove_leftovers(const std::string& directory, const std::string& name) {
  const std::string prefix = "." + name + ".";
  for (const std::string& file : list_directory(directory).value_or(std::vector<std::string>{})) {
    if (file.starts_with(prefix) && file.size() == prefix.size() + kMkstempLetters) (void)remove_file(directory + "/" + file);
  }
}

bool is_there(const std::string& path, const std::string& content, mode_t mode) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || (status.st_mode & 07777U) != mode) return false;
  const auto present = read_file(path, content.size());
  return present && *present == content;
}

std::string remedy_for(int sys_errno, const std::string& directory) {
  switch (sys_errno) {
    case EROFS:
      return fmt::format("{} is read-only here: mount it writable", directory);
    case ENOSPC:
    case EDQUOT:
      return fmt::format("make room on the file system of {}", directory);
    case EACCES:
    case EPERM:
      return fmt::format("run as root, with CAP_DAC_OVERRIDE if {} belongs to another user", directory);
    default:
      return {};
  }
}

template <class T>
Result<T> with_install_remedy(Result<T> result, const std::string& directory) {
  if (result) return result;
  Error error = std::move(result).error();
  if (error.remedy.empty()) error.remedy = remedy_for(error.sys_errno, directory);
  return tl::unexpected(std::move(error));
}

Result<InstallOutcome> install_file(const std::string& directory, const std::string& name, const std::string& content, mode_t mode) {
  const Fd lock = TRY(with_install_remedy(lock_directory(directory), directory));
  remove_leftovers(directory, name);
  const std::string path = directory + "/" + name;
  if (is_there(path, content, mode)) return InstallOutcome::unchanged;
  TRY(with_install_remedy(write_file_atomic(path, content, mode), directory));
  return InstallOutcome::written;
}

Result<std::string> read_source(const std::string& path, size_t max_bytes, const char* flag) {
  auto content = read_file(path, max_bytes);
  if (!content && content.error().kind == ErrorKind::not_found) {
    return with_remedy(tl::unexpected(std::move(content).error()), fmt::format("{} must name an existing file", flag));
  }
  return content;
}

}  // namespace

Result<InstallCniRequest> parse_install_cni(const std::vector<std::string>& arguments) {
  InstallCniRequest request;
  const std::vector<std::pair<std::string, std::string*>> values = {{"plugin", &request.plugin},       {"bin-dir", &request.bin_dir},
                                                                    {"conf", &request.conf},           {"conf-dir", &request.conf_dir},
                                                                    {"conf-name", &request.conf_name}, {"bpffs", &request.bpffs}};
  std::vector<std::string> names;
  bool conf_only = false;
  for (size_t at = 0; at < arguments.size(); at++) {
    const std::string& argument = arguments[at];
    const size_t dashes = argument.starts_with("--") ? 2 : 1;
    const size_t equals = argument.find('=');
    const std::string flag =
        argument.starts_with("-") ? argument.substr(dashes, equals == std::string::npos ? equals : equals - dashes) : "";
    if (flag == "help" || flag == "h") request.help = true;
    if (flag == "conf-only") conf_only = true;
    if (request.help || flag == "conf-only") continue;
    const auto known = std::ranges::find(values, flag, [](const auto& value) { return value.first; });
    if (known == values.end() && flag != "name") {
      return with_remedy(fail(ErrorKind::invalid, "install-cni does not know \"{}\"", argument), "see merinod install-cni --help");
    }
    if (equals == std::string::npos && at + 1 == arguments.size()) return fail(ErrorKind::invalid, "flag --{} needs a value", flag);
    const std::string value = equals == std::string::npos ? arguments[++at] : argument.substr(equals + 1);
    if (value.empty()) return fail(ErrorKind::invalid, "flag --{} needs a value", flag);
    if (flag == "name") names.push_back(value);
    if (known != values.end()) *known->second = value;
  }
  if (conf_only && (!names.empty() || !request.plugin.empty() || request.conf.empty())) {
    return fail(ErrorKind::invalid, "--conf-only goes with --conf, and with neither --plugin nor --name");
  }
  if (conf_only || !names.empty()) request.names = names;
  return request;
}

std::string install_cni_help() {
  return R"(usage: merinod install-cni [flags]
Puts the CNI plugin, and a network configuration list if one is named, where the container runtime looks for them. Each file is replaced
atomically; what is there already is left alone.

  --plugin FILE      the plugin (default: merino beside merinod, else /usr/lib/cni/merino)
  --name NAME        its name in the directory; may be repeated (default: merino). With "flannel", configurations of type flannel use it
  --bin-dir DIR      the runtime's plugins (default: /opt/cni/bin)
  --conf FILE        the network configuration list to install (default: none)
  --conf-dir DIR     the runtime's configurations (default: /etc/cni/net.d)
  --conf-name NAME   the list's name there (default: 10-merino.conflist)
  --conf-only        install the configuration and not the plugin
  --bpffs DIR        install nothing unless DIR is a BPF file system, which the plugin needs (default: not asked)
)";
}

Result<InstallCniReport> install_cni(const InstallCniRequest& request) {
  if (!request.bpffs.empty()) TRY(check_bpffs(request.bpffs));
  std::string conf;
  std::vector<std::string> wanted;
  if (!request.conf.empty()) {
    conf = TRY(read_source(request.conf, kLargestConf, "--conf"));
    wanted = TRY(plugins_of(conf, request.conf));
    TRY(check_file_name(request.conf_name));
  }
  for (const std::string& name : request.names) TRY(check_file_name(name));

  InstallCniReport report;
  if (!request.names.empty()) {
    const std::string source = TRY(find_plugin(request.plugin));
    const std::string plugin = TRY(read_source(source, kLargestPlugin, "--plugin"));
    for (const std::string& name : request.names) {
      const auto outcome = TRY(install_file(request.bin_dir, name, plugin, 0755));
      report.files.push_back({request.bin_dir + "/" + name, outcome});
    }
  }
  if (request.conf.empty()) return report;
  const auto outcome = TRY(install_file(request.conf_dir, request.conf_name, conf, 0644));
  report.files.push_back({request.conf_dir + "/" + request.conf_name, outcome});
  for (const std::string& type : wanted) {
    if (::access((request.bin_dir + "/" + type).c_str(), X_OK) != 0) report.missing_plugins.push_back(type);
  }
  return report;
}

}  // namespace merino
