# What `cmake --install` lays down: libraries, tool, headers, CMake package, pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/rkvs)

install(TARGETS rkvs rkvs_capi EXPORT rkvsTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILE_SET c_headers DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(RKVS_BUILD_CLI)
  install(TARGETS rkvs_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(EXPORT rkvsTargets NAMESPACE rkvs:: DESTINATION ${package_dir})

configure_package_config_file(cmake/rkvsConfig.cmake.in ${PROJECT_BINARY_DIR}/rkvsConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break the C++ API.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/rkvsConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/rkvsConfig.cmake
  ${PROJECT_BINARY_DIR}/rkvsConfigVersion.cmake
  DESTINATION ${package_dir})

# The pkg-config file finds its prefix from where it lies, so that an installed tree can be moved
# and `cmake --install --prefix` works; absolute install directories stay as they are.
set(PC_PREFIX ${CMAKE_INSTALL_PREFIX})
set(PC_LIBDIR ${CMAKE_INSTALL_LIBDIR})
set(PC_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
if(NOT IS_ABSOLUTE "${PC_LIBDIR}")
  file(RELATIVE_PATH up /${PC_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(PC_PREFIX "\${pcfiledir}/${up}")
  set(PC_LIBDIR "\${prefix}/${PC_LIBDIR}")
endif()
if(NOT IS_ABSOLUTE "${PC_INCLUDEDIR}")
  set(PC_INCLUDEDIR "\${prefix}/${PC_INCLUDEDIR}")
endif()
foreach(package rkvs rkvs-cxx)
  configure_file(cmake/${package}.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${package}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
