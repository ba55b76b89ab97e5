# SPDX-License-Identifier: Apache-2.0
#
# What `cmake --install` lays down: libraries, headers, a CMake package, a pkg-config file, the
# program. Everything is found relative to itself, so the tree can be moved.

include(CMakePackageConfigHelpers)

set(MEMSIM_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/memsim)

install(TARGETS memsim memsim_testing EXPORT memsim-targets FILE_SET HEADERS)
install(
  EXPORT memsim-targets
  NAMESPACE memsim::
  DESTINATION ${MEMSIM_PACKAGE_DIR})

# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(memsim-config-version.cmake COMPATIBILITY SameMinorVersion)
configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/memsim-config.cmake.in memsim-config.cmake
  INSTALL_DESTINATION ${MEMSIM_PACKAGE_DIR}
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/memsim-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/memsim-config-version.cmake
        DESTINATION ${MEMSIM_PACKAGE_DIR})

cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY
           ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig OUTPUT_VARIABLE MEMSIM_PC_PREFIX)
configure_file(${CMAKE_CURRENT_LIST_DIR}/memsim.pc.in memsim.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/memsim.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

if(MEMSIM_BUILD_TOOLS)
  # With BUILD_SHARED_LIBS the program finds the library beside itself.
  cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_BINDIR}
             OUTPUT_VARIABLE MEMSIM_LIB_FROM_BIN)
  set_target_properties(memsim_cli PROPERTIES INSTALL_RPATH "$ORIGIN/${MEMSIM_LIB_FROM_BIN}")
  set_target_properties(memsim_testing PROPERTIES INSTALL_RPATH "$ORIGIN")
  install(TARGETS memsim_cli)
endif()
