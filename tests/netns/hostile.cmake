# Hostile input, and another build in place of this one.
merino_netns_test(netns_upgrade SOURCES upgrade_test.cpp)
target_compile_definitions(netns_upgrade PRIVATE MERINOD="$<TARGET_FILE:merinod>")
add_dependencies(netns_upgrade merinod)

merino_netns_test(netns_hostile SOURCES hostile_test.cpp)
