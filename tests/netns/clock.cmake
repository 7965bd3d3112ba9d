# The wall clock of a node is set while merinod runs.
add_library(clock_shift SHARED clock/shift.c)
target_compile_definitions(clock_shift PRIVATE CLOCK_SHIFT_FILE="/run/clock-shift")
target_link_libraries(clock_shift PRIVATE ${CMAKE_DL_LIBS})

merino_netns_test(netns_clock SOURCES etcd_members.cpp clock_test.cpp)
target_compile_definitions(netns_clock PRIVATE CLOCK_SHIFT="$<TARGET_FILE:clock_shift>" MERINOCTL="$<TARGET_FILE:merinoctl>")
add_dependencies(netns_clock clock_shift merinoctl)
