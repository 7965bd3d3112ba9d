# Calls of the plugin and restarts of the agent at random, against a model.
merino_netns_test(netns_churn SOURCES churn_test.cpp)
target_link_libraries(netns_churn PRIVATE nlohmann_json::nlohmann_json PkgConfig::BPF)
target_compile_definitions(netns_churn PRIVATE MERINO_PLUGIN="$<TARGET_FILE:merino>")
add_dependencies(netns_churn merino)
