# Run by cpack on what it is about to pack. In the tarball the program gets every shared library that it needs except glibc's,
# in lib/gcvit, with their licences, so that it runs on any Linux with this machine's glibc or a later one; the library for
# C++ programs is left out, whose users have a compiler and the libraries' headers. Needs Debian's dpkg to say whose a library is.
if(NOT CPACK_GENERATOR STREQUAL TGZ)
  return()
endif()
set(top ${CPACK_TEMPORARY_DIRECTORY})
file(GLOB library ${top}/lib/libgcvit* ${top}/lib/systemd ${top}/lib/cmake ${top}/lib/pkgconfig ${top}/include)
if(library)
  file(REMOVE_RECURSE ${library})
endif()

set(glibc "^(ld-linux.*|lib(c|m|mvec|pthread|dl|rt|resolv|util|anl))[.]so")
file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${top}/bin/gcvit RESOLVED_DEPENDENCIES_VAR libraries
  UNRESOLVED_DEPENDENCIES_VAR missing PRE_EXCLUDE_REGEXES ${glibc})
if(missing)
  message(FATAL_ERROR "${top}/bin/gcvit: needs ${missing}, which this machine lacks")
endif()

# Headers alone, or Debian's packages of them, whose code is compiled into the program.
set(packages libcli11-dev nlohmann-json3-dev libfmt-dev)
foreach(library IN LISTS libraries)
  file(INSTALL ${library} DESTINATION ${top}/lib/gcvit FOLLOW_SYMLINK_CHAIN)
  file(REAL_PATH ${library} file)
  string(REGEX REPLACE "^/usr/" "/" elsewhere ${file})  # where /lib is a link to /usr/lib, dpkg may know it by either name
  execute_process(COMMAND dpkg-query --search ${file} ${elsewhere} OUTPUT_VARIABLE owner ERROR_QUIET)
  if(NOT owner MATCHES "^([^:,]+)")
    message(FATAL_ERROR "${file}: expected a file of a Debian package, whose licence goes into the tarball")
  endif()
  list(APPEND packages ${CMAKE_MATCH_1})
endforeach()
list(REMOVE_DUPLICATES packages)
list(SORT packages)

set(licences ${top}/share/doc/gcvit/licences)
set(table "Debian's packages whose files, unchanged, are in lib/gcvit or compiled into the program. Their sources are Debian's\n"
  "source packages of these versions. Each one's copyright lies beside this file.\n\n")
string(CONCAT table ${table})
foreach(package IN LISTS packages)
  file(REAL_PATH /usr/share/doc/${package}/copyright copyright)
  configure_file(${copyright} ${licences}/${package} COPYONLY)
  execute_process(COMMAND dpkg-query --show "--showformat=\${Package} \${Version} (source \${source:Package} \${source:Version})\n"
    ${package} OUTPUT_VARIABLE row COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "^[^\n]*\n" row "${row}")  # one where several architectures are installed
  string(APPEND table "${row}")
endforeach()
file(GLOB common /usr/share/common-licenses/*)
foreach(licence IN LISTS common)
  if(NOT IS_SYMLINK ${licence})
    file(INSTALL ${licence} DESTINATION ${licences}/common-licenses)
  endif()
endforeach()
file(WRITE ${licences}/README "${table}")
