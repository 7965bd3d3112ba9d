#include <gtest/gtest.h>

#include <memory>

#include "base/result.h"

namespace merino {
namespace base_result_test {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(ErrorKind::invalid, "{} is odd", n);
  return n / 2;
}

Result<int> quarter(int n) {
  const int first = TRY(half(n));
  return TRY(half(first));
}

Status check(int n) {
  TRY(quarter(n));
  return ok();
}

Result<std::unique_ptr<int>> boxed(int n) { return std::make_unique<int>(TRY(half(n))); }

TEST(Result, TryGivesTheValueOrReturnsTheError) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().what, "3 is odd");
  EXPECT_TRUE(check(4));
  EXPECT_EQ(check(2).error().what, "1 is odd");
}

TEST(Result, TryMovesWhatCannotBeCopied) {
  const auto use = []() -> Result<int> {
    const std::unique_ptr<int> box = TRY(boxed(6));
    return *box;
  };
  EXPECT_EQ(use().value(), 3);
}

TEST(Result, MessageHasTheCauseAndTheRemedy) {
  EXPECT_EQ(Error(fail(ErrorKind::invalid, "key {} is wrong", "MTU").value()).message(), "key MTU is wrong");
  EXPECT_EQ(Error(fail_errno(2, "open {}", "/x").value()).message(), "open /x: No such file or directory (errno 2)");
  EXPECT_EQ(Error(with_remedy(fail_errno(1, "load"), "run as root").value()).message(),
            "load: Operation not permitted (errno 1); run as root");
}

TEST(Result, ContextComesFirstAndKeepsTheRest) {
  const Error error = in_context(with_remedy(fail_errno(13, "open /x"), "be root").value(), "read the lease").value();
  EXPECT_EQ(error.what, "read the lease: open /x");
  EXPECT_EQ(error.sys_errno, 13);
  EXPECT_EQ(error.remedy, "be root");
}

TEST(Result, AnErrnoWithoutANameStillPrints) {
  EXPECT_EQ(Error(fail_errno(99999, "x").value()).message(), "x: unknown error (errno 99999)");
}

}  // namespace base_result_test
}  // namespace merino
