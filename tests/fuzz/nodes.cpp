// What an API server answers: a list of Nodes, a watch, one Node; whole, and in pieces as a network delivers it.
#include "cluster/kube_node.h"
#include "property.h"

namespace merino::fuzz {
namespace {

std::string flat(const KubeNode& node) {
  std::string text = node.name + '|' + node.created + '|' + node.unavailable_status + '|' + node.unavailable_reason + '|' + node.too_long;
  for (const auto& [key, value] : node.annotations) text += '|' + key + '=' + value;
  for (const std::string& cidr : node.pod_cidrs) text += '|' + cidr;
  return text;
}

// Feeds `text` in pieces of `step` bytes; what came of it, as text.
std::string feed(JsonListener& listener, std::string& found, const std::string& text, size_t step) {
  JsonPush json(listener);
  for (size_t at = 0; at < text.size(); at += step) {
    if (const auto fed = json.feed(std::string_view(text).substr(at, step)); !fed) {
      require_good(fed.error());
      return found + "!" + fed.error().message();
    }
  }
  return found + (json.at_rest() ? "." : "?");
}

const AnnotationNames& names() {
  static const AnnotationNames all = make_annotation_names("flannel.alpha.coreos.com").value();
  return all;
}

std::string list(const std::string& text, size_t step) {
  std::string found;
  KubeListReader reader(names(), [&](const KubeNode& node) {
    found += flat(node) + "\n";
    return ok();
  });
  return feed(reader, found, text, step) + reader.resource_version + "," + reader.next_page + (reader.complete ? "+" : "-");
}

std::string watch(const std::string& text, size_t step) {
  std::string found;
  KubeWatchReader reader(names(), [&](const KubeEvent& event) {
    found += event.type + event.resource_version + flat(event.node) + event.code + event.reason + event.message + "\n";
    return ok();
  });
  return feed(reader, found, text, step);
}

std::string single(const std::string& text, size_t step) {
  std::string found;
  KubeSingleReader reader(names());
  const std::string fed = feed(reader, found, text, step);
  return fed + flat(reader.take());
}

}  // namespace
}  // namespace merino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino::fuzz;
  if (size == 0) return 0;
  // The first byte says how it is cut.
  const size_t step = 1 + data[0] % 16;
  const std::string text(data + 1, data + size);
  for (const auto& read : {list, watch, single}) require(read(text, text.size() + 1) == read(text, step), "pieces say what the whole says");
  return 0;
}
