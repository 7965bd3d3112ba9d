# userspace/netlink against a real kernel; each case makes network namespaces of its own.
merino_gtest(netlink_test LABEL netns
  SOURCES netlink_test.cpp netlink_bridge_test.cpp netlink_vxlan_test.cpp netlink_route_test.cpp
  LINK merino_netlink)
merino_compile_together(netlink_test)
