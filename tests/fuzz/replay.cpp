// main() of a fuzz target where there is no libFuzzer: the seeds, then mutants of them, the same ones each time. The input that breaks a
// property is left as crash-<target> in the current directory.
// usage: fuzz_<target> CORPUS [MUTANTS]
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

Input current;
std::string crash_file;

void keep_input(int signal) {
  const int fd = ::open(crash_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (::write(fd, current.data(), current.size()) < 0) ::_exit(2);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::vector<Input> read_corpus(const std::string& directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Input> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return seeds;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<Input>& seeds) : seeds_(seeds) {}

  Input next() {
    Input input = seeds_[below(seeds_.size())];
    for (size_t steps = 1 + below(4); steps > 0; steps--) mutate(input);
    return input;
  }

 private:
  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void mutate(Input& input) {
    const size_t at = below(input.size());
    const auto here = input.begin() + static_cast<std::ptrdiff_t>(at);
    switch (input.empty() ? 3 : below(7)) {
      case 0:
        input[at] ^= static_cast<uint8_t>(1U << below(8));
        break;
      case 1:
        input[at] = static_cast<uint8_t>(below(256));
        break;
      case 2:
        input.erase(here, here + static_cast<std::ptrdiff_t>(std::min(1 + below(16), input.size() - at)));
        break;
      case 3:
        insert(input, at, token());
        break;
      case 4: {  // a part of itself once more
        const Input part(here, here + static_cast<std::ptrdiff_t>(std::min(1 + below(64), input.size() - at)));
        insert(input, below(input.size()), part);
        break;
      }
      case 5: {  // begins like this one and ends like another
        const Input& other = seeds_[below(seeds_.size())];
        input.resize(at);
        input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(below(other.size())), other.end());
        break;
      }
      default:
        input.resize(at);
    }
  }

  Input token() {
    static const std::string tokens[] = {"\"",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         ":",
                                         ",",
                                         "\\",
                                         "\\u0000",
                                         "\xff",
                                         "\xc3\x28",
                                         std::string(1, '\0'),
                                         "null",
                                         "-1",
                                         "4294967296",
                                         "1e400",
                                         "0x7f",
                                         "/",
                                         "../",
                                         "::",
                                         "::ffff:1.2.3.4",
                                         "0.0.0.0/0",
                                         "255.255.255.255",
                                         "\n",
                                         "\r\n",
                                         " ",
                                         "true",
                                         std::string(300, 'A'),
                                         std::string(70, '[')};
    const std::string& chosen = tokens[below(std::size(tokens))];
    return {chosen.begin(), chosen.end()};
  }

  static void insert(Input& input, size_t at, const Input& part) {
    input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), part.begin(), part.end());
  }

  const std::vector<Input>& seeds_;
  std::mt19937_64 random_{20260501};  // the same in each run
};

void execute(Input input) {
  current = std::move(input);
  LLVMFuzzerTestOneInput(current.data(), current.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    static_cast<void>(std::fprintf(stderr, "usage: %s CORPUS [MUTANTS]\n", argv[0]));
    return 2;
  }
  crash_file = "crash-" + std::filesystem::path(argv[0]).filename().string();
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, keep_input);
  const std::vector<Input> seeds = read_corpus(argv[1]);
  if (seeds.empty()) {
    static_cast<void>(std::fprintf(stderr, "%s: no seeds\n", argv[1]));
    return 1;
  }
  const long mutants = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 0;
  for (const Input& seed : seeds) execute(seed);
  Mutator mutator(seeds);
  for (long count = 0; count < mutants; count++) execute(mutator.next());
  std::printf("%zu seeds and %ld mutants executed\n", seeds.size(), mutants);
  return 0;
}
