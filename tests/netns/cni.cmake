# The CNI plugin, called as a runtime calls it, on a machine of its own whose programs are loaded without an agent.
add_executable(cni_pin_programs cni_pin_programs.cpp)
target_link_libraries(cni_pin_programs PRIVATE merino_datapath merino_warnings fmt::fmt)

merino_netns_test(netns_cni
  SOURCES cni_node.cpp cni_add_test.cpp cni_del_test.cpp cni_check_test.cpp cni_crash_test.cpp cni_many_test.cpp
          cni_flannel_test.cpp cni_dual_stack_test.cpp cni_reboot_test.cpp)
target_link_libraries(netns_cni PRIVATE nlohmann_json::nlohmann_json)
target_compile_definitions(netns_cni PRIVATE CNI_PIN_PROGRAMS="$<TARGET_FILE:cni_pin_programs>" MERINO_PLUGIN="$<TARGET_FILE:merino>")
add_dependencies(netns_cni cni_pin_programs merino)
