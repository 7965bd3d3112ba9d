// In which form a command prints.
#pragma once

#include <string>

namespace merino::ctl {

enum class Format { table, wide, json, yaml };

// For a table: all columns, or those that fit a terminal.
enum class Width { narrow, wide };

Width width_for(Format format);

// The same document in YAML: strings that YAML would take for something else are quoted. `json` is what merinoctl itself made.
std::string yaml_of(const std::string& json);

}  // namespace merino::ctl
