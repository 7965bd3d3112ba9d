// Another CNI plugin, called as a runtime calls one: found in CNI_PATH, with the CNI_* variables and a configuration on standard input.
#pragma once

#include <string>

#include "cni/protocol.h"

namespace merino::cni {

struct PluginCall {
  std::string role;  // what it is to us, for errors: "IPAM plugin"
  std::string type;  // its file name
  std::string command;
  AttachmentId id;
  std::string netns;
  std::string conf;
};

// invalid_config when there is no such program in `cni_path`. A type with a '/' in it is never found.
Outcome<std::string> find_plugin(const std::string& role, const std::string& type, const std::string& cni_path);

// What the program printed. Its own error object comes back with its name in front of the message.
Outcome<std::string> call_plugin(const PluginCall& call, const std::string& cni_path);

}  // namespace merino::cni
