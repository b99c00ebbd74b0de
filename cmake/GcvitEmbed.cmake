# gcvit_embed(serve page_files FILE...) puts files into the component gcvit_serve: a generated source file that defines
# `page_files()` of src/serve/page_files.h. The same file, run as a script, writes that source.
if(CMAKE_SCRIPT_MODE_FILE)
  set(type_html "text/html; charset=utf-8")
  set(type_css "text/css; charset=utf-8")
  set(type_js "text/javascript; charset=utf-8")
  set(type_svg image/svg+xml)
  set(type_jpg image/jpeg)
  string(REPLACE "|" ";" FILES "${FILES}")
  set(arrays "")
  set(rows "")
  set(number 0)
  foreach(file IN LISTS FILES)
    get_filename_component(name ${file} NAME)
    get_filename_component(ending ${file} LAST_EXT)
    string(SUBSTRING ${ending} 1 -1 ending)
    set(type "${type_${ending}}")
    if(NOT type)
      message(FATAL_ERROR "${file}: expected the ending of a file of the page, found .${ending}")
    endif()
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(REGEX REPLACE "(................................................................................)" "\\1\n"
      bytes "${bytes}")
    file(SHA256 ${file} hash)
    string(SUBSTRING ${hash} 0 16 hash)
    string(APPEND arrays "constexpr unsigned char kBytes${number}[] = {\n${bytes}};\n")
    string(APPEND rows "    {\"${name}\", \"${type}\", view(kBytes${number}), \"\\\"${hash}\\\"\"},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(WRITE ${OUTPUT} "// Written by cmake/GcvitEmbed.cmake.
#include \"serve/page_files.h\"

#include <cstddef>

namespace gcvit::serve {
namespace {

${arrays}
template <std::size_t kSize>
std::string_view view(const unsigned char (&bytes)[kSize]) {
  return {reinterpret_cast<const char*>(bytes), kSize};
}

}  // namespace

std::span<const PageFile> page_files() {
  static const PageFile files[] = {
${rows}  };
  return files;
}

}  // namespace gcvit::serve
")
  return()
endif()

set(GCVIT_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(gcvit_embed component name)
  set(output ${CMAKE_BINARY_DIR}/generated_embedded/${name}.cc)
  string(REPLACE ";" "|" files "${ARGN}")
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} "-DFILES=${files}" -DOUTPUT=${output} -P ${GCVIT_EMBED_SCRIPT}
    DEPENDS ${ARGN} ${GCVIT_EMBED_SCRIPT} VERBATIM)
  target_sources(gcvit_${component} PRIVATE ${output})
endfunction()
