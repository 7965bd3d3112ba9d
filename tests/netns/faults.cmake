# What fails on the way.
merino_netns_test(netns_faults SOURCES cni_node.cpp agent_faults_test.cpp faults_test.cpp full_maps_test.cpp)
target_link_libraries(netns_faults PRIVATE nlohmann_json::nlohmann_json PkgConfig::BPF)
target_compile_definitions(netns_faults PRIVATE CNI_PIN_PROGRAMS="$<TARGET_FILE:cni_pin_programs>" MERINO_PLUGIN="$<TARGET_FILE:merino>"
  MERINOD="$<TARGET_FILE:merinod>" MERINOCTL="$<TARGET_FILE:merinoctl>")
add_dependencies(netns_faults cni_pin_programs merino merinod merinoctl)
