// The etcd source against a gateway that answers oddly. What it does with a real etcd is tested in tests/netns.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "cluster/etcd_source.h"
#include "support/fake_etcd.h"

namespace merino {
namespace cluster_etcd_source_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const NetConf kConf = net_conf("10.244.0.0/16");

class Source {
 public:
  explicit Source(const EtcdOptions& options)
      : stop_(StopSignal::open().value()), source_(std::move(open_etcd_source(options, stop_)).value()) {}
  explicit Source(const std::vector<std::string>& endpoints) : Source(EtcdOptions{.endpoints = endpoints}) {}
  LeaseSource* operator->() const { return source_.get(); }
  void stop() const { stop_.raise(); }

 private:
  StopSignal stop_;
  std::unique_ptr<LeaseSource> source_;
};

// What a watch that ends tells: each set as "10.244.1.0/24 1.1.1.1; ...", and at last the error.
std::vector<std::string> follow(const Source& source) {
  std::vector<std::string> told;
  const Status ended = source->follow([&](const LeaseSet& set) {
    std::string text;
    for (const Lease& lease : set.leases) text += to_string(lease.subnet) + " " + to_string(lease.attributes.public_ip) + "; ";
    for (const RejectedLease& each : set.rejected) text += "not " + each.key + "; ";
    told.push_back(text);
  });
  told.push_back(ended ? "no error" : ended.error().message());
  return told;
}

std::string event(const std::string& kv, const std::string& type = "PUT") {
  return R"({"result":{)" + kEtcdHeader + R"(,"events":[{"type":")" + type + R"(","kv":)" + kv + "}]}}\n";
}

// --- options

TEST(EtcdSource, OptionsThatCannotWork) {
  const auto stop = StopSignal::open().value();
  const auto refusal = [&](const EtcdOptions& options) {
    const auto source = open_etcd_source(options, stop);
    EXPECT_FALSE(source);
    if (source) return std::string("accepted");
    EXPECT_EQ(source.error().kind, ErrorKind::invalid);
    return source.error().message();
  };
  for (const char* endpoint :
       {"", "ftp://a:1", "http://", "http://a b:1", "http://a:1/path", "http://user@a:1", "http://a:1?x", "unix:///x"}) {
    EXPECT_THAT(refusal({.endpoints = {"http://127.0.0.1:1", endpoint}}), HasSubstr("http://HOST:PORT")) << endpoint;
  }
  EXPECT_THAT(refusal({.endpoints = {}}), HasSubstr("--etcd-endpoints is empty"));
  EXPECT_THAT(refusal({.keyfile = "/dev/null"}), HasSubstr("--etcd-keyfile is given without --etcd-certfile"));
  EXPECT_THAT(refusal({.certfile = "/dev/null"}), HasSubstr("--etcd-certfile is given without --etcd-keyfile"));
  EXPECT_THAT(refusal({.cafile = "/nowhere/ca.crt"}), AllOf(HasSubstr("--etcd-cafile"), HasSubstr("/nowhere/ca.crt")));
}

TEST(EtcdSource, OptionsThatWork) {
  for (const char* endpoint : {"http://a:1", "https://a.example:2379/", "10.0.0.1:2379", "http://[fd00::1]:2379", "etcd"}) {
    const auto stop = StopSignal::open().value();
    EXPECT_TRUE(open_etcd_source({.endpoints = {endpoint}}, stop)) << endpoint;
  }
  const auto stop = StopSignal::open().value();
  EXPECT_EQ(open_etcd_source({.endpoints = {"a:1", "https://b:2/"}}, stop).value()->name(), "etcd at http://a:1, https://b:2");
}

// --- requests

int requests_at_start(int leases) {
  FakeEtcd etcd;
  std::vector<std::string> kvs;
  for (int i = 0; i < leases; ++i) {
    kvs.push_back(etcd_lease("10." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1) + ".0-24", "1.1.1.1"));
  }
  etcd.answer("/v3/kv/range", etcd_range(kvs));
  etcd.answer_watch(kWatchCreated, true);
  const Source source({etcd.url()});
  EXPECT_TRUE(source->acquire(net_conf("10.0.0.0/8"), request("9.9.9.9")));
  EXPECT_THAT(follow(source), SizeIs(2));
  return etcd.asked();
}

TEST(EtcdSource, TheNumberOfRequestsAtTheStartDoesNotGrowWithTheLeases) {
  const int with_one = requests_at_start(1);
  EXPECT_EQ(with_one, 5) << "range, grant, txn; range, watch";
  EXPECT_EQ(requests_at_start(5000), with_one);
}

TEST(EtcdSource, RequestsWantALeader) {
  FakeEtcd etcd;
  std::atomic<int> without{0};
  etcd.handle("/v3/kv/range", [&](const httplib::Request& request) {
    if (request.get_header_value("Grpc-Metadata-hasleader") != "true") ++without;
    return EtcdReply{200, etcd_range({})};
  });
  const Source source({etcd.url()});
  EXPECT_TRUE(source->acquire(kConf, request("1.2.3.4")));
  EXPECT_EQ(without, 0);
}

TEST(EtcdSource, ManyLeasesComeInPagesOfOneRevision) {
  FakeEtcd etcd;
  std::atomic<int> pages{0};
  etcd.handle("/v3/kv/range", [&](const httplib::Request& request) {
    const bool first = request.body.find(R"("revision":"0")") != std::string::npos;
    EXPECT_THAT(request.body, HasSubstr(first ? R"("revision":"0")" : R"("revision":"100")"));
    const std::string kv = etcd_lease(first ? "10.244.1.0-24" : "10.244.2.0-24", "1.1.1." + std::to_string(++pages));
    return EtcdReply{200, etcd_answer("\"kvs\":[" + kv + (first ? R"(],"count":"2","more":true)" : R"(],"count":"1")"))};
  });
  etcd.answer_watch(kWatchCreated, true);
  EXPECT_THAT(follow(Source({etcd.url()})), ElementsAre("10.244.1.0/24 1.1.1.1; 10.244.2.0/24 1.1.1.2; ", HasSubstr("stream has ended")));
}

TEST(EtcdSource, PagesThatNeverEndAreAnError) {
  FakeEtcd etcd;
  etcd.answer("/v3/kv/range", etcd_answer("\"kvs\":[" + etcd_lease("10.244.1.0-24", "1.1.1.1") + R"(],"count":"2","more":true)"));
  EXPECT_THAT(follow(Source({etcd.url()})), ElementsAre(HasSubstr("do not come after it")));
  EXPECT_EQ(etcd.asked("/v3/kv/range"), 2);
}

// --- members

TEST(EtcdSource, TheNextMemberIsAskedAndKept) {
  FakeEtcd good;
  FakeEtcd bad;
  for (const EtcdReply& reply : {EtcdReply{503, R"({"error":"etcdserver: no leader","message":"etcdserver: no leader","code":14})"},
                                 EtcdReply{500, "oops"}, EtcdReply{404, "Not Found\n"}, EtcdReply{200, "<html>"}, EtcdReply{200, "{}"},
                                 EtcdReply{200, R"({"header":{"revision":"1"},"kvs":[{)"}, EtcdReply{301, ""}}) {
    bad.answer("/v3/kv/range", reply.body, reply.status);
    const int before = bad.asked();
    const Source source({"http://127.0.0.1:1", bad.url(), good.url()});
    const auto lease = source->acquire(kConf, request("1.2.3.4"));
    EXPECT_TRUE(lease) << reply.body << ": " << lease.error().message();
    EXPECT_EQ(bad.asked(), before + 1) << reply.body;
    EXPECT_TRUE(source->acquire(kConf, request("1.2.3.4")));
    EXPECT_EQ(bad.asked(), before + 1) << "the one that answers is kept";
  }
}

TEST(EtcdSource, WhenNobodyAnswersEachIsNamed) {
  FakeEtcd bad;
  bad.answer("/v3/kv/range", "Not Found\n", 404);
  const Source source({"http://127.0.0.1:1", bad.url()});
  const auto lease = source->acquire(kConf, request("1.2.3.4"));
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(lease.error().message(), AllOf(HasSubstr("http://127.0.0.1:1/"), HasSubstr(bad.url()), HasSubstr("--enable-grpc-gateway")));
  EXPECT_EQ(bad.asked(), 1);
}

TEST(EtcdSource, ARefusalIsNotAskedForAgain) {
  FakeEtcd first;
  FakeEtcd second;
  first.answer("/v3/kv/range", R"({"error":"x","message":"etcdserver: permission denied","code":7})", 403);
  const Source source({first.url(), second.url()});
  const auto conf = source->load_conf("");
  ASSERT_FALSE(conf);
  EXPECT_EQ(conf.error().kind, ErrorKind::invalid);
  EXPECT_THAT(conf.error().message(),
              AllOf(HasSubstr(first.url() + "/v3/kv/range"), HasSubstr("permission denied"), HasSubstr("etcdctl role")));
  EXPECT_EQ(second.asked(), 0);
}

TEST(EtcdSource, AStoppedSourceReturns) {
  const FakeEtcd etcd;
  const Source source({etcd.url()});
  std::thread stopper;
  const Status ended = source->follow([&](const LeaseSet&) { stopper = std::thread([&] { source.stop(); }); });
  stopper.join();
  EXPECT_FALSE(ended);
  EXPECT_EQ(source->acquire(kConf, request("1.2.3.4")).error().kind, ErrorKind::unavailable);
}

// --- lost answers and races

TEST(EtcdSource, APutWhoseAnswerWasLostIsRecognised) {
  FakeEtcd etcd;
  std::atomic<int> puts{0};
  const std::string written = etcd_kv("10.244.98.0-24", format_lease_attributes(attributes("1.2.3.4")), 101, "55");
  etcd.handle("/v3/kv/txn", [&](const httplib::Request&) {
    if (++puts == 1)
      return EtcdReply{504, R"({"error":"etcdserver: request timed out","message":"etcdserver: request timed out","code":14})"};
    return EtcdReply{200, etcd_answer(R"("responses":[{"response_range":{"kvs":[)" + written + "]}}]")};
  });
  const Source source({etcd.url(), etcd.url()});
  const auto lease = source->acquire(kConf, request("1.2.3.4", "10.244.98.0/24"));
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(lease->subnet, prefix("10.244.98.0/24"));
  EXPECT_EQ(puts, 2);
}

TEST(EtcdSource, ALostRaceTakesTheNextSubnet) {
  FakeEtcd etcd;
  std::atomic<int> puts{0};
  etcd.handle("/v3/kv/txn", [&](const httplib::Request& request) {
    if (++puts > 3) return EtcdReply{200, etcd_answer(R"("succeeded":true)")};
    // Whatever was asked for has just been taken.
    const std::string text = request.body.substr(request.body.find("\"key\":\"") + 7);
    const std::string name =
        decode_base64(text.substr(0, text.find('"'))).value().substr(std::string("/coreos.com/network/subnets/").size());
    return EtcdReply{200, etcd_answer(R"("responses":[{"response_range":{"kvs":[)" + etcd_lease(name, "9.9.9.9", 101) + "]}}]")};
  });
  const Source source({etcd.url()});
  const NetConf four = net_conf("10.244.0.0/21", R"(, "SubnetMax": "10.244.4.0")");
  const auto lease = source->acquire(four, request("1.2.3.4"));
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(puts, 4);
  EXPECT_EQ(etcd.asked("/v3/kv/range"), 1) << "the losers learn from the answer";
  EXPECT_EQ(etcd.asked("/v3/lease/grant"), 1) << "one etcd lease serves all attempts";
}

TEST(EtcdSource, LosingForEverIsAnError) {
  FakeEtcd etcd;
  etcd.answer("/v3/kv/txn", etcd_answer());
  const Source source({etcd.url()});
  EXPECT_EQ(source->acquire(kConf, request("1.2.3.4")).error().kind, ErrorKind::unavailable);
  EXPECT_EQ(etcd.asked("/v3/kv/txn"), 100);
  EXPECT_EQ(etcd.asked(), 102) << "and a range and a grant";
}

TEST(EtcdSource, AnEtcdLeaseThatWasRevokedMeanwhileIsReplaced) {
  FakeEtcd etcd;
  std::atomic<int> puts{0};
  etcd.handle("/v3/kv/txn", [&](const httplib::Request&) {
    if (++puts == 2) return EtcdReply{404, R"({"message":"etcdserver: requested lease not found","code":5})"};
    return EtcdReply{200, etcd_answer(R"("succeeded":true)")};
  });
  const Source source({etcd.url()});
  const auto lease = source->acquire(kConf, request("1.2.3.4"));
  ASSERT_TRUE(lease) << lease.error().message();
  const auto renewed = source->renew(*lease);
  ASSERT_TRUE(renewed) << renewed.error().message();
  EXPECT_EQ(etcd.asked("/v3/lease/grant"), 2);
}

// --- watching

TEST(EtcdSource, ChangesOfEveryKind) {
  FakeEtcd etcd;
  etcd.answer("/v3/kv/range", etcd_range({etcd_lease("10.244.1.0-24", "1.1.1.1")}));
  etcd.answer_watch(
      kWatchCreated + event(etcd_lease("10.244.2.0-24", "1.1.1.2", 101)) + R"({"result":{)" + kEtcdHeader + "}}\n" +
          event(R"({"key":")" + encode_base64("/coreos.com/network/subnets/10.244.1.0-24") + R"(","mod_revision":"102"})", "DELETE") +
          event(etcd_kv("10.244.3.0-24", "garbage", 103)),
      true);
  EXPECT_THAT(follow(Source({etcd.url()})),
              ElementsAre("10.244.1.0/24 1.1.1.1; ", "10.244.2.0/24 1.1.1.2; not 10.244.3.0-24; ", HasSubstr("stream has ended")));
}

// However many changes arrive at a time, the set is made once.
TEST(EtcdSource, ChangesThatComeTogetherMakeOneSet) {
  FakeEtcd etcd;
  std::string lines = kWatchCreated;
  for (int i = 1; i <= 100; ++i) lines += event(etcd_lease("10.244." + std::to_string(i) + ".0-24", "1.1.1." + std::to_string(i), 100 + i));
  etcd.answer_watch(lines + R"({"result":{)" + kEtcdHeader + "}}\n", true);
  const Source source({etcd.url()});
  std::vector<size_t> sizes;
  (void)source->follow([&](const LeaseSet& set) { sizes.push_back(set.leases.size()); });
  ASSERT_GE(sizes.size(), 2U);
  EXPECT_EQ(sizes.front(), 0U);
  EXPECT_EQ(sizes.back(), 100U);
  EXPECT_LT(sizes.size(), 10U) << "the lines may reach the reader in several pieces, but not one by one";
}

TEST(EtcdSource, AWatchThatCannotBeMadeTellsNothing) {
  FakeEtcd etcd;
  etcd.answer("/v3/kv/range", etcd_range({etcd_lease("10.244.1.0-24", "1.1.1.1")}));
  etcd.answer_watch(R"({"result":{"watch_id":"-1","created":true,"canceled":true,"cancel_reason":"permission denied"}})"
                    "\n");
  EXPECT_THAT(follow(Source({etcd.url()})), ElementsAre(HasSubstr("canceled: permission denied")));
}

TEST(EtcdSource, AWatchThatGoesWrongEndsAndIsMadeAnew) {
  FakeEtcd etcd;
  const Source source({etcd.url()});
  etcd.answer("/v3/kv/range", etcd_range({etcd_lease("10.244.1.0-24", "1.1.1.1", 50)}));
  const std::pair<std::string, const char*> ends[] = {
      {R"({"result":{"canceled":true,"compact_revision":"200"}})"
       "\n",
       "has been compacted"},
      {R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}})"
       "\n",
       "no leader"},
      {event(etcd_lease("10.244.2.0-24", "1.1.1.2", 40)), "came after one of revision 50"},
      {"{\"result\":{\"events\":\n", "not an answer of etcd's"},
      {"<html>\n", "not an answer of etcd's"},
      {std::string(1U << 20U, '[') + "\n", "not an answer of etcd's"},
      {R"({"result":{"events":[{"kv":{"key":"!","mod_revision":"101"}}]}})"
       "\n",
       "not base64"},
  };
  for (const auto& [line, error] : ends) {
    etcd.answer_watch(kWatchCreated + line);
    EXPECT_THAT(follow(source), ElementsAre("10.244.1.0/24 1.1.1.1; ", HasSubstr(error)));
  }
  etcd.answer("/v3/kv/range", etcd_range({}));
  etcd.answer_watch(kWatchCreated, true);
  EXPECT_THAT(follow(source), ElementsAre("", HasSubstr("stream has ended")));
}

TEST(EtcdSource, TheSameKeyTwiceCountsOnce) {
  FakeEtcd etcd;
  etcd.answer("/v3/kv/range", etcd_range({etcd_lease("10.244.1.0-24", "1.1.1.1"), etcd_lease("10.244.1.0-24", "1.1.1.2")}));
  etcd.answer_watch(kWatchCreated, true);
  EXPECT_THAT(follow(Source({etcd.url()})), ElementsAre("10.244.1.0/24 1.1.1.2; ", HasSubstr("stream has ended")));
}

TEST(EtcdSource, TheOlderOfTwoThatOverlapCounts) {
  FakeEtcd etcd;
  etcd.answer("/v3/kv/range", etcd_range({etcd_lease("10.244.0.0-20", "1.1.1.1", 20), etcd_lease("10.244.1.0-24", "1.1.1.2", 10),
                                          etcd_lease("10.244.64.0-20", "1.1.1.3", 10), etcd_lease("10.244.65.0-24", "1.1.1.4", 20)}));
  etcd.answer_watch(kWatchCreated, true);
  EXPECT_THAT(follow(Source({etcd.url()}))[0], "10.244.1.0/24 1.1.1.2; 10.244.64.0/20 1.1.1.3; not 10.244.0.0-20; not 10.244.65.0-24; ");
}

}  // namespace cluster_etcd_source_test
}  // namespace merino
