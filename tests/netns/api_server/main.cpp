// A Kubernetes API server on the loopback interface, for an agent that runs as node1.
//
//   api_server DIR NAME=PODCIDR[=BACKEND-DATA]...
//
// Puts a kubeconfig into DIR, says "listening", and prints each Event that it is told as a line: reason and message. Until it is killed.
#include <fmt/core.h>

#include <chrono>
#include <exception>
#include <set>
#include <string>
#include <thread>

#include "support/api_server.h"
#include "support/lease_dir.h"

namespace {

using merino::test::ApiServer;
using merino::test::NodeText;

NodeText node_of(const std::string& argument, int number) {
  NodeText node;
  const size_t name_end = argument.find('=');
  const size_t cidr_end = argument.find('=', name_end + 1);
  node.name = argument.substr(0, name_end);
  node.pod_cidr = argument.substr(name_end + 1, cidr_end - name_end - 1);
  node.public_ip = fmt::format("192.168.88.{}", 100 + number);
  node.created = fmt::format("2026-11-23T10:00:{:02}Z", number);
  if (cidr_end != std::string::npos) node.annotations["backend-data"] = argument.substr(cidr_end + 1);
  return node;
}

void write_kubeconfig(const ApiServer& api, const std::string& directory) {
  merino::test::write_text(directory + "/token", "token-1\n");
  merino::test::write_text(
      directory + "/kubeconfig",
      fmt::format("current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: {{server: "
                  "'{}', certificate-authority: '{}'}}}}]\nusers: [{{name: u, user: {{tokenFile: token}}}}]\n",
                  api.url(), api.ca_file()));
}

void show_events(const ApiServer& api) {
  std::set<std::string> shown;
  while (true) {
    for (const auto& [name, event] : api.events()) {
      if (!shown.insert(name).second) continue;
      fmt::print("{} {}\n", event.at("reason").get<std::string>(), event.at("message").get<std::string>());
      std::fflush(stdout);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    ApiServer api;
    for (int i = 2; i < argc; ++i) api.put(node_of(argv[i], i));
    write_kubeconfig(api, argv[1]);
    fmt::print("listening on {}\n", api.url());
    std::fflush(stdout);
    show_events(api);
  } catch (const std::exception& error) {
    fmt::print(stderr, "api_server: {}\n", error.what());
  }
  return 1;
}
