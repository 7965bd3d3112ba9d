#include <gmock/gmock.h>

#include "ctl/redact.h"

namespace merino::ctl {
namespace ctl_redact_test {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Redact, SecretsInEveryNotation) {
  for (const char* text :
       {R"({"Type": "wireguard", "PSK": "hunter2"})", R"({"psk":"hunter2","Mode":"separate"})",
        R"({"escaped": "{\"serviceaccount_token\": \"hunter2\"}"})", "merinod --etcd-username root --etcd-password hunter2 --ip-masq",
        "merinod -etcd-password=hunter2", "FLANNELD_ETCD_PASSWORD=hunter2", "FLANNELD_ETCD_PASSWORD=\"hunter2\"", "  token: hunter2",
        "    client-key-data: hunter2", "ACCESS_KEY_SECRET=hunter2", "https://root:hunter2@10.0.0.1:2379",
        "Authorization: Bearer token=hunter2", "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\n"}) {
    const std::string clean = redact(text);
    EXPECT_THAT(clean, Not(HasSubstr("hunter2"))) << text;
    EXPECT_THAT(clean, HasSubstr("<removed>")) << text;
  }
}

TEST(Redact, EverythingElseStays) {
  for (const char* text :
       {R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "VNI": 1}})", "merinod --etcd-keyfile=/etc/etcd/key.pem --ip-masq",
        "10.244.2.0/24 dev merino0 proto static scope link src 10.244.1.0\n", "FLANNELD_ETCD_USERNAME=root\n", "", "no newline at the end",
        "https://10.0.0.1:2379/health\n", "\"key\": [0, 1, 2]\n"}) {
    EXPECT_EQ(redact(text), text);
  }
}

TEST(Redact, WhatFollowsAPemBlockIsThere) {
  EXPECT_EQ(redact("a\n-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\nb\n"), "a\n<removed> (PEM)\nb\n");
}

TEST(Redact, AnEndlessLineIsLeftOut) {
  const std::string clean = redact("a\n" + std::string(1U << 20U, 'x') + "\nb\n");
  EXPECT_THAT(clean, HasSubstr("a line of 1048576 bytes"));
  EXPECT_THAT(clean, HasSubstr("\nb\n"));
}

}  // namespace ctl_redact_test
}  // namespace merino::ctl
