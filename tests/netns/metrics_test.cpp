// A real Prometheus scrapes two nodes; what deploy/monitoring and docs/metrics.md name exists.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "lab/lab.h"
#include "lab/sandbox.h"
#include "lab/traffic.h"
#include "support/slowdown.h"

namespace merino::lab::metrics_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kFlags = "--ip-masq --metrics-port 9477";

std::string source_file(const std::string& path) {
  const std::ifstream file(std::string(SOURCE_DIR) + "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  if (text.str().empty()) throw Failure("read " + path);
  return text.str();
}

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (auto match = std::sregex_iterator(text.begin(), text.end(), regex); match != std::sregex_iterator(); ++match)
    found.insert((*match)[1].str());
  return found;
}

// Metrics that a query names, without the suffixes of histograms and summaries.
std::set<std::string> named_metrics(const std::string& text) {
  std::set<std::string> names;
  for (const std::string& name : matches(text, "\\b(merino_[a-z_]+[a-z]|process_[a-z_]+[a-z])\\b"))
    names.insert(std::regex_replace(name, std::regex("_(bucket|sum|count)$"), ""));
  return names;
}

class Prometheus {
 public:
  Prometheus(const Place& where, const std::vector<std::string>& targets) : where_(where) {
    const std::string dir = std::string(kSharedDir) + "/prometheus";
    where.write(dir + "/prometheus.yml", fmt::format("global: {{scrape_interval: {0}ms, scrape_timeout: {0}ms}}\n"
                                                     "scrape_configs:\n- job_name: merino\n  static_configs: [{{targets: {1}}}]\n",
                                                     1000 * test::slowdown(), json(targets).dump()));
    process_ = where.start(fmt::format(
        "exec prometheus --config.file={0}/prometheus.yml --storage.tsdb.path={0}/data --web.listen-address=127.0.0.1:9090", dir));
  }

  // The result of an instant query; a Failure with its words if Prometheus does not take it.
  [[nodiscard]] json query(const std::string& expression) const {
    const std::string answer = where_.must("curl -s --data-urlencode query@- http://127.0.0.1:9090/api/v1/query", expression);
    const json document = json::parse(answer);
    if (document.value("status", "") != "success") throw Failure(expression + ": " + answer);
    return document["data"]["result"];
  }
  // Waits until it answers, and `expression` has `count` results: what a node said last is gone when it is late with the next answer.
  void wait_for(const std::string& expression, size_t count) const {
    const bool there = eventually(
        [&] {
          return where_.run("curl -s http://127.0.0.1:9090/-/ready").out.find("Ready") != std::string::npos &&
                 query(expression).size() == count;
        },
        std::chrono::seconds(60), std::chrono::milliseconds(100));
    if (!there) throw Failure(expression + " has not " + std::to_string(count) + " results; Prometheus says:\n" + process_.log());
  }

 private:
  const Place& where_;
  Process process_;
};

std::string page_of(const Node& node) { return node.must("curl -s http://127.0.0.1:9477/metrics"); }

TEST(Metrics, APrometheusScrapesTwoNodes) {
  Lab lab;
  Node& a = lab.add_node("a", {.flags = kFlags});
  Node& b = lab.add_node("b", {.flags = kFlags});
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  TrafficServer server(on_b, 80);
  ASSERT_TRUE(traffic(on_a, "tcp --to " + on_b.address() + ":80 --up 100000").ok);

  const Prometheus prometheus(lab.underlay(), {a.address() + ":9477", b.address() + ":9477"});
  prometheus.wait_for("merino_packets_total{reason=\"encap\"} > 0", 2);
  prometheus.wait_for("up{job=\"merino\"} == 1", 2);
  prometheus.wait_for("merino_ready == 1", 2);
  prometheus.wait_for("merino_peers{kind=\"vxlan\"} == 1", 2);
  prometheus.wait_for("merino_pods == 1", 2);
  prometheus.wait_for("merino_pool_addresses_reserved == 1 and merino_pool_addresses == 253", 2);
  prometheus.wait_for("merino_cni_operation_duration_seconds_count{command=\"ADD\",result=\"success\"} == 1", 2);
  prometheus.wait_for("merino_lease_expiry_timestamp_seconds - time() > 80000", 2);
  prometheus.wait_for(fmt::format("merino_node_info{{public_ip=\"{}\"}}", a.address()), 1);

  std::set<std::string> unknown;
  for (const std::string& name :
       named_metrics(source_file("deploy/monitoring/dashboard.json") + source_file("deploy/monitoring/alerts.yml"))) {
    if (prometheus.query(fmt::format("{{__name__=~\"{}(_count)?\"}}", name)).empty()) unknown.insert(name);
  }
  EXPECT_THAT(unknown, IsEmpty()) << "named by the dashboard or the alerts";
  const json dashboard = json::parse(source_file("deploy/monitoring/dashboard.json"));
  for (const auto& panel : dashboard.at("panels")) {
    for (const auto& target : panel.value("targets", json::array())) {
      std::string expression = target.at("expr").get<std::string>();
      expression = std::regex_replace(expression, std::regex("\\$__rate_interval"), "5s");
      expression = std::regex_replace(expression, std::regex("\\$instance"), ".*");
      EXPECT_NO_THROW((void)prometheus.query(expression)) << panel.at("title");
    }
  }
}

TEST(Metrics, EveryOneIsInTheDocumentation) {
  Lab lab;
  Node& node = lab.add_node("a", {.flags = kFlags});
  node.wait_ready();
  const std::set<std::string> served = matches(page_of(node), "# TYPE ([a-z_]+) ");
  const std::string page = source_file("docs/metrics.md");
  EXPECT_EQ(served, matches(page, "`(merino_[a-z_]+|process_[a-z_]+)`"));
  EXPECT_EQ(node.must("curl -s http://127.0.0.1:9477/metrics | promtool check metrics 2>&1"), "") << "Prometheus' conventions";
}

TEST(Metrics, CountsWhatIsMendedAndWhatFails) {
  Lab lab;
  Node& node = lab.add_node("a", {.flags = kFlags});
  node.wait_ready();
  const auto has = [&](const std::string& line) { return page_of(node).find("\n" + line + "\n") != std::string::npos; };
  EXPECT_TRUE(has("merino_self_heals_total{step=\"route\"} 0"));
  node.must("ip route del 10.244.0.0/16");
  EXPECT_TRUE(eventually([&] { return has("merino_self_heals_total{step=\"route\"} 1"); }));
  EXPECT_TRUE(has("merino_self_heals_total{step=\"device\"} 0"));

  EXPECT_NE(node.run("printf '{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"type\":\"merino\"}' |"
                     "CNI_COMMAND=ADD CNI_CONTAINERID=c CNI_NETNS=/nowhere CNI_IFNAME=eth0 CNI_PATH=/ " MERINO_PLUGIN)
                .exit_code,
            0);
  EXPECT_TRUE(has("merino_cni_operation_errors_total{command=\"ADD\",code=\"8\"} 1"));
  EXPECT_TRUE(has("merino_cni_operation_duration_seconds_count{command=\"ADD\",result=\"error\"} 1"));

  node.must("printf nonsense > " + lab.lease_dir() + "/subnets/10.99.77.0-24");
  EXPECT_TRUE(eventually([&] { return has("merino_leases_rejected 1"); }));
  EXPECT_TRUE(eventually([&] { return !has("merino_store_apply_duration_seconds_count 0"); })) << "the change was timed";
}

TEST(Metrics, PortsAreRefusedByName) {
  Lab lab;
  Node& node = lab.add_node("a", {.flags = "--metrics-port 8081", .agent = AgentStart::later});
  node.start_agent();
  EXPECT_EQ(node.agent().wait(), 1);
  EXPECT_THAT(node.agent().log(), HasSubstr("cannot listen on 0.0.0.0:8081 for /metrics"));
}

TEST(Metrics, OffUnlessAskedFor) {
  Lab lab;
  Node& node = lab.add_node("a");
  node.wait_ready();
  EXPECT_FALSE(node.run("curl -s http://127.0.0.1:9477/metrics").ok());
}

}  // namespace
}  // namespace merino::lab::metrics_test
