#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "cluster/etcd_json.h"
#include "cluster/etcd_messages.h"

namespace merino {
namespace cluster_etcd_messages_test {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(EtcdBase64, Rfc4648sExamples) {
  const std::pair<const char*, const char*> examples[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : examples) {
    EXPECT_EQ(encode_base64(bytes), text);
    EXPECT_EQ(decode_base64(text).value(), bytes);
  }
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(decode_base64(encode_base64(all)).value(), all);
}

TEST(EtcdBase64, Garbage) {
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Z===", "=Zg=", "Zg==Zg==", "Zm9-", "Zm 9", "Zm9v\n", "\xff\xff\xff\xff"}) {
    EXPECT_FALSE(decode_base64(text)) << text;
  }
}

TEST(EtcdJson, PathsOfValues) {
  std::vector<std::string> seen;
  const JsonSink sink = [&](JsonPart part, std::string_view path, std::string& text) {
    seen.push_back(std::string(path) + (part == JsonPart::scalar ? "=" + text : " ends"));
    return ok();
  };
  ASSERT_TRUE(walk_json(R"({"a": {"b": "x", "c": [1, true]}, "d": [{"e": -2.5}, {}], "f": null, "g": 18446744073709551615})", sink));
  EXPECT_THAT(seen, ElementsAre("a.b=x", "a.c=1", "a.c=true", "a ends", "d.e=-2.5", "d ends", "d ends", "g=18446744073709551615", " ends"));
}

TEST(EtcdJson, WhatIsNoObject) {
  const JsonSink sink = [](JsonPart, std::string_view, std::string&) { return ok(); };
  for (const char* text : {"", "null", "1", "\"x\"", "[]", "[{}]", "{", "{}{}", "{\"a\":}", "{\"a\":1,}", "<html>", "\xff"}) {
    EXPECT_EQ(walk_json(text, sink).error().kind, ErrorKind::decode) << text;
  }
  const std::string deep = "{\"a\":" + std::string(1U << 20U, '[');
  EXPECT_THAT(walk_json(deep, sink).error().message(), HasSubstr("nested deeper than 32"));
  EXPECT_TRUE(walk_json("{\"" + std::string(1U << 20U, 'k') + "\": 1}", sink));
}

TEST(EtcdMessages, EndOfPrefix) {
  EXPECT_EQ(end_of_prefix("/a/"), "/a0");
  EXPECT_EQ(end_of_prefix("a\xff"), "b");
  EXPECT_EQ(end_of_prefix("\xff"), std::string(1, '\0'));
}

TEST(EtcdMessages, Requests) {
  EXPECT_EQ(encode_range({"/a/", "/a0"}, 5, 7), R"({"key":"L2Ev","range_end":"L2Ew","limit":"5","revision":"7"})");
  EXPECT_EQ(encode_put_if({"k", "v", 12}, 3),
            R"({"compare":[{"key":"aw==","target":"MOD","result":"EQUAL","mod_revision":"3"}],)"
            R"("success":[{"request_put":{"key":"aw==","value":"dg==","lease":"12"}}],"failure":[{"request_range":{"key":"aw=="}}]})");
  EXPECT_EQ(encode_authenticate("a\"b", "\n"), R"({"name":"a\"b","password":"\n"})");
}

constexpr const char* kHeader = R"("header":{"cluster_id":"3","member_id":"4","revision":"9","raft_term":"2"})";

std::string range_of(const std::string& rest) { return std::string("{") + kHeader + rest + "}"; }

TEST(EtcdMessages, RangeAsEtcdWritesIt) {
  EXPECT_EQ(decode_range(range_of("")).value().revision, 9);
  const auto range = decode_range(range_of(
      R"(,"kvs":[{"key":"aw==","create_revision":"2","mod_revision":"3","version":"1","value":"dg==","lease":"2324035570050270475"},)"
      R"({"key":"bA==","create_revision":4,"mod_revision":5}],"count":"2")"));
  ASSERT_TRUE(range) << range.error().message();
  EXPECT_THAT(range->kvs, ElementsAre(EtcdKeyValue{"k", "v", 2, 3, 2324035570050270475}, EtcdKeyValue{"l", "", 4, 5, 0}));
  EXPECT_FALSE(range->more);
}

TEST(EtcdMessages, RangesThatAreNone) {
  const char* const rests[] = {
      R"(,"kvs":"none")",                                                       // a wrong type is not an empty list
      R"(,"kvs":[{"key":"aw==","mod_revision":"3"}])",                          // count is missing
      R"(,"kvs":[{"key":"aw==","mod_revision":"3"}],"count":"2")",              // one is missing
      R"(,"count":"1","more":true)",                                            // more, and nothing
      R"(,"kvs":[{"key":"aw==","mod_revision":"3"}],"count":"1","more":true)",  // more than all
      R"(,"kvs":[{"mod_revision":"3"}],"count":"1")",                           // no key
      R"(,"kvs":[{"key":"aw=="}],"count":"1")",                                 // no revision
      R"(,"kvs":[{"key":"!!","mod_revision":"3"}],"count":"1")",                // no base64
      R"(,"kvs":[{"key":["aw==","aw"],"mod_revision":"3"}],"count":"1")",       // a list
      R"(,"kvs":[{"key":"aw==","mod_revision":"-3"}],"count":"1")",             // negative
      R"(,"kvs":[{"key":"aw==","mod_revision":"99999999999999999999"}],"count":"1")",
      R"(,"kvs":[{"key":"aw==","mod_revision":"3","lease":1.5}],"count":"1")",
      R"(,"kvs":[{"key":"aw==","mod_revision":{"x":1}}],"count":"1")",
  };
  for (const char* rest : rests) EXPECT_EQ(decode_range(range_of(rest)).error().kind, ErrorKind::decode) << rest;
  EXPECT_FALSE(decode_range("{}"));
  EXPECT_FALSE(decode_range(R"({"header":5})"));
  const std::string good = range_of(R"(,"kvs":[{"key":"aw==","mod_revision":"3"}],"count":"1")");
  ASSERT_TRUE(decode_range(good));
  for (size_t end = 0; end < good.size(); ++end) EXPECT_FALSE(decode_range(good.substr(0, end))) << end;
}

TEST(EtcdMessages, Txn) {
  EXPECT_TRUE(decode_txn(range_of(R"(,"succeeded":true,"responses":[{"response_put":{"header":{"revision":"2"}}}])"))->succeeded);
  const auto lost = decode_txn(range_of(
      R"(,"responses":[{"response_range":{"header":{"revision":"2"},"kvs":[{"key":"aw==","mod_revision":"2","value":"eA=="}],"count":"1"}}])"));
  ASSERT_TRUE(lost);
  EXPECT_FALSE(lost->succeeded);
  EXPECT_THAT(lost->found, ElementsAre(EtcdKeyValue{"k", "x", 0, 2, 0}));
  EXPECT_FALSE(decode_txn("{}"));
  EXPECT_FALSE(decode_txn(range_of(R"(,"responses":[{"response_range":"none"}])")));
}

TEST(EtcdMessages, Leases) {
  EXPECT_EQ(decode_grant(range_of(R"(,"ID":"2324035570050270470","TTL":"86400")")).value(), 2324035570050270470);
  EXPECT_FALSE(decode_grant(range_of("")));
  EXPECT_EQ(decode_keep_alive(R"({"result":{"ID":"5","TTL":"86400"}})")->ttl.count(), 86400);
  EXPECT_EQ(decode_keep_alive(R"({"result":{"ID":"5"}})")->ttl.count(), 0) << "there is no such lease";
  EXPECT_FALSE(decode_keep_alive("{}"));
  EXPECT_LE(decode_keep_alive(R"({"result":{"ID":"5","TTL":"9223372036854775807"}})")->ttl, std::chrono::hours(24 * 3650));
  const auto state = decode_time_to_live(R"({"ID":"5","TTL":"9","grantedTTL":"10","keys":["aw==","bA=="]})");
  EXPECT_THAT(state->keys, ElementsAre("k", "l"));
  EXPECT_EQ(decode_time_to_live(R"({"ID":"5","TTL":"-1"})")->ttl.count(), -1);
  EXPECT_FALSE(decode_time_to_live(R"({"ID":"5","TTL":"9","keys":["?"]})"));
}

TEST(EtcdMessages, Watch) {
  const auto created = decode_watch(R"({"result":{"header":{"revision":"2"},"created":true}})");
  ASSERT_TRUE(created);
  EXPECT_TRUE(created->created);
  const auto events = decode_watch(
      R"({"result":{"events":[{"kv":{"key":"aw==","mod_revision":"4","value":"dg=="}},{"type":"DELETE","kv":{"key":"bA==","mod_revision":"5"}},)"
      R"({"type":"PUT","kv":{"key":"bQ==","mod_revision":"6"}}]}})");
  ASSERT_TRUE(events) << events.error().message();
  ASSERT_EQ(events->events.size(), 3U);
  EXPECT_EQ(events->events[0].kv, (EtcdKeyValue{"k", "v", 0, 4, 0}));
  EXPECT_EQ(events->events[1].type, EtcdEvent::Type::removed);
  EXPECT_EQ(events->events[2].type, EtcdEvent::Type::put);
  const auto compacted = decode_watch(R"({"result":{"canceled":true,"compact_revision":"7"}})");
  EXPECT_EQ(compacted->compact_revision, 7);
  for (const char* line : {"{}", R"({"result":5})", R"({"result":{"events":["x"]}})", R"({"result":{"events":[{}]}})",
                           R"({"result":{"events":[{"type":"BURN","kv":{"key":"aw==","mod_revision":"4"}}]}})",
                           R"({"result":{"events":[{"kv":{"key":"aw=="}}]}})", R"({"error":{"message":"no leader"}})"}) {
    EXPECT_FALSE(decode_watch(line)) << line;
  }
}

TEST(EtcdMessages, Errors) {
  const auto old_gateway = decode_error(R"({"error":"etcdserver: no leader","message":"etcdserver: no leader","code":14})");
  EXPECT_EQ(old_gateway->code, 14);
  EXPECT_EQ(old_gateway->message, "etcdserver: no leader");
  EXPECT_EQ(decode_error(R"({"code":5,"message":"etcdserver: requested lease not found","details":[]})")->code, 5);
  EXPECT_EQ(decode_error(R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}})")->code, 14);
  EXPECT_FALSE(decode_error("Not Found\n"));
  EXPECT_FALSE(decode_error("{}"));
  EXPECT_FALSE(decode_token(R"({"token":"a\r\nX-Evil: 1"})")) << "it becomes a header";
  EXPECT_EQ(decode_token(R"({"token":"mBQJIiChoZkisSTq.19"})").value(), "mBQJIiChoZkisSTq.19");
}

}  // namespace cluster_etcd_messages_test
}  // namespace merino
