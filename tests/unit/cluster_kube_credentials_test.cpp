#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cluster/kube_credentials.h"
#include "support/golden.h"
#include "support/temp_dir.h"

namespace merino {
namespace cluster_kube_credentials_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::AllOf;
using testing::HasSubstr;

// "-----BEGIN X-----\n" in base64
constexpr const char* kPem = "LS0tLS1CRUdJTiBYLS0tLS0K";

std::string kubeconfig(const std::string& user, const std::string& cluster = "server: https://10.0.0.1:6443") {
  return "apiVersion: v1\nkind: Config\ncurrent-context: main\ncontexts:\n- name: other\n  context: {cluster: none}\n- name: main\n  "
         "context: "
         "{cluster: k8s, user: me}\nclusters:\n- name: k8s\n  cluster: {" +
         cluster + "}\nusers:\n- name: me\n  user: {" + user + "}\n";
}

class KubeCredentialsTest : public testing::Test {
 protected:
  KubeCredentialsTest() {
    environment_.service_host = "10.96.0.1";
    environment_.service_port = "443";
    environment_.account_dir = dir_.path();
    write_text(dir_.file("token"), "in-cluster\n");
    write_text(dir_.file("ca.crt"), "pem");
  }
  Result<KubeCredentials> find(const std::string& url, const std::string& yaml = "") {
    if (yaml.empty()) return find_credentials(url, "", environment_);
    write_text(dir_.file("kubeconfig"), yaml);
    return find_credentials(url, dir_.file("kubeconfig"), environment_);
  }
  TempDir dir_;
  KubeEnvironment environment_;
};

TEST_F(KubeCredentialsTest, OfAPod) {
  const auto found = find("");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->server, "https://10.96.0.1:443");
  EXPECT_EQ(found->tls.ca_file, dir_.file("ca.crt"));
  EXPECT_EQ(read_token(*found).value(), "in-cluster");
  write_text(dir_.file("token"), "rotated");
  EXPECT_EQ(read_token(*found).value(), "rotated");
}

TEST_F(KubeCredentialsTest, OfAPodWithIpv6) {
  environment_.service_host = "fd00::1";
  EXPECT_EQ(find("").value().server, "https://[fd00::1]:443");
}

TEST_F(KubeCredentialsTest, OfAPodAtAnotherUrl) {
  const auto found = find("https://lb.example:6443/");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->server, "https://lb.example:6443");
  EXPECT_EQ(found->token_file, dir_.file("token"));
}

TEST_F(KubeCredentialsTest, NoneForAPlainUrl) {
  const auto found = find("http://127.0.0.1:8080");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->server, "http://127.0.0.1:8080");
  EXPECT_EQ(read_token(*found).value(), "");
}

TEST_F(KubeCredentialsTest, NotInAPod) {
  environment_.service_host.clear();
  const auto found = find("");
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message(), AllOf(HasSubstr("KUBERNETES_SERVICE_HOST"), HasSubstr("--kubeconfig-file")));
}

TEST_F(KubeCredentialsTest, MissingAndBadFilesOfTheAccount) {
  std::filesystem::remove(dir_.file("ca.crt"));
  EXPECT_THAT(find("").error().message(), AllOf(HasSubstr(dir_.file("ca.crt")), HasSubstr("--kubeconfig-file")));
  write_text(dir_.file("token"), "a b\n");
  EXPECT_THAT(find("").error().message(), HasSubstr(dir_.file("token") + " is no bearer token"));
  write_text(dir_.file("token"), "\n");
  EXPECT_THAT(find("").error().message(), HasSubstr(dir_.file("token") + " is no bearer token"));
  std::filesystem::remove(dir_.file("token"));
  EXPECT_EQ(find("").error().kind, ErrorKind::not_found);
}

TEST_F(KubeCredentialsTest, BadUrls) {
  for (const char* url : {"10.0.0.1:6443", "ftp://x", "https://", "https:///x", "https://a b", "https://u:p@x", "https://x?y", "http:/"}) {
    const auto found = find(url);
    ASSERT_FALSE(found) << url;
    EXPECT_THAT(found.error().message(), AllOf(HasSubstr("--kube-api-url"), HasSubstr("https://10.0.0.1:6443"))) << url;
  }
}

TEST_F(KubeCredentialsTest, OfAKubeconfig) {
  write_text(dir_.file("client.crt"), "c");
  std::filesystem::create_directory(dir_.file("keys"));
  write_text(dir_.file("keys/client.key"), "k");
  const auto found = find("", kubeconfig("client-certificate: client.crt, client-key: keys/client.key",
                                         "server: 'https://10.0.0.1:6443/', certificate-authority: " + dir_.file("ca.crt")));
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->server, "https://10.0.0.1:6443");
  EXPECT_EQ(found->tls.ca_file, dir_.file("ca.crt"));
  EXPECT_EQ(found->tls.cert_file, dir_.file("client.crt"));
  EXPECT_EQ(found->tls.key_file, dir_.file("keys/client.key"));
  EXPECT_EQ(read_token(*found).value(), "");
}

TEST_F(KubeCredentialsTest, DataComesBeforeFiles) {
  const std::string pem = kPem;
  const auto found = find("", kubeconfig("client-certificate-data: " + pem + ", client-key-data: " + pem + ", client-key: missing",
                                         "server: https://x, certificate-authority-data: " + pem + ", certificate-authority: missing"));
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->tls.cert_pem, "-----BEGIN X-----\n");
  EXPECT_EQ(found->tls.key_pem, "-----BEGIN X-----\n");
  EXPECT_EQ(found->tls.ca_pem, "-----BEGIN X-----\n");
  EXPECT_EQ(found->tls.key_file + found->tls.ca_file, "");
}

TEST_F(KubeCredentialsTest, TokensOfAKubeconfig) {
  EXPECT_EQ(read_token(find("", kubeconfig("token: secret")).value()).value(), "secret");
  write_text(dir_.file("t"), "of-file\n");
  EXPECT_EQ(read_token(find("", kubeconfig("token: secret, tokenFile: t")).value()).value(), "of-file") << "it rotates";
  EXPECT_EQ(find("", kubeconfig("token: \"a\\nX-Evil: 1\"")).error().kind, ErrorKind::invalid);
}

TEST_F(KubeCredentialsTest, TheFlagOverridesTheServer) {
  EXPECT_EQ(find("https://other:1", kubeconfig("token: t")).value().server, "https://other:1");
  EXPECT_EQ(find("https://other:1", kubeconfig("token: t", "certificate-authority-data: ''")).value().server, "https://other:1");
}

TEST_F(KubeCredentialsTest, NoSecretWithoutEncryption) {
  const auto found = find("http://x", kubeconfig("token: t"));
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message(), HasSubstr("without encryption"));
  EXPECT_TRUE(find("http://x", kubeconfig("")));
}

TEST_F(KubeCredentialsTest, JsonIsYaml) {
  EXPECT_EQ(find("", R"({"current-context":"a","contexts":[{"name":"a","context":{"cluster":"c","user":"u"}}],)"
                     R"("clusters":[{"name":"c","cluster":{"server":"https://x"}}],"users":[{"name":"u","user":{"token":"t"}}]})")
                .value()
                .token,
            "t");
}

struct Refused {
  const char* name;
  std::string user;
  std::string cluster;
  std::vector<std::string> message;
};
void PrintTo(const Refused& one, std::ostream* out) { *out << one.name; }

class RefusedKubeconfig : public testing::TestWithParam<Refused> {};
INSTANTIATE_TEST_SUITE_P(
    Kube, RefusedKubeconfig,
    testing::Values(
        Refused{"exec", "exec: {command: aws}", "server: https://x", {"users[me].exec", "runs no programs", "token"}},
        Refused{"auth_provider", "auth-provider: {name: gcp}", "server: https://x", {"users[me].auth-provider", "token"}},
        Refused{"username", "username: u, password: p", "server: https://x", {"users[me].username", "token"}},
        Refused{"password", "password: p", "server: https://x", {"users[me].password"}},
        Refused{"as", "token: t, as: root", "server: https://x", {"users[me].as ", "ClusterRole"}},
        Refused{"groups", "token: t, as-groups: [a]", "server: https://x", {"users[me].as-groups"}},
        Refused{"insecure",
                "",
                "server: https://x, insecure-skip-tls-verify: true",
                {"clusters[k8s].insecure-skip-tls-verify", "certificate-authority"}},
        Refused{"insecure_text", "", "server: https://x, insecure-skip-tls-verify: 'yes'", {"insecure-skip-tls-verify"}},
        Refused{"tls_name", "", "server: https://x, tls-server-name: y", {"clusters[k8s].tls-server-name"}},
        Refused{"proxy", "", "server: https://x, proxy-url: http://p", {"clusters[k8s].proxy-url"}},
        Refused{"no_server", "", "certificate-authority-data: ''", {"has no server", "--kube-api-url"}},
        Refused{"bad_server", "", "server: x", {"kubeconfig: server", "https://"}},
        Refused{"server_type", "", "server: [x]", {"clusters[k8s].server must be a string"}},
        Refused{"unprintable_ca",
                "",
                R"(server: https://x, certificate-authority: "a\e[2J")",
                {"clusters[k8s].certificate-authority", R"(a\x1b[2J)"}},
        Refused{"no_name_of_a_ca",
                "",
                R"(server: https://x, certificate-authority: "ca\0crt")",
                {"clusters[k8s].certificate-authority has a zero byte"}},
        Refused{"no_ca", "", "server: https://x, certificate-authority: gone.crt", {"clusters[k8s].certificate-authority", "gone.crt"}},
        Refused{"bad_data",
                "",
                "server: https://x, certificate-authority-data: '!!'",
                {"certificate-authority-data must be PEM", "base64 -w0"}},
        Refused{"no_pem", "", "server: https://x, certificate-authority-data: aGVsbG8=", {"certificate-authority-data must be PEM"}},
        Refused{"half", "client-certificate-data: LS0tLS1CRUdJTiBYLS0tLS0K", "server: https://x", {"certificate without its key"}},
        Refused{"other_half", "client-key-data: LS0tLS1CRUdJTiBYLS0tLS0K", "server: https://x", {"key without its certificate"}},
        Refused{"no_token_file", "tokenFile: gone", "server: https://x", {"users[me].tokenFile", "gone"}}));

TEST_P(RefusedKubeconfig, NamesFileKeyAndRemedy) {
  const TempDir dir;
  const std::string path = dir.file("kubeconfig");
  write_text(path, kubeconfig(GetParam().user, GetParam().cluster));
  const auto found = find_credentials("", path, {});
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message(), HasSubstr(path));
  EXPECT_NE(found.error().remedy, "");
  for (const std::string& part : GetParam().message) EXPECT_THAT(found.error().message(), HasSubstr(part));
}

TEST(KubeconfigText, NonsenseIsAnError) {
  for (const char* yaml :
       {"", "x", "[1,2]", "a: [", "current-context: a", "current-context: a\ncontexts: x", "current-context: [a]",
        "current-context: a\ncontexts: [{name: a}]", "current-context: a\ncontexts: [1, {name: a, context: {}}]",
        "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: {c: 1}",
        "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: "
        "https://x}}]\nusers: []",
        "&a [*a]", "\t: x", "? [a]\n: b"}) {
    const auto found = parse_kubeconfig(yaml, "/x/kubeconfig");
    ASSERT_FALSE(found) << yaml;
    EXPECT_THAT(found.error().message(), HasSubstr("/x/kubeconfig")) << yaml;
  }
  EXPECT_FALSE(parse_kubeconfig(std::string(100000, '['), "/x/kubeconfig")) << "deep";
}

TEST(KubeconfigText, MissingFileIsNamed) {
  const auto found = find_credentials("", "/nowhere/kubeconfig", {});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::not_found);
  EXPECT_THAT(found.error().message(), HasSubstr("/nowhere/kubeconfig"));
}

}  // namespace cluster_kube_credentials_test
}  // namespace merino
