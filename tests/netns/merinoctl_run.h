// merinoctl, called as its users call it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "lab/place.h"

namespace merino::lab {

Output ctl(const Place& where, const std::string& arguments);

// With -o json, whatever the exit code is; a Failure if that is no JSON.
nlohmann::json ctl_json(const Place& where, const std::string& arguments);

// The sentences of "problems" or "notices", each with its remedy.
std::string words(const nlohmann::json& findings);

}  // namespace merino::lab
