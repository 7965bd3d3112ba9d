#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "agent/install_cni.h"
#include "base/file.h"
#include "support/temp_dir.h"

namespace merino {
namespace agent_install_cni_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr const char* kConf =
    R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"merino"},{"type":"portmap","capabilities":{"portMappings":true}}]})";

std::vector<std::string> entries(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename());
  return names;
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777U : 0;
}

ino_t inode_of(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

std::vector<std::string> written(const InstallCniReport& report) {
  std::vector<std::string> paths;
  for (const auto& file : report.files) {
    if (file.outcome == InstallOutcome::written) paths.push_back(file.path);
  }
  return paths;
}

class InstallCni : public testing::Test {
 protected:
  InstallCni() {
    put("plugin", "the plugin's bytes");
    put("conf.json", kConf);
    request_.plugin = file("plugin");
    request_.bin_dir = file("host/bin");
    request_.conf = file("conf.json");
    request_.conf_dir = file("host/net.d");
  }

  std::string file(const std::string& name) const { return directory_.file(name); }
  void put(const std::string& name, const std::string& content) const { std::ofstream(file(name), std::ios::binary) << content; }
  std::string refusal() const {
    const auto report = install_cni(request_);
    return report ? "" : report.error().message();
  }

  test::TempDir directory_;
  InstallCniRequest request_;
};

TEST_F(InstallCni, PutsPluginAndConfiguration) {
  const auto report = install_cni(request_).value();
  EXPECT_THAT(written(report), ElementsAre(file("host/bin/merino"), file("host/net.d/10-merino.conflist")));
  EXPECT_EQ(read_file(file("host/bin/merino")).value(), "the plugin's bytes");
  EXPECT_EQ(mode_of(file("host/bin/merino")), 0755U);
  EXPECT_EQ(read_file(file("host/net.d/10-merino.conflist")).value(), kConf);
  EXPECT_EQ(mode_of(file("host/net.d/10-merino.conflist")), 0644U);
  EXPECT_THAT(entries(file("host/bin")), ElementsAre("merino"));
  EXPECT_THAT(entries(file("host/net.d")), ElementsAre("10-merino.conflist"));
}

TEST_F(InstallCni, WritesNothingThatIsThere) {
  ASSERT_TRUE(install_cni(request_));
  const ino_t plugin = inode_of(file("host/bin/merino"));
  EXPECT_THAT(written(install_cni(request_).value()), IsEmpty());
  EXPECT_EQ(inode_of(file("host/bin/merino")), plugin);

  put("plugin", "the plugin's bytez");
  EXPECT_THAT(written(install_cni(request_).value()), ElementsAre(file("host/bin/merino"))) << "same length, other content";
  put("conf.json", std::string(kConf) + "\n");
  EXPECT_THAT(written(install_cni(request_).value()), ElementsAre(file("host/net.d/10-merino.conflist")));
  ASSERT_EQ(::chmod(file("host/bin/merino").c_str(), 0644), 0);
  EXPECT_THAT(written(install_cni(request_).value()), ElementsAre(file("host/bin/merino"))) << "not executable is not installed";
}

TEST_F(InstallCni, TakesSeveralNames) {
  request_.names = {"merino", "flannel"};
  std::filesystem::create_directories(file("host/bin"));
  put("elsewhere", "flannel's own");
  std::filesystem::create_symlink(file("elsewhere"), file("host/bin/flannel"));
  ASSERT_TRUE(install_cni(request_));
  EXPECT_THAT(entries(file("host/bin")), UnorderedElementsAre("merino", "flannel"));
  EXPECT_FALSE(std::filesystem::is_symlink(file("host/bin/flannel")));
  EXPECT_EQ(read_file(file("host/bin/flannel")).value(), "the plugin's bytes");
  EXPECT_EQ(read_file(file("elsewhere")).value(), "flannel's own") << "a link is replaced, what it names is not touched";
}

TEST_F(InstallCni, NamesThePluginsThatTheDirectoryLacks) {
  EXPECT_THAT(install_cni(request_).value().missing_plugins, ElementsAre("portmap"));
  std::filesystem::copy_file(file("host/bin/merino"), file("host/bin/portmap"));
  EXPECT_THAT(install_cni(request_).value().missing_plugins, IsEmpty());
}

TEST_F(InstallCni, ConfigurationAloneOrPluginAlone) {
  request_.names = {};
  request_.plugin = "/nonexistent";
  EXPECT_THAT(written(install_cni(request_).value()), ElementsAre(file("host/net.d/10-merino.conflist")));
  EXPECT_FALSE(std::filesystem::exists(file("host/bin")));

  request_.names = {"merino"};
  request_.plugin = file("plugin");
  request_.bin_dir = file("other/bin");
  request_.conf = "";
  request_.conf_dir = file("other/net.d");
  EXPECT_THAT(written(install_cni(request_).value()), ElementsAre(file("other/bin/merino")));
  EXPECT_FALSE(std::filesystem::exists(file("other/net.d")));
}

TEST_F(InstallCni, ReplacesAPluginThatRuns) {
  request_.plugin = "/bin/sleep";
  request_.conf = "";
  ASSERT_TRUE(install_cni(request_));
  const pid_t running = ::fork();
  if (running == 0) {
    ::execl(file("host/bin/merino").c_str(), "merino", "1000", nullptr);
    ::_exit(127);
  }
  const std::string image = "/proc/" + std::to_string(running) + "/exe";
  while (std::filesystem::read_symlink(image).filename() != "merino") ::usleep(1000);

  request_.plugin = file("plugin");
  EXPECT_THAT(written(install_cni(request_).value()), ElementsAre(file("host/bin/merino")));
  EXPECT_EQ(read_file(file("host/bin/merino")).value(), "the plugin's bytes");
  EXPECT_EQ(::waitpid(running, nullptr, WNOHANG), 0) << "it goes on running";
  ::kill(running, SIGKILL);
  ::waitpid(running, nullptr, 0);
}

// The kernel kills the installer in the middle of a write, by its limit on the size of files.
TEST_F(InstallCni, KilledHalfwayLeavesTheOldFile) {
  ASSERT_TRUE(install_cni(request_));
  put("plugin", std::string(1U << 20U, 'n'));
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    const rlimit half{1U << 19U, 1U << 19U};
    ::setrlimit(RLIMIT_FSIZE, &half);
    ::_exit(install_cni(request_) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ) << status;
  EXPECT_EQ(read_file(file("host/bin/merino")).value(), "the plugin's bytes");
  EXPECT_EQ(entries(file("host/bin")).size(), 2U) << "the half file, under a name that no runtime looks at";

  ASSERT_TRUE(install_cni(request_));
  EXPECT_EQ(read_file(file("host/bin/merino")).value(), std::string(1U << 20U, 'n'));
  EXPECT_THAT(entries(file("host/bin")), ElementsAre("merino")) << "the next installation takes the half file away";
}

TEST_F(InstallCni, KilledAtAnyMomentLeavesOldOrNew) {
  const std::string contents[] = {std::string(300000, 'a'), std::string(200000, 'b')};
  for (int round = 0; round < 40; round++) {
    put("plugin", contents[round % 2]);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(install_cni(request_) ? 0 : 1);
    ::usleep(static_cast<useconds_t>(round * 50));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto present = read_file(file("host/bin/merino"));
    if (present) {
      EXPECT_THAT(contents, testing::Contains(*present));
    }
  }
  ASSERT_TRUE(install_cni(request_));
  EXPECT_EQ(read_file(file("host/bin/merino")).value(), contents[1]);
  EXPECT_THAT(entries(file("host/bin")), ElementsAre("merino"));
}

TEST_F(InstallCni, LeavesOthersFilesAlone) {
  std::filesystem::create_directories(file("host/bin"));
  for (const char* name : {".merino.longer12", ".merino", ".other.123456", "merino.123456", "portmap"})
    put(std::string("host/bin/") + name, "x");
  put("host/bin/.merino.123456", "half");
  ASSERT_TRUE(install_cni(request_));
  EXPECT_THAT(entries(file("host/bin")),
              UnorderedElementsAre(".merino.longer12", ".merino", ".other.123456", "merino.123456", "portmap", "merino"));
}

TEST_F(InstallCni, RefusesAConfigurationThatNoRuntimeCouldUse) {
  for (const char* bad :
       {"", "{", "[]", "\"x\"", R"({"name":"x"})", R"({"name":"x","plugins":[]})", R"({"name":1,"plugins":[{"type":"a"}]})",
        R"({"plugins":[{"type":"a"}]})", R"({"name":"x","plugins":[{}]})", R"({"name":"x","plugins":[3]})",
        R"({"name":"x","plugins":[{"type":"../sh"}]})", R"({"type":"merino","name":"x"})"}) {
    put("conf.json", bad);
    EXPECT_NE(refusal(), "") << bad;
  }
  EXPECT_THAT(refusal(), HasSubstr("conf.json is not a network configuration list"));
  EXPECT_FALSE(std::filesystem::exists(file("host"))) << "nothing is written then";
}

TEST_F(InstallCni, CanInsistOnABpfFileSystem) {
  request_.bpffs = "/proc";
  EXPECT_THAT(refusal(), HasSubstr("/proc of this node is not a BPF file system; mount it on the node: mount -t bpf bpf /proc"));
  request_.bpffs = file("missing");
  EXPECT_THAT(refusal(), HasSubstr("No such file"));
  EXPECT_FALSE(std::filesystem::exists(file("host"))) << "nothing is written then";
}

TEST_F(InstallCni, ErrorsNameTheThingAndTheRemedy) {
  request_.plugin = file("missing");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("missing: No such file"), HasSubstr("--plugin must name an existing file")));
  request_.plugin = file("plugin");
  request_.conf = file("no-conf");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("no-conf: No such file"), HasSubstr("--conf must name an existing file")));
  request_.conf = "";
  request_.bin_dir = file("plugin/bin");
  EXPECT_THAT(refusal(), HasSubstr("Not a directory"));
  request_.bin_dir = file("host/bin");
  std::filesystem::create_directories(file("host/bin/merino"));
  EXPECT_THAT(refusal(), HasSubstr("rename"));
  EXPECT_THAT(entries(file("host/bin")), ElementsAre("merino")) << "no temporary file is left";
  request_.names = {"../merino"};
  EXPECT_THAT(refusal(), HasSubstr("\"../merino\" is not a file name"));
}

TEST(ParseInstallCni, FlagsAndDefaults) {
  const auto defaults = parse_install_cni({}).value();
  EXPECT_THAT(defaults.names, ElementsAre("merino"));
  EXPECT_EQ(defaults.bin_dir, "/opt/cni/bin");
  EXPECT_EQ(defaults.conf, "");
  const auto all = parse_install_cni({"--plugin=/p", "--name", "merino", "-name=flannel", "--bin-dir=/b", "--conf", "/c", "--conf-dir=/d",
                                      "--bpffs=/f", "--conf-name=10-flannel.conflist"})
                       .value();
  EXPECT_THAT(all.names, ElementsAre("merino", "flannel"));
  EXPECT_EQ(all.plugin, "/p");
  EXPECT_EQ(all.bin_dir, "/b");
  EXPECT_EQ(all.conf, "/c");
  EXPECT_EQ(all.conf_dir, "/d");
  EXPECT_EQ(all.conf_name, "10-flannel.conflist");
  EXPECT_EQ(all.bpffs, "/f");
  EXPECT_THAT(parse_install_cni({"--conf-only", "--conf=/c"}).value().names, IsEmpty());
  EXPECT_TRUE(parse_install_cni({"--help"}).value().help);
}

TEST(ParseInstallCni, Refusals) {
  const std::vector<std::vector<std::string>> wrong = {{"--bindir=/x"}, {"/x"},      {""},
                                                       {"--name"},      {"--name="}, {"--conf-only"},
                                                       {"--bin-dir="},  {"-"},       {"--conf-only", "--conf=/c", "--name=x"}};
  for (const auto& arguments : wrong) EXPECT_FALSE(parse_install_cni(arguments)) << testing::PrintToString(arguments);
  EXPECT_THAT(parse_install_cni({"--bindir=/x"}).error().message(),
              HasSubstr("does not know \"--bindir=/x\"; see merinod install-cni --help"));
}

}  // namespace agent_install_cni_test
}  // namespace merino
