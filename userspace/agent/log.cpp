#include "agent/log.h"

#include <fmt/chrono.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

namespace merino {

namespace {

class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    using nlohmann::ordered_json;
    const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(message.time.time_since_epoch());
    const ordered_json line = {
        {"time", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::floor<std::chrono::seconds>(message.time)),
                             milliseconds.count() % 1000)},
        {"level", std::string(spdlog::level::to_string_view(message.level).data())},
        {"message", std::string(message.payload.data(), message.payload.size())}};
    const std::string text = line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
    out.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

}  // namespace

std::unique_ptr<spdlog::formatter> make_json_formatter() { return std::make_unique<JsonFormatter>(); }

void open_log(const std::string& level, LogFormat format) {
  auto logger = std::make_shared<spdlog::logger>("merinod", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (format == LogFormat::text) logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  if (format == LogFormat::json) logger->set_formatter(make_json_formatter());
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace merino
