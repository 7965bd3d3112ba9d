#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "agent/health.h"
#include "agent/start.h"
#include "base/fd.h"
#include "support/temp_dir.h"

namespace merino {
namespace agent_health_test {

using testing::HasSubstr;

TEST(HealthBoard, RunningAsLongAsTheAgentMakesProgress) {
  HealthBoard board;
  const HealthBoard::Clock::time_point now{std::chrono::hours(1)};
  board.beat(now);
  EXPECT_EQ(board.healthz(now + std::chrono::seconds(120)).code, 200);
  EXPECT_EQ(board.healthz(now).body, "merinod is running");
  const HttpAnswer stuck = board.healthz(now + std::chrono::seconds(121));
  EXPECT_EQ(stuck.code, 503);
  EXPECT_THAT(stuck.body, HasSubstr("no progress for 121 s"));
}

TEST(HealthBoard, ReadySaysWhatIsMissing) {
  HealthBoard board;
  EXPECT_EQ(board.readyz().code, 503) << "before the first check";
  board.publish({"device: no", "rules: no"});
  EXPECT_EQ(board.readyz().code, 503);
  EXPECT_EQ(board.readyz().body, "merinod is not ready yet\ndevice: no\nrules: no\n");
  board.publish({});
  EXPECT_EQ(board.readyz().code, 200);
  EXPECT_EQ(board.readyz().body, "merinod is ready");
}

// A loopback port that nobody has now.
uint16_t free_port() {
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return 0;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

Fd connect_to(uint16_t port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) fd.reset();
  return fd;
}

std::string get(uint16_t port, const std::string& path) {
  const Fd fd = connect_to(port);
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  if (!fd || ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "";
  std::string answer;
  char buffer[1024];
  for (ssize_t n = 0; (n = ::recv(fd.get(), buffer, sizeof(buffer), 0)) > 0;) answer.append(buffer, static_cast<size_t>(n));
  return answer;
}

TEST(HealthServer, Answers) {
  HealthBoard board;
  const uint16_t port = free_port();
  const auto server = start_health_server("127.0.0.1", port, board);
  ASSERT_TRUE(server) << server.error().message();
  EXPECT_THAT(get(port, "/healthz"), testing::AllOf(HasSubstr("HTTP/1.1 200"), HasSubstr("merinod is running"), HasSubstr("text/plain")));
  EXPECT_THAT(get(port, "/readyz"), testing::AllOf(HasSubstr("HTTP/1.1 503"), HasSubstr("merinod is not ready yet")));
  board.publish({});
  EXPECT_THAT(get(port, "/readyz"), HasSubstr("merinod is ready"));
  EXPECT_THAT(get(port, "/other"), HasSubstr("HTTP/1.1 404"));

  const auto second = start_health_server("127.0.0.1", port, board);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::exists);
  EXPECT_THAT(second.error().message(), HasSubstr("127.0.0.1:" + std::to_string(port)));
}

TEST(HealthServer, SilentClientsDoNotHoldItForEver) {
  HealthBoard board;
  const uint16_t port = free_port();
  const auto server = start_health_server("127.0.0.1", port, board);
  ASSERT_TRUE(server) << server.error().message();
  std::vector<Fd> silent;
  for (int i = 0; i < 8; i++) silent.push_back(connect_to(port));
  EXPECT_THAT(get(port, "/healthz"), HasSubstr("merinod is running"));
}

TEST(InstanceLock, SecondAgentIsRefusedByName) {
  const test::TempDir dir;
  const std::string path = dir.file("run/merinod.lock");
  auto first = take_instance_lock(path);
  ASSERT_TRUE(first) << first.error().message();
  const auto second = take_instance_lock(path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::exists);
  EXPECT_THAT(second.error().message(), HasSubstr("another merinod runs on this node (process " + std::to_string(getpid())));
  first->reset();
  EXPECT_TRUE(take_instance_lock(path)) << "a lock that is let go, or whose holder died, is free";
}

}  // namespace agent_health_test
}  // namespace merino
