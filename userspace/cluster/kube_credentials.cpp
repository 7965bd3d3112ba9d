#include "cluster/kube_credentials.h"

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/printable.h"

namespace merino {
namespace {

constexpr size_t kLargestKubeconfig = 1U << 20U;
constexpr size_t kLargestToken = 64U << 10U;

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_https(const std::string& url) { return url.starts_with("https://"); }

Result<std::string> checked_server(std::string url, const std::string& source) {
  const size_t scheme = is_https(url) ? 8 : url.starts_with("http://") ? 7 : std::string::npos;
  const bool plain = std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c <= '~' && c != '@' && c != '?' && c != '#'; });
  while (url.ends_with('/')) url.pop_back();
  if (scheme == std::string::npos || !plain || url.size() <= scheme || url[scheme] == '/') {
    return with_remedy(fail(ErrorKind::invalid, "{} must be the URL of an API server, found \"{}\"", source, printable(url)),
                       "write it as https://10.0.0.1:6443");
  }
  return url;
}

Result<KubeCredentials> service_account(const KubeEnvironment& environment, const std::string& api_url) {
  const std::string& dir = environment.account_dir;
  KubeCredentials credentials;
  credentials.server = api_url;
  credentials.token_file = dir + "/token";
  credentials.tls.ca_file = dir + "/ca.crt";
  constexpr const char* kRemedy =
      "name a kubeconfig by --kubeconfig-file; or run merinod as a pod with a service account (automountServiceAccountToken)";
  if (api_url.empty()) {
    const std::string& host = environment.service_host;
    if (host.empty() || environment.service_port.empty()) {
      return with_remedy(fail(ErrorKind::not_found, "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod"),
                         kRemedy);
    }
    const bool v6 = host.find(':') != std::string::npos;
    credentials.server = TRY(checked_server(fmt::format("https://{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", environment.service_port),
                                            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT"));
  }
  if (auto token = read_token(credentials); !token) return with_remedy(tl::unexpected(std::move(token).error()), kRemedy);
  if (auto ca = read_file(credentials.tls.ca_file, kLargestKubeconfig); !ca) {
    return with_remedy(tl::unexpected(std::move(ca).error()), kRemedy);
  }
  return credentials;
}

bool has_secret(const KubeCredentials& credentials) {
  const TlsOptions& tls = credentials.tls;
  return !credentials.token.empty() || !credentials.token_file.empty() || !tls.cert_file.empty() || !tls.cert_pem.empty();
}

}  // namespace

KubeEnvironment kube_environment() {
  KubeEnvironment environment;
  environment.service_host = from_environment("KUBERNETES_SERVICE_HOST");
  environment.service_port = from_environment("KUBERNETES_SERVICE_PORT");
  return environment;
}

Result<std::string> read_token(const KubeCredentials& credentials) {
  const bool of_file = !credentials.token_file.empty();
  std::string token = of_file ? TRY(read_file(credentials.token_file, kLargestToken)) : credentials.token;
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
  const bool plain = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!plain || (of_file && token.empty())) {
    return with_remedy(fail(ErrorKind::invalid, "{} is no bearer token", of_file ? credentials.token_file : "the user's token"),
                       "a token is one line of printable characters");
  }
  return token;
}

Result<KubeCredentials> find_credentials(const std::string& api_url, const std::string& kubeconfig_file,
                                         const KubeEnvironment& environment) {
  const std::string url = api_url.empty() ? "" : TRY(checked_server(api_url, "--kube-api-url"));
  if (kubeconfig_file.empty()) {
    if (url.empty() || is_https(url)) return service_account(environment, url);
    KubeCredentials none;
    none.server = url;
    return none;
  }
  const std::string yaml = TRY(read_file(kubeconfig_file, kLargestKubeconfig));
  KubeCredentials credentials = TRY(parse_kubeconfig(yaml, kubeconfig_file));
  if (!url.empty()) credentials.server = url;
  if (credentials.server.empty()) {
    return with_remedy(fail(ErrorKind::invalid, "{}: the cluster of the current context has no server", kubeconfig_file),
                       "write it there as `server: https://10.0.0.1:6443`, or give --kube-api-url");
  }
  credentials.server = TRY(checked_server(credentials.server, kubeconfig_file + ": server"));
  if (!is_https(credentials.server) && has_secret(credentials)) {
    return with_remedy(
        fail(ErrorKind::invalid, "{} would get the credentials of {} without encryption", credentials.server, kubeconfig_file),
        "use the server's https:// URL");
  }
  return credentials;
}

}  // namespace merino
