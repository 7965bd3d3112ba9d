// Addresses whose pods a reboot ended without DEL: freed when merino made the reservation in an earlier boot and it still is that one.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/process.h"
#include "cni/host_local.h"
#include "support/golden.h"
#include "support/temp_dir.h"

namespace merino::cni {
namespace cni_boot_notes_test {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr const char* kRealHostLocal = "/usr/lib/cni/host-local";  // Debian package containernetworking-plugins

std::string boot_id(int number) { return "00000000-0000-4000-8000-00000000000" + std::to_string(number) + "\n"; }

class Reboot : public testing::Test {
 protected:
  Reboot() { boot(1); }

  void boot(int number) { test::write_text(directory_.file("boot_id"), boot_id(number)); }
  json conf(const std::string& network) const {
    return {{"cniVersion", "1.0.0"},
            {"name", network},
            {"type", "merino"},
            {"ipam",
             {{"type", "host-local"},
              {"dataDir", directory_.path()},
              {"ranges", {{{{"subnet", "10.9.0.0/28"}}}, {{{"subnet", "fd09::/64"}}}}}}}};
  }
  HostLocal ipam(const std::string& network = "net") const {
    HostLocalConf parsed = *parse_host_local(conf(network), "");
    parsed.boot_id_path = directory_.file("boot_id");
    return HostLocal(parsed);
  }
  // The IPv4 address; there is one of each family.
  std::string add(const std::string& container, const std::string& network = "net") const {
    const auto result = ipam(network).add({container, "eth0"}, "");
    return result ? result->addresses.at(0).address.address().to_string() : result.error().msg;
  }
  void real(const std::string& command, const std::string& container) const {
    ProcessRequest request;
    request.argv = {kRealHostLocal};
    request.input = conf("net").dump();
    request.environment = {
        {"CNI_COMMAND", command}, {"CNI_CONTAINERID", container}, {"CNI_IFNAME", "eth0"}, {"CNI_NETNS", "/x"}, {"CNI_PATH", "/"}};
    const auto output = run_process(request);
    ASSERT_TRUE(output && output->succeeded()) << "package containernetworking-plugins? " << (output ? output->out : "");
  }

  std::string file(const std::string& address) const { return directory_.file("net/" + address); }
  // Who has addresses, each once.
  std::set<std::string> owners() const {
    std::set<std::string> found;
    const auto allocations = ipam().allocations();
    for (const auto& [owner, address] : *allocations) found.insert(owner.container_id);
    return found;
  }
  std::set<std::string> notes() const {
    std::set<std::string> found;
    if (!fs::exists(directory_.file(".merino/net"))) return found;
    for (const auto& entry : fs::recursive_directory_iterator(directory_.file(".merino/net"))) {
      if (!entry.is_directory()) found.insert(entry.path().filename());
    }
    return found;
  }

  test::TempDir directory_;
};

TEST_F(Reboot, AddFreesWhatWasLeaked) {
  for (int i = 0; i < 13; i++) add("old" + std::to_string(i));
  EXPECT_THAT(add("one-more"), testing::HasSubstr("no address is free"));
  boot(2);
  EXPECT_TRUE(IpAddress::parse(add("new")));
  EXPECT_THAT(owners(), UnorderedElementsAre("new"));
}

// GC is the runtime's word, which may name what it did not yet find dead.
TEST_F(Reboot, GcKeepsWhatIsValid) {
  add("old");
  boot(2);
  ASSERT_TRUE(ipam().gc({{"old", "eth0"}}));
  EXPECT_THAT(owners(), UnorderedElementsAre("old"));
}

TEST_F(Reboot, WithoutOneNothingIsFreedWhateverTheClockSays) {
  const std::string address = add("a");
  for (const auto hours : {-100000, 100000}) {
    fs::last_write_time(file(address), fs::file_time_type::clock::now() + std::chrono::hours(hours));
    add("b" + std::to_string(hours));
    ASSERT_TRUE(ipam().gc({{"a", "eth0"}, {"b-100000", "eth0"}, {"b100000", "eth0"}}));
    EXPECT_TRUE(owners().count("a"));
  }
}

TEST_F(Reboot, EachNetworkIsLookedAtForItself) {
  add("old");
  boot(2);
  add("new", "net2");
  EXPECT_THAT(owners(), UnorderedElementsAre("old"));
}

// Container engines may use a container's ID again after a reboot, and host-local may be the one that attaches it.
TEST_F(Reboot, WhatAnotherProgramReservedSinceStays) {
  const std::string address = add("same");
  boot(2);
  const std::string content = test::read_text(file(address));
  fs::remove(file(address));
  test::write_text(file(address), content);
  add("new");
  EXPECT_EQ(test::read_text(file(address)), content);
}

TEST_F(Reboot, WhatIsAnothersByItsContentStays) {
  const std::string address = add("old");
  boot(2);
  test::write_text(file(address), "another\r\neth0");
  add("new");
  EXPECT_THAT(owners(), UnorderedElementsAre("another", "new"));
}

TEST_F(Reboot, WhatHostLocalReservedStays) {
  real("ADD", "theirs");
  add("ours");
  boot(2);
  add("new");
  EXPECT_THAT(owners(), UnorderedElementsAre("theirs", "new"));
}

TEST_F(Reboot, AFileThatCameToTheDiskWithoutItsContentIsFreed) {
  const std::string address = add("old");
  test::write_text(file(address), "");
  boot(2);
  add("new");
  EXPECT_FALSE(fs::exists(file(address)));
}

TEST_F(Reboot, ABootIdThatIsNoneNotesAndFreesNothing) {
  add("old");
  for (const char* broken : {"", "\n", "../../../../../../tmp/00000000-0000-40", "00000000-0000-4000-8000-00000000000",
                             "0/../0000-4000-8000-000000000001-0000000"}) {
    SCOPED_TRACE(broken);
    test::write_text(directory_.file("boot_id"), broken);
    const std::set<std::string> before = notes();
    add("new");
    EXPECT_EQ(notes(), before);
    EXPECT_THAT(owners(), UnorderedElementsAre("old", "new"));
    ASSERT_TRUE(ipam().del({"new", "eth0"}, ""));
  }
  fs::remove(directory_.file("boot_id"));
  add("new");
  EXPECT_THAT(owners(), UnorderedElementsAre("old", "new"));
}

TEST_F(Reboot, NotesGoWithTheAddress) {
  add("a");
  add("b");
  EXPECT_EQ(notes().size(), 4) << "of each family";
  ASSERT_TRUE(ipam().del({"a", "eth0"}, ""));
  EXPECT_THAT(notes(), UnorderedElementsAre("10.9.0.3@b:eth0", "fd09::3@b:eth0"));
  boot(2);
  add("c");
  ASSERT_TRUE(ipam().gc({}));
  EXPECT_THAT(notes(), IsEmpty());
}

TEST_F(Reboot, AnOwnerWithSlashesReachesNoOtherFile) {
  const std::string address = add("a");
  const std::string boot = fs::directory_iterator(directory_.file(".merino/net"))->path();
  fs::create_directory(boot + "/" + address + "@x");
  const std::string victim = directory_.file("victim:eth0");
  test::write_text(victim, "");
  test::write_text(file(address), "x/../../../../victim\r\neth0");
  ASSERT_TRUE(ipam().gc({}));
  EXPECT_TRUE(fs::exists(victim));
  EXPECT_FALSE(fs::exists(file(address)));
}

// host-local neither sees the notes nor is hindered by them, and its DEL is as good as ours.
TEST_F(Reboot, HostLocalGoesOnBesideTheNotes) {
  add("a");
  real("DEL", "a");
  EXPECT_THAT(owners(), IsEmpty());
  real("ADD", "a");
  boot(2);
  add("new");
  EXPECT_THAT(owners(), UnorderedElementsAre("a", "new"));
}

}  // namespace cni_boot_notes_test
}  // namespace merino::cni
