# The cffi extension pyedge._edge: the runtime's own sources, called from Python through the stable ABI.
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module ${SKBUILD_SABI_COMPONENT})

set(cdef ${CMAKE_SOURCE_DIR}/pyedge/_edge.cdef.txt)
set(csrc ${CMAKE_SOURCE_DIR}/pyedge/_edge.csrc.txt)
set(generated ${CMAKE_CURRENT_BINARY_DIR}/_edge.c)
add_custom_command(
    OUTPUT ${generated}
    COMMAND ${Python_EXECUTABLE} ${CMAKE_SOURCE_DIR}/cmake/generate_binding.py pyedge._edge ${cdef} ${csrc} ${generated}
    DEPENDS ${cdef} ${csrc} ${CMAKE_SOURCE_DIR}/cmake/generate_binding.py
    COMMENT "Generating the cffi binding"
    VERBATIM)

if(SKBUILD_SABI_COMPONENT)
    python_add_library(_edge MODULE USE_SABI ${SKBUILD_SABI_VERSION} WITH_SOABI ${generated})
else()
    python_add_library(_edge MODULE WITH_SOABI ${generated})
endif()
target_link_libraries(_edge PRIVATE edge)
install(TARGETS _edge LIBRARY DESTINATION pyedge)
