// merinod's log, on standard error.
#pragma once

#include <spdlog/formatter.h>

#include <memory>
#include <string>

namespace merino {

enum class LogFormat { text, json };

// One JSON object a line: {"time":"2026-01-01T00:00:00.000Z","level":"info","message":"..."}
std::unique_ptr<spdlog::formatter> make_json_formatter();

// The default logger from now on. `level`: debug, info, warning or error.
void open_log(const std::string& level, LogFormat format);

}  // namespace merino
