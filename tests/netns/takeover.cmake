# Moving from flannel and back, with the delegates of Debian's CNI plugins.
add_executable(flannel_plugin flannel_plugin/main.cpp)
target_link_libraries(flannel_plugin PRIVATE merino_warnings nlohmann_json::nlohmann_json)

merino_netns_test(netns_interop SOURCES interop_test.cpp)
merino_netns_test(netns_takeover SOURCES moving_node.cpp takeover_test.cpp cleanup_test.cpp moving_dual_stack_test.cpp)
target_compile_definitions(netns_takeover PRIVATE FLANNEL_PLUGIN="$<TARGET_FILE:flannel_plugin>" MERINO_PLUGIN="$<TARGET_FILE:merino>"
  MERINOD="$<TARGET_FILE:merinod>")
add_dependencies(netns_takeover flannel_plugin merino merinod)
