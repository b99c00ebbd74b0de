# The parts of gcvit.cpp that a build may leave out, with what they need. Without all of them a build needs Highway, the image
# codecs, zlib, fmt, nlohmann-json and, for the program, CLI11: the preset `minimal`.
set(parts GCVIT_TRAIN GCVIT_HUB GCVIT_ONNX GCVIT_CONVERT GCVIT_KERAS_WRITER GCVIT_SERVE)
option(GCVIT_TRAIN "Training, reports and `gcvit train` (needs OpenSSL and protobuf)" ON)
option(GCVIT_HUB "Downloads of official weights and `gcvit pull` (needs OpenSSL and libcurl)" ON)
option(GCVIT_ONNX "`gcvit export` (needs ONNX and protobuf)" ON)
option(GCVIT_CONVERT "`gcvit convert` (needs OpenSSL)" ON)
option(GCVIT_KERAS_WRITER "Writing Keras' .weights.h5 files (needs HDF5); reading them is always built" ON)
option(GCVIT_SERVE "The HTTP server `gcvit serve` (needs Boost's headers and OpenSSL)" ON)
option(GCVIT_FMT_HEADER_ONLY "Use fmt as a header-only library" OFF)

foreach(part IN LISTS parts)
  set(${part}_VALUE false)  # as C++ spells it
  if(${part})
    set(${part}_VALUE true)
  elseif(GCVIT_TESTS OR GCVIT_BENCH OR GCVIT_FUZZ)
    message(FATAL_ERROR "${part}=OFF: tests, benchmarks and fuzz targets need every part")
  endif()
endforeach()
set(GCVIT_DOWNLOADS_VALUE ${GCVIT_HUB_VALUE})
configure_file(${CMAKE_SOURCE_DIR}/src/base/build_options.h.in
               ${CMAKE_BINARY_DIR}/generated/base/build_options.h @ONLY)
