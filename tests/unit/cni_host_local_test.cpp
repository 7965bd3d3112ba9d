// The built-in host-local: behaviour, files, and the real program of that name beside it in one directory.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/process.h"
#include "cni/address_store.h"
#include "cni/host_local.h"
#include "support/golden.h"
#include "support/temp_dir.h"

namespace merino::cni {
namespace cni_host_local_test {

using nlohmann::json;

constexpr const char* kRealHostLocal = "/usr/lib/cni/host-local";  // Debian package containernetworking-plugins

class HostLocalTest : public testing::Test {
 protected:
  // `ipam`: more keys of the ipam section; dataDir is the test's own.
  json conf(const std::string& ipam = R"("ranges":[[{"subnet":"10.9.0.0/28"}]])", const std::string& keys = "") const {
    return json::parse(R"({"cniVersion":"1.0.0","name":"net","type":"merino",)" + (keys.empty() ? "" : keys + ",") +
                       R"("ipam":{"type":"host-local","dataDir":")" + directory_.path() + "\"," + ipam + "}}");
  }
  static HostLocal ipam(const json& conf, const std::string& args = "") { return HostLocal(*parse_host_local(conf, args)); }

  std::string file(const std::string& name) const { return directory_.file("net/" + name); }
  bool exists(const std::string& name) const { return std::filesystem::exists(file(name)); }
  // All files but the lock.
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.file("net"))) names.insert(entry.path().filename());
    names.erase("lock");
    return names;
  }

  // The address that a container gets, or the failure's text.
  static std::string add(HostLocal ipam, const std::string& container, const std::string& ifname = "eth0") {
    const auto result = ipam.add({container, ifname}, "");
    return result ? result->addresses.at(0).address.to_string() : result.error().msg + "; " + result.error().details;
  }

  static ProcessOutput real(const std::string& command, const json& conf, const std::string& container,
                            const std::string& ifname = "eth0") {
    ProcessRequest request;
    request.argv = {kRealHostLocal};
    request.input = conf.dump();
    request.environment = {
        {"CNI_COMMAND", command}, {"CNI_CONTAINERID", container}, {"CNI_IFNAME", ifname}, {"CNI_NETNS", "/x"}, {"CNI_PATH", "/"}};
    auto output = run_process(request);
    if (!output) throw std::runtime_error("install containernetworking-plugins: " + output.error().message());
    return *output;
  }
  static std::string real_add(const json& conf, const std::string& container, const std::string& ifname = "eth0") {
    const ProcessOutput output = real("ADD", conf, container, ifname);
    return output.succeeded() ? json::parse(output.out)["ips"][0]["address"].get<std::string>() : output.out;
  }

  test::TempDir directory_;
};

TEST_F(HostLocalTest, add_gives_address_gateway_routes_and_dns) {
  test::write_text(directory_.file("resolv.conf"),
                   "# c\nnameserver 10.96.0.10\nnameserver 10.96.0.11 # x\nsearch a b\noptions ndots:5 edns0\ndomain d\n");
  const auto result =
      ipam(conf(R"("ranges":[[{"subnet":"10.9.0.0/28"}],[{"subnet":"fd00:9::/64"}]],"routes":[{"dst":"0.0.0.0/0"}],"resolvConf":")" +
                directory_.file("resolv.conf") + "\""))
          .add({"c1", "eth0"}, "");
  ASSERT_TRUE(result) << result.error().msg;
  ASSERT_EQ(result->addresses.size(), 2);
  EXPECT_EQ(result->addresses[0].address.to_string(), "10.9.0.2/28");
  EXPECT_EQ(result->addresses[0].gateway->to_string(), "10.9.0.1");
  EXPECT_EQ(result->addresses[1].address.to_string(), "fd00:9::2/64");
  EXPECT_EQ(result->routes.size(), 1);
  EXPECT_EQ(result->dns, (Dns{{"10.96.0.10", "10.96.0.11"}, "d", {"a", "b"}, {"ndots:5", "edns0"}}));
}

TEST_F(HostLocalTest, files_are_those_of_host_local) {
  ASSERT_EQ(add(ipam(conf(R"("ranges":[[{"subnet":"10.9.0.0/28"}],[{"subnet":"fd00:9::/64"}]])")), "c1"), "10.9.0.2/28");
  EXPECT_EQ(files(), (std::set<std::string>{"10.9.0.2", "fd00:9::2", "last_reserved_ip.0", "last_reserved_ip.1"}));
  EXPECT_EQ(test::read_text(file("10.9.0.2")), "c1\r\neth0");
  EXPECT_EQ(test::read_text(file("fd00:9::2")), "c1\r\neth0");
  EXPECT_EQ(test::read_text(file("last_reserved_ip.0")), "10.9.0.2");
  EXPECT_EQ(test::read_text(file("last_reserved_ip.1")), "fd00:9::2");
  EXPECT_TRUE(exists("lock"));
}

TEST_F(HostLocalTest, addresses_go_round) {
  EXPECT_EQ(add(ipam(conf()), "c1"), "10.9.0.2/28");
  EXPECT_EQ(add(ipam(conf()), "c2"), "10.9.0.3/28");
  ASSERT_TRUE(ipam(conf()).del({"c1", "eth0"}, ""));
  EXPECT_EQ(add(ipam(conf()), "c3"), "10.9.0.4/28");
}

TEST_F(HostLocalTest, an_exhausted_pool_is_named_with_its_directory_and_recovers) {
  const json it = conf(R"("ranges":[[{"subnet":"10.9.0.0/30"}]])");
  EXPECT_EQ(add(ipam(it), "c1"), "10.9.0.2/30");
  const auto full = ipam(it).add({"c2", "eth0"}, "");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::try_again_later);
  EXPECT_THAT(full.error().msg, testing::AllOf(testing::HasSubstr("10.9.0.1-10.9.0.2"), testing::HasSubstr(directory_.file("net"))));
  EXPECT_THAT(full.error().details, testing::HasSubstr("larger subnet"));
  ASSERT_TRUE(ipam(it).del({"c1", "eth0"}, ""));
  EXPECT_EQ(add(ipam(it), "c2"), "10.9.0.2/30");
}

TEST_F(HostLocalTest, a_set_that_is_exhausted_gives_the_other_sets_address_back) {
  const json it = conf(R"("ranges":[[{"subnet":"10.9.0.0/28"}],[{"subnet":"10.8.0.0/30"}]])");
  ASSERT_EQ(add(ipam(it), "c1"), "10.9.0.2/28");
  EXPECT_FALSE(ipam(it).add({"c2", "eth0"}, ""));
  EXPECT_FALSE(exists("10.9.0.3"));
}

TEST_F(HostLocalTest, add_twice_is_refused_and_keeps_the_first) {
  ASSERT_EQ(add(ipam(conf()), "c1"), "10.9.0.2/28");
  EXPECT_THAT(add(ipam(conf()), "c1"), testing::AllOf(testing::HasSubstr("10.9.0.2"), testing::HasSubstr("DEL")));
  EXPECT_EQ(add(ipam(conf()), "c1", "net1"), "10.9.0.3/28");
  EXPECT_TRUE(exists("10.9.0.2"));
}

TEST_F(HostLocalTest, requested_addresses) {
  EXPECT_EQ(add(ipam(conf(), "IP=10.9.0.9"), "c1"), "10.9.0.9/28");
  EXPECT_THAT(add(ipam(conf(), "IP=10.9.0.9"), "c2"), testing::HasSubstr("taken"));
  EXPECT_THAT(add(ipam(conf(), "IP=10.9.0.1"), "c2"), testing::HasSubstr("gateway"));
  EXPECT_THAT(add(ipam(conf(), "IP=10.7.0.1"), "c2"), testing::HasSubstr("no range"));
  EXPECT_EQ(files(), (std::set<std::string>{"10.9.0.9", "last_reserved_ip.0"}));
  EXPECT_EQ(add(ipam(conf(R"("ranges":[[{"subnet":"10.9.0.0/28"}]])", R"("runtimeConfig":{"ips":["10.9.0.5/28"]})")), "c2"), "10.9.0.5/28");
}

TEST_F(HostLocalTest, one_requested_address_for_each_set) {
  const json it =
      conf(R"("ranges":[[{"subnet":"10.9.0.0/28"}],[{"subnet":"10.8.0.0/28"}]])", R"("runtimeConfig":{"ips":["10.8.0.5","10.9.0.6"]})");
  const auto result = ipam(it).add({"c1", "eth0"}, "");
  ASSERT_TRUE(result) << result.error().msg;
  EXPECT_EQ(result->addresses[0].address.to_string(), "10.9.0.6/28");
  EXPECT_EQ(result->addresses[1].address.to_string(), "10.8.0.5/28");
}

TEST_F(HostLocalTest, del_frees_the_attachment_alone_and_may_be_repeated) {
  ASSERT_EQ(add(ipam(conf()), "c1"), "10.9.0.2/28");
  ASSERT_EQ(add(ipam(conf()), "c1", "net1"), "10.9.0.3/28");
  ASSERT_TRUE(ipam(conf()).del({"c1", "eth0"}, ""));
  ASSERT_TRUE(ipam(conf()).del({"c1", "eth0"}, ""));
  EXPECT_FALSE(exists("10.9.0.2"));
  EXPECT_TRUE(exists("10.9.0.3"));
}

// A link to itself stands for a disk that does not give the file now.
TEST_F(HostLocalTest, what_cannot_be_read_is_not_taken_for_free) {
  ASSERT_EQ(add(ipam(conf()), "c1"), "10.9.0.2/28");
  ASSERT_EQ(add(ipam(conf()), "c2"), "10.9.0.3/28");
  std::filesystem::remove(file("10.9.0.2"));
  std::filesystem::create_symlink("10.9.0.2", file("10.9.0.2"));
  ASSERT_TRUE(ipam(conf()).gc({{"c2", "eth0"}}));
  EXPECT_TRUE(files().contains("10.9.0.2")) << "it may be in use";
  const auto deleted = ipam(conf()).del({"c1", "eth0"}, "");
  ASSERT_FALSE(deleted) << "it may be c1's";
  EXPECT_THAT(deleted.error().msg, testing::HasSubstr(file("10.9.0.2")));
  EXPECT_TRUE(ipam(conf()).del({"c2", "eth0"}, "")) << "has its own";
  EXPECT_FALSE(exists("10.9.0.3"));
}

TEST_F(HostLocalTest, del_without_a_directory_makes_none) {
  ASSERT_TRUE(ipam(conf()).del({"c1", "eth0"}, ""));
  EXPECT_FALSE(std::filesystem::exists(directory_.file("net")));
}

TEST_F(HostLocalTest, files_of_old_versions_have_no_interface) {
  ASSERT_EQ(add(ipam(conf()), "c1"), "10.9.0.2/28");
  test::write_text(file("10.9.0.7"), "old\n");
  EXPECT_TRUE(ipam(conf()).check({"old", "eth0"}, ""));
  ASSERT_TRUE(ipam(conf()).gc({{"old", "eth5"}, {"c1", "eth0"}}));
  EXPECT_TRUE(exists("10.9.0.7"));
  ASSERT_TRUE(ipam(conf()).del({"old", "eth0"}, ""));
  EXPECT_FALSE(exists("10.9.0.7"));
  EXPECT_TRUE(exists("10.9.0.2"));
}

TEST_F(HostLocalTest, check_finds_the_address_or_says_where_it_looked) {
  EXPECT_FALSE(ipam(conf()).check({"c1", "eth0"}, ""));
  ASSERT_EQ(add(ipam(conf()), "c1"), "10.9.0.2/28");
  EXPECT_TRUE(ipam(conf()).check({"c1", "eth0"}, ""));
  const auto missing = ipam(conf()).check({"c1", "eth1"}, "");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().msg, testing::HasSubstr(directory_.file("net")));
}

TEST_F(HostLocalTest, gc_frees_what_is_not_valid_and_nothing_else) {
  for (const char* container : {"a", "b", "c"}) add(ipam(conf()), container);
  add(ipam(conf()), "a", "net1");
  test::write_text(file("10.9.0.9"), "");  // host-local died between creating and writing
  test::write_text(file(".reserving"), "a\r\neth0");
  test::write_text(file("notes.txt"), "an operator's");
  ASSERT_TRUE(ipam(conf()).gc({{"a", "eth0"}, {"c", "eth0"}}));
  EXPECT_EQ(files(), (std::set<std::string>{"10.9.0.2", "10.9.0.4", "last_reserved_ip.0", "notes.txt"}));
}

TEST_F(HostLocalTest, a_broken_last_reserved_ip_costs_the_place_only) {
  ASSERT_EQ(add(ipam(conf()), "c1"), "10.9.0.2/28");
  for (const char* broken : {"", "nonsense", "10.77.0.1"}) {
    test::write_text(file("last_reserved_ip.0"), broken);
    EXPECT_EQ(add(ipam(conf()), "c2"), "10.9.0.3/28");
    ASSERT_TRUE(ipam(conf()).del({"c2", "eth0"}, ""));
  }
}

TEST_F(HostLocalTest, a_reservation_left_half_made_is_no_obstacle) {
  ASSERT_EQ(add(ipam(conf()), "c1"), "10.9.0.2/28");
  test::write_text(file(".reserving"), "dead\r\neth0");
  EXPECT_EQ(add(ipam(conf()), "c2"), "10.9.0.3/28");
  EXPECT_FALSE(exists(".reserving"));
}

TEST_F(HostLocalTest, without_ranges_there_is_nothing_to_give) {
  EXPECT_THAT(add(HostLocal({"net", directory_.path(), {}, {}, "", {}}), "c1"), testing::HasSubstr("ranges"));
}

// --- together with the real program

TEST_F(HostLocalTest, what_one_allocates_the_other_frees) {
  ASSERT_EQ(add(ipam(conf()), "ours"), "10.9.0.2/28");
  ASSERT_EQ(real_add(conf(), "theirs"), "10.9.0.3/28");
  EXPECT_EQ(add(ipam(conf()), "ours2"), "10.9.0.4/28");
  EXPECT_TRUE(ipam(conf()).check({"theirs", "eth0"}, ""));
  const ProcessOutput check = real("CHECK", conf(), "ours");
  EXPECT_TRUE(check.succeeded()) << check.out;
  ASSERT_TRUE(ipam(conf()).del({"theirs", "eth0"}, ""));
  ASSERT_TRUE(real("DEL", conf(), "ours").succeeded());
  EXPECT_EQ(files(), (std::set<std::string>{"10.9.0.4", "last_reserved_ip.0"}));
}

TEST_F(HostLocalTest, one_continues_the_others_round) {
  const json it = conf(
      R"("ranges":[[{"subnet":"10.9.0.0/29"},{"subnet":"10.9.1.0/29","rangeStart":"10.9.1.4","rangeEnd":"10.9.1.5","gateway":"10.9.1.5"}]])");
  std::vector<std::string> got;
  for (int i = 0; i < 8; i++) {
    const std::string container = "c" + std::to_string(i);
    got.push_back(i % 2 == 0 ? add(ipam(it), container) : real_add(it, container));
    if (i == 2) {
      EXPECT_TRUE(real("DEL", it, "c1").succeeded()) << "c1";
    }
    if (i == 6) {
      EXPECT_TRUE(ipam(it).del({"c0", "eth0"}, "")) << "c0";
    }
  }
  EXPECT_THAT(got, testing::ElementsAre("10.9.0.2/29", "10.9.0.3/29", "10.9.0.4/29", "10.9.0.5/29", "10.9.0.6/29", "10.9.1.4/29",
                                        "10.9.0.3/29", "10.9.0.2/29"));
}

TEST_F(HostLocalTest, many_processes_and_the_real_program_never_give_an_address_twice) {
  // Of 253 addresses 200 are given, in 40 processes, every fourth of them the real program; then half are freed and given again.
  const json it = conf(R"("ranges":[[{"subnet":"10.9.0.0/24"}]])");
  const auto work = [&](int worker) {
    for (int i = 0; i < 5; i++) {
      const std::string container = "w" + std::to_string(worker) + "-" + std::to_string(i);
      for (int round = 0; round < (i % 2 == 0 ? 2 : 1); round++) {
        if (round > 0) {
          const bool freed = worker % 3 == 0 ? real("DEL", it, container).succeeded() : ipam(it).del({container, "eth0"}, "").has_value();
          if (!freed) return 1;
        }
        const std::string got = worker % 4 == 0 ? real_add(it, container) : add(ipam(it), container);
        if (!Prefix::parse(got)) return 2;
      }
    }
    return 0;
  };
  std::vector<pid_t> workers;
  for (int worker = 0; worker < 40; worker++) {
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) ::_exit(work(worker));
    workers.push_back(pid);
  }
  for (const pid_t pid : workers) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  const auto allocations = ipam(it).allocations();
  ASSERT_TRUE(allocations);
  std::set<AttachmentId> owners;
  for (const auto& [owner, address] : *allocations) owners.insert(owner);
  EXPECT_EQ(allocations->size(), 200);  // one file each: no address is two containers'
  EXPECT_EQ(owners.size(), 200);        // and no container has two
}

}  // namespace cni_host_local_test
}  // namespace merino::cni
