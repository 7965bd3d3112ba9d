// Is this a build that a sanitizer watches (presets asan, tsan)? Its plugin is not static, so that the loader's system calls come before
// the plugin's, and its runtime keeps memory of its own.
#pragma once

#include <string_view>

namespace merino::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// How the loader ends a program that it could not load.
inline constexpr int kLoaderFailed = 127;

// LeakSanitizer does not work under strace, and ends a program whose options, which tell it so, could not be read.
inline bool leak_check_failed(std::string_view errors) {
  return kSanitized && errors.find("LeakSanitizer has encountered a fatal error") != std::string_view::npos;
}

}  // namespace merino::test
