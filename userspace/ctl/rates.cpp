#include "ctl/rates.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ctl/views.h"

namespace merino::ctl {

namespace {

// Both lists have every reason, in one order.
uint64_t grown(uint64_t before, uint64_t now) { return now >= before ? now - before : now; }

}  // namespace

std::vector<Rate> rates_between(const std::vector<Counter>& before, const std::vector<Counter>& now, std::chrono::nanoseconds span) {
  const double seconds = std::max(1e-9, std::chrono::duration<double>(span).count());
  std::vector<Rate> rates;
  for (size_t i = 0; i < now.size(); ++i) {
    const uint64_t packets = grown(before[i].packets, now[i].packets);
    const uint64_t bytes = grown(before[i].bytes, now[i].bytes);
    if (packets == 0) continue;
    rates.push_back({now[i].reason, static_cast<double>(packets) / seconds, 8 * static_cast<double>(bytes) / seconds, now[i].packets});
  }
  std::stable_sort(rates.begin(), rates.end(), [](const Rate& a, const Rate& b) { return a.packets > b.packets; });
  return rates;
}

std::string short_number(double value) {
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", value, decimals, kUnits[unit]);
}

std::string rates_text(const std::vector<Rate>& rates, const Screen& screen) {
  if (rates.empty()) return "no packet has met the programs meanwhile\n";
  Table table{{{"REASON"}, {"ACTION"}, {"PACKETS/S", Align::right}, {"BIT/S", Align::right}, {"PACKETS", Align::right}}, {}};
  for (const Rate& rate : rates) {
    table.rows.push_back({{rate.reason->name},
                          {action_name(rate.reason->action), action_tone(rate.reason->action)},
                          {short_number(rate.packets)},
                          {short_number(rate.bits)},
                          {std::to_string(rate.total)}});
  }
  return format_table(table, screen);
}

std::string rates_json(const std::vector<Rate>& rates) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const Rate& rate : rates) {
    list.push_back({{"reason", rate.reason->name},
                    {"action", action_name(rate.reason->action)},
                    {"packets_per_second", rate.packets},
                    {"bits_per_second", rate.bits},
                    {"packets", rate.total}});
  }
  return list.dump(2) + "\n";
}

}  // namespace merino::ctl
