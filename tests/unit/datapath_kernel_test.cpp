#include <gmock/gmock.h>

#include "datapath/kernel.h"

namespace merino {
namespace datapath_kernel_test {

TEST(Kernel, WhatItHasIsNotLacking) {
  const auto lacking = kernel_lacks({"BPF_FUNC_redirect_peer", "BPF_FUNC_of_no_kernel", "BPF_F_ADJ_ROOM_ENCAP_L2_ETH"});
  ASSERT_TRUE(lacking) << lacking.error().message();
  EXPECT_THAT(*lacking, testing::ElementsAre("BPF_FUNC_of_no_kernel"));
}

TEST(Kernel, ThisOneWillDo) {
  const auto checked = check_kernel();
  EXPECT_TRUE(checked) << checked.error().message();
}

}  // namespace datapath_kernel_test
}  // namespace merino
