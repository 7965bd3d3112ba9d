// One result type for the whole house.
//
// Libraries return Result<T> (or Status where there is no value); only a main() logs and chooses an exit code. An Error says
// what was tried on which object, carries errno where a system call failed, and the remedy where there is one.
//
//   Result<Fd> open_lock(const std::string& path) {
//     Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
//     if (!fd) return fail_errno(errno, "open lock {}", path);
//     return fd;
//   }
//   Status use() {
//     Fd lock = TRY(open_lock("/run/x.lock"));
//     ...
//     return ok();
//   }
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace merino {

// What a caller may want to react to; everything else is in the text.
enum class ErrorKind {
  system,       // a system call failed, see sys_errno
  invalid,      // the input is wrong and will stay wrong: a config, a request, a lease
  decode,       // the input could not be parsed
  not_found,    // the named thing does not exist
  exists,       // the named thing exists already, or another holder has it
  unavailable,  // not now: try again later
  exhausted,    // a pool or a map is full
  unsupported,  // this build or this kernel cannot do it
};

struct Error {
  ErrorKind kind = ErrorKind::system;
  std::string what;    // what was tried on which object, and why it failed
  std::string remedy;  // what the reader can do about it; may be empty
  int sys_errno = 0;   // 0 where no system call is the cause

  // "what: strerror; remedy", one line, for logs and terminals.
  [[nodiscard]] std::string message() const;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline Status ok() { return {}; }

[[nodiscard]] tl::unexpected<Error> vfail(ErrorKind kind, int sys_errno, fmt::string_view format, fmt::format_args args);

// An error without errno. Formats with {fmt}.
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return vfail(kind, 0, format, fmt::make_format_args(args...));
}

// A failed system call: pass errno as it was right after the call. Netlink and libbpf errors come as positive errno too.
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail_errno(int sys_errno, fmt::format_string<Args...> format, Args&&... args) {
  return vfail(ErrorKind::system, sys_errno, format, fmt::make_format_args(args...));
}

// The same error with a remedy: `return with_remedy(fail(...), "run merinod as root");`
[[nodiscard]] tl::unexpected<Error> with_remedy(tl::unexpected<Error> error, std::string_view remedy);

// The same error seen from one step further out: "context: what".
[[nodiscard]] tl::unexpected<Error> in_context(Error error, std::string_view context);

}  // namespace merino

// The value of a Result, or return its error from the enclosing function. A GNU statement expression: g++ and clang both have it.
#define TRY(...)                                                               \
  __extension__({                                                              \
    auto&& try_result_ = (__VA_ARGS__);                                        \
    if (!try_result_) return ::tl::unexpected(std::move(try_result_).error()); \
    ::merino::detail::take(std::move(try_result_));                            \
  })

namespace merino::detail {
template <class T>
T take(Result<T>&& result) {
  return *std::move(result);
}
inline void take(Status&&) {}
}  // namespace merino::detail
