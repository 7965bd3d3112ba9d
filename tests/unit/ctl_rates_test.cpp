#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "ctl/rates.h"

namespace merino::ctl {
namespace ctl_rates_test {

using nlohmann::json;

const ReasonInfo kFast{MERINO_DECAP, "decap", Action::fast, "delivered", ""};
const ReasonInfo kDrop{MERINO_FORGED, "forged", Action::drop, "not its source", ""};

TEST(Rates, WhatGrewASecondTheMostFirst) {
  const std::vector<Counter> before{{&kFast, 100, 10000}, {&kDrop, 5, 500}};
  const std::vector<Counter> now{{&kFast, 104, 10400}, {&kDrop, 2005, 200500}};
  const auto rates = rates_between(before, now, std::chrono::seconds(2));
  ASSERT_EQ(rates.size(), 2U);
  EXPECT_EQ(rates[0].reason, &kDrop);
  EXPECT_DOUBLE_EQ(rates[0].packets, 1000);
  EXPECT_DOUBLE_EQ(rates[1].packets, 2);
  EXPECT_DOUBLE_EQ(rates[1].bits, 1600);
  EXPECT_EQ(rates_text(rates, kFile),
            "REASON  ACTION  PACKETS/S  BIT/S  PACKETS\n"
            "forged  drop        1.00k   800k     2005\n"
            "decap   fast            2  1.60k      104\n");
  EXPECT_EQ(json::parse(rates_json(rates)).at(0).at("packets_per_second"), 1000.0);
}

TEST(Rates, CountersThatBeganAnewCountFromZero) {
  const auto rates = rates_between({{&kFast, 100, 100}}, {{&kFast, 10, 10}}, std::chrono::seconds(1));
  ASSERT_EQ(rates.size(), 1U);
  EXPECT_DOUBLE_EQ(rates[0].packets, 10);
  EXPECT_TRUE(rates_between({{&kFast, 7, 7}}, {{&kFast, 7, 7}}, std::chrono::seconds(1)).empty());
}

TEST(Rates, ThreeDigits) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(999), "999");
  EXPECT_EQ(short_number(999.7), "1.00k");
  EXPECT_EQ(short_number(12345), "12.3k");
  EXPECT_EQ(short_number(4.567e9), "4.57G");
  EXPECT_EQ(short_number(123456789), "123M");
}

}  // namespace ctl_rates_test
}  // namespace merino::ctl
