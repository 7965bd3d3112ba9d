#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/lease_report.h"
#include "support/lease_dir.h"
#include "support/temp_dir.h"

namespace merino {
namespace agent_lease_report_test {

Lease lease(const Subnets& subnet, const char* node) {
  Lease out;
  out.subnet = subnet;
  out.attributes.public_ip = *IpAddress::parse(node);
  out.attributes.backend_type = "vxlan";
  out.expires = std::chrono::system_clock::time_point(std::chrono::seconds(1'800'000'000));
  return out;
}

std::vector<ReportedLease> report_of(const Node& node, const std::vector<RejectedLease>& ignored) {
  std::vector<ReportedLease> report;
  report_leases(node, ignored, [&](const ReportedLease& each) { report.push_back(each); });
  return report;
}

TEST(LeaseReport, OwnUsedAndIgnored) {
  Node node;
  node.lease = lease(*Prefix::parse("10.244.1.0/24"), "192.168.88.11");
  const Subnets both(*Prefix::parse("10.244.2.0/24"), *Prefix::parse("fd00:2::/64"));
  Lease reserved = lease(*Prefix::parse("10.244.3.0/24"), "192.168.88.13");
  reserved.expires = kNeverExpires;
  node.leases.leases = {node.lease, lease(both, "192.168.88.12"), reserved};
  const auto report = report_of(node, {{"10.244.3.0-24", "another backend"}, {"nonsense", "not a lease"}});
  ASSERT_EQ(report.size(), 4U);
  EXPECT_EQ(report[0], (ReportedLease{"10.244.1.0-24", "10.244.1.0/24", "192.168.88.11", "vxlan", 1'800'000'000, "own", ""}));
  EXPECT_EQ(report[1].subnet, "10.244.2.0/24,fd00:2::/64");
  EXPECT_EQ(report[1].state, "used");
  EXPECT_EQ(report[2].state, "ignored");
  EXPECT_EQ(report[2].why, "another backend");
  EXPECT_EQ(report[2].expires, kLeaseWithoutEnd);
  EXPECT_EQ(report[3], (ReportedLease{"nonsense", "", "", "", kLeaseWithoutEnd, "ignored", "not a lease"}));
}

TEST(LeaseReport, NamesAreKeptWhereThereAreSome) {
  Node node;
  node.lease = lease(*Prefix::parse("10.244.1.0/24"), "192.168.88.11");
  node.lease.node_name = "worker-1";
  node.leases.leases = {node.lease, lease(*Prefix::parse("10.244.2.0/24"), "192.168.88.12")};
  const auto report = report_of(node, {});
  EXPECT_EQ(report.at(0).name, "worker-1");
  EXPECT_EQ(report.at(1).name, "");
  const test::TempDir dir;
  const std::string path = dir.file("leases.json");
  test::write_text(path, format_lease_report(report));
  EXPECT_EQ(load_lease_report(path).value(), report);
  test::write_text(path, format_lease_report({report[1]}));
  EXPECT_EQ(test::read_text(path).find("name"), std::string::npos);
  test::write_text(path, R"([{"key":"","subnet":"","node":"","name":7,"backend":"","expires":0,"state":"","why":""}])");
  EXPECT_EQ(load_lease_report(path).error().kind, ErrorKind::decode);
}

TEST(LeaseReport, WhatIsWrittenIsRead) {
  const std::vector<ReportedLease> leases = {{"k", "10.244.1.0/24", "192.168.88.11", "vxlan", 5, "own", ""},
                                             {"\xff", "", "", "", 0, "ignored", "\n\"\\\x7f"}};
  const test::TempDir dir;
  const std::string path = dir.file("leases.json");
  EXPECT_EQ(load_lease_report(path).error().kind, ErrorKind::not_found);
  EXPECT_EQ(format_lease_report({}), "[]\n");
  const std::string first =
      R"({"key":"k","subnet":"10.244.1.0/24","node":"192.168.88.11","backend":"vxlan","expires":5,"state":"own","why":""})";
  EXPECT_EQ(format_lease_report({leases[0], leases[0]}), "[" + first + "," + first + "]\n");
  test::write_text(path, format_lease_report(leases));
  const auto read = load_lease_report(path);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->at(0), leases[0]);
  EXPECT_EQ(read->at(1).why, leases[1].why);
  std::string endless = "[" + first + "]";
  endless.replace(endless.find(":5,"), 3, ":1e300,");
  for (const std::string& broken : {std::string(), std::string("["), std::string("{}x"), std::string("[1]"), endless}) {
    test::write_text(path, broken);
    EXPECT_EQ(load_lease_report(path).error().kind, ErrorKind::decode) << broken;
  }
}

}  // namespace agent_lease_report_test
}  // namespace merino
