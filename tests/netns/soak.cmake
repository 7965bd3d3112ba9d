# The short form; scripts/soak runs it for long.
merino_netns_test(netns_soak SOURCES soak_test.cpp)
target_compile_definitions(netns_soak PRIVATE MERINO_PLUGIN="$<TARGET_FILE:merino>")
add_dependencies(netns_soak merino)
