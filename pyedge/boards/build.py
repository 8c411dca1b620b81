"""Builds firmware from the sources of a checkout, or finds firmware that was built before."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pyedge.boards.registry import BoardSpec, board
from pyedge.errors import BuildError, MissingSourcesError, MissingToolError

TARGETS_VARIABLE = "PYEDGE_TARGETS"
FIRMWARE_VARIABLE = "PYEDGE_FIRMWARE"

# Debian's package of every program that is called.
PACKAGES: Mapping[str, str] = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "arm-none-eabi-nm": "binutils-arm-none-eabi",
    "arm-none-eabi-size": "binutils-arm-none-eabi",
    "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
    "riscv64-unknown-elf-nm": "binutils-riscv64-unknown-elf",
    "riscv64-unknown-elf-size": "binutils-riscv64-unknown-elf",
    "powerpc-linux-gnu-gcc": "gcc-powerpc-linux-gnu libc6-dev-powerpc-cross",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-ppc": "qemu-user",
    "qemu-system-riscv32": "qemu-system-misc",
    "cmake": "cmake",
    "ninja": "ninja-build",
    "gcc": "gcc libc6-dev",
}

BUILD_SECONDS = 600


def tool(program: str) -> str:
    """Path of a program. Raises MissingToolError with the command that installs it."""
    path = shutil.which(program)
    if path is None:
        packages = PACKAGES.get(program, program)
        raise MissingToolError(
            f"{program} is not installed; run: sudo apt-get install --no-install-recommends {packages}"
        )
    return path


def sources() -> Path:
    """The folder that holds CMakeLists.txt and targets/.

    $PYEDGE_TARGETS if set, else the checkout this package lies in. Raises MissingSourcesError.
    """
    stated = os.environ.get(TARGETS_VARIABLE)
    root = Path(stated).resolve() if stated else Path(__file__).resolve().parents[2]
    if (root / "CMakeLists.txt").is_file() and (root / "targets").is_dir():
        return root
    if stated:
        raise MissingSourcesError(
            f"${TARGETS_VARIABLE} is {stated!r}, which has no CMakeLists.txt and targets/; "
            "set it to a checkout of pyedge or its unpacked source archive"
        )
    raise MissingSourcesError(
        "an installed pyedge carries no firmware sources; "
        f"set ${TARGETS_VARIABLE} to a checkout of pyedge or its unpacked source archive, "
        f"or ${FIRMWARE_VARIABLE} to a folder with <board>-firmware.elf"
    )


def run(command: list[str], cwd: Path) -> None:
    """Run a build step. Raises BuildError with the end of what it printed."""
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BuildError(f"`{' '.join(command)}` ran longer than {BUILD_SECONDS} s in {cwd}") from None
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-30:])
        raise BuildError(f"`{' '.join(command)}` failed in {cwd}:\n{tail}")


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """One build at a time in a folder, across processes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise BuildError(
            f"{folder} cannot be written ({error.strerror}); build elsewhere, see docs/boards.md"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(name: str) -> Path:
    """The folder with <name>-firmware.elf (the product) and <name>-batch.elf (test firmware), built at need.

    $PYEDGE_FIRMWARE, a folder with firmware built before, comes first. Otherwise CMake builds into
    build/<name> of the sources; nothing is compiled twice.
    Raises UnknownBoardError, MissingSourcesError, MissingToolError or BuildError.
    """
    spec = board(name)
    stated = os.environ.get(FIRMWARE_VARIABLE)
    if stated:
        folder = Path(stated).resolve()
        if not (folder / f"{name}-firmware.elf").is_file():
            raise MissingSourcesError(f"${FIRMWARE_VARIABLE} is {stated!r}, which has no {name}-firmware.elf")
        return folder
    root = sources()
    folder = root / "build" / name
    compiler = tool(spec.prefix + "gcc")
    cmake, ninja = tool("cmake"), tool("ninja")
    with lock(folder):
        if not (folder / "build.ninja").is_file():
            run(configuration(spec, root, folder, cmake, ninja), root)
        _check_libc(compiler)
        run([ninja], folder)
    return folder / "firmware"


def configuration(spec: BoardSpec, root: Path, folder: Path, cmake: str, ninja: str) -> list[str]:
    """The command that configures a board's build."""
    toolchain = root / "targets" / "cmake" / f"{spec.prefix.rstrip('-')}.cmake"
    return [
        cmake, "-S", str(root), "-B", str(folder), "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={ninja}",
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
        "-DCMAKE_BUILD_TYPE=MinSizeRel",
        f"-DEDGE_CORE={spec.core}",
        f"-DEDGE_BOARD={spec.name}",
    ]  # fmt: skip


def _check_libc(compiler: str) -> None:
    """Debian ships Arm's compiler without its C library; the other cores need none."""
    if not Path(compiler).name.startswith("arm-"):
        return
    found = subprocess.run(
        [compiler, "-print-file-name=nano.specs"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not os.path.isabs(found):
        raise MissingToolError(
            f"{compiler} has no C library; run: "
            "sudo apt-get install --no-install-recommends libnewlib-arm-none-eabi"
        )


def firmware(name: str) -> Path:
    """The product's ELF file of a board, built if need be."""
    return build(name) / f"{name}-firmware.elf"


def batch_firmware(name: str) -> Path:
    """The ELF file of a board's test firmware for `batch`, built if need be."""
    return _test_firmware(name, "batch")


def kernel_firmware(name: str) -> Path:
    """The ELF file of a board's test of its kernels against portable C, built if need be."""
    return _test_firmware(name, "kernels")


def _test_firmware(name: str, program: str) -> Path:
    elf = build(name) / f"{name}-{program}.elf"
    if not elf.is_file():
        raise MissingSourcesError(f"{elf} is not there; only a build from the sources makes test firmware")
    return elf


def counter() -> Path:
    """The counting plugin for QEMU, compiled if need be. Raises MissingToolError or BuildError."""
    root = sources()
    source = root / "tools" / "icount" / "icount.c"
    folder = root / "build" / "icount"
    plugin = folder / "icount.so"
    with lock(folder):
        if not plugin.is_file() or plugin.stat().st_mtime < source.stat().st_mtime:
            flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden"]
            run([tool("gcc"), *flags, str(source), "-o", str(plugin)], root)
    return plugin
