# SPDX-License-Identifier: Apache-2.0
#
# Unpacks recordings of real kernels into the build tree.
#
#   memsim_add_golden(SUBJECT DESTINATION)
#
# adds the target memsim_golden_SUBJECT, which unpacks SUBJECT.tar.xz of the current source
# directory to DESTINATION/SUBJECT whenever the archive is newer than what was unpacked.

function(memsim_add_golden subject destination)
  set(archive ${CMAKE_CURRENT_SOURCE_DIR}/${subject}.tar.xz)
  set(stamp ${CMAKE_CURRENT_BINARY_DIR}/${subject}.stamp)
  add_custom_command(
    OUTPUT ${stamp}
    # A file that the archive has lost must not live on in the build tree.
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${destination}/${subject}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${destination}
    COMMAND ${CMAKE_COMMAND} -E chdir ${destination} ${CMAKE_COMMAND} -E tar xJf ${archive}
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
    DEPENDS ${archive}
    COMMENT "Unpacking golden recordings: ${subject}"
    VERBATIM)
  add_custom_target(memsim_golden_${subject} DEPENDS ${stamp})
endfunction()
