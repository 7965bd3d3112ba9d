// Nodes as an API server writes them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cluster/kube_node.h"

namespace merino::test {

inline const std::string kPrefix = "flannel.alpha.coreos.com/";

struct NodeText {
  std::string name = "node1";
  std::string pod_cidr = "10.244.1.0/24";
  std::string public_ip = "192.168.88.11";
  std::string created = "2026-11-23T10:00:00Z";
  std::map<std::string, std::string> annotations{};  // beside flannel's four, or instead of them; without the prefix
  std::vector<std::string> without{};                // flannel's that are missing
  std::string version = "7";
  size_t ballast = 0;  // bytes of what nobody reads

  [[nodiscard]] nlohmann::json json() const {
    nlohmann::json node;
    node["kind"] = "Node";
    node["apiVersion"] = "v1";
    node["metadata"] = {{"name", name}, {"resourceVersion", version}, {"creationTimestamp", created}};
    std::map<std::string, std::string> all = {{"kube-subnet-manager", "true"},
                                              {"backend-type", "vxlan"},
                                              {"backend-data", R"({"VNI":1,"VtepMAC":"f2:91:b4:a4:d8:06"})"},
                                              {"public-ip", public_ip}};
    for (const auto& [key, value] : annotations) all[key] = value;
    for (const auto& key : without) all.erase(key);
    for (const auto& [key, value] : all) node["metadata"]["annotations"][kPrefix + key] = value;
    node["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"] = "0";
    node["metadata"]["managedFields"] = {{{"manager", std::string(ballast / 2, 'm')}}};
    if (!pod_cidr.empty()) {
      node["spec"]["podCIDR"] = pod_cidr;
      node["spec"]["podCIDRs"] = {pod_cidr};
    }
    node["status"]["images"] = {{{"names", {std::string(ballast / 2, 'i')}}}};
    node["status"]["conditions"] = {{{"type", "Ready"}, {"status", "True"}, {"reason", "KubeletReady"}}};
    return node;
  }
  [[nodiscard]] std::string text() const { return json().dump(); }
};

inline AnnotationNames annotation_names() { return make_annotation_names("flannel.alpha.coreos.com").value(); }

inline KubeNode read_node(const std::string& text) {
  const AnnotationNames names = annotation_names();
  KubeSingleReader reader(names);
  JsonPush json(reader);
  const auto fed = json.feed(text);
  EXPECT_TRUE(fed) << fed.error().message();
  EXPECT_TRUE(reader.complete);
  return reader.take();
}
inline KubeNode read_node(const NodeText& node) { return read_node(node.text()); }

}  // namespace merino::test
