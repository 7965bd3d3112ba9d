#include <gmock/gmock.h>

#include "base/agent_status.h"
#include "ctl/leases.h"
#include "ctl/node_names.h"

namespace merino::ctl {
namespace ctl_node_names_test {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

ReportedLease lease(const char* node, const char* state, const std::string& name) {
  return {"10.244.1.0-24", "10.244.1.0/24", node, "vxlan", kLeaseWithoutEnd, state, "", name};
}

TEST(NodeNames, OfBothFamilies) {
  const NodeNames names = node_names({lease("192.168.88.11,fd00:88::11", "used", "worker-1"), lease("192.168.88.12", "used", "")});
  EXPECT_EQ(node_name(ip("192.168.88.11"), names), "worker-1");
  EXPECT_EQ(node_title(ip("fd00:88::11"), names), "fd00:88::11 (worker-1)");
  EXPECT_EQ(node_name(ip("192.168.88.12"), names), "");
  EXPECT_EQ(node_title(ip("192.168.88.12"), names), "192.168.88.12");
}

TEST(NodeNames, ALeaseThatIsPassedOverTakesNoName) {
  const NodeNames names = node_names({lease("192.168.88.11", "ignored", "liar"), lease("192.168.88.11", "own", "worker-1"),
                                      lease("192.168.88.13", "ignored", "worker-3")});
  EXPECT_EQ(node_name(ip("192.168.88.11"), names), "worker-1");
  EXPECT_EQ(node_name(ip("192.168.88.13"), names), "worker-3");
}

TEST(NodeNames, HostileOnesAreMadeFit) {
  const NodeNames names = node_names({lease("nonsense,192.168.88.11", "used", "\x1b[2J" + std::string(1000, 'x'))});
  ASSERT_EQ(names.size(), 1U);
  EXPECT_THAT(node_name(ip("192.168.88.11"), names), AllOf(HasSubstr("\\x1b[2J"), Not(HasSubstr("\x1b"))));
  EXPECT_LT(node_name(ip("192.168.88.11"), names).size(), 300U);
}

TEST(NodeNames, NoneAreNoTrouble) { EXPECT_THAT(node_names({lease("192.168.88.11", "own", "")}), IsEmpty()); }

TEST(Leases, TheNameStandsBesideTheAddress) {
  const std::vector<ReportedLease> leases = {lease("192.168.88.11", "own", "worker-1"), lease("192.168.88.12", "used", "")};
  EXPECT_EQ(leases_text(leases, {}, Width::narrow, kFile),
            "SUBNET         NODE           NAME      ENDS IN  STATE\n"
            "10.244.1.0/24  192.168.88.11  worker-1  never    own\n"
            "10.244.1.0/24  192.168.88.12  -         never    used\n");
  EXPECT_THAT(leases_text(leases, {}, Width::wide, kFile), HasSubstr("NODE           NAME      BACKEND  KEY"));
  EXPECT_THAT(leases_json(leases), HasSubstr(R"("node":"192.168.88.11","name":"worker-1")"));
  EXPECT_THAT(leases_text({leases[1]}, {}, Width::wide, kFile), Not(HasSubstr("NAME")));
  EXPECT_THAT(leases_json({leases[1]}), Not(HasSubstr("name")));
}

}  // namespace ctl_node_names_test
}  // namespace merino::ctl
