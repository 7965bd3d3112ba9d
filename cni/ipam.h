// Who gives addresses to pods: the host-local that is built in, or another program.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cni/protocol.h"
#include "cni/result.h"

namespace merino::cni {

class Ipam {
 public:
  virtual ~Ipam() = default;

  // Addresses (at least one), routes and DNS for a new attachment. After a failure nothing of it is allocated.
  virtual Outcome<AddResult> add(const AttachmentId& id, const std::string& netns) = 0;
  // Frees what the attachment has; nothing to free is success.
  virtual Outcome<void> del(const AttachmentId& id, const std::string& netns) = 0;
  // Fails if the attachment has no address.
  virtual Outcome<void> check(const AttachmentId& id, const std::string& netns) = 0;
  // Frees what belongs to none of `valid`.
  virtual Outcome<void> gc(const std::vector<AttachmentId>& valid) = 0;
  // Fails if add() could not work.
  virtual Outcome<void> status() = 0;
  // Everything that is allocated, as far as it is known here (another program's allocations are not).
  virtual Outcome<std::vector<std::pair<AttachmentId, IpAddress>>> allocations() = 0;
};

}  // namespace merino::cni
