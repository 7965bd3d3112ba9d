// Stands in for flannel's CNI plugin: renders the delegate's configuration from subnet.env, keeps it in dataDir/<container ID>, and
// executes the delegate found in CNI_PATH. Written for the tests, with nothing of merino's own plugin in it.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace {

using nlohmann::json;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string read_all(std::istream& stream) { return {std::istreambuf_iterator<char>(stream), {}}; }

std::map<std::string, std::string> subnet_env(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("failed to load flannel 'subnet.env' file: " + path);
  std::map<std::string, std::string> env;
  for (std::string line; std::getline(file, line);) {
    const size_t equals = line.find('=');
    if (equals != std::string::npos) env[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return env;
}

// 10.244.98.1/24 is in 10.244.98.0/24.
std::string network_of_24(const std::string& address) { return address.substr(0, address.rfind('.')) + ".0/24"; }
// fd10:244:0:62::1/64 is in fd10:244:0:62::/64.
std::string network_of_64(const std::string& address) { return address.substr(0, address.rfind(':')) + ":/64"; }

json range_set(const std::string& subnet) { return json::array({{{"subnet", subnet}}}); }

json render(const json& conf) {
  auto env = subnet_env(conf.value("subnetFile", "/run/flannel/subnet.env"));
  json delegate = conf.value("delegate", json::object());
  if (conf.contains("runtimeConfig")) delegate["runtimeConfig"] = conf["runtimeConfig"];
  delegate["name"] = conf.at("name");
  if (!delegate.contains("type")) delegate["type"] = "bridge";
  if (!delegate.contains("ipMasq")) delegate["ipMasq"] = env["FLANNEL_IPMASQ"] != "true";
  if (!delegate.contains("mtu")) delegate["mtu"] = std::stoi(env["FLANNEL_MTU"]);
  if (delegate["type"] == "bridge" && !delegate.contains("isGateway")) delegate["isGateway"] = true;
  delegate["cniVersion"] = conf.at("cniVersion");
  json ipam = conf.value("ipam", json::object());
  if (!ipam.contains("type")) ipam["type"] = "host-local";
  ipam["ranges"] = json::array();
  if (env.count("FLANNEL_SUBNET") != 0) ipam["ranges"].push_back(range_set(network_of_24(env["FLANNEL_SUBNET"])));
  if (env.count("FLANNEL_IPV6_SUBNET") != 0) ipam["ranges"].push_back(range_set(network_of_64(env["FLANNEL_IPV6_SUBNET"])));
  json routes = ipam.value("routes", json::array());
  std::string all = env["FLANNEL_NETWORK"];
  if (env.count("FLANNEL_IPV6_NETWORK") != 0) all += (all.empty() ? "" : ",") + env["FLANNEL_IPV6_NETWORK"];
  std::istringstream networks(all);
  for (std::string network; std::getline(networks, network, ',');) routes.push_back({{"dst", network}});
  ipam["routes"] = routes;
  delegate["ipam"] = ipam;
  return delegate;
}

// Becomes the delegate.
[[noreturn]] void execute(const std::string& conf) {
  const std::string type = json::parse(conf).at("type").get<std::string>();
  std::FILE* input = std::tmpfile();
  if (input == nullptr || std::fputs(conf.c_str(), input) < 0) throw std::runtime_error("temporary file");
  std::rewind(input);
  ::dup2(::fileno(input), STDIN_FILENO);
  std::istringstream directories(variable("CNI_PATH"));
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string path = directory + "/" + type;
    ::execl(path.c_str(), type.c_str(), nullptr);
  }
  throw std::runtime_error("failed to find plugin " + type);
}

void run(const json& conf) {
  const std::string data_dir = conf.value("dataDir", "/var/lib/cni/flannel");
  const std::string path = data_dir + "/" + variable("CNI_CONTAINERID");
  if (variable("CNI_COMMAND") == "ADD") {
    const std::string rendered = render(conf).dump();
    ::mkdir(data_dir.c_str(), 0700);
    std::ofstream(path) << rendered;
    ::chmod(path.c_str(), 0600);
    execute(rendered);
  }
  if (variable("CNI_COMMAND") != "DEL") return;
  std::ifstream file(path);
  if (!file) return;
  const std::string kept = read_all(file);
  // The real one removes the file when the delegate has succeeded.
  ::unlink(path.c_str());
  execute(kept);
}

}  // namespace

int main() {
  try {
    run(json::parse(read_all(std::cin)));
    return 0;
  } catch (const std::exception& error) {
    std::cout << json{{"cniVersion", "0.3.1"}, {"code", 999}, {"msg", error.what()}};
    return 1;
  }
}
