#include "base/call_counts.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "base/fd.h"
#include "base/file.h"

namespace merino {

namespace {

constexpr std::array kCommands = {"ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"};
constexpr std::array kCodes = {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 11U, 50U, 51U, 999U, kOtherCode};

struct Cell {
  uint64_t buckets[kDurationBuckets];
  uint64_t nanoseconds;
};

struct Sheet {
  Cell cells[kCommands.size()][kCodes.size()];
};
static_assert(std::atomic_ref<uint64_t>::is_always_lock_free, "a lock inside of a process would not hold off another one");

// The file in memory, shared with every process that has it.
class Mapping {
 public:
  explicit Mapping(void* memory) : sheet_(static_cast<Sheet*>(memory)) {}
  Mapping(Mapping&& other) noexcept : sheet_(std::exchange(other.sheet_, nullptr)) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping() {
    if (sheet_ != nullptr) ::munmap(sheet_, sizeof(Sheet));
  }
  [[nodiscard]] Sheet& operator*() const { return *sheet_; }

 private:
  Sheet* sheet_;
};

// A file that is cut short while it is mapped would kill who touches it; nobody does that to a file which only root can write.
Result<Mapping> map_file(const Fd& fd, const std::string& path, int protection) {
  void* memory = ::mmap(nullptr, sizeof(Sheet), protection, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return fail_errno(errno, "map {}", path);
  return Mapping(memory);
}

Result<off_t> size_of(const Fd& fd, const std::string& path) {
  struct stat file {};
  if (::fstat(fd.get(), &file) != 0) return fail_errno(errno, "look at {}", path);
  if (!S_ISREG(file.st_mode)) return fail(ErrorKind::invalid, "{} is not a regular file", path);
  if (file.st_size != 0 && file.st_size != static_cast<off_t>(sizeof(Sheet)))
    return fail(ErrorKind::invalid, "{} is of a wrong size", path);
  return file.st_size;
}

Result<Fd> open_to_write(const std::string& path) {
  const auto attempt = [&] { return Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644)); };
  Fd fd = attempt();
  if (!fd && errno == ENOENT) {
    TRY(make_directories(std::filesystem::path(path).parent_path()));
    fd = attempt();
  }
  if (!fd) return fail_errno(errno, "open {}", path);
  TRY(size_of(fd, path));
  // Of two that make it, both give it the same size. With all its blocks, also where there are some: a hole that is touched on a full disk
  // kills with SIGBUS.
  if (::fallocate(fd.get(), 0, 0, sizeof(Sheet)) != 0) return fail_errno(errno, "allocate {}", path);
  return fd;
}

void add(uint64_t& cell, uint64_t amount) { std::atomic_ref(cell).fetch_add(amount, std::memory_order_relaxed); }
uint64_t get(uint64_t& cell) { return std::atomic_ref(cell).load(std::memory_order_relaxed); }

std::optional<size_t> row_of(const std::string& command) {
  const auto* const found = std::find(kCommands.begin(), kCommands.end(), command);
  if (found == kCommands.end()) return std::nullopt;
  return static_cast<size_t>(found - kCommands.begin());
}

size_t column_of(unsigned code) {
  const auto* const found = std::find(kCodes.begin(), kCodes.end(), code);
  return found == kCodes.end() ? kCodes.size() - 1 : static_cast<size_t>(found - kCodes.begin());
}

std::vector<CallCount> read_sheet(Sheet* sheet) {
  std::vector<CallCount> counts;
  for (size_t row = 0; row < kCommands.size(); ++row) {
    for (size_t column = 0; column < kCodes.size(); ++column) {
      CallCount count{kCommands[row], kCodes[column], {}};
      if (sheet != nullptr) {
        Cell& cell = sheet->cells[row][column];
        for (size_t i = 0; i < kDurationBuckets; ++i) count.durations.buckets[i] = get(cell.buckets[i]);
        count.durations.sum = std::chrono::nanoseconds(get(cell.nanoseconds));
      }
      counts.push_back(std::move(count));
    }
  }
  return counts;
}

}  // namespace

Status count_call(const std::string& command, unsigned code, std::chrono::nanoseconds took, const std::string& path) {
  const auto row = row_of(command);
  if (!row) return ok();
  const Fd fd = TRY(open_to_write(path));
  const Mapping sheet = TRY(map_file(fd, path, PROT_READ | PROT_WRITE));
  Cell& cell = (*sheet).cells[*row][column_of(code)];
  add(cell.nanoseconds, static_cast<uint64_t>(std::max<int64_t>(took.count(), 0)));
  add(cell.buckets[duration_bucket(took)], 1);
  return ok();
}

Result<std::vector<CallCount>> read_call_counts(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ENOENT) return read_sheet(nullptr);
  if (!fd) return fail_errno(errno, "open {}", path);
  if (TRY(size_of(fd, path)) == 0) return read_sheet(nullptr);
  const Mapping sheet = TRY(map_file(fd, path, PROT_READ));
  return read_sheet(&*sheet);
}

}  // namespace merino
