// Who may talk to etcd: TLS with certificates of both sides, users and passwords.
#include <fmt/core.h>

#include "etcd_source_fixture.h"
#include "support/temp_dir.h"

namespace merino::lab::etcd_access_test {
namespace {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::ElementsAre;
using testing::HasSubstr;

const NetConf kConf = net_conf("10.244.0.0/16");

std::string value_of(const std::string& public_ip) { return format_lease_attributes(attributes(public_ip)); }

// An authority and what it signed.
class Certificates {
 public:
  explicit Certificates(const Place& place) : place_(place) {
    place_.must("chmod 0755 " + dir_.path());
    make_authority("ca");
    make_authority("other-ca");
    sign("server", "ca", "serverAuth,clientAuth", "subjectAltName=IP:127.0.0.1");
    sign("client", "ca", "clientAuth", "subjectAltName=DNS:client");
    sign("nameless", "ca", "clientAuth", "subjectAltName=DNS:client", "/O=merino");
    sign("stranger", "other-ca", "clientAuth", "subjectAltName=DNS:stranger");
    place_.must("chmod 0644 " + dir_.path() + "/*");
  }
  [[nodiscard]] std::string path(const std::string& file) const { return dir_.file(file); }

 private:
  void make_authority(const std::string& name) const {
    place_.must(
        fmt::format("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={0} -keyout {1}.key -out "
                    "{1}.crt 2>&1",
                    name, path(name)));
  }
  void sign(const std::string& name, const std::string& authority, const std::string& usage, const std::string& alt_name,
            const std::string& subject = "") const {
    place_.must(
        fmt::format("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj {0} -keyout {1}.key -out {1}.csr 2>&1 && "
                    "printf 'extendedKeyUsage={2}\\n{3}\\n' >{1}.ext && "
                    "openssl x509 -req -in {1}.csr -CA {4}.crt -CAkey {4}.key -CAcreateserial -days 2 -extfile {1}.ext -out {1}.crt 2>&1",
                    subject.empty() ? "/CN=" + name : subject, path(name), usage, alt_name, path(authority)));
  }

  const Place& place_;
  TempDir dir_;
};

class EtcdTls : public EtcdTest {
 protected:
  EtcdTls()
      : files_(here_),
        etcd_(here_, {.scheme = "https",
                      .flags = fmt::format("--cert-file {} --key-file {} --trusted-ca-file {} --client-cert-auth",
                                           files_.path("server.crt"), files_.path("server.key"), files_.path("ca.crt")),
                      .ctl_flags = fmt::format("--cacert {} --cert {} --key {}", files_.path("ca.crt"), files_.path("client.crt"),
                                               files_.path("client.key"))}) {}

  [[nodiscard]] EtcdOptions options(const std::string& who, const std::string& authority) const {
    EtcdOptions options = options_for(etcd_);
    if (!who.empty()) {
      options.certfile = files_.path(who + ".crt");
      options.keyfile = files_.path(who + ".key");
    }
    if (!authority.empty()) options.cafile = files_.path(authority + ".crt");
    return options;
  }
  static std::string refusal(const EtcdOptions& options) {
    const Source source(options);
    const auto lease = source->acquire(kConf, request("1.2.3.4"));
    return lease ? "not refused" : lease.error().message();
  }

  Certificates files_;
  EtcdMembers etcd_;
};

TEST_F(EtcdTls, BothSidesShowTheirCertificates) {
  const Source source(options("client", "ca"));
  const Following following(source);
  const Source writer(options("client", "ca"));
  const auto lease = writer->acquire(kConf, request("1.2.3.4", "10.244.7.0/24"));
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_TRUE(following.becomes({"10.244.7.0/24 1.2.3.4"}));
  EXPECT_EQ(etcd_.value(kSubnets + "10.244.7.0-24"), value_of("1.2.3.4"));

  EtcdOptions without_scheme = options("client", "ca");
  without_scheme.endpoints = {"127.0.0.1:2379"};
  const Source short_name(without_scheme);
  EXPECT_TRUE(short_name->acquire(kConf, request("1.2.3.4")));
}

TEST_F(EtcdTls, WhoeverHasNoneOrAnotherAuthoritysIsRefused) {
  EXPECT_THAT(refusal(options("", "ca")), HasSubstr("certificate"));
  EXPECT_THAT(refusal(options("stranger", "ca")), HasSubstr("https://127.0.0.1:2379"));
  EXPECT_THAT(refusal(options("client", "other-ca")), HasSubstr("certificate"));
  EXPECT_THAT(refusal(options("client", "")), HasSubstr("certificate")) << "the system's authorities do not know this one";
  EtcdOptions by_name = options("client", "ca");
  by_name.endpoints = {"https://localhost:2379"};
  EXPECT_THAT(refusal(by_name), HasSubstr("localhost")) << "the certificate is of 127.0.0.1";
  EtcdOptions plain = options("client", "ca");
  plain.endpoints = {"http://127.0.0.1:2379"};
  EXPECT_THAT(refusal(plain), HasSubstr("http://127.0.0.1:2379"));
  EXPECT_TRUE(etcd_.keys(kPrefix).empty());
}

TEST_F(EtcdTls, WhereEtcdHasUsersACertificateMustNotNameOne) {
  etcd_.ctl("user add root:secret");
  etcd_.ctl("user grant-role root root");
  etcd_.ctl("auth enable");
  EtcdOptions named = options("client", "ca");
  named.username = "root";
  named.password = "secret";
  EXPECT_THAT(refusal(named), HasSubstr("CommonName of client")) << "the gateway's own rule";
  EtcdOptions nameless = options("nameless", "ca");
  nameless.username = "root";
  nameless.password = "secret";
  EXPECT_EQ(refusal(nameless), "not refused");
}

class EtcdUsers : public EtcdTest {
 protected:
  EtcdUsers() : etcd_(here_) {
    etcd_.ctl("user add root:secret");
    etcd_.ctl("user grant-role root root");
    etcd_.ctl("role add network");
    etcd_.ctl("role grant-permission network --prefix=true readwrite " + kPrefix + "/");
    etcd_.ctl("user add 'net\"work:pass\\word'");
    etcd_.ctl("user grant-role 'net\"work' network");
  }

  void enable() {
    etcd_.ctl("auth enable");
    etcd_.ctl_flags = "--user root:secret";
  }
  [[nodiscard]] EtcdOptions options(const std::string& name, const std::string& password) const {
    EtcdOptions options = options_for(etcd_);
    options.username = name;
    options.password = password;
    return options;
  }

  EtcdMembers etcd_;
};

TEST_F(EtcdUsers, AUserWithAPasswordIsLetIn) {
  enable();
  const Source source(options("net\"work", "pass\\word"));
  const Following following(source);
  const Source writer(options("net\"work", "pass\\word"));
  const auto lease = writer->acquire(kConf, request("1.2.3.4", "10.244.7.0/24"));
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_TRUE(following.becomes({"10.244.7.0/24 1.2.3.4"}));
  EXPECT_TRUE(writer->renew(*lease));
  // Taking over includes looking after the etcd lease before.
  const Source again(options("net\"work", "pass\\word"));
  EXPECT_TRUE(again->acquire(kConf, request("1.2.3.4")));
  EXPECT_EQ(etcd_.leases().size(), 1U);
}

TEST_F(EtcdUsers, ATokenThatEtcdForgotIsAskedForAgain) {
  enable();
  const Source source(options("net\"work", "pass\\word"));
  const Source writer(options("net\"work", "pass\\word"));
  const Following following(source);
  const auto lease = writer->acquire(kConf, request("1.2.3.4", "10.244.7.0/24"));
  ASSERT_TRUE(lease) << lease.error().message();
  etcd_.kill(0);
  etcd_.start(0);
  etcd_.wait_healthy();
  EXPECT_TRUE(eventually([&] { return writer->renew(*lease).has_value(); }));
  etcd_.put(kSubnets + "10.244.8.0-24", value_of("1.1.1.8"));
  EXPECT_TRUE(following.becomes({"10.244.7.0/24 1.2.3.4", "10.244.8.0/24 1.1.1.8"}));
}

TEST_F(EtcdUsers, WhoeverIsNotKnownOrMayNotIsRefusedWithARemedy) {
  enable();
  const auto refusal = [](const EtcdOptions& options) {
    const Source source(options);
    const auto conf = source->load_conf("");
    EXPECT_EQ(conf.error().kind, ErrorKind::invalid);
    return conf.error().message();
  };
  EXPECT_THAT(refusal(options("net\"work", "guess")), HasSubstr("check --etcd-username and --etcd-password"));
  EXPECT_THAT(refusal(options("nobody", "guess")), HasSubstr("check --etcd-username and --etcd-password"));
  EXPECT_THAT(refusal(options("", "")), HasSubstr("give --etcd-username and --etcd-password"));
  EtcdOptions elsewhere = options("net\"work", "pass\\word");
  elsewhere.prefix = "/elsewhere";
  EXPECT_THAT(refusal(elsewhere), HasSubstr("etcdctl role grant-permission"));
}

TEST_F(EtcdUsers, AnEtcdWithoutUsersNeedsNoneAndMayGetThemLater) {
  const Source writer(options("net\"work", "pass\\word"));
  const auto lease = writer->acquire(kConf, request("1.2.3.4"));
  ASSERT_TRUE(lease) << lease.error().message();
  enable();
  const auto renewed = writer->renew(*lease);
  EXPECT_TRUE(renewed) << renewed.error().message();
}

}  // namespace
}  // namespace merino::lab::etcd_access_test
