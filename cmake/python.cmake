# The cffi extensions, called from Python through the stable ABI: pyedge._edge, the runtime's own sources, and
# pyedge._train, the trainer's float kernels.
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module ${SKBUILD_SABI_COMPONENT})
find_package(Threads REQUIRED)

function(add_binding name)
    set(cdef ${CMAKE_SOURCE_DIR}/pyedge/${name}.cdef.txt)
    set(csrc ${CMAKE_SOURCE_DIR}/pyedge/${name}.csrc.txt)
    set(generated ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
    add_custom_command(
        OUTPUT ${generated}
        COMMAND ${Python_EXECUTABLE} ${CMAKE_SOURCE_DIR}/cmake/generate_binding.py
                pyedge.${name} ${cdef} ${csrc} ${generated}
        DEPENDS ${cdef} ${csrc} ${CMAKE_SOURCE_DIR}/cmake/generate_binding.py
        COMMENT "Generating the cffi binding ${name}"
        VERBATIM)
    if(SKBUILD_SABI_COMPONENT)
        python_add_library(${name} MODULE USE_SABI ${SKBUILD_SABI_VERSION} WITH_SOABI ${generated})
    else()
        python_add_library(${name} MODULE WITH_SOABI ${generated})
    endif()
    install(TARGETS ${name} LIBRARY DESTINATION pyedge)
endfunction()

add_binding(_edge)
target_link_libraries(_edge PRIVATE edge)

# The kernels are compiled once for each instruction set, and chosen at run time (train.c). Sums are contracted
# to fused multiply-adds only where the source says so: neurons must round as NumPy does.
set(folder ${CMAKE_SOURCE_DIR}/pyedge/ops/native)
file(GLOB kernels CONFIGURE_DEPENDS ${folder}/kernels/*.c)
file(GLOB common CONFIGURE_DEPENDS ${folder}/*.c)
set(sets plain)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    list(APPEND sets avx2 avx512)
endif()
set(flags_avx2 -mavx2 -mfma -mbmi -mbmi2 -mpopcnt)
set(flags_avx512 ${flags_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512)

add_library(train STATIC ${common})
foreach(set IN LISTS sets)
    add_library(train_${set} OBJECT ${kernels})
    target_compile_options(train_${set} PRIVATE ${flags_${set}} -Wno-psabi)
    target_sources(train PRIVATE $<TARGET_OBJECTS:train_${set}>)
endforeach()
foreach(target train train_plain train_avx2 train_avx512)
    if(TARGET ${target})
        target_include_directories(${target} PUBLIC ${folder})
        target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L
            $<$<IN_LIST:avx2,${sets}>:TRAIN_X86>)
        target_compile_options(${target} PRIVATE -O3 -ffp-contract=off -fno-math-errno
            -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wvla $<$<BOOL:${EDGE_WERROR}>:-Werror>)
        set_target_properties(${target} PROPERTIES
            C_STANDARD 99 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
    endif()
endforeach()

add_binding(_train)
target_link_libraries(_train PRIVATE train Threads::Threads)
