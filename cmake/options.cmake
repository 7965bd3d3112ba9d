option(MERINO_TESTS "build the tests" OFF)
set(MERINO_SANITIZE "" CACHE STRING "sanitizers for userspace: address,undefined,float-cast-overflow or thread")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
pkg_check_modules(BPF REQUIRED IMPORTED_TARGET libbpf>=1.1)
pkg_check_modules(NL REQUIRED IMPORTED_TARGET libnl-3.0)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)
pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core)

# Warnings are errors, for the house's own code.
add_library(merino_warnings INTERFACE)
target_compile_options(merino_warnings INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual -Wconversion -Wno-sign-conversion -Wformat=2 -Wimplicit-fallthrough)
# GCC 12 warns at -O3 of copies that std::string never makes (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(merino_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(MERINO_SANITIZE)
  # vptr: the check opens a pipe, and takes a lack of descriptors for a wrong object.
  target_compile_options(merino_warnings INTERFACE
    -fsanitize=${MERINO_SANITIZE} -fno-sanitize=vptr -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(merino_warnings INTERFACE -fsanitize=${MERINO_SANITIZE})
endif()

# Compiles the target's sources some at a time: their headers take longer than they. So names of a target's anonymous namespaces must differ.
function(merino_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
endfunction()

# merino_library(name SOURCES ... LINK ...): a static library of the house, included as "name/header.h".
function(merino_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(merino_${name} STATIC ${ARG_SOURCES})
  target_include_directories(merino_${name} PUBLIC ${CMAKE_SOURCE_DIR}/userspace ${CMAKE_SOURCE_DIR}/bpf)
  target_link_libraries(merino_${name} PUBLIC ${ARG_LINK} PRIVATE merino_warnings)
  merino_compile_together(merino_${name})
endfunction()
