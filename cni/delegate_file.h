// The file in which flannel's plugin keeps what it told its delegate: <dataDir>/<container ID>. merino keeps it too, so that either plugin
// can take away what the other one made.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace merino::cni {

inline constexpr const char* kDelegateDir = "/var/lib/cni/flannel";

// Makes the directory (0700) when it is missing; the file is 0600. Not synced to disk: a container does not outlive the machine.
Status write_delegate_file(const std::string& data_dir, const std::string& container_id, const std::string& text);
// nullopt if there is none.
Result<std::optional<std::string>> read_delegate_file(const std::string& data_dir, const std::string& container_id);
// Gone already: success.
Status remove_delegate_file(const std::string& data_dir, const std::string& container_id);
// The container IDs that have one; none if there is no such directory.
Result<std::vector<std::string>> list_delegate_files(const std::string& data_dir);

}  // namespace merino::cni
