# GNU Arm cross compiler for bare metal; the preset chooses the core with EDGE_CORE.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_ASM_COMPILER arm-none-eabi-gcc)
set(CMAKE_OBJCOPY arm-none-eabi-objcopy)
set(CMAKE_SIZE arm-none-eabi-size)
# There is no system to link a probe program for.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EDGE_CORE)

set(EDGE_CORE cortex-m4 CACHE STRING "Core to build for: cortex-m3, cortex-m4")
if(EDGE_CORE STREQUAL "cortex-m4")
    set(core_flags "-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard")
elseif(EDGE_CORE STREQUAL "cortex-m3")
    set(core_flags "-mcpu=cortex-m3")
else()
    message(FATAL_ERROR "EDGE_CORE is '${EDGE_CORE}'; this toolchain file knows cortex-m3 and cortex-m4")
endif()

set(CMAKE_C_FLAGS_INIT "${core_flags} -mthumb -ffunction-sections -fdata-sections")
set(CMAKE_ASM_FLAGS_INIT "${core_flags} -mthumb")
set(CMAKE_C_FLAGS_RELEASE_INIT "-O2 -g")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-nostartfiles --specs=nano.specs -Wl,--gc-sections")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
