// A CNI network as libcni runs it: a list of plugins, each by exec with its environment and its part of the configuration on stdin.
#pragma once

#include <string>

#include "lab/place.h"
#include "lab/pod_network.h"

namespace merino::lab {

struct CniAttachment {
  std::string container_id;
  std::string netns;
  std::string ifname = "eth0";
  std::string runtime_config = "{}";  // capability arguments by name
};

struct CniResult {
  std::string json;       // of the last plugin in the chain
  PerFamilyText address;  // without prefix length
  PerFamilyText gateway;
};

class CniNetwork {
 public:
  CniNetwork(const Place& where, std::string conflist) : where_(where), conflist_(std::move(conflist)) {}

  // ADD through the chain, each plugin's result passed on as prevResult; the last one is cached as libcni does. A Failure with the plugin's
  // error object.
  CniResult add(const CniAttachment& attachment);
  // DEL in reverse order; `result` is that of ADD ("" if it is not known).
  void del(const CniAttachment& attachment, const std::string& result);
  // CHECK (specification 0.4.0 and later).
  void check(const CniAttachment& attachment, const std::string& result);
  // One plugin of the chain by itself: what it printed, and its exit code.
  Output call(const std::string& command, size_t plugin, const CniAttachment& attachment, const std::string& previous_result);

 private:
  const Place& where_;
  std::string conflist_;
};

}  // namespace merino::lab
