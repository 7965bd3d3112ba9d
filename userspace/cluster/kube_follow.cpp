#include "cluster/kube_follow.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <random>
#include <utility>

#include "base/printable.h"

namespace merino {
namespace {

using std::chrono::seconds;

constexpr size_t kNodesPerPage = 500;
constexpr size_t kMostNodes = 100'000;  // Kubernetes itself is good for 5,000
constexpr size_t kMostPages = 2 * kMostNodes / kNodesPerPage;
constexpr int kListAttempts = 3;
constexpr KubePatience kListPatience{.whole = std::chrono::minutes(5), .idle = seconds(30)};
// Watches end after five to ten minutes, not all nodes' at once; the server sends a bookmark a minute when nothing happens.
constexpr int64_t kShortestWatch = 300;
constexpr int64_t kLongestWatch = 600;
constexpr seconds kWatchIdle{150};
constexpr seconds kShortWatch{1};

int64_t watch_seconds() {
  static thread_local std::mt19937 random{std::random_device{}()};
  return std::uniform_int_distribution<int64_t>(kShortestWatch, kLongestWatch)(random);
}

// A resourceVersion goes into a URL: what no API server has ever made is refused.
bool is_version(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); });
}

// Versions are numbers in all API servers there are; nullopt if these are not.
std::optional<uint64_t> as_number(const std::string& version) {
  uint64_t number = 0;
  const char* end = version.data() + version.size();
  const auto parsed = std::from_chars(version.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end ? std::optional(number) : std::nullopt;
}

std::string query_escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace

KubeFollower::KubeFollower(KubeClient& client, const AnnotationNames& names, std::string own)
    : client_(client), names_(names), own_(std::move(own)) {}

Status KubeFollower::put(NodeLeases& nodes, const KubeNode& node) const {
  if (node.name.empty()) return fail(ErrorKind::decode, "{}: a Node has no name", client_.server());
  auto lease = read_node_lease(node, names_);
  if (!lease) {
    nodes.erase(node.name);
    return ok();
  }
  if (nodes.size() >= kMostNodes && !nodes.contains(node.name)) {
    return fail(ErrorKind::exhausted, "{} has more than {} nodes", client_.server(), kMostNodes);
  }
  nodes.insert_or_assign(node.name, std::move(*lease));
  return ok();
}

// One list in pages. gone: it was changed too much meanwhile, and must begin anew.
Result<KubeOutcome> KubeFollower::list_pages(NodeLeases& found, std::string& version) {
  std::string next_page;
  for (size_t page = 0; page < kMostPages; ++page) {
    KubeListReader reader(names_, [&](const KubeNode& node) { return put(found, node); });
    const std::string path =
        fmt::format("/api/v1/nodes?limit={}{}{}", kNodesPerPage, next_page.empty() ? "" : "&continue=", query_escaped(next_page));
    if (TRY(client_.read(path, reader, kListPatience)) == KubeOutcome::gone) return KubeOutcome::gone;
    if (!reader.complete || !is_version(reader.resource_version)) {
      return fail(ErrorKind::decode, "GET {}/api/v1/nodes: the answer is no list of nodes with a resourceVersion", client_.server());
    }
    version = reader.resource_version;
    if (reader.next_page.empty()) return KubeOutcome::complete;
    if (reader.next_page == next_page) break;
    next_page = reader.next_page;
  }
  return fail(ErrorKind::exhausted, "GET {}/api/v1/nodes: the list does not end", client_.server());
}

Status KubeFollower::list() {
  for (int attempt = 0; attempt < kListAttempts; ++attempt) {
    NodeLeases found;
    std::string version;
    if (TRY(list_pages(found, version)) == KubeOutcome::gone) continue;
    nodes_ = std::move(found);
    version_ = version;
    return ok();
  }
  return fail(ErrorKind::unavailable, "GET {}/api/v1/nodes: the list ended {} times with \"410 gone\"", client_.server(), kListAttempts);
}

// Is the server there, and is its history the one we know? One that is younger (etcd from a backup, a new cluster) would let a watch
// wait for what is long past.
Status KubeFollower::check_history() {
  KubeListReader reader(names_, [](const KubeNode&) { return ok(); });
  if (TRY(client_.read("/api/v1/nodes?limit=1", reader, kListPatience)) == KubeOutcome::gone) return ok();
  const auto known = as_number(version_);
  const auto now = as_number(reader.resource_version);
  if (!known || !now || *now < *known) version_.clear();
  return ok();
}

Status KubeFollower::take_error(const KubeEvent& event) {
  version_.clear();
  if (event.code == "410" || event.reason == "Expired" || event.reason == "Gone") gone_ = true;
  return fail(ErrorKind::unavailable, "watch of nodes at {}: {} {}", client_.server(), printable(event.code),
              printable(event.message, 300));
}

// An older state must not take the place of a newer one.
Status KubeFollower::check_order(const KubeEvent& event) const {
  const auto known = as_number(version_);
  const auto next = as_number(event.resource_version);
  if (!known || !next || *next >= *known) return ok();
  return fail(ErrorKind::decode, "watch of nodes at {}: a change of version {} came after one of version {}", client_.server(), *next,
              *known);
}

Status KubeFollower::apply(const KubeEvent& event) {
  ++events_;
  if (event.type == "ERROR") return take_error(event);
  TRY(check_order(event));
  if (event.type == "DELETED") {
    changed_ = nodes_.erase(event.node.name) > 0 || changed_;
  } else if (event.type == "ADDED" || event.type == "MODIFIED") {
    const auto before = nodes_.find(event.node.name);
    const auto old = before == nodes_.end() ? std::nullopt : std::optional(before->second);
    TRY(put(nodes_, event.node));
    const auto after = nodes_.find(event.node.name);
    changed_ = changed_ || event.node.name == own_ || old.has_value() != (after != nodes_.end()) || (old && *old != after->second);
  } else if (event.type != "BOOKMARK") {
    return fail(ErrorKind::decode, "watch of nodes at {}: unknown event \"{}\"", client_.server(), printable(event.type));
  }
  if (is_version(event.resource_version)) version_ = event.resource_version;
  return ok();
}

Result<KubeOutcome> KubeFollower::watch(const OnChange& changed) {
  events_ = 0;
  gone_ = false;
  KubeWatchReader reader(names_, [this](const KubeEvent& event) { return apply(event); });
  const int64_t limit = watch_seconds();
  const std::string path =
      fmt::format("/api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}", version_, limit);
  // The events of a burst are one change.
  const auto after_piece = [&] {
    if (std::exchange(changed_, false)) changed(nodes_);
  };
  auto outcome = client_.read(path, reader, {.whole = seconds(limit) + kWatchIdle, .idle = kWatchIdle}, after_piece);
  after_piece();
  if (gone_) return KubeOutcome::gone;
  if (!outcome && outcome.error().kind == ErrorKind::decode) version_.clear();  // what was not understood may have counted
  return outcome;
}

Status KubeFollower::run(const OnChange& changed) {
  if (!version_.empty()) TRY(check_history());
  bool listed = false;
  if (!version_.empty()) changed(nodes_);
  for (;;) {
    if (version_.empty()) {
      TRY(list());
      changed(nodes_);
      listed = true;
    }
    const auto begun = std::chrono::steady_clock::now();
    const KubeOutcome outcome = TRY(watch(changed));
    const bool short_lived = events_ == 0 && std::chrono::steady_clock::now() - begun < kShortWatch;
    if (outcome == KubeOutcome::gone) {
      version_.clear();
      // A list that is too old at once would be made again and again.
      if (listed && short_lived) break;
    } else if (short_lived) {
      break;
    }
    listed = false;
  }
  return fail(ErrorKind::unavailable, "watch of nodes at {}: it ended as soon as it began", client_.server());
}

}  // namespace merino
