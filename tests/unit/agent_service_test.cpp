#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/service.h"
#include "base/fd.h"
#include "support/temp_dir.h"

namespace merino {
namespace agent_service_test {

// The service manager's socket.
class ServiceTest : public testing::Test {
 protected:
  ServiceTest() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = dir_.file("notify");
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0) << path;
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~ServiceTest() override {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
  }

  // Everything that was sent since the last call.
  std::vector<std::string> heard() {
    std::vector<std::string> messages;
    char buffer[512];
    for (ssize_t n = 0; (n = ::recv(socket_.get(), buffer, sizeof(buffer), 0)) > 0;) messages.emplace_back(buffer, static_cast<size_t>(n));
    return messages;
  }

  test::TempDir dir_;
  Fd socket_;
};

TEST_F(ServiceTest, SaysReadyOnceAndStatusWhenItDiffers) {
  ServiceManager service;
  service.status("not ready:\ndevice");
  service.status("not ready:\ndevice");
  service.ready();
  service.ready();
  service.status("ready");
  service.stopping();
  EXPECT_THAT(heard(), testing::ElementsAre("STATUS=not ready: device", "READY=1", "STATUS=ready", "STOPPING=1"));
}

TEST_F(ServiceTest, WatchdogOnlyIfItIsAskedFor) {
  EXPECT_EQ(ServiceManager().watchdog_interval(), std::nullopt);
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ServiceManager service;
  EXPECT_EQ(service.watchdog_interval(), std::chrono::seconds(15));
  service.alive();
  EXPECT_THAT(heard(), testing::ElementsAre("WATCHDOG=1"));
}

TEST(Service, WithoutAManagerNothingHappens) {
  ServiceManager service;
  service.ready();
  service.stopping();
  EXPECT_EQ(service.watchdog_interval(), std::nullopt);
}

}  // namespace agent_service_test
}  // namespace merino
