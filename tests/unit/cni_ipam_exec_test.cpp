// IPAM by another program: small shell scripts stand in for it.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "cni/ipam_exec.h"
#include "support/golden.h"
#include "support/temp_dir.h"

namespace merino::cni {
namespace cni_ipam_exec_test {

class IpamExecTest : public testing::Test {
 protected:
  void install(const std::string& script) {
    const std::string path = directory_.file("fake");
    test::write_text(path, "#!/bin/sh\n" + script);
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  }

  std::unique_ptr<Ipam> ipam(const std::string& version = "1.1.0") {
    Environment environment;
    environment.path = "/nonexistent::" + directory_.path();
    const std::string text = R"({"cniVersion":")" + version + R"(","name":"n","type":"merino","mtu":1400,"ipam":{"type":"fake"}})";
    return make_ipam(*parse_network_conf(text, environment, Command::add), environment);
  }

  std::string log() { return test::read_text(directory_.file("log")); }

  // A script line: says how it was called.
  std::string log_call() { return "echo \"$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS\" >> " + directory_.file("log") + "\n"; }

  test::TempDir directory_;
  AttachmentId id_{"c1", "eth0"};
};

TEST_F(IpamExecTest, add_passes_configuration_and_environment) {
  install(log_call() + "cat > " + directory_.file("stdin") +
          "\necho "
          "'{\"cniVersion\":\"1.1.0\",\"ips\":[{\"address\":\"10.5.0.9/16\",\"gateway\":\"10.5.0.1\"}],\"routes\":[{\"dst\":\"10.0.0.0/"
          "8\"}]}'\n");
  const auto result = ipam()->add(id_, "/run/netns/x");
  ASSERT_TRUE(result) << result.error().msg;
  EXPECT_EQ(result->addresses.at(0).address.to_string(), "10.5.0.9/16");
  EXPECT_EQ(result->routes.at(0).destination.to_string(), "10.0.0.0/8");
  EXPECT_EQ(log(), "ADD c1 eth0 /run/netns/x\n");
  EXPECT_THAT(test::read_text(directory_.file("stdin")), testing::HasSubstr(R"("ipam":{"type":"fake"})"));
}

TEST_F(IpamExecTest, its_error_object_is_passed_on) {
  install("echo '{\"code\":101,\"msg\":\"out of addresses\",\"details\":\"ask\"}'; exit 1\n");
  const auto result = ipam()->add(id_, "/run/netns/x");
  ASSERT_FALSE(result);
  EXPECT_EQ(static_cast<unsigned>(result.error().code), 101);
  EXPECT_THAT(result.error().msg, testing::AllOf(testing::HasSubstr("fake"), testing::HasSubstr("out of addresses")));
  EXPECT_EQ(result.error().details, "ask");
}

TEST_F(IpamExecTest, a_crash_is_an_error_with_what_it_wrote) {
  install("echo 'segfault or so' >&2; exit 2\n");
  const auto result = ipam()->add(id_, "/run/netns/x");
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().msg, testing::HasSubstr("exit code 2"));
  EXPECT_THAT(result.error().details, testing::HasSubstr("segfault or so"));
}

TEST_F(IpamExecTest, whatever_a_failed_add_took_is_given_back) {
  for (const char* output : {"nonsense", "{\"ips\":[]}", "{\"ips\":[{\"address\":\"x\"}]}"}) {
    install(log_call() + "echo '" + output + "'\n");
    EXPECT_FALSE(ipam()->add(id_, "/run/netns/x")) << output;
    EXPECT_EQ(log(), "ADD c1 eth0 /run/netns/x\nDEL c1 eth0 /run/netns/x\n") << output;
    ASSERT_EQ(::unlink(directory_.file("log").c_str()), 0);
  }
}

TEST_F(IpamExecTest, commands_that_the_version_does_not_have_are_not_sent) {
  install(log_call());
  auto old = ipam("0.3.1");
  EXPECT_TRUE(old->check(id_, "/x"));
  EXPECT_TRUE(old->gc({}));
  EXPECT_TRUE(old->status());
  EXPECT_TRUE(old->del(id_, ""));
  EXPECT_EQ(log(), "DEL c1 eth0 \n");
  auto latest = ipam("1.1.0");
  EXPECT_TRUE(latest->check(id_, "/x"));
  EXPECT_TRUE(latest->gc({}));
  EXPECT_TRUE(latest->status());
  EXPECT_EQ(log(), "DEL c1 eth0 \nCHECK c1 eth0 /x\nGC   \nSTATUS   \n");
}

TEST_F(IpamExecTest, a_missing_program_is_named_with_the_path) {
  const auto result = ipam()->add(id_, "/x");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::invalid_config);
  EXPECT_THAT(result.error().msg, testing::AllOf(testing::HasSubstr("fake"), testing::HasSubstr(directory_.path())));
}

TEST_F(IpamExecTest, a_file_that_cannot_be_executed_is_no_plugin) {
  test::write_text(directory_.file("fake"), "#!/bin/sh\n");
  EXPECT_FALSE(ipam()->add(id_, "/x"));
}

}  // namespace cni_ipam_exec_test
}  // namespace merino::cni
