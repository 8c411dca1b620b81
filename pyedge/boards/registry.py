"""The boards pyedge knows: one line each, beside its folder in targets/."""

from dataclasses import dataclass, replace

from pyedge.errors import UnknownBoardError


@dataclass(frozen=True)
class BoardSpec:
    """What the host must know of a board. Sizes in bytes; targets/<name>/memory.ld is where they come from.

    emulator : program that emulates it; "" for boards that only exist in hardware.
    machine  : the emulator's name of it; "" for programs of an operating system.
    core     : EDGE_CORE of the build.
    prefix   : of the cross compiler's programs.
    bank     : memory for images.
    ram      : all of it: stack, server, weights, arena, samples.
    own      : of it what the firmware takes for itself, whatever the model.
    ring     : raw samples that wait while the net learns (RING of the firmware).
    """

    name: str
    title: str
    core: str
    machine: str
    emulator: str
    prefix: str
    flash: int
    bank: int
    ram: int
    own: int
    ring: int
    clock_hz: int


KIB = 1024
MIB = 1024 * KIB

AN386 = BoardSpec(
    name="mps2-an386",
    title="ARM MPS2 with AN386: Cortex-M4 with FPU, 4 MB of code memory, 4 MB of RAM",
    core="cortex-m4",
    machine="mps2-an386",
    emulator="qemu-system-arm",
    prefix="arm-none-eabi-",
    flash=256 * KIB,
    bank=4 * MIB - 768 * KIB,
    ram=4 * MIB,
    own=9 * KIB + 512,
    ring=256,
    clock_hz=25_000_000,
)
AN385 = replace(
    AN386,
    name="mps2-an385",
    title="ARM MPS2 with AN385: Cortex-M3, 4 MB of code memory, 4 MB of RAM",
    core="cortex-m3",
    machine="mps2-an385",
)
ARMV6M = replace(
    AN385,
    name="armv6m",
    title="Cortex-M0 code on the AN385's Cortex-M3, which runs it too: for tests and counts",
    core="cortex-m0",
)

AN547 = replace(
    AN386,
    name="mps3-an547",
    title="ARM MPS3 with AN547: Cortex-M55 with Helium and FPU, 512 KB of code memory, 4 MB of RAM",
    core="cortex-m55",
    machine="mps3-an547",
    bank=2 * MIB - 512 * KIB,
    ram=4 * MIB,
    clock_hz=32_000_000,
)
AN500 = replace(
    AN386,
    name="mps2-an500",
    title="ARM MPS2 with AN500: Cortex-M7, 4 MB of code memory, 4 MB of RAM",
    core="cortex-m7",
    machine="mps2-an500",
)
MUSCA_B1 = replace(
    AN386,
    name="musca-b1",
    title="ARM Musca-B1 test chip: Cortex-M33 with DSP and FPU, 512 KB of RAM",
    core="cortex-m33",
    machine="musca-b1",
    bank=256 * KIB,
    ram=512 * KIB,
    clock_hz=40_000_000,
)
STM32F405 = replace(
    AN386,
    name="stm32f405",
    title="STM32F405: Cortex-M4 with FPU, 1 MB of flash, 128 KB of RAM (Netduino Plus 2)",
    machine="netduinoplus2",
    flash=MIB,
    bank=32 * KIB,
    ram=72 * KIB,
    own=8 * KIB + 512,
    clock_hz=16_000_000,
)
MICROBIT = replace(
    AN386,
    name="microbit",
    title="BBC micro:bit: nRF51822, Cortex-M0, 256 KB of flash, 16 KB of RAM",
    core="cortex-m0",
    machine="microbit",
    flash=96 * KIB,
    bank=96 * KIB,
    ram=16 * KIB,
    own=7 * KIB + 256,
    ring=64,
    clock_hz=16_000_000,
)
RISCV_VIRT = replace(
    AN386,
    name="riscv-virt",
    title="QEMU's RISC-V machine `virt` as a microcontroller: rv32imac in machine mode",
    core="rv32imac",
    machine="virt",
    emulator="qemu-system-riscv32",
    own=13 * KIB + 512,
    prefix="riscv64-unknown-elf-",
)

BOARDS: dict[str, BoardSpec] = {
    board.name: board
    for board in (AN386, AN385, ARMV6M, AN500, MUSCA_B1, AN547, STM32F405, MICROBIT, RISCV_VIRT)
}

# Real parts whose firmware builds; it was never run, on hardware or under an emulator.
NRF52840 = replace(
    AN386,
    name="nrf52840",
    title="nRF52840 (development kit): Cortex-M4 with FPU, 1 MB of flash, 256 KB of RAM; build-only",
    machine="",
    emulator="",
    flash=128 * KIB,
    bank=640 * KIB,
    ram=256 * KIB,
    own=8 * KIB + 512,
    clock_hz=64_000_000,
)
STM32L476 = replace(
    NRF52840,
    name="stm32l476",
    title="STM32L476 (Nucleo-L476RG): Cortex-M4 with FPU, 1 MB of flash, 96 KB of RAM; build-only",
    bank=384 * KIB,
    ram=96 * KIB,
    clock_hz=16_000_000,
)
BUILD_ONLY: dict[str, BoardSpec] = {board.name: board for board in (NRF52840, STM32L476)}

# To copy (docs/porting.md): it builds.
TEMPLATE = replace(
    NRF52840, name="template", title="a board to copy", bank=64 * KIB, ram=32 * KIB, own=8 * KIB, ring=128
)

# For parity tests of the core only: a big-endian machine, in user mode.
POWERPC = replace(
    AN386,
    name="powerpc-linux",
    title="32-bit PowerPC under Linux: big-endian",
    core="powerpc",
    machine="",
    emulator="qemu-ppc",
    prefix="powerpc-linux-gnu-",
)
TEST_MACHINES: dict[str, BoardSpec] = {POWERPC.name: POWERPC, TEMPLATE.name: TEMPLATE}


def board(name: str) -> BoardSpec:
    """The board of that name. Raises UnknownBoardError, which lists the names there are."""
    try:
        return (BOARDS | BUILD_ONLY | TEST_MACHINES)[name]
    except KeyError:
        raise UnknownBoardError(
            f"no board is called {name!r}; there are: {', '.join(BOARDS | BUILD_ONLY)}"
        ) from None
