# What an operator sees: metrics, merinoctl.
merino_netns_test(netns_metrics SOURCES metrics_test.cpp)
target_link_libraries(netns_metrics PRIVATE nlohmann_json::nlohmann_json)
target_compile_definitions(netns_metrics PRIVATE SOURCE_DIR="${PROJECT_SOURCE_DIR}" MERINO_PLUGIN="$<TARGET_FILE:merino>")
add_dependencies(netns_metrics merinod merino)

merino_netns_test(netns_merinoctl SOURCES merinoctl_test.cpp merinoctl_forms_test.cpp merinoctl_broken_test.cpp merinoctl_run.cpp)
target_link_libraries(netns_merinoctl PRIVATE nlohmann_json::nlohmann_json)
target_compile_definitions(netns_merinoctl PRIVATE MERINOCTL="$<TARGET_FILE:merinoctl>" MERINOD="$<TARGET_FILE:merinod>")
add_dependencies(netns_merinoctl merinod merino merinoctl)
