# What `cmake --install` puts where, and the packages that `cpack` makes of it: the program with the bundled model
# beside it, and the libraries for C++ and C with their headers, CMake package (find_package(gcvit), targets gcvit::gcvit and
# gcvit::c) and, for C, pkg-config file (`pkg-config gcvit`). The tarball has the
# program alone, with the libraries that it needs (bundle_libraries.cmake).
# The program finds the model, and its libraries if it needs any, by its own place: a tree may be moved.
include(CMakePackageConfigHelpers)

install(TARGETS gcvit RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/gcvit/models
  FILES_MATCHING PATTERN *.safetensors PATTERN *.md)
if(GCVIT_PAGES)  # src/CMakeLists.txt makes them
  install(DIRECTORY ${GCVIT_PAGES}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
  install(FILES ${GCVIT_PAGES}/gcvit DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${GCVIT_PAGES}/_gcvit DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${GCVIT_PAGES}/gcvit.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()
if(GCVIT_SERVE)  # not enabled: that is for the machine's owner to say
  install(FILES ${CMAKE_SOURCE_DIR}/deploy/gcvit.service DESTINATION lib/systemd/system)
endif()
install(FILES README.md LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN *.md)

install(TARGETS gcvit_library gcvit_c EXPORT gcvit LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/ ${CMAKE_BINARY_DIR}/generated/gcvit
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gcvit)
install(EXPORT gcvit NAMESPACE gcvit:: FILE gcvit-config.cmake DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/gcvit-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/gcvit-config-version.cmake DESTINATION ${package_dir})

# Where the prefix is, from the file's own folder.
file(RELATIVE_PATH GCVIT_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${CMAKE_CURRENT_LIST_DIR}/gcvit.pc.in ${CMAKE_BINARY_DIR}/gcvit.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/gcvit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(CPACK_PACKAGE_NAME gcvit)
set(CPACK_PACKAGE_VENDOR "the gcvit.cpp authors")
set(CPACK_PACKAGE_CONTACT "the gcvit.cpp authors <noreply@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Image classification with GCViT")
set(CPACK_PACKAGE_DESCRIPTION "The gcvit program and library: classify photos with global context vision transformers.
A small model that tells five kinds of flowers apart comes with it.")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_FILE_NAME gcvit-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/bundle_libraries.cmake)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
if(GCVIT_SERVE)
  set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/deploy/debian/postinst ${CMAKE_SOURCE_DIR}/deploy/debian/prerm)
endif()
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)  # for `gcvit pull`
include(CPack)
