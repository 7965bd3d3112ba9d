// merinoctl, called as its users call it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "lab/place.h"

namespace merino::lab {

inline Output ctl(const Place& where, const std::string& arguments) {
  return where.run(std::string(MERINOCTL) + " " + arguments, "", std::chrono::seconds(60));
}

inline nlohmann::json ctl_json(const Place& where, const std::string& arguments) {
  const Output output = ctl(where, arguments + " -o json");
  if (!nlohmann::json::accept(output.out)) throw Failure(arguments + ": no JSON: " + output.out + output.err);
  return nlohmann::json::parse(output.out);
}

// The sentences of "problems" or "notices", each with its remedy.
inline std::string words(const nlohmann::json& findings) {
  std::string text;
  for (const nlohmann::json& finding : findings)
    text += finding["what"].get<std::string>() + "; " + finding["remedy"].get<std::string>() + "\n";
  return text;
}

}  // namespace merino::lab
