merino_netns_test(netns_agent SOURCES agent_test.cpp agent_healing_test.cpp agent_rules_test.cpp agent_errors_test.cpp)
target_compile_definitions(netns_agent PRIVATE MERINOD="$<TARGET_FILE:merinod>")
add_dependencies(netns_agent merinod)
target_compile_definitions(netns_agent PRIVATE FIREWALLD_RULES="${CMAKE_CURRENT_SOURCE_DIR}/firewalld.nft")
