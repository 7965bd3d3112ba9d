#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/nft.h"
#include "support/temp_dir.h"

namespace merino::agent_nft_test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Runs nft from a directory of its own, as a shell script.
class RunNft : public testing::Test {
 protected:
  RunNft() { ::setenv("PATH", (directory_.path() + ":" + path_).c_str(), 1); }
  ~RunNft() override { ::setenv("PATH", path_.c_str(), 1); }

  void nft_is(const std::string& script) {
    const std::string file = directory_.path() + "/nft";
    std::ofstream(file) << "#!/bin/sh\n" << script << "\n";
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  }

 private:
  std::string path_ = std::getenv("PATH");
  test::TempDir directory_;
};

TEST_F(RunNft, ReturnsWhatItPrints) {
  nft_is(R"(echo "$@"; cat)");
  EXPECT_EQ(run_nft(NftFormat::text, "list tables", "list").value(), "--stateless --file -\nlist tables");
  EXPECT_EQ(run_nft(NftFormat::json, "{}", "list").value(), "--stateless --file - --json\n{}");
}

TEST_F(RunNft, SaysTheFirstLineOfTheComplaint) {
  nft_is("echo partly; echo 'no such table' >&2; echo '^^^^' >&2; exit 1");
  const auto answer = run_nft(NftFormat::text, "list table ip x", "list table ip x");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::system);
  EXPECT_THAT(answer.error().message(), StartsWith("list table ip x: nft: no such table;"));
}

TEST_F(RunNft, SaysHowItEndedWithoutAWord) {
  nft_is("kill -SEGV $$");
  EXPECT_THAT(run_nft(NftFormat::text, "", "list").error().message(), HasSubstr("list: nft: killed by signal 11"));
}

TEST_F(RunNft, ThatIsMissingIsToBeInstalled) {
  ::setenv("PATH", "/nowhere", 1);
  const auto answer = run_nft(NftFormat::text, "", "list");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::not_found);
  EXPECT_THAT(answer.error().message(), AllOf(StartsWith("list: run nft"), HasSubstr("install nftables")));
}

}  // namespace
}  // namespace merino::agent_nft_test
