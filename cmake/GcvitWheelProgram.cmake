# Target gcvit_wheel: the program for the Python package, build/PRESET/wheel/bin/gcvit. It downloads nothing and writes no HDF5, so that it
# needs neither libcurl nor HDF5 and what these bring along; Python downloads for it. All else is the objects of the target gcvit.
set(GCVIT_DOWNLOADS_VALUE false)
set(GCVIT_KERAS_WRITER_VALUE false)
configure_file(${CMAKE_SOURCE_DIR}/src/base/build_options.h.in
               ${CMAKE_BINARY_DIR}/generated_wheel/base/build_options.h @ONLY)

add_executable(gcvit_wheel EXCLUDE_FROM_ALL
  cli/convert.cc cli/pull.cc weights/convert.cc  # what these two values change
  "$<FILTER:$<TARGET_OBJECTS:gcvit>,EXCLUDE,/cli/(convert|pull)[.]cc>")
target_include_directories(gcvit_wheel BEFORE PRIVATE ${CMAKE_BINARY_DIR}/generated_wheel)
target_link_libraries(gcvit_wheel PRIVATE $<TARGET_PROPERTY:gcvit,LINK_LIBRARIES>)
target_link_options(gcvit_wheel PRIVATE LINKER:--as-needed)
set_target_properties(gcvit_wheel PROPERTIES OUTPUT_NAME gcvit RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/wheel/bin)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/wheel)
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/models ${CMAKE_BINARY_DIR}/wheel/models SYMBOLIC)  # as in the package
