#include "ctl/pcap.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace merino::ctl {

namespace {

// In the byte order of the host: readers find out by the first word.
struct FileHeader {
  uint32_t magic = 0xa1b23c4d;  // nanoseconds
  uint16_t major = 2;
  uint16_t minor = 4;
  uint32_t zone = 0;
  uint32_t accuracy = 0;
  uint32_t longest = 0;
  uint32_t link_type = 1;  // Ethernet
};
static_assert(sizeof(FileHeader) == 24);

struct RecordHeader {
  uint32_t seconds;
  uint32_t nanoseconds;
  uint32_t captured;
  uint32_t length;
};

Status write_all(int fd, const std::string& path, std::span<const iovec> parts) {
  size_t size = 0;
  for (const iovec& part : parts) size += part.iov_len;
  const ssize_t written = ::writev(fd, parts.data(), static_cast<int>(parts.size()));
  if (written < 0) return fail_errno(errno, "write {}", path);
  if (static_cast<size_t>(written) != size) return fail_errno(ENOSPC, "write {}", path);
  return ok();
}

}  // namespace

Result<PcapWriter> PcapWriter::open(const std::string& path, uint32_t longest) {
  Fd fd(path == "-" ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno, "make {}", path);
  FileHeader header;
  header.longest = longest;
  const iovec part{&header, sizeof(header)};
  TRY(write_all(fd.get(), path, {&part, 1}));
  return PcapWriter(std::move(fd), path);
}

Status PcapWriter::write(std::chrono::system_clock::time_point time, std::span<const uint8_t> bytes, uint32_t length) {
  const auto since_epoch = std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  constexpr int64_t kSecond = 1'000'000'000;
  RecordHeader header{static_cast<uint32_t>(since_epoch / kSecond), static_cast<uint32_t>(since_epoch % kSecond),
                      static_cast<uint32_t>(bytes.size()), length};
  const iovec parts[] = {{&header, sizeof(header)}, {const_cast<uint8_t*>(bytes.data()), bytes.size()}};
  return write_all(fd_.get(), path_, parts);
}

}  // namespace merino::ctl
