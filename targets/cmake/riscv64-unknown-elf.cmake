# GNU RISC-V cross compiler for bare metal, without a C library: targets/common/freestanding has what is needed of one.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR riscv)
set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_ASM_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_OBJCOPY riscv64-unknown-elf-objcopy)
set(CMAKE_SIZE riscv64-unknown-elf-size)
# There is no system to link a probe program for.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EDGE_CORE)

set(EDGE_CORE rv32imac CACHE STRING "Core to build for: rv32imac")
if(EDGE_CORE STREQUAL "rv32imac")
    # Specification 2.2 has the control registers in the base set, and the compiler its library under that name.
    set(core_flags "-march=rv32imac -misa-spec=2.2 -mabi=ilp32 -mcmodel=medany")
else()
    message(FATAL_ERROR "EDGE_CORE is '${EDGE_CORE}'; this toolchain file knows rv32imac")
endif()
set(EDGE_ARCHITECTURE riscv)
set(EDGE_FREESTANDING ON)

# Freestanding for the compiler's own headers, with builtins for what becomes an instruction.
set(CMAKE_C_FLAGS_INIT
    "${core_flags} -ffreestanding -fbuiltin -isystem ${CMAKE_CURRENT_LIST_DIR}/../common/freestanding -ffunction-sections -fdata-sections")
set(CMAKE_ASM_FLAGS_INIT "${core_flags}")
set(CMAKE_C_FLAGS_RELEASE_INIT "-O2 -g")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-nostdlib -Wl,--gc-sections")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
