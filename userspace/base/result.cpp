#include "base/result.h"

#include <fmt/format.h>

#include <cstring>

namespace merino {

std::string Error::message() const {
  std::string text = what;
  if (sys_errno != 0) {
    const char* description = strerrordesc_np(sys_errno);
    text += fmt::format(": {} (errno {})", description != nullptr ? description : "unknown error", sys_errno);
  }
  if (!remedy.empty()) text += "; " + remedy;
  return text;
}

tl::unexpected<Error> vfail(ErrorKind kind, int sys_errno, fmt::string_view format, fmt::format_args args) {
  Error error;
  error.kind = kind;
  error.what = fmt::vformat(format, args);
  error.sys_errno = sys_errno;
  return tl::unexpected(std::move(error));
}

tl::unexpected<Error> with_remedy(tl::unexpected<Error> error, std::string_view remedy) {
  error.value().remedy = remedy;
  return error;
}

tl::unexpected<Error> in_context(Error error, std::string_view context) {
  error.what = fmt::format("{}: {}", context, error.what);
  return tl::unexpected(std::move(error));
}

}  // namespace merino
