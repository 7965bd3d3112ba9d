// A machine goes down without DELs and comes up again: /run and bpffs are empty, /var is as it was.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include "cni_node.h"

namespace merino::lab::cni_reboot_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kReservations = "/var/lib/cni/networks/cbr0";

class CniReboot : public testing::Test {
 protected:
  CniReboot() { boot(1); }

  // What the kernel says of the boot, on this machine alone.
  void boot(int number) {
    node_.write("/run/boot_id", fmt::format("00000000-0000-4000-8000-00000000000{}\n", number));
    node_.must("umount /proc/sys/kernel/random/boot_id 2>/dev/null; mount --bind /run/boot_id /proc/sys/kernel/random/boot_id");
  }
  void lose_what_is_in_memory() {
    for (const std::string& name : pods_) node_.remove_netns(name);
    pods_.clear();
    node_.must(
        "for link in $(ip -o link | grep -o ' mr[0-9a-f]\\{12\\}'); do ip link del $link || true; done; "
        "find /sys/fs/bpf/merino -type f -delete; rm -rf /run/merino; " CNI_PIN_PROGRAMS);
  }
  Output attach(const std::string& name) {
    node_.make_netns(name);
    pods_.push_back(name);
    return node_.call("ADD", conf_, {.container = name, .netns = "/run/netns/" + name});
  }

  CniNode node_;
  // Six addresses, one of which is the gateway's.
  json conf_ = cni_conf(R"("ipam":{"type":"host-local","ranges":[[{"subnet":"10.244.98.0/29"}]]})");
  std::vector<std::string> pods_;
};

TEST_F(CniReboot, LeakedAddressesAreFree) {
  for (const char* name : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(attach(name).ok());
  lose_what_is_in_memory();
  boot(2);
  for (const char* name : {"f", "g", "h", "i", "j"}) {
    const Output output = attach(name);
    ASSERT_TRUE(output.ok()) << output.out << output.err;
  }
  EXPECT_EQ(node_.must(fmt::format("cat {}/10.* | tr -d '\\r\\n'", kReservations)).size(), std::string("feth0").size() * 5);
  for (const char* name : {"f", "g", "h", "i", "j"})
    EXPECT_TRUE(node_.call("DEL", conf_, {.container = name, .netns = std::string("/run/netns/") + name}).ok());
  // What flannel's plugin would have kept of the dead goes with the runtime's own DELs or its GC.
  EXPECT_TRUE(node_.call("GC", with(conf_, "cni.dev/valid-attachments", json::array())).ok());
  EXPECT_EQ(node_.leftovers(), "");
}

// The same without a reboot: the agent's and the runtime's state is lost, but pods may be alive, and the clock says nothing of it.
TEST_F(CniReboot, WithinOneBootAddressesStayTaken) {
  for (const char* name : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(attach(name).ok());
  node_.must(fmt::format("rm -rf /run/merino; touch -d 1970-01-02 {0}/10.*; touch -d 2038-01-01 {0}/10.244.98.2", kReservations));
  EXPECT_THAT(attach("f").out, HasSubstr("no address is free"));
}

}  // namespace
}  // namespace merino::lab::cni_reboot_test
