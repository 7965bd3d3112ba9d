#include <yaml-cpp/yaml.h>

#include <array>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/printable.h"
#include "cluster/base64.h"
#include "cluster/kube_credentials.h"

namespace merino {
namespace {

constexpr size_t kLargestFile = 1U << 20U;
constexpr size_t kLongestReason = 400;

struct RefusedKey {
  const char* key;
  const char* why;
  const char* remedy;
};

constexpr const char* kUseToken =
    "use a token, a tokenFile or a client certificate; for example the token of a service account with the manifest's ClusterRole";

constexpr std::array kRefusedOfUser{
    RefusedKey{"exec", "merinod runs no programs to get credentials", kUseToken},
    RefusedKey{"auth-provider", "merinod has no authentication providers", kUseToken},
    RefusedKey{"username", "the API server does not take passwords since Kubernetes 1.19", kUseToken},
    RefusedKey{"password", "the API server does not take passwords since Kubernetes 1.19", kUseToken},
    RefusedKey{"as", "merinod impersonates nobody", "remove it, and give the user itself the rights of the manifest's ClusterRole"},
    RefusedKey{"as-uid", "merinod impersonates nobody", "remove it, and give the user itself the rights of the manifest's ClusterRole"},
    RefusedKey{"as-groups", "merinod impersonates nobody", "remove it, and give the user itself the rights of the manifest's ClusterRole"},
    RefusedKey{"as-user-extra", "merinod impersonates nobody",
               "remove it, and give the user itself the rights of the manifest's ClusterRole"},
};

constexpr std::array kRefusedOfCluster{
    RefusedKey{"tls-server-name", "the server's certificate must be for the name in its URL",
               "use a name or address of the certificate in `server`"},
    RefusedKey{"proxy-url", "merinod uses no proxy from a kubeconfig", "remove it, and give a server that can be reached directly"},
};

// One kubeconfig while it is read. A class for the sake of the path, which every error names.
class Kubeconfig {
 public:
  explicit Kubeconfig(const std::string& path) : path_(path), directory_(std::filesystem::path(path).parent_path()) {}

  [[nodiscard]] Result<KubeCredentials> read(const std::string& yaml) const;

 private:
  using Text = std::optional<std::string>;

  [[nodiscard]] Result<YAML::Node> named(const YAML::Node& root, const char* list, const char* inner, const std::string& name) const;
  [[nodiscard]] Result<Text> text(const YAML::Node& map, const std::string& where, const char* key) const;
  [[nodiscard]] Result<std::string> required(const YAML::Node& map, const std::string& where, const char* key, const char* remedy) const;
  [[nodiscard]] Result<Text> file(const YAML::Node& map, const std::string& where, const char* key) const;
  [[nodiscard]] Result<Text> data(const YAML::Node& map, const std::string& where, const char* key) const;
  template <size_t kCount>
  [[nodiscard]] Status refuse(const YAML::Node& map, const std::string& where, const std::array<RefusedKey, kCount>& keys) const;
  [[nodiscard]] Status read_cluster(const YAML::Node& cluster, const std::string& where, KubeCredentials& out) const;
  [[nodiscard]] Status read_user(const YAML::Node& user, const std::string& where, KubeCredentials& out) const;

  std::string path_;
  std::filesystem::path directory_;
};

YAML::Node member(const YAML::Node& map, const char* key) { return map.IsMap() ? map[key] : YAML::Node(YAML::NodeType::Undefined); }

// clusters: [{name: x, cluster: {...}}], the one of that name.
Result<YAML::Node> Kubeconfig::named(const YAML::Node& root, const char* list, const char* inner, const std::string& name) const {
  const YAML::Node entries = member(root, list);
  if (entries.IsSequence()) {
    for (const YAML::Node& entry : entries) {
      const YAML::Node its = member(entry, "name");
      const YAML::Node found = member(entry, inner);
      if (its.IsScalar() && its.Scalar() == name && found.IsMap()) return found;
    }
  }
  return with_remedy(fail(ErrorKind::not_found, "{}: {} has no \"{}\" with a {}", path_, list, printable(name), inner),
                     "`kubectl config view` shows what is there");
}

Result<Kubeconfig::Text> Kubeconfig::text(const YAML::Node& map, const std::string& where, const char* key) const {
  const YAML::Node node = member(map, key);
  if (!node.IsDefined() || node.IsNull()) return std::nullopt;
  if (!node.IsScalar()) {
    return with_remedy(fail(ErrorKind::decode, "{}: {}.{} must be a string", path_, where, key), "write it as `kubectl config view` does");
  }
  if (node.Scalar().empty()) return std::nullopt;
  return node.Scalar();
}

Result<std::string> Kubeconfig::required(const YAML::Node& map, const std::string& where, const char* key, const char* remedy) const {
  auto value = TRY(text(map, where, key));
  if (!value) return with_remedy(fail(ErrorKind::invalid, "{}: {}{} is missing", path_, where.empty() ? "" : where + ".", key), remedy);
  return *value;
}

Result<Kubeconfig::Text> Kubeconfig::file(const YAML::Node& map, const std::string& where, const char* key) const {
  const auto name = TRY(text(map, where, key));
  if (!name) return std::nullopt;
  if (name->find('\0') != std::string::npos) {
    return with_remedy(fail(ErrorKind::invalid, "{}: {}.{} has a zero byte, as no file's name has", path_, where, key), "correct it");
  }
  const std::string full = std::filesystem::path(*name).is_absolute() ? *name : (directory_ / *name).string();
  if (auto content = read_file(full, kLargestFile); !content) {
    Error error = std::move(content).error();
    error.what = printable(error.what, kLongestReason);
    return with_remedy(in_context(std::move(error), fmt::format("{}: {}.{}", path_, where, key)),
                       "names are relative to the kubeconfig; merinod must be able to read the file");
  }
  return full;
}

Result<Kubeconfig::Text> Kubeconfig::data(const YAML::Node& map, const std::string& where, const char* key) const {
  auto encoded = TRY(text(map, where, key));
  if (!encoded) return std::nullopt;
  std::erase_if(*encoded, [](char c) { return c == ' ' || c == '\n'; });  // of YAML's long lines
  auto decoded = decode_base64(*encoded);
  if (!decoded || decoded->find("-----BEGIN") == std::string::npos) {
    return with_remedy(fail(ErrorKind::decode, "{}: {}.{} must be PEM text in base64", path_, where, key), "make it by `base64 -w0 FILE`");
  }
  return *decoded;
}

template <size_t kCount>
Status Kubeconfig::refuse(const YAML::Node& map, const std::string& where, const std::array<RefusedKey, kCount>& keys) const {
  for (const RefusedKey& refused : keys) {
    const YAML::Node node = member(map, refused.key);
    if (!node.IsDefined() || node.IsNull() || (node.IsScalar() && node.Scalar().empty())) continue;
    return with_remedy(fail(ErrorKind::unsupported, "{}: {}.{} cannot be used: {}", path_, where, refused.key, refused.why),
                       refused.remedy);
  }
  return ok();
}

Status Kubeconfig::read_cluster(const YAML::Node& cluster, const std::string& where, KubeCredentials& out) const {
  TRY(refuse(cluster, where, kRefusedOfCluster));
  const YAML::Node insecure = member(cluster, "insecure-skip-tls-verify");
  if (insecure.IsDefined() && !insecure.IsNull() && !(insecure.IsScalar() && insecure.Scalar() == "false")) {
    return with_remedy(
        fail(ErrorKind::unsupported, "{}: {}.insecure-skip-tls-verify cannot be used: merinod always verifies the server", path_, where),
        "remove it, and give the cluster's authority by certificate-authority or certificate-authority-data");
  }
  out.server = TRY(text(cluster, where, "server")).value_or("");
  out.tls.ca_pem = TRY(data(cluster, where, "certificate-authority-data")).value_or("");
  if (out.tls.ca_pem.empty()) out.tls.ca_file = TRY(file(cluster, where, "certificate-authority")).value_or("");
  return ok();
}

Status Kubeconfig::read_user(const YAML::Node& user, const std::string& where, KubeCredentials& out) const {
  TRY(refuse(user, where, kRefusedOfUser));
  out.token_file = TRY(file(user, where, "tokenFile")).value_or("");
  if (out.token_file.empty()) out.token = TRY(text(user, where, "token")).value_or("");
  TRY(read_token(out));
  TlsOptions& tls = out.tls;
  tls.cert_pem = TRY(data(user, where, "client-certificate-data")).value_or("");
  if (tls.cert_pem.empty()) tls.cert_file = TRY(file(user, where, "client-certificate")).value_or("");
  tls.key_pem = TRY(data(user, where, "client-key-data")).value_or("");
  if (tls.key_pem.empty()) tls.key_file = TRY(file(user, where, "client-key")).value_or("");
  const bool has_cert = !tls.cert_pem.empty() || !tls.cert_file.empty();
  const bool has_key = !tls.key_pem.empty() || !tls.key_file.empty();
  if (has_cert != has_key) {
    return with_remedy(fail(ErrorKind::invalid, "{}: {} has a client {} without its {}", path_, where, has_cert ? "certificate" : "key",
                            has_cert ? "key" : "certificate"),
                       "give client-certificate and client-key, or their -data, together");
  }
  return ok();
}

Result<KubeCredentials> Kubeconfig::read(const std::string& yaml) const {
  const YAML::Node root = YAML::Load(yaml);
  constexpr const char* kRemedy = "`kubectl config use-context NAME` sets it";
  const std::string current = TRY(required(root, "", "current-context", kRemedy));
  const YAML::Node context = TRY(named(root, "contexts", "context", current));
  const std::string where = fmt::format("contexts[{}]", printable(current));
  KubeCredentials out;
  const std::string cluster = TRY(required(context, where, "cluster", "name one of `clusters` there"));
  const YAML::Node cluster_node = TRY(named(root, "clusters", "cluster", cluster));
  TRY(read_cluster(cluster_node, fmt::format("clusters[{}]", printable(cluster)), out));
  const auto user = TRY(text(context, where, "user"));
  if (!user) return out;
  const YAML::Node user_node = TRY(named(root, "users", "user", *user));
  TRY(read_user(user_node, fmt::format("users[{}]", printable(*user)), out));
  return out;
}

}  // namespace

Result<KubeCredentials> parse_kubeconfig(const std::string& yaml, const std::string& path) {
  try {
    return Kubeconfig(path).read(yaml);
  } catch (const YAML::Exception& failure) {
    return with_remedy(fail(ErrorKind::decode, "{}: not a kubeconfig: {}", path, printable(failure.what(), 200)),
                       "`kubectl --kubeconfig FILE config view` says what is wrong with it");
  }
}

}  // namespace merino
