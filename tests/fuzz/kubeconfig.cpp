#include "cluster/kube_credentials.h"
#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require;
  const auto credentials = parse_kubeconfig(std::string(data, data + size), "/nowhere/kubeconfig");
  if (!credentials) {
    fuzz::require_good(credentials.error());
    return 0;
  }
  const bool secret = !credentials->token.empty() || !credentials->token_file.empty();
  require(!secret || !credentials->server.starts_with("http://"), "no secret goes out in the clear");
  require(credentials->token.find_first_of("\r\n") == std::string::npos, "a token is one line");
  return 0;
}
