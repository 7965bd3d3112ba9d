#include "lab/node.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab/sandbox.h"
#include "support/slowdown.h"

#ifndef MERINOD
#define MERINOD "merinod"
#endif

namespace merino::lab {
namespace {

constexpr int kHealthPort = 8081;

std::string log_path(const std::string& name) {
  static int count = 0;
  return fmt::format("{}/merinod.{}.{}.log", kSharedDir, name, ++count);
}

}  // namespace

Node::Node(const std::string& name, const std::string& lease_dir)
    : Machine(name), store_("--lease-dir " + lease_dir), log_path_(log_path(name)) {}

void Node::set_up(const NodeOptions& options) {
  write("/etc/kube-flannel/net-conf.json", options.net_conf);
  flags_ = options.flags;
  prefix_ = options.prefix;
  if (!options.store.empty()) store_ = options.store;
  must("sysctl -qw net.ipv4.ip_forward=0; " + options.before_start);
  if (options.agent == AgentStart::now) start_agent();
}

void Node::start_agent() {
  agent_ = start(fmt::format("exec {} {} {} --healthz-port {} {}", prefix_, MERINOD, store_, kHealthPort, flags_), log_path_);
}

int Node::http_status(const std::string& path) const {
  Fd fd;
  in_network([&] { fd.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); });
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kHealthPort);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{2 * test::slowdown(), 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) return 0;
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return 0;
  char answer[13] = {};
  if (::recv(fd.get(), answer, 12, MSG_WAITALL) != 12) return 0;
  return std::atoi(answer + 9);  // "HTTP/1.1 200"
}

void Node::wait_ready() {
  const bool ready = eventually([this] { return http_status("/readyz") == 200 || !agent_.running(); }, std::chrono::seconds(60));
  if (!agent_.running()) throw Failure(name() + ": merinod ended:\n" + agent_.log());
  if (!ready) throw Failure(name() + ": merinod is not ready:\n" + agent_.log());
}

Prefix Node::first_address(Family family) const {
  const char* name = family == Family::v4 ? "FLANNEL_SUBNET" : "FLANNEL_IPV6_SUBNET";
  return Prefix::parse(must(fmt::format(". /run/flannel/subnet.env && printf '%s' \"${}\"", name))).value();
}

int Node::mtu() const { return std::stoi(must(". /run/flannel/subnet.env && echo \"$FLANNEL_MTU\"")); }

std::string Node::vtep_mac() const { return must("ip -br link show merino0 | awk '{printf \"%s\", $3}'"); }

std::string Node::conflist() const {
  return R"({"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"merino"},{"type":"portmap","capabilities":{"portMappings":true}}]})";
}

void Node::explain() const {
  const Output output = run("ip -br addr; ip route; ip -6 route; nft list ruleset 2>/dev/null | head -80");
  fmt::print(stderr, "--- {}: merinod's log\n{}\n--- {}: state\n{}{}--- {}: counters\n{}", name(), agent_.log(), name(), output.out,
             output.err, name(), counters().to_string());
}

}  // namespace merino::lab
