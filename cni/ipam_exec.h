// IPAM by another program, found in CNI_PATH and called as CNI plugins are.
#pragma once

#include <string>

#include "cni/config.h"
#include "cni/ipam.h"

namespace merino::cni {

class IpamExec : public Ipam {
 public:
  IpamExec(const NetworkConf& conf, Environment environment)
      : type_(conf.ipam_type), version_(conf.version), conf_text_(conf.text), environment_(std::move(environment)) {}

  Outcome<AddResult> add(const AttachmentId& id, const std::string& netns) override;
  Outcome<void> del(const AttachmentId& id, const std::string& netns) override;
  // Nothing before 0.4.0, which has no CHECK.
  Outcome<void> check(const AttachmentId& id, const std::string& netns) override;
  // Nothing before 1.1.0.
  Outcome<void> gc(const std::vector<AttachmentId>& valid) override;
  Outcome<void> status() override;
  Outcome<std::vector<std::pair<AttachmentId, IpAddress>>> allocations() override;

 private:
  // What the program printed.
  Outcome<std::string> call(const char* command, const AttachmentId& id, const std::string& netns) const;

  std::string type_;
  SpecVersion version_;
  std::string conf_text_;
  Environment environment_;
};

// What the configuration asks for.
std::unique_ptr<Ipam> make_ipam(const NetworkConf& conf, const Environment& environment);

}  // namespace merino::cni
