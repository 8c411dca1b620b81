# Debian's cross compiler for 32-bit PowerPC, a big-endian machine, for tests under QEMU's user mode.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR powerpc)
set(CMAKE_C_COMPILER powerpc-linux-gnu-gcc)
set(CMAKE_ASM_COMPILER powerpc-linux-gnu-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(EDGE_ARCHITECTURE powerpc)
set(EDGE_CORE powerpc CACHE STRING "Core to build for: powerpc")
