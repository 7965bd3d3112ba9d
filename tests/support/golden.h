// Files of the tree that tests compare with, and text files that tests write.
#pragma once

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace merino::test {

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!(file << text << std::flush)) throw std::runtime_error("cannot write " + path);
}

// The content of tests/golden/<name>. The path comes from where this header was compiled from.
inline std::string golden(const std::string& name) {
  const std::string here = __FILE__;  // .../tests/support/golden.h
  return read_text(here.substr(0, here.rfind("/support/")) + "/golden/" + name);
}

}  // namespace merino::test
