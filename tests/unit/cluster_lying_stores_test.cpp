// etcd and the API server lie: what is known stays, no lease is invented, the error says who said what, and the truth is heard again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>

#include "cluster/etcd_source.h"
#include "cluster/remote_store.h"
#include "support/fake_etcd.h"
#include "support/kube_source_fixture.h"

namespace merino {
namespace cluster_lying_stores_test {

using namespace std::chrono_literals;
using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::HasSubstr;

constexpr RemoteStoreTiming kImpatientRemote{.first_backoff = 1ms, .longest_backoff = 10ms, .patience = 50ms};

// What the process's peak of memory grew by. A sanitizer keeps what was freed (256 MiB of it), so there it tells nothing.
class Growth {
 public:
  static constexpr bool kTells =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
      false;
#else
      true;
#endif

  [[nodiscard]] testing::AssertionResult is_below(long mib) const {
    const long grown = peak_mib() - before_;
    if (!kTells || grown < mib) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "the peak of memory grew by " << grown << " MiB, not by less than " << mib;
  }

 private:
  static long peak_mib() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  }

  long before_ = peak_mib();
};

bool becomes_true(const std::function<bool()>& done) {
  for (const auto end = std::chrono::steady_clock::now() + 30s; std::chrono::steady_clock::now() < end && !done();)
    std::this_thread::sleep_for(1ms);
  return done();
}

// A store, and what has been seen in it.
class Witness {
 public:
  using Leases = std::vector<std::string>;

  explicit Witness(std::unique_ptr<LeaseStore> store) : store_(std::move(store)) {}

  // Until the store gives exactly these. Whatever else it gives meanwhile must be `before`.
  testing::AssertionResult comes_to(const Leases& wanted, const Leases& before) {
    return await([&](const Result<LeaseSet>& set) { return set && text_of(*set) == wanted; }, {wanted, before});
  }
  // Until it says in an error all of `words`; it gives nothing but `known` meanwhile.
  testing::AssertionResult complains(const std::vector<std::string>& words, const Leases& known) {
    return await(
        [&](const Result<LeaseSet>& set) {
          return !set && std::all_of(words.begin(), words.end(),
                                     [&](const std::string& word) { return set.error().message().find(word) != std::string::npos; });
        },
        {known});
  }

 private:
  template <class Done>
  testing::AssertionResult await(const Done& done, const std::vector<Leases>& allowed) {
    std::string last;
    for (const auto end = std::chrono::steady_clock::now() + 30s; std::chrono::steady_clock::now() < end;) {
      const auto set = store_->list();
      if (set && std::find(allowed.begin(), allowed.end(), text_of(*set)) == allowed.end())
        return testing::AssertionFailure() << "it gave " << testing::PrintToString(text_of(*set));
      if (done(set)) return testing::AssertionSuccess();
      last = set ? testing::PrintToString(text_of(*set)) : set.error().message();
      pollfd event{.fd = store_->event_fd(), .events = POLLIN, .revents = 0};
      if (::poll(&event, 1, 100) > 0) store_->drain_events();
    }
    return testing::AssertionFailure() << "at last: " << last.substr(0, 500);
  }
  static Leases text_of(const LeaseSet& set) {
    Leases out;
    for (const Lease& lease : set.leases) out.push_back(to_string(lease.subnet) + " " + to_string(lease.attributes.public_ip));
    return out;
  }

  std::unique_ptr<LeaseStore> store_;
};

struct Lie {
  const char* name;
  std::string text;
  const char* complaint;  // nullptr: it is seen through
};
void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }
const auto kName = [](const auto& value) { return std::string(value.param.name); };

const Witness::Leases kOne{"10.244.1.0/24 1.1.1.1"};
const Witness::Leases kTwo{"10.244.1.0/24 1.1.1.1", "10.244.2.0/24 1.1.1.2"};

// --- etcd

class LyingEtcd : public testing::TestWithParam<Lie> {
 protected:
  LyingEtcd() { tell_the_truth(1); }

  void tell_the_truth(int nodes) {
    std::vector<std::string> kvs = {etcd_lease("10.244.1.0-24", "1.1.1.1", 50)};
    if (nodes == 2) kvs.push_back(etcd_lease("10.244.2.0-24", "1.1.1.2", 60));
    etcd_.flood("");
    etcd_.answer("/v3/kv/range", etcd_range(kvs));
    // Whoever has just listed hears of the second by his watch.
    etcd_.answer_watch(kWatchCreated + (nodes == 2 ? event(kvs[1]) : ""));
  }
  static std::string event(const std::string& kv) {
    return R"({"result":{)" + kEtcdHeader + R"(,"events":[{"type":"PUT","kv":)" + kv + "}]}}\n";
  }
  std::unique_ptr<LeaseStore> open_store() const {
    auto stop = std::make_unique<StopSignal>(StopSignal::open().value());
    auto source = open_etcd_source({.endpoints = {etcd_.url()}}, *stop).value();
    return open_remote_store(std::move(source), std::move(stop), kImpatientRemote).value();
  }

  FakeEtcd etcd_;
};

class LyingEtcdLists : public LyingEtcd {};
INSTANTIATE_TEST_SUITE_P(
    Etcd, LyingEtcdLists,
    testing::Values(
        Lie{"Truncated", etcd_range({etcd_lease("10.244.1.0-24", "1.1.1.1", 50)}).substr(0, 200), "not an answer of etcd's"},
        Lie{"Malformed", "<html><body>Welcome</body></html>", "not an answer of etcd's"},
        Lie{"SomethingElses", R"({"kind":"NodeList","items":[]})", "not an answer of etcd's"},
        Lie{"OutOfOrder",
            etcd_answer(R"("more":true,"count":"9","kvs":[)" + etcd_lease("10.244.1.0-24", "1.1.1.1", 50) + "]"),  // the same page for ever
            "do not come after it"},
        Lie{"Duplicate", etcd_range({etcd_lease("10.244.1.0-24", "1.1.1.1", 50), etcd_lease("10.244.1.0-24", "1.1.1.1", 50)}), nullptr}),
    kName);

TEST_P(LyingEtcdLists, AreNotBelieved) {
  etcd_.answer_watch(kWatchCreated + "\n", true);  // each watch ends, and the leases are listed again
  Witness store(open_store());
  ASSERT_TRUE(store.comes_to(kOne, {}));
  etcd_.answer("/v3/kv/range", GetParam().text);
  const int asked = etcd_.asked("/v3/kv/range");
  if (GetParam().complaint != nullptr) {
    EXPECT_TRUE(store.complains({etcd_.url(), GetParam().complaint}, kOne));
  } else {
    EXPECT_TRUE(becomes_true([&] { return etcd_.asked("/v3/kv/range") > asked + 2; }));
    EXPECT_TRUE(store.comes_to(kOne, kOne));
  }
  tell_the_truth(2);
  EXPECT_TRUE(store.comes_to(kTwo, kOne));
}

class LyingEtcdWatches : public LyingEtcd {};
INSTANTIATE_TEST_SUITE_P(Etcd, LyingEtcdWatches,
                         testing::Values(Lie{"Truncated",
                                             R"({"result":{"header":{"revision":"101"},"events":[{"type":"PUT","kv":{"key":"L2Nv)",
                                             "the stream has ended"},
                                         Lie{"TruncatedLine", "{\"result\":{\"events\":[{\n", "not an answer of etcd's"},
                                         Lie{"Malformed", "<html>\n", "not an answer of etcd's"},
                                         Lie{"OutOfOrder", "", "came after one of revision"}, Lie{"Duplicate", "", nullptr}),
                         kName);

TEST_P(LyingEtcdWatches, AreNotBelieved) {
  const std::string name = GetParam().name;
  std::string lie = GetParam().text;
  const std::string own = etcd_lease("10.244.1.0-24", "1.1.1.1", 50);
  if (name == "OutOfOrder") lie = event(etcd_lease("10.244.1.0-24", "6.6.6.6", 40));
  if (name == "Duplicate") lie = event(own) + event(own) + event(own);
  etcd_.answer_watch(kWatchCreated + lie, true);
  const Witness::Leases nothing;
  Witness store(open_store());
  ASSERT_TRUE(store.comes_to(kOne, nothing));
  // Again and again it is listed, watched and lied to; the set stays, since each watch begins with the truth.
  const int asked = etcd_.asked("/v3/watch");
  EXPECT_TRUE(becomes_true([&] { return etcd_.asked("/v3/watch") > asked + 2; }));
  EXPECT_TRUE(store.comes_to(kOne, kOne));
  if (GetParam().complaint != nullptr) {
    const auto stop = StopSignal::open().value();
    const auto source = open_etcd_source({.endpoints = {etcd_.url()}}, stop).value();
    const Status ended = source->follow([](const LeaseSet&) {});
    ASSERT_FALSE(ended);
    EXPECT_THAT(ended.error().message(), testing::AllOf(HasSubstr(etcd_.url()), HasSubstr(GetParam().complaint)));
  }
  tell_the_truth(2);
  EXPECT_TRUE(store.comes_to(kTwo, kOne));
}

class EnormousEtcd : public LyingEtcd {};
INSTANTIATE_TEST_SUITE_P(Etcd, EnormousEtcd,
                         testing::Values(Lie{"List", "/v3/kv/range", "more than 64 MiB"},
                                         Lie{"Watch", "/v3/watch", "more than 67108864 bytes"}),
                         kName);

TEST_P(EnormousEtcd, AnswersAreCutOff) {
  const auto stop = StopSignal::open().value();
  const auto source = open_etcd_source({.endpoints = {etcd_.url()}}, stop).value();
  const Growth growth;
  etcd_.flood(GetParam().text);
  const Status ended = source->follow([](const LeaseSet& set) { EXPECT_EQ(set.leases.size(), 1U); });
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().message(), testing::AllOf(HasSubstr(etcd_.url()), HasSubstr(GetParam().complaint)));
  EXPECT_TRUE(growth.is_below(64 * 3)) << "a body may grow to 64 MiB, and is copied once while it grows";
  tell_the_truth(2);
  Witness store(open_store());
  EXPECT_TRUE(store.comes_to(kTwo, {}));
}

// --- the API server

std::string node_item(int number, const std::string& version, const std::string& public_ip) {
  auto node =
      NodeText{.name = "node" + std::to_string(number), .pod_cidr = "10.244." + std::to_string(number) + ".0/24", .public_ip = public_ip}
          .json();
  node["metadata"]["resourceVersion"] = version;
  return node.dump();
}

class LyingApi : public KubeSourceTest, public testing::WithParamInterface<Lie> {
 protected:
  std::unique_ptr<LeaseStore> open_store() {
    put_nodes(1);
    auto stop = std::make_unique<StopSignal>(StopSignal::open().value());
    auto source = open_kube_source(options_, *stop).value();
    return open_remote_store(std::move(source), std::move(stop), kImpatientRemote).value();
  }
  void tell_the_truth() {
    api_.set([](ApiServer& api) { api.faults = {}; });
    put_nodes(2);
  }
};

class LyingApiLists : public LyingApi {};
INSTANTIATE_TEST_SUITE_P(
    Kube, LyingApiLists,
    testing::Values(Lie{"Truncated", R"({"metadata":{"resourceVersion":"700"},"items":[{"metadata":{"name":"node1","annot)", ""},
                    Lie{"Malformed", "<html><body>Welcome</body></html>", ""}, Lie{"SomethingElses", R"({"kvs":[]})", "no list of nodes"},
                    Lie{"Duplicate",
                        R"({"metadata":{"resourceVersion":"100"},"items":[)" + node_item(1, "100", "1.1.1.1") + "," +
                            node_item(1, "100", "1.1.1.1") + "]}",
                        nullptr}),
    kName);

TEST_P(LyingApiLists, AreNotBelieved) {
  Witness store(open_store());
  ASSERT_TRUE(store.comes_to(kOne, {}));
  // Without history every watch is refused, and the Nodes are listed again.
  api_.set([&](ApiServer& api) {
    api.faults.list = GetParam().text;
    api.faults.watch_gone = 1'000'000;
  });
  api_.end_watches();
  if (GetParam().complaint != nullptr) {
    EXPECT_TRUE(store.complains({api_.url(), GetParam().complaint}, kOne));
  } else {
    size_t asked = 0;
    EXPECT_TRUE(wait_for([&] { return (asked += api_.requests().size()) > 4; }));
    EXPECT_TRUE(store.comes_to(kOne, kOne));
  }
  tell_the_truth();
  EXPECT_TRUE(store.comes_to(kTwo, kOne));
}

class LyingApiWatches : public LyingApi {};
INSTANTIATE_TEST_SUITE_P(Kube, LyingApiWatches,
                         testing::Values(Lie{"Truncated", R"({"type":"ADDED","object":{"metadata":{"name":"node7","annot)", ""},
                                         Lie{"Malformed", "<html>\n", ""},
                                         Lie{"OutOfOrder", R"({"type":"MODIFIED","object":)" + node_item(1, "3", "6.6.6.6") + "}\n",
                                             "a change of version 3 came after one of version"},
                                         Lie{"DeletedLongAgo", R"({"type":"DELETED","object":)" + node_item(1, "3", "1.1.1.1") + "}\n",
                                             "a change of version 3 came after one of version"},
                                         Lie{"Duplicate",
                                             R"({"type":"ADDED","object":)" + node_item(1, "101", "1.1.1.1") + "}\n" +
                                                 R"({"type":"ADDED","object":)" + node_item(1, "101", "1.1.1.1") + "}\n",
                                             nullptr}),
                         kName);

TEST_P(LyingApiWatches, AreNotBelieved) {
  put_nodes(1);
  begin_following();
  ASSERT_TRUE(comes_to_know(kOne));
  api_.set([&](ApiServer& api) { api.faults.watch = GetParam().text; });
  api_.requests();
  size_t asked = 0;
  const size_t before = errors().size();
  api_.end_watches();
  ASSERT_TRUE(wait_for([&] {
    EXPECT_EQ(known(), kOne);
    return HasFailure() || (GetParam().complaint != nullptr ? errors().size() > before + 1 : (asked += api_.requests().size()) > 4);
  }));
  if (GetParam().complaint != nullptr) {
    EXPECT_THAT(errors(), testing::Contains(testing::AllOf(HasSubstr(api_.url()), HasSubstr(GetParam().complaint))));
  }
  tell_the_truth();
  EXPECT_TRUE(comes_to_know(kTwo));
}

class EnormousApi : public LyingApi {};
INSTANTIATE_TEST_SUITE_P(
    Kube, EnormousApi,
    testing::Values(Lie{"List", R"({"metadata":{"resourceVersion":"700"},"items":[{"metadata":{"name":"node1","annotations":{"a":")", ""},
                    Lie{"Watch", R"({"type":"ADDED","object":{"metadata":{"name":"node7","annotations":{"a":")", ""}),
    kName);

TEST_P(EnormousApi, AnswersTakeNoMemory) {
  put_nodes(1);
  const bool of_list = std::string(GetParam().name) == "List";
  api_.set([&](ApiServer& api) {
    (of_list ? api.faults.list : api.faults.watch) = GetParam().text;
    api.faults.flood = 200;
  });
  (void)source();
  const Growth growth;
  begin_following();
  ASSERT_TRUE(wait_for([&] { return !errors().empty(); }));
  EXPECT_TRUE(growth.is_below(32)) << "of 200 MiB";
  EXPECT_THAT(errors()[0], HasSubstr(api_.url()));
  tell_the_truth();
  EXPECT_TRUE(comes_to_know(kTwo));
}

}  // namespace cluster_lying_stores_test
}  // namespace merino
