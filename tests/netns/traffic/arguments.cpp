#include "traffic/arguments.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

namespace traffic {

Arguments::Arguments(int argc, char** argv) {
  for (int i = 0; i < argc; i += 2) {
    const std::string name = argv[i];
    if (!name.starts_with("--") || i + 1 == argc) throw Failure("expected --name value, not \"" + name + "\"");
    values_[name.substr(2)] = argv[i + 1];
  }
}

std::string Arguments::text(const std::string& name, const std::string& fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second;
}

std::string Arguments::text(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw Failure("--" + name + " is missing");
  return found->second;
}

uint64_t Arguments::number(const std::string& name, uint64_t fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : std::stoull(found->second);
}

std::chrono::milliseconds Arguments::milliseconds(const std::string& name, uint64_t fallback) const {
  return std::chrono::milliseconds(number(name, fallback));
}

sockaddr_in parse_endpoint(const std::string& text) {
  sockaddr_in endpoint{};
  endpoint.sin_family = AF_INET;
  const size_t colon = text.find(':');
  if (::inet_pton(AF_INET, text.substr(0, colon).c_str(), &endpoint.sin_addr) != 1) throw Failure("\"" + text + "\" is no IPv4 endpoint");
  if (colon != std::string::npos) endpoint.sin_port = htons(static_cast<uint16_t>(std::stoul(text.substr(colon + 1))));
  return endpoint;
}

std::string to_text(const sockaddr_in& endpoint) {
  char text[INET_ADDRSTRLEN];
  return std::string(::inet_ntop(AF_INET, &endpoint.sin_addr, text, sizeof(text))) + ":" + std::to_string(ntohs(endpoint.sin_port));
}

void fail_errno(const std::string& what) { throw Failure(what + ": " + std::strerror(errno)); }

merino::Fd open_socket(const Arguments& arguments, int type) {
  merino::Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  if (!fd) fail_errno("socket");
  const std::string bind_to = arguments.text("bind", "");
  if (!bind_to.empty()) {
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const sockaddr_in local = parse_endpoint(bind_to);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) fail_errno("bind " + bind_to);
  }
  return fd;
}

void set_timeout(int fd, std::chrono::milliseconds timeout) {
  timeval value{};
  value.tv_sec = timeout.count() / 1000;
  value.tv_usec = timeout.count() % 1000 * 1000;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof(value));
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof(value));
}

}  // namespace traffic
