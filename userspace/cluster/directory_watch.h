// Says when a directory may have changed: inotify at once, and a timer for what inotify does not see.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace merino {

class DirectoryWatch {
 public:
  // The directory need not exist yet, and may come and go.
  static Result<DirectoryWatch> open(std::string path, std::chrono::milliseconds interval);

  // Readable when there is something for drain().
  [[nodiscard]] int fd() const { return poll_.get(); }

  struct Events {
    bool changed = false;  // something happened in the directory, or to it
    bool tick = false;     // the interval is over
  };
  Events drain();

 private:
  DirectoryWatch(std::string path, Fd poll, Fd inotify, Fd timer)
      : path_(std::move(path)), poll_(std::move(poll)), inotify_(std::move(inotify)), timer_(std::move(timer)) {}
  bool read_inotify();
  bool rewatch();

  std::string path_;
  Fd poll_;
  Fd inotify_;
  Fd timer_;
  int watch_ = -1;
};

}  // namespace merino
