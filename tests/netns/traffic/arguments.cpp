#include "traffic/arguments.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

#include "support/slowdown.h"

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
  return std::chrono::milliseconds(number(name, fallback)) * merino::test::slowdown();
}

std::chrono::microseconds Arguments::microseconds(const std::string& name, uint64_t fallback) const {
  return std::chrono::microseconds(number(name, fallback)) * merino::test::slowdown();
}

Endpoint parse_endpoint(const std::string& text) {
  const bool bracketed = text.starts_with('[');
  const size_t end = bracketed ? text.find(']') : text.find(':') == text.rfind(':') ? text.find(':') : std::string::npos;
  const auto address = merino::IpAddress::parse(text.substr(bracketed ? 1 : 0, end - (bracketed ? 1 : 0)));
  if (!address) throw Failure("\"" + text + "\" is no endpoint: " + address.error().message());
  Endpoint endpoint{};
  endpoint.sin6_family = AF_INET6;
  std::memcpy(&endpoint.sin6_addr, address->bytes().data(), address->bytes().size());
  const size_t colon = end == std::string::npos ? end : text.find(':', end);
  if (colon != std::string::npos) endpoint.sin6_port = htons(static_cast<uint16_t>(std::stoul(text.substr(colon + 1))));
  return endpoint;
}

merino::IpAddress address_of(const Endpoint& endpoint) { return merino::IpAddress::from_network(merino::Family::v6, &endpoint.sin6_addr); }

std::string to_text(const Endpoint& endpoint) {
  const std::string address = address_of(endpoint).to_string();
  const std::string port = std::to_string(ntohs(endpoint.sin6_port));
  return address.find(':') == std::string::npos ? address + ":" + port : "[" + address + "]:" + port;
}

void fail_errno(const std::string& what) { throw Failure(what + ": " + std::strerror(errno)); }

merino::Fd open_socket(int type) {
  merino::Fd fd(::socket(AF_INET6, type | SOCK_CLOEXEC, 0));
  if (!fd) fail_errno("socket");
  const int off = 0;
  ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  return fd;
}

void bind_to(int fd, const Endpoint& local) {
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) fail_errno("bind " + to_text(local));
}

merino::Fd open_client_socket(const Arguments& arguments, int type) {
  merino::Fd fd = open_socket(type);
  const std::string local = arguments.text("bind", "");
  if (!local.empty()) bind_to(fd.get(), parse_endpoint(local));
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
