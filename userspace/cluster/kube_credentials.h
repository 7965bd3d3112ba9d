// Where the API server is, and how a node proves who it is: the service account of a pod, or a kubeconfig.
#pragma once

#include <string>

#include "base/result.h"
#include "cluster/http.h"

namespace merino {

struct KubeCredentials {
  std::string server;  // "https://10.96.0.1:443", without a slash at the end
  TlsOptions tls;
  std::string token_file;  // comes before `token`
  std::string token;
};

// What a pod is given.
struct KubeEnvironment {
  std::string service_host, service_port;  // KUBERNETES_SERVICE_HOST and _PORT
  std::string account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";
};
KubeEnvironment kube_environment();

// By flannel's order: the kubeconfig if one is named, else the service account. `api_url`, unless empty, is the server in either case; an
// http:// one without a kubeconfig gets no credentials. All files are read once, so that errors (invalid, decode, not_found) name the file,
// the key in it and the remedy now. A server without TLS is sent no secret: invalid.
Result<KubeCredentials> find_credentials(const std::string& api_url, const std::string& kubeconfig_file,
                                         const KubeEnvironment& environment);

// A kubeconfig's current context. Names of files in it are relative to `path`'s directory. What merino does not do is refused, naming the
// key and the remedy: programs that make credentials (exec, auth-provider), username and password, impersonation, proxies, and every way to
// weaken the verification of the server. A server may be missing.
Result<KubeCredentials> parse_kubeconfig(const std::string& yaml, const std::string& path);

// The bearer token as it is now, the file's if there is one, since it rotates; empty if there is none.
Result<std::string> read_token(const KubeCredentials& credentials);

}  // namespace merino
