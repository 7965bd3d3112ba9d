#include <sys/mman.h>
#include <unistd.h>

#include "cluster/kube_credentials.h"
#include "property.h"

// As merinod reads it, with no flag that says another server.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require;
  static const int file = ::memfd_create("kubeconfig", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  require(::ftruncate(file, 0) == 0 && ::pwrite(file, data, size, 0) == static_cast<ssize_t>(size), "there is a file to read");
  const auto credentials = find_credentials("", path, {});
  if (!credentials) {
    fuzz::require_good(credentials.error());
    return 0;
  }
  const bool secret = !credentials->token.empty() || !credentials->token_file.empty();
  require(!secret || credentials->server.starts_with("https://"), "no secret goes out in the clear");
  require(credentials->token.find_first_of("\r\n") == std::string::npos, "a token is one line");
  return 0;
}
