// A place where commands run: a network namespace and the mounts that belong to it. Failures are exceptions, which fail the test.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>

#include "base/fd.h"

namespace merino::lab {

class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr std::chrono::seconds kCommandTimeout{30};

// 128 + n if signal n ended it.
int exit_code_of(int wait_status);

struct Output {
  int exit_code = 0;  // as exit_code_of()
  std::string out;
  std::string err;
  [[nodiscard]] bool ok() const { return exit_code == 0; }
};

// A program that runs beside the test. Killed with its process group when this goes.
class Process {
 public:
  Process() = default;
  Process(pid_t pid, std::string log_path) : pid_(pid), log_path_(std::move(log_path)) {}
  Process(Process&& other) noexcept { *this = std::move(other); }
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() { kill(); }

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running();
  void signal(int number) const;
  // Waits for its end; its exit code. A Failure after the timeout.
  int wait(std::chrono::milliseconds timeout = kCommandTimeout);
  // Ends it at once if it runs.
  void kill();
  // What it wrote until now, standard output and standard error together.
  [[nodiscard]] std::string log() const;
  // Waits until `text` stands in the log.
  void wait_for_log(const std::string& text, std::chrono::milliseconds timeout = std::chrono::seconds(10));

 private:
  pid_t pid_ = -1;
  int exit_code_ = -1;
  std::string log_path_;
};

class Place {
 public:
  // Of the process `pid`, as it is now.
  Place(std::string name, pid_t pid);
  Place(std::string name, Fd network, Fd mounts) : name_(std::move(name)), network_(std::move(network)), mounts_(std::move(mounts)) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  virtual ~Place() = default;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int network_fd() const { return network_.get(); }
  [[nodiscard]] int mounts_fd() const { return mounts_.get(); }

  // Runs a shell command to its end. A Failure only when it takes longer than the timeout (stretched by slowdown()).
  [[nodiscard]] Output run(const std::string& command, const std::string& input = "",
                           std::chrono::milliseconds timeout = kCommandTimeout) const;
  // The same; a Failure with everything that it printed if its exit code is not 0. Returns standard output.
  std::string must(const std::string& command, const std::string& input = "") const;
  // One "ip" command a line, in one process.
  void ip_batch(const std::string& lines) const;
  // Starts a shell command; use "exec" in it where signals must reach the program. The log is appended to `log_path` (default: an own
  // file).
  [[nodiscard]] Process start(const std::string& command, const std::string& log_path = "") const;
  // Calls `body` with the calling thread in this network namespace: for sockets that are used afterwards.
  void in_network(const std::function<void()>& body) const;
  // A file as this place sees it.
  [[nodiscard]] std::string read(const std::string& path) const { return must("cat '" + path + "'"); }
  void write(const std::string& path, const std::string& content) const;

 protected:
  void close_network() { network_.reset(); }

 private:
  void enter() const;
  [[nodiscard]] pid_t spawn(const std::string& command, int in, int out, int err) const;

  std::string name_;
  Fd network_;
  Fd mounts_;
};

// Polls until `done` says so; false after the timeout (stretched by slowdown()).
bool eventually(const std::function<bool()>& done, std::chrono::milliseconds timeout = std::chrono::seconds(10),
                std::chrono::milliseconds pause = std::chrono::milliseconds(10));

}  // namespace merino::lab
