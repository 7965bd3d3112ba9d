// `merinoctl bugtool`: everything that a maintainer asks for, in one archive. Secrets are taken out (ctl/redact.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace merino::ctl {

// A page that merinoctl makes itself.
struct BugtoolPage {
  std::string name;
  std::function<std::string()> text;
};

struct BugtoolRequest {
  std::string archive;  // path of the .tar.gz; must not exist
  std::vector<BugtoolPage> pages;
};

struct BugtoolReport {
  std::string archive;
  size_t files = 0;
  std::vector<std::string> missing;  // what could not be had, with the reason; also in the archive, as missing.txt
};

// The archive has mode 0600: addresses and names of pods are in it. exists if the file is there already.
Result<BugtoolReport> write_bugtool(const BugtoolRequest& request);

}  // namespace merino::ctl
