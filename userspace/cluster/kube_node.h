// What counts of a Kubernetes Node, read out of the JSON of one Node, of a list or of a watch.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "cluster/kube_json.h"

namespace merino {

// flannel's annotations, with their prefix.
struct AnnotationNames {
  struct OfFamily {
    std::string backend_data, public_ip, public_ip_overwrite, node_public_ip;
  };
  std::string kube_subnet_manager;
  std::string backend_type;
  OfFamily v4, v6;

  [[nodiscard]] const OfFamily& of(Family family) const { return family == Family::v4 ? v4 : v6; }

  [[nodiscard]] bool contain(std::string_view name) const;
};

// "flannel.alpha.coreos.com" gives "flannel.alpha.coreos.com/public-ip", "org.com/x" gives "org.com/x-public-ip". invalid for what flannel
// refuses: no domain with a dot before the slash, several slashes, other characters than a-z, 0-9, '.', '_' and '-'.
Result<AnnotationNames> make_annotation_names(const std::string& prefix);

struct KubeNode {
  std::string name;
  std::string created;                             // RFC 3339 in UTC: of two, the lesser text is the older
  std::map<std::string, std::string> annotations;  // those of AnnotationNames
  std::vector<std::string> pod_cidrs;              // spec.podCIDRs, else spec.podCIDR
  std::string unavailable_status;                  // of the condition NetworkUnavailable; empty if there is none
  std::string unavailable_reason;
  std::string too_long;  // a field whose value was longer than any that makes sense, and is cut here; empty: none

  // nullptr: the node does not have it.
  [[nodiscard]] const std::string* annotation(const std::string& key) const;
};

// Takes the members of a Node as a JsonListener gets them; paths begin at the Node. Values of a wrong type are as good as absent.
class KubeNodeReader {
 public:
  // `names` must outlive the reader.
  explicit KubeNodeReader(const AnnotationNames& names) : names_(names) {}

  [[nodiscard]] bool wants(JsonPath path) const;
  void value(JsonPath path, const JsonScalar& scalar);
  void closed(JsonPath path);

  // The Node that was read; the next one may follow.
  KubeNode take();

 private:
  struct Condition {
    std::string type, status, reason;
  };
  void keep(std::string& field, JsonPath path, const JsonScalar& scalar);

  const AnnotationNames& names_;
  KubeNode node_;
  std::string pod_cidr_;
  Condition condition_;
};

// A list of Nodes, one page of it.
class KubeListReader : public JsonListener {
 public:
  using OnNode = std::function<Status(KubeNode)>;
  KubeListReader(const AnnotationNames& names, OnNode on_node) : node_(names), on_node_(std::move(on_node)) {}

  bool wants(JsonPath path) override;
  void value(JsonPath path, const JsonScalar& scalar) override;
  Status closed(JsonPath path) override;

  std::string resource_version;
  std::string next_page;  // metadata.continue; empty: this was the last one
  bool complete = false;

 private:
  KubeNodeReader node_;
  OnNode on_node_;
};

struct KubeEvent {
  std::string type;              // ADDED, MODIFIED, DELETED, BOOKMARK, ERROR
  std::string resource_version;  // of the object
  KubeNode node;
  std::string code, reason, message;  // of the Status that comes with ERROR
};

// A watch of Nodes: one document for each event.
class KubeWatchReader : public JsonListener {
 public:
  using OnEvent = std::function<Status(KubeEvent)>;
  KubeWatchReader(const AnnotationNames& names, OnEvent on_event) : node_(names), on_event_(std::move(on_event)) {}

  bool wants(JsonPath path) override;
  void value(JsonPath path, const JsonScalar& scalar) override;
  Status closed(JsonPath path) override;

 private:
  KubeNodeReader node_;
  OnEvent on_event_;
  KubeEvent event_;
};

// One Node from its whole JSON.
class KubeSingleReader : public JsonListener {
 public:
  explicit KubeSingleReader(const AnnotationNames& names) : node_(names) {}

  bool wants(JsonPath path) override { return node_.wants(path); }
  void value(JsonPath path, const JsonScalar& scalar) override { node_.value(path, scalar); }
  Status closed(JsonPath path) override;

  KubeNode take() { return node_.take(); }
  bool complete = false;

 private:
  KubeNodeReader node_;
};

}  // namespace merino
