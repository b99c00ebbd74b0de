# One CMake target a component: gcvit_component(ops USES tensor) makes the static library gcvit_ops from
# src/ops/*.cc. The USES list is the row of the components' table in docs/architecture.md;
# scripts/check_includes holds every #include against it.
# WITHOUT lists sources of it that this build leaves out; a component of the USES list that it leaves out is skipped.
# gcvit_library_of_components(gcvit_library) then makes one shared library for C++, libgcvit_cpp.so, of the public interface, which is
# inference's and explain's, and of what they use of other components: no more libraries than that needs.
# gcvit_c_library(gcvit_c) makes the one for C, libgcvit.so, which shows what src/capi/gcvit.map lists, under its version. What its
# target `gcvit_abi` makes is the same with debug information of its interface, for scripts/check_abi.

add_library(gcvit_compile_options INTERFACE)
target_compile_features(gcvit_compile_options INTERFACE cxx_std_20)
target_compile_options(gcvit_compile_options INTERFACE -Wall -Wextra -Wpedantic -Wconversion -ffp-contract=off)
target_include_directories(gcvit_compile_options INTERFACE
  ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include ${CMAKE_BINARY_DIR}/generated)
if(GCVIT_SANITIZE)
  target_compile_options(gcvit_compile_options INTERFACE
    -fsanitize=${GCVIT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  # UBSan looks at an object's type through a pipe that it opens: where descriptors have run out, as a test wants it, every
  # virtual call would be a finding.
  target_compile_options(gcvit_compile_options INTERFACE -fno-sanitize=vptr)
  target_link_options(gcvit_compile_options INTERFACE -fsanitize=${GCVIT_SANITIZE})
endif()

function(gcvit_component name)
  cmake_parse_arguments(COMPONENT "" "" "USES;LIBRARIES;WITHOUT" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  foreach(source IN LISTS COMPONENT_WITHOUT)
    list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/src/${name}/${source})
  endforeach()
  if(NOT sources)
    message(WARNING "component ${name} is empty")
    add_library(gcvit_${name} INTERFACE)
    return()
  endif()
  add_library(gcvit_${name} STATIC ${sources})
  target_link_libraries(gcvit_${name} PUBLIC gcvit_compile_options ${COMPONENT_LIBRARIES})
  foreach(used IN LISTS COMPONENT_USES)
    if(TARGET gcvit_${used})
      target_link_libraries(gcvit_${name} PUBLIC gcvit_${used})
    endif()
  endforeach()
  set_target_properties(gcvit_${name} PROPERTIES
    POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  gcvit_precompiled(gcvit_${name} library)
endfunction()

function(gcvit_library_of_components target)
  add_library(${target} SHARED $<TARGET_OBJECTS:gcvit_inference> $<TARGET_OBJECTS:gcvit_explain>)
  target_link_libraries(${target} PRIVATE gcvit_explain)
  target_link_options(${target} PRIVATE LINKER:--as-needed)
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:include>)
  target_compile_features(${target} INTERFACE cxx_std_20)
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME gcvit_cpp EXPORT_NAME gcvit LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endfunction()

function(gcvit_c_library target)
  set(map ${CMAKE_SOURCE_DIR}/src/capi/gcvit.map)
  get_target_property(sources gcvit_capi SOURCES)
  add_library(${target} SHARED $<TARGET_OBJECTS:gcvit_capi>)
  add_library(gcvit_abi SHARED EXCLUDE_FROM_ALL ${sources})
  target_compile_options(gcvit_abi PRIVATE -g)
  foreach(library ${target} gcvit_abi)
    target_link_libraries(${library} PRIVATE gcvit_inference)
    target_link_options(${library} PRIVATE
      LINKER:--as-needed LINKER:--version-script=${map} LINKER:--no-undefined-version)
    set_target_properties(${library} PROPERTIES
      OUTPUT_NAME gcvit LINKER_LANGUAGE CXX LINK_DEPENDS ${map} CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
      VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  endforeach()
  set_target_properties(gcvit_abi PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/abi)
  set_target_properties(${target} PROPERTIES EXPORT_NAME c)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
endfunction()
