#include "ctl/redact.h"

#include <array>
#include <regex>
#include <sstream>

namespace merino::ctl {

namespace {

constexpr const char* kRemoved = "<removed>";

// Words that a key of a secret contains; "keyfile" and "certfile" are paths, and worth knowing.
constexpr const char* kSecretKey =
    R"([\w.-]*(?:password|passwd|secret|token|psk|api[_-]?key|access[_-]?key|private[_-]?key|key-data|bearer)[\w-]*)";

struct Rule {
  std::regex pattern;
  std::string replacement;
};

const std::array<Rule, 4>& rules() {
  using std::regex_constants::icase;
  using std::regex_constants::optimize;
  static const auto* table = new std::array<Rule, 4>{{
      // "key": "value", also where the quotes are escaped
      {std::regex(std::string(R"re((\\?"[\w.-]*)re") + kSecretKey + R"re(\\?"\s*:\s*)(\\?"(?:[^"\\]|\\[^"])*\\?"|[^,}\s]+))re",
                  icase | optimize),
       std::string("$1\"") + kRemoved + "\""},
      // --key=value, key=value, --key value, key: value
      {std::regex(std::string("((?:--?)?\\b") + kSecretKey + R"((?:\s*=\s*|\s*:\s+))("[^"]*"|\S+))", icase | optimize),
       std::string("$1") + kRemoved},
      {std::regex(std::string("(--?") + kSecretKey + R"(\s+)(\S+))", icase | optimize), std::string("$1") + kRemoved},
      // scheme://user:password@host
      {std::regex(R"((://[^/\s:@]+:)[^/\s@]+@)", optimize), std::string("$1") + kRemoved + "@"},
  }};
  return *table;
}

std::string redact_line(std::string line) {
  for (const Rule& rule : rules()) line = std::regex_replace(line, rule.pattern, rule.replacement);
  return line;
}

}  // namespace

// Line by line: a regular expression over megabytes would take the stack.
std::string redact(const std::string& text) {
  constexpr size_t kLongestLine = 64U << 10U;
  std::string out;
  std::istringstream lines(text);
  bool in_pem = false;
  for (std::string line; std::getline(lines, line);) {
    const bool begins = line.find("-----BEGIN ") != std::string::npos;
    if (begins) out += std::string(kRemoved) + " (PEM)\n";
    if (begins) in_pem = true;
    const bool hidden = in_pem;
    if (line.find("-----END ") != std::string::npos) in_pem = false;
    if (hidden) continue;
    if (line.size() > kLongestLine) {
      // Whatever it is, it is no line for people; leaving it out is safe.
      out += std::string(kRemoved) + " (a line of " + std::to_string(line.size()) + " bytes)\n";
      continue;
    }
    out += redact_line(line) + "\n";
  }
  if (!text.empty() && text.back() != '\n') out.pop_back();
  return out;
}

}  // namespace merino::ctl
