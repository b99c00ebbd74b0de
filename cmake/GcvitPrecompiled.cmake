# Precompiled headers for the sanitizers' builds, which serve tests alone: reading the standard library again takes half of
# the time of most sources. Other builds read what each source names, so that a missing #include shows.
# gcvit_precompiled(TARGET KIND [HEADER...]): targets of the same KIND, those with the same compile options, share what the
# first of them compiled.
set(precompiled_headers
  <algorithm> <array> <bit> <charconv> <cmath> <cstdint> <cstring> <filesystem> <fmt/format.h> <functional> <map> <memory>
  <nlohmann/json.hpp> <optional> <set> <span> <string> <string_view> <system_error> <unordered_map> <unordered_set> <utility>
  <vector>)

function(gcvit_precompiled target kind)
  if(NOT GCVIT_SANITIZE)
    return()
  endif()
  get_property(first GLOBAL PROPERTY GCVIT_PRECOMPILED_${kind})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${precompiled_headers} ${ARGN})
    set_property(GLOBAL PROPERTY GCVIT_PRECOMPILED_${kind} ${target})
  endif()
endfunction()
