bpf_object(others_xdp others_xdp.bpf.c)
merino_netns_test(netns_wire_xdp SOURCES wire_xdp_test.cpp)
target_link_libraries(netns_wire_xdp PRIVATE nlohmann_json::nlohmann_json)
target_compile_definitions(netns_wire_xdp PRIVATE MERINOD="$<TARGET_FILE:merinod>" MERINOCTL="$<TARGET_FILE:merinoctl>"
  OTHERS_XDP_OBJECT="${CMAKE_CURRENT_BINARY_DIR}/others_xdp.bpf.o")
add_dependencies(netns_wire_xdp merinod merinoctl merino others_xdp_skel_files)
