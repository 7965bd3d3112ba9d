// Packets into a file that tcpdump and Wireshark read (pcap, nanoseconds, Ethernet).
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace merino::ctl {

class PcapWriter {
 public:
  // Makes the file, mode 0600, or empties it; "-" is standard output.
  static Result<PcapWriter> open(const std::string& path, uint32_t longest);

  // `length`: of the whole frame, of which `bytes` are the beginning.
  Status write(std::chrono::system_clock::time_point time, std::span<const uint8_t> bytes, uint32_t length);

 private:
  PcapWriter(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::string path_;
};

}  // namespace merino::ctl
