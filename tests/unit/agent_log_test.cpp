#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "agent/log.h"

namespace merino {
namespace agent_log_test {

TEST(JsonLog, OneObjectALineWhateverIsInTheMessage) {
  std::ostringstream out;
  spdlog::logger logger("test", std::make_shared<spdlog::sinks::ostream_sink_st>(out));
  logger.set_formatter(make_json_formatter());
  logger.warn("a \"quoted\" name,\na second line, \\ and \xff no UTF-8");
  logger.info("plain");
  std::istringstream lines(out.str());
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  const auto first = nlohmann::json::parse(line);
  EXPECT_EQ(first.at("level"), "warning");
  EXPECT_EQ(first.at("message").get<std::string>().substr(0, 18), "a \"quoted\" name,\na");
  EXPECT_TRUE(std::regex_match(first.at("time").get<std::string>(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")));
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(nlohmann::json::parse(line).at("message"), "plain");
  EXPECT_FALSE(std::getline(lines, line));
}

}  // namespace agent_log_test
}  // namespace merino
