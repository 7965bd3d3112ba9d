# Hostile input, and another build in place of this one.
merino_netns_test(netns_upgrade SOURCES upgrade_test.cpp)
target_compile_definitions(netns_upgrade PRIVATE MERINOD="$<TARGET_FILE:merinod>")
add_dependencies(netns_upgrade merinod)
add_subdirectory(${CMAKE_CURRENT_SOURCE_DIR}/older_abi)
target_compile_definitions(netns_upgrade PRIVATE OLDER_ABI_DIR="${CMAKE_CURRENT_BINARY_DIR}/older_abi")
add_dependencies(netns_upgrade older_merinod older_merino)

merino_netns_test(netns_hostile SOURCES hostile_test.cpp)
