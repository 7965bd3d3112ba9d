# bpf_object(name source [TARGET target]): source → name.bpf.o (clang) → name.skel.h (bpftool; struct name_bpf) → target, by default name_skel.
find_program(CLANG clang REQUIRED)
find_program(LLVM_STRIP llvm-strip REQUIRED)
find_program(BPFTOOL bpftool PATHS /usr/sbin /sbin REQUIRED)

function(bpf_object name source)
  cmake_parse_arguments(ARG "" "TARGET" "" ${ARGN})
  if(NOT ARG_TARGET)
    set(ARG_TARGET ${name}_skel)
  endif()
  cmake_path(ABSOLUTE_PATH source)
  cmake_path(GET source PARENT_PATH directory)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/${name}.skel.h)
  file(GLOB headers CONFIGURE_DEPENDS ${directory}/*.h)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CLANG} -g -O2 -std=gnu11 -target bpf -mcpu=v3 -fno-strict-aliasing -Wall -Wextra -Werror -Wshadow -Wno-gnu-statement-expression
            -D__TARGET_ARCH_${CMAKE_SYSTEM_PROCESSOR} -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -c ${source} -o ${object}
    COMMAND ${LLVM_STRIP} -g ${object}
    DEPENDS ${source} ${headers}
    COMMENT "BPF ${ARG_TARGET}" VERBATIM)
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND ${BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${skeleton}
    DEPENDS ${object}
    COMMENT "skeleton ${ARG_TARGET}" VERBATIM)
  add_custom_target(${ARG_TARGET}_files DEPENDS ${skeleton})
  add_library(${ARG_TARGET} INTERFACE)
  add_dependencies(${ARG_TARGET} ${ARG_TARGET}_files)
  target_include_directories(${ARG_TARGET} SYSTEM INTERFACE ${CMAKE_CURRENT_BINARY_DIR})
endfunction()
