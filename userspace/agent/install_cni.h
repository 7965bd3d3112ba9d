// `merinod install-cni`: puts the CNI plugin and the network configuration where the container runtime looks for them.
//
// Each file is replaced atomically and durably, so that a runtime that looks at any moment, or a node that loses its power, has the old
// file or the new one; a plugin that runs at that moment goes on. What is there already, with the same content, is not written again. The
// configuration comes last: a runtime that sees it finds the plugin.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace merino {

struct InstallCniRequest {
  std::string plugin;                           // the plugin's file; empty: beside merinod, or where the Debian package has it
  std::vector<std::string> names = {"merino"};  // what it is called in bin_dir; empty: no plugin is installed
  std::string bin_dir = "/opt/cni/bin";
  std::string conf;  // the network configuration list's file; empty: none is installed
  std::string conf_dir = "/etc/cni/net.d";
  std::string conf_name = "10-merino.conflist";
  std::string bpffs;  // refuse unless this is a BPF file system; empty: not asked
  bool help = false;
};

// The words after `install-cni`: --flag=value or --flag value. Errors name the flag.
Result<InstallCniRequest> parse_install_cni(const std::vector<std::string>& arguments);
std::string install_cni_help();

enum class InstallOutcome { written, unchanged };

struct InstalledFile {
  std::string path;
  InstallOutcome outcome;
};

struct InstallCniReport {
  std::vector<InstalledFile> files;
  // Plugins that the configuration names and bin_dir does not have. They may lie in another directory of the runtime's.
  std::vector<std::string> missing_plugins;
};

// Makes the directories that are missing. Errors: not_found (a source is missing), invalid (the configuration is not one that a runtime
// could use, or bpffs is not a BPF file system; nothing is written then), system (the first file that could not be written; those before it
// are).
Result<InstallCniReport> install_cni(const InstallCniRequest& request);

}  // namespace merino
