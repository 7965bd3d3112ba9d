#include "cluster/kube_node.h"

#include <algorithm>
#include <utility>

#include "base/printable.h"

namespace merino {
namespace {

constexpr std::string_view kElement = "[]";
constexpr size_t kMostPodCidrs = 4;  // a valid Node has two

bool is_path(JsonPath path, std::initializer_list<std::string_view> wanted) {
  return std::equal(path.begin(), path.end(), wanted.begin(), wanted.end());
}

// Is `path` a key that leads to `wanted`, or `wanted` itself?
bool leads_to(JsonPath path, std::initializer_list<std::string_view> wanted) {
  return path.size() <= wanted.size() && std::equal(path.begin(), path.end(), wanted.begin());
}

bool is_label_char(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }

bool is_label(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_label_char); }

// Labels with dots between them, at least two.
bool is_domain(std::string_view text) {
  size_t dots = 0;
  for (size_t dot = text.find('.'); dot != std::string_view::npos; dot = text.find('.'), ++dots) {
    if (!is_label(text.substr(0, dot))) return false;
    text.remove_prefix(dot + 1);
  }
  return dots > 0 && is_label(text);
}

}  // namespace

Result<AnnotationNames> make_annotation_names(const std::string& prefix) {
  const size_t slash = prefix.find('/');
  const std::string domain = prefix.substr(0, slash);
  std::string name = slash == std::string::npos ? "" : prefix.substr(slash + 1);
  constexpr size_t kLongestDomain = 253;  // Kubernetes' limits
  constexpr size_t kLongestName = 63 - std::string_view("public-ipv6-overwrite").size() - 1;
  if (!is_domain(domain) || domain.size() > kLongestDomain || (!name.empty() && (!is_label(name) || name[0] == '-' || name[0] == '_')) ||
      name.size() > kLongestName) {
    return with_remedy(
        fail(ErrorKind::invalid, "--kube-annotation-prefix {}: prefix must be in a format: fqdn/[0-9a-z-_]*", printable(prefix)),
        "use flannel.alpha.coreos.com, or what the other nodes have");
  }
  if (!name.empty() && name.back() != '-') name += '-';
  const std::string stem = domain + "/" + name;
  return AnnotationNames{.kube_subnet_manager = stem + "kube-subnet-manager",
                         .backend_type = stem + "backend-type",
                         .v4 = {.backend_data = stem + "backend-data",
                                .public_ip = stem + "public-ip",
                                .public_ip_overwrite = stem + "public-ip-overwrite",
                                .node_public_ip = stem + "node-public-ip"},
                         .v6 = {.backend_data = stem + "backend-v6-data",
                                .public_ip = stem + "public-ipv6",
                                .public_ip_overwrite = stem + "public-ipv6-overwrite",
                                .node_public_ip = stem + "node-public-ipv6"}};
}

bool AnnotationNames::contain(std::string_view name) const {
  const auto is_of = [&](const OfFamily& family) {
    return name == family.backend_data || name == family.public_ip || name == family.public_ip_overwrite || name == family.node_public_ip;
  };
  return name == kube_subnet_manager || name == backend_type || is_of(v4) || is_of(v6);
}

const std::string* KubeNode::annotation(const std::string& key) const {
  const auto found = annotations.find(key);
  return found == annotations.end() ? nullptr : &found->second;
}

bool KubeNodeReader::wants(JsonPath path) const {
  if (path.size() == 3 && path[0] == "metadata" && path[1] == "annotations") return names_.contain(path[2]);
  return leads_to(path, {"metadata", "annotations"}) || is_path(path, {"metadata", "name"}) ||
         is_path(path, {"metadata", "creationTimestamp"}) || is_path(path, {"spec", "podCIDR"}) ||
         leads_to(path, {"spec", "podCIDRs", kElement}) || leads_to(path, {"status", "conditions", kElement, "type"}) ||
         is_path(path, {"status", "conditions", kElement, "status"}) || is_path(path, {"status", "conditions", kElement, "reason"});
}

void KubeNodeReader::keep(std::string& field, JsonPath path, const JsonScalar& scalar) {
  if (scalar.kind != JsonScalar::Kind::string) return;
  field = scalar.text;
  if (!scalar.whole) node_.too_long = path.back() == kElement ? path[path.size() - 2] : path.back();
}

void KubeNodeReader::value(JsonPath path, const JsonScalar& scalar) {
  if (path.size() == 3 && path[1] == "annotations") {
    keep(node_.annotations[path[2]], path, scalar);
  } else if (is_path(path, {"metadata", "name"})) {
    keep(node_.name, path, scalar);
  } else if (is_path(path, {"metadata", "creationTimestamp"})) {
    keep(node_.created, path, scalar);
  } else if (is_path(path, {"spec", "podCIDR"})) {
    keep(pod_cidr_, path, scalar);
  } else if (is_path(path, {"spec", "podCIDRs", kElement})) {
    if (node_.pod_cidrs.size() < kMostPodCidrs) keep(node_.pod_cidrs.emplace_back(), path, scalar);
  } else if (path.size() == 4 && scalar.kind == JsonScalar::Kind::string) {
    if (path[3] == "type") condition_.type = scalar.text;
    if (path[3] == "status") condition_.status = scalar.text;
    if (path[3] == "reason") condition_.reason = scalar.text;
  }
}

void KubeNodeReader::closed(JsonPath path) {
  if (!is_path(path, {"status", "conditions", kElement})) return;
  if (condition_.type == "NetworkUnavailable") {
    node_.unavailable_status = condition_.status;
    node_.unavailable_reason = condition_.reason;
  }
  condition_ = {};
}

KubeNode KubeNodeReader::take() {
  if (node_.pod_cidrs.empty() && !pod_cidr_.empty()) node_.pod_cidrs.push_back(pod_cidr_);
  pod_cidr_.clear();
  condition_ = {};
  return std::exchange(node_, {});
}

bool KubeListReader::wants(JsonPath path) {
  if (path.size() > 2 && path[0] == "items") return path[1] == kElement && node_.wants(path.subspan(2));
  return leads_to(path, {"items", kElement}) || leads_to(path, {"metadata", "resourceVersion"}) || is_path(path, {"metadata", "continue"});
}

void KubeListReader::value(JsonPath path, const JsonScalar& scalar) {
  if (path.size() > 2) return node_.value(path.subspan(2), scalar);
  if (scalar.kind != JsonScalar::Kind::string || !scalar.whole) return;
  if (is_path(path, {"metadata", "resourceVersion"})) resource_version = scalar.text;
  if (is_path(path, {"metadata", "continue"})) next_page = scalar.text;
}

Status KubeListReader::closed(JsonPath path) {
  if (path.empty()) complete = true;
  if (path.size() > 2) node_.closed(path.subspan(2));
  if (is_path(path, {"items", kElement})) return on_node_(node_.take());
  return ok();
}

bool KubeWatchReader::wants(JsonPath path) {
  if (path.empty()) return true;
  if (path[0] != "object") return is_path(path, {"type"});
  const JsonPath inner = path.subspan(1);
  return node_.wants(inner) || is_path(inner, {"metadata", "resourceVersion"}) || is_path(inner, {"code"}) || is_path(inner, {"reason"}) ||
         is_path(inner, {"message"});
}

void KubeWatchReader::value(JsonPath path, const JsonScalar& scalar) {
  if (path.empty()) return;
  const std::string text(scalar.text);
  if (path[0] != "object") {
    event_.type = text;
  } else if (is_path(path, {"object", "metadata", "resourceVersion"})) {
    if (scalar.whole) event_.resource_version = text;
  } else if (is_path(path, {"object", "code"})) {
    event_.code = text;
  } else if (is_path(path, {"object", "reason"})) {
    event_.reason = text;
  } else if (is_path(path, {"object", "message"})) {
    event_.message = text;
  } else {
    node_.value(path.subspan(1), scalar);
  }
}

Status KubeWatchReader::closed(JsonPath path) {
  if (!path.empty()) {
    node_.closed(path.subspan(1));
    return ok();
  }
  event_.node = node_.take();
  return on_event_(std::exchange(event_, {}));
}

Status KubeSingleReader::closed(JsonPath path) {
  if (path.empty()) complete = true;
  node_.closed(path);
  return ok();
}

}  // namespace merino
