# Target gcvit_libonnx: ONNX's own library, its messages and its checker. Debian's package has no pkg-config file.
find_path(ONNX_INCLUDE_DIR onnx/checker.h REQUIRED)
find_library(ONNX_LIBRARY onnx REQUIRED)
find_library(ONNX_PROTO_LIBRARY onnx_proto REQUIRED)
add_library(gcvit_libonnx INTERFACE IMPORTED)
target_include_directories(gcvit_libonnx INTERFACE ${ONNX_INCLUDE_DIR})
target_compile_definitions(gcvit_libonnx INTERFACE ONNX_ML=1 ONNX_NAMESPACE=onnx)  # as Debian builds it
target_link_libraries(gcvit_libonnx INTERFACE ${ONNX_LIBRARY} ${ONNX_PROTO_LIBRARY} PkgConfig::PROTOBUF)
