// Calls of the plugin and the life of the agent, at random and at once, against a model of what must be there after each step.
// MERINO_SEED repeats a run; MERINO_CHURN_STEPS: how many steps, 24 unless set.
#include <bpf/bpf.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "abi.h"
#include "base/address.h"
#include "lab/lab.h"
#include "lab/traffic.h"
#include "support/sanitizer.h"

namespace merino::lab::churn_test {
namespace {

using nlohmann::json;

constexpr int kContainers = 6;
constexpr std::chrono::seconds kPatience{30};

// What an agent may grow by. The sanitizers keep what was freed, and what they know of it.
constexpr long kGrowthKib = test::kSanitized ? 256 * 1024L : 2 * 1024L;

long from_environment(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtol(text, nullptr, 10);
}

std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What is known of a container: nothing is there, it is attached, or a call for it was killed and some of it may be there.
enum class Known { absent, attached, partly };

struct Container {
  std::string id;
  Known known = Known::absent;
  std::string address;
  json result;
};

// What the node has because of pods.
struct Found {
  std::map<std::string, std::string> owners;  // of addresses, in host-local's files
  std::map<std::string, json> records;        // by container
  std::map<std::string, unsigned> veths;      // index by name
  std::map<std::string, unsigned> entries;    // of the map pods: interface by address
};

struct AgentSize {
  long descriptors = 0;
  long resident_kib = 0;
};

std::map<std::string, unsigned> pods_entries(const std::string& path) {
  std::map<std::string, unsigned> entries;
  const Fd map(bpf_obj_get(path.c_str()));
  merino_pod_key key{};
  for (int more = bpf_map_get_next_key(map.get(), nullptr, &key); more == 0; more = bpf_map_get_next_key(map.get(), &key, &key)) {
    merino_pod pod{};
    if (bpf_map_lookup_elem(map.get(), &key, &pod) != 0) continue;
    std::array<uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), key.addr.bytes, bytes.size());
    entries[IpAddress::from_bytes(bytes).to_string()] = pod.ifindex;
  }
  return entries;
}

class Churn : public testing::Test {
 protected:
  Churn() : seed_(static_cast<unsigned>(from_environment("MERINO_SEED", std::random_device{}()))), random_(seed_) {
    fmt::print("MERINO_SEED={}\n", seed_);
    node_.must("mkdir -p /run/netns /run/churn /run/merino/attachments /var/lib/cni/networks/cbr0");
    for (int i = 0; i < kContainers; i++) {
      containers_.push_back({fmt::format("k{}", i), Known::absent, "", {}});
      node_.must(fmt::format("touch {0} && unshare --net sh -c 'ip link set lo up && mount --bind /proc/self/ns/net {0}'",
                             netns(containers_.back())));
    }
  }

  static std::string netns(const Container& container) { return "/run/netns/" + container.id; }
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

  std::vector<Container*> all_that_are(Known known) {
    std::vector<Container*> found;
    for (Container& container : containers_) {
      if (container.known == known) found.push_back(&container);
    }
    return found;
  }

  // One call of the plugin in a batch. The shell runs them all at once.
  struct Call {
    Container* container;
    std::string command;
    bool may_be_killed;
  };

  Call choose(Container& container) {
    const bool killed = below(6) == 0;
    const unsigned dice = below(10);
    if (container.known == Known::partly) return {&container, "DEL", killed};
    if (container.known == Known::absent) return {&container, dice == 0 ? "DEL" : "ADD", killed};
    // ADD of what is attached must fail, and leave it as it is.
    const char* command = dice < 4 ? "CHECK" : dice < 5 ? "ADD" : "DEL";
    return {&container, command, command == std::string("DEL") && killed};
  }

  std::string shell(const Call& call, const std::string& out) {
    json conf = {{"name", "cbr0"}, {"type", "merino"}, {"cniVersion", "1.1.0"}};
    if (call.command != "ADD" && !call.container->result.is_null()) conf["prevResult"] = call.container->result;
    std::ofstream(node_.outside_path(out + ".conf")) << conf.dump();
    const std::string prefix = call.may_be_killed ? fmt::format("timeout -s KILL 0.{:04}", 1 + below(400)) : "";
    return fmt::format(
        "(env CNI_COMMAND={} CNI_CONTAINERID={} CNI_NETNS={} CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni {} {} < {}.conf > {}.out 2>&1; "
        "echo $? > {}.code) &\n",
        call.command, call.container->id, netns(*call.container), prefix, MERINO_PLUGIN, out, out, out);
  }

  // What the call did is what the model says from now on.
  void account(const Call& call, const std::string& out) {
    Container& container = *call.container;
    const int code = std::stoi(content(node_.outside_path(out + ".code")));
    const std::string text = content(node_.outside_path(out + ".out"));
    SCOPED_TRACE(fmt::format("{} of {}: {} {}", call.command, container.id, code, text));
    calls_++;
    if (call.may_be_killed && code == 128 + SIGKILL) {
      killed_++;
      container = {container.id, Known::partly, "", {}};
    } else if (call.command == "ADD" && container.known == Known::attached) {
      EXPECT_EQ(code, 1) << "it is attached already";
    } else {
      ASSERT_EQ(code, 0);
      if (call.command == "ADD") attached(container, json::parse(text));
      if (call.command == "DEL") container = {container.id, Known::absent, "", {}};
    }
  }

  void attached(Container& container, const json& result) {
    const std::string address = result.at("ips").at(0).at("address").get<std::string>();
    container = {container.id, Known::attached, address.substr(0, address.find('/')), result};
  }

  // ADD, DEL and CHECK of different containers at once, as runtimes call them.
  void some_calls(const std::string& meanwhile) {
    std::vector<Call> batch;
    for (Container& container : containers_) {
      if (below(2) == 0) batch.push_back(choose(container));
    }
    std::string script = meanwhile;
    for (const Call& call : batch) script += shell(call, "/run/churn/" + call.container->id);
    node_.must(script + "wait");
    for (const Call& call : batch) account(call, "/run/churn/" + call.container->id);
  }

  // By the specification GC runs alone.
  void collect_garbage() {
    json conf = {{"name", "cbr0"}, {"type", "merino"}, {"cniVersion", "1.1.0"}, {"cni.dev/valid-attachments", json::array()}};
    for (const Container* container : all_that_are(Known::attached))
      conf["cni.dev/valid-attachments"].push_back({{"containerID", container->id}, {"ifname", "eth0"}});
    const Output output = node_.run(std::string("exec env CNI_COMMAND=GC CNI_PATH=/usr/lib/cni ") + MERINO_PLUGIN, conf.dump());
    ASSERT_TRUE(output.ok()) << output.out << output.err;
    for (Container* container : all_that_are(Known::partly)) container->known = Known::absent;
    calls_++;
  }

  void restart_agent() {
    node_.agent().wait();
    node_.start_agent();
    node_.wait_ready();
    restarts_++;
  }

  void switch_fast_path() {
    fast_path_ = !fast_path_;
    node_.write("/etc/kube-flannel/net-conf.json", net_conf({}, fmt::format(R"("FastPath": {})", fast_path_)));
  }

  // The agent dies in the middle of the calls, and comes back with the same configuration or another.
  void calls_and_restart() {
    if (below(3) == 0) switch_fast_path();
    some_calls(fmt::format("(sleep 0.{:02}; kill -KILL {}) &\n", below(20), node_.agent().pid()));
    restart_agent();
  }

  Found look() {
    Found found;
    for (const auto& file : std::filesystem::directory_iterator(node_.outside_path("/var/lib/cni/networks/cbr0"))) {
      if (IpAddress::parse(file.path().filename().native())) found.owners[file.path().filename()] = content(file.path());
    }
    for (const auto& file : std::filesystem::directory_iterator(node_.outside_path("/run/merino/attachments"))) {
      const json record = json::parse(content(file.path()), nullptr, false);
      found.records[record.is_object() ? record.value("containerID", "") : file.path().filename().native()] = record;
    }
    for (const json& link : json::parse(node_.must("ip -j link show type veth"))) {
      const std::string name = link.value("ifname", "");
      if (name.starts_with("mr")) found.veths[name] = link.at("ifindex");
    }
    found.entries = pods_entries(node_.outside_path(MERINO_PIN_ROOT "/pods"));
    return found;
  }

  // What the attached container should have and has not, or "". What it has is taken out of `found`.
  static std::string take(const Container& container, Found& found) {
    if (found.owners[container.address] != container.id + "\r\neth0") return fmt::format("{} is not {}'s", container.address, container.id);
    const json record = found.records[container.id];
    if (!record.is_object() || !record.at("complete")) return fmt::format("{} has no record: {}", container.id, record.dump());
    const unsigned index = found.veths[record.at("hostIfname")];
    if (index == 0 || record.at("hostIfindex") != index) return fmt::format("{} has no interface: {}", container.id, record.dump());
    if (found.entries[container.address] != index) return fmt::format("{} is not in the map, or with another interface", container.address);
    found.owners.erase(container.address);
    found.records.erase(container.id);
    found.veths.erase(record.at("hostIfname"));
    found.entries.erase(container.address);
    return "";
  }

  // Where node and model differ; "" if they do not.
  std::string difference() {
    Found found = look();
    for (const Container* container : all_that_are(Known::attached)) {
      if (std::string text = take(*container, found); !text.empty()) return text;
    }
    std::set<std::string> partly;
    for (const Container* container : all_that_are(Known::partly)) partly.insert(container->id);
    std::set<std::string> owners;
    for (const auto& [address, owner] : found.owners) {
      const bool first = owners.insert(owner).second;
      if (!first || partly.count(owner.substr(0, owner.find('\r'))) == 0) return fmt::format("{} belongs to {}", address, owner);
    }
    for (const auto& [id, record] : found.records) {
      const bool unfinished = id.starts_with('.');  // of a writer that was killed
      if (partly.count(id) == 0 && !(unfinished && !partly.empty())) return fmt::format("a record of {}: {}", id, record.dump());
    }
    if (found.veths.size() > partly.size()) return "an interface of nobody: " + found.veths.begin()->first;
    if (found.entries.size() > partly.size()) return "a map entry of nobody: " + found.entries.begin()->first;
    return "";
  }

  void expect_as_the_model_says() {
    std::set<std::string> addresses;
    const std::vector<Container*> attached = all_that_are(Known::attached);
    for (const Container* container : attached) {
      ASSERT_TRUE(addresses.insert(container->address).second) << container->address << " was given twice";
    }
    const std::string differs = difference();
    ASSERT_EQ(differs, "");
    for (size_t i = 0; i < attached.size(); i++) {
      const Container& next = *attached[(i + 1) % attached.size()];
      // Around in a circle, and to the other node.
      const std::string ping = fmt::format("nsenter --net={} ping -q -c 2 -i 0.01 -W 5 ", netns(*attached[i]));
      const Output output = node_.run(ping + next.address + " && " + ping + far_.address());
      ASSERT_TRUE(output.ok()) << attached[i]->id << " to " << next.id << ", " << far_.address() << ": " << output.out << output.err;
    }
  }

  void step(bool with_restarts) {
    const unsigned dice = below(8);
    if (dice == 0) {
      collect_garbage();
    } else if (with_restarts && dice <= 2) {
      calls_and_restart();
    } else {
      some_calls("");
    }
    if (HasFatalFailure()) return;
    expect_as_the_model_says();
  }

  AgentSize agent_size() {
    const std::string directory = fmt::format("/proc/{}", node_.agent().pid());
    AgentSize size;
    size.descriptors = std::stol(node_.must(fmt::format("ls {}/fd | wc -l", directory)));
    size.resident_kib = std::stol(node_.must(fmt::format("sed -n 's/^VmRSS:[^0-9]*//p' {}/status", directory)));
    return size;
  }

  // Whatever is there because of pods and the files beside it, one line each.
  std::string everything() {
    return node_.must(
        "ip -o link | grep -o ' mr[0-9a-f]\\{12\\}'; ip route | grep ' mr[0-9a-f]\\{12\\}'; ip neigh | grep ' mr[0-9a-f]\\{12\\}'; "
        "find /run/merino/attachments /sys/fs/bpf/merino/links /var/lib/cni -type f ! -name lock ! -name 'last_reserved_ip*' | sort");
  }

  void take_all_away() {
    for (Container& container : containers_) {
      const Call call{&container, "DEL", false};
      node_.must(shell(call, "/run/churn/last") + "wait");
      account(call, "/run/churn/last");
    }
    expect_as_the_model_says();
  }

  unsigned seed_;
  std::mt19937 random_;
  Lab lab_;
  Node& node_ = lab_.add_node("a");
  Node& other_ = lab_.add_node("b");
  std::vector<Container> containers_;
  Pod& far_ = (lab_.wait_ready(), other_.add_pod("far"));
  bool fast_path_ = true;
  long calls_ = 0;
  long killed_ = 0;
  long restarts_ = 0;
};

TEST_F(Churn, NodeIsAsTheModelSays) {
  const long steps = from_environment("MERINO_CHURN_STEPS", 24);
  const std::string empty = everything();
  const auto run = [&](bool with_restarts) {
    for (long i = 0; i < steps / 2 && !HasFailure(); i++) {
      SCOPED_TRACE(fmt::format("MERINO_SEED={}, step {}{}", seed_, i, with_restarts ? "" : " of the second half"));
      step(with_restarts);
    }
  };
  run(true);
  // The second half is one agent's, whose size can be compared.
  const AgentSize before = agent_size();
  run(false);
  if (HasFailure()) return;
  take_all_away();
  EXPECT_EQ(everything(), empty);
  EXPECT_TRUE(eventually([&] { return agent_size().descriptors <= before.descriptors; }, kPatience)) << "of " << before.descriptors;
  const AgentSize after = agent_size();
  EXPECT_LE(after.resident_kib, before.resident_kib + kGrowthKib);
  fmt::print("{} calls, {} killed, {} restarts; the agent: {} descriptors, then {}; {} KiB resident, then {}\n", calls_, killed_, restarts_,
             before.descriptors, after.descriptors, before.resident_kib, after.resident_kib);
}

}  // namespace
}  // namespace merino::lab::churn_test
