#include "cluster/base64.h"

#include <array>
#include <cstdint>

#include "base/printable.h"

namespace merino {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> make_values() {
  std::array<int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  return values;
}
constexpr std::array<int8_t, 256> kValues = make_values();

}  // namespace

std::string encode_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](size_t n) { return i + n < bytes.size() ? static_cast<uint32_t>(static_cast<uint8_t>(bytes[i + n])) : 0U; };
    const uint32_t group = byte(0) << 16U | byte(1) << 8U | byte(2);
    out += kAlphabet[group >> 18U & 63U];
    out += kAlphabet[group >> 12U & 63U];
    out += i + 1 < bytes.size() ? kAlphabet[group >> 6U & 63U] : '=';
    out += i + 2 < bytes.size() ? kAlphabet[group & 63U] : '=';
  }
  return out;
}

Result<std::string> decode_base64(std::string_view text) {
  const auto bad = [&] { return fail(ErrorKind::decode, "\"{}\" is not base64", printable(text)); };
  if (text.size() % 4 != 0) return bad();
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t group = 0;
    for (size_t n = 0; n < 4; ++n) {
      const bool is_padding = i + n >= text.size() - padding;
      const int value = is_padding ? 0 : kValues[static_cast<uint8_t>(text[i + n])];
      if (value < 0) return bad();
      group = group << 6U | static_cast<uint32_t>(value);
    }
    out += static_cast<char>(group >> 16U & 255U);
    out += static_cast<char>(group >> 8U & 255U);
    out += static_cast<char>(group & 255U);
  }
  out.resize(out.size() - padding);
  return out;
}

}  // namespace merino
