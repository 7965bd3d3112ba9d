#include "merinoctl_run.h"

namespace merino::lab {

using nlohmann::json;

Output ctl(const Place& where, const std::string& arguments) {
  return where.run(std::string(MERINOCTL) + " " + arguments, "", std::chrono::seconds(60));
}

json ctl_json(const Place& where, const std::string& arguments) {
  const Output output = ctl(where, arguments + " -o json");
  if (!json::accept(output.out)) throw Failure(arguments + ": no JSON: " + output.out + output.err);
  return json::parse(output.out);
}

std::string words(const json& findings) {
  std::string text;
  for (const json& finding : findings) text += finding["what"].get<std::string>() + "; " + finding["remedy"].get<std::string>() + "\n";
  return text;
}

}  // namespace merino::lab
