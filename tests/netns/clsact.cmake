# Attachment below clsact, as on kernels before tcx.
merino_gtest(clsact_test LABEL netns
  SOURCES clsact_test.cpp
  LINK merino_datapath merino_base fmt::fmt)
target_include_directories(clsact_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})

# Whole nodes of such a kernel: merinod and the plugin are run by a program that takes tcx away from them.
add_executable(without_tcx without_tcx/main.cpp)
target_include_directories(without_tcx PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(without_tcx PRIVATE merino_warnings fmt::fmt)
merino_netns_test(netns_clsact SOURCES clsact_nodes_test.cpp)
target_compile_definitions(netns_clsact PRIVATE WITHOUT_TCX="$<TARGET_FILE:without_tcx>" MERINO_PLUGIN="$<TARGET_FILE:merino>")
add_dependencies(netns_clsact without_tcx merino)
