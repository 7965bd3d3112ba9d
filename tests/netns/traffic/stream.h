// What is sent: a pseudo-random stream that both sides make from the seed, so that the receiver compares every byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace traffic {

// xorshift64*; the bytes do not depend on the sizes in which they are taken.
class Stream {
 public:
  explicit Stream(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}

  void fill(uint8_t* out, size_t size) {
    while (size > 0) {
      if (left_ == 0) next();
      const size_t take = size < left_ ? size : left_;
      std::memcpy(out, word_ + sizeof(word_) - left_, take);
      out += take;
      size -= take;
      left_ -= take;
    }
  }

 private:
  void next() {
    for (size_t at = 0; at < sizeof(word_); at += 8) {
      state_ ^= state_ >> 12;
      state_ ^= state_ << 25;
      state_ ^= state_ >> 27;
      const uint64_t value = state_ * 0x2545f4914f6cdd1dULL;
      std::memcpy(word_ + at, &value, 8);
    }
    left_ = sizeof(word_);
  }

  uint64_t state_;
  uint8_t word_[4096]{};
  size_t left_ = 0;
};

// What the UDP server does to every byte of a request before it sends it back.
inline constexpr uint8_t kEchoMask = 0x5a;

}  // namespace traffic
