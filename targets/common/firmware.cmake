# edge_board(NAME [SMALL] SOURCES ... PAYLOAD n RING n BUDGET n): the firmware and the test firmwares of one board.
#
# SOURCES are the board's own and its UART driver; memory.ld lies beside its CMakeLists.txt. PAYLOAD: bytes of a link frame; RING: raw
# samples that wait while the net learns; BUDGET: synapses a slice of learning. SMALL: too
# little RAM for the test of the kernels, which another board of the core runs.
set(EDGE_COMMON ${CMAKE_CURRENT_LIST_DIR})
include_guard()

# A compiler without a C library gets the few functions it is asked for.
if(EDGE_FREESTANDING AND NOT TARGET edge_string)
    add_library(edge_string STATIC ${EDGE_COMMON}/freestanding/string.c)
    target_compile_options(edge_string PRIVATE -O2 -fno-tree-loop-distribute-patterns -Wall -Wextra -Wconversion)
    target_link_libraries(edge_string PUBLIC gcc)
endif()

# Requests that need a tag under a key (docs/security.md): firmware then contains Monocypher, which tools/monocypher fetches.
set(EDGE_KEY "" CACHE STRING "64 hexadecimal digits; empty: whoever reaches the UART may speak")
set(EDGE_MONOCYPHER "${CMAKE_SOURCE_DIR}/build/monocypher" CACHE PATH "Folder of monocypher.c and monocypher.h")

set(EDGE_BOARD "" CACHE STRING "Build only this board; empty: every board of the core")

function(edge_board name)
    cmake_parse_arguments(board "SMALL" "PAYLOAD;RING;BUDGET" "SOURCES" ${ARGN})
    if(EDGE_BOARD AND NOT EDGE_BOARD STREQUAL name)
        return()
    endif()
    set(programs firmware batch)
    if(NOT board_SMALL)
        list(APPEND programs kernels)
    endif()
    foreach(program IN LISTS programs)
        set(elf ${name}-${program})
        add_executable(${elf} ${EDGE_COMMON}/startup_${EDGE_ARCHITECTURE}.c ${EDGE_COMMON}/fault.c ${EDGE_COMMON}/hooks.c
            ${EDGE_COMMON}/serial.c
            ${board_SOURCES} ${EDGE_COMMON}/${program}.c
            $<$<NOT:$<STREQUAL:${program},firmware>>:${EDGE_COMMON}/semihosting.c>)
        target_include_directories(${elf} PRIVATE ${EDGE_COMMON})
        target_compile_definitions(${elf} PRIVATE
            BOARD_PAYLOAD=${board_PAYLOAD} BOARD_RING=${board_RING} BOARD_BUDGET=${board_BUDGET})
        target_compile_options(${elf} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wvla
            $<$<BOOL:${EDGE_WERROR}>:-Werror>)
        target_link_libraries(${elf} PRIVATE edge $<$<BOOL:${EDGE_FREESTANDING}>:edge_string>)
        target_link_options(${elf} PRIVATE
            -T${CMAKE_CURRENT_SOURCE_DIR}/memory.ld -T${EDGE_COMMON}/sections_${EDGE_ARCHITECTURE}.ld
            -Wl,--fatal-warnings -Wl,-Map=$<TARGET_FILE_DIR:${elf}>/${elf}.map)
        set_target_properties(${elf} PROPERTIES
            SUFFIX .elf RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/firmware
            LINK_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/memory.ld;${EDGE_COMMON}/sections_${EDGE_ARCHITECTURE}.ld"
            C_STANDARD 11 C_EXTENSIONS ON)
    endforeach()
    if(EDGE_KEY)
        target_sources(${name}-firmware PRIVATE ${EDGE_COMMON}/guard.c ${EDGE_MONOCYPHER}/monocypher.c)
        target_include_directories(${name}-firmware SYSTEM PRIVATE ${EDGE_MONOCYPHER})
        target_compile_definitions(${name}-firmware PRIVATE EDGE_KEY="${EDGE_KEY}")
        set_source_files_properties(${EDGE_MONOCYPHER}/monocypher.c PROPERTIES COMPILE_OPTIONS "-w")
    endif()
    if(board_SMALL)
        return()
    endif()
    set(test ${EDGE_COMMON}/../../tests/c/test_kernels.c)
    target_sources(${name}-kernels PRIVATE ${test})
    target_compile_definitions(${name}-kernels PRIVATE TEST_ON_BOARD)
endfunction()
