# gcvit_proto(report event.proto) compiles src/report/event.proto into the component gcvit_report; its sources then include
# "report/event.pb.h". Messages are "lite": no reflection, no descriptors that could clash with another library's.
find_program(PROTOC_EXECUTABLE protoc REQUIRED)

function(gcvit_proto component file)
  get_filename_component(name ${file} NAME_WE)
  set(source ${CMAKE_SOURCE_DIR}/src/${component}/${file})
  set(folder ${CMAKE_BINARY_DIR}/generated_proto)
  set(outputs ${folder}/${component}/${name}.pb.cc ${folder}/${component}/${name}.pb.h)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${outputs}
    COMMAND ${PROTOC_EXECUTABLE} -I ${CMAKE_SOURCE_DIR}/src --cpp_out=lite:${folder} ${source}
    DEPENDS ${source} VERBATIM)
  target_sources(gcvit_${component} PRIVATE ${outputs})
  set_source_files_properties(${outputs} PROPERTIES COMPILE_OPTIONS "-w")
  target_include_directories(gcvit_${component} SYSTEM PRIVATE ${folder})
endfunction()
