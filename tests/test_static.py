"""The C code under checks that are no compiler's: cppcheck, clang-tidy and valgrind (about 100 s)."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUNTIME = ROOT / "runtime_c"
INCLUDES = [f"-I{RUNTIME}/include", f"-I{RUNTIME}/src"]
TARGETS = ROOT / "targets"
BOARD = ["-std=gnu11", *INCLUDES, f"-I{TARGETS}/common", "-DBOARD_PAYLOAD=512", "-DBOARD_RING=64",
         "-DBOARD_BUDGET=4096"]  # fmt: skip
ARM = [*BOARD, "--target=arm-none-eabi", "-mcpu=cortex-m4", "-isystem", "/usr/lib/arm-none-eabi/include"]
RISCV = [*BOARD, "--target=riscv32-unknown-elf", "-march=rv32imac", "-ffreestanding",
         "-isystem", str(TARGETS / "common" / "freestanding")]  # fmt: skip
BOARD_FILES = sorted({*TARGETS.glob("*/*.c")} - {*TARGETS.glob("powerpc-linux/*.c")})
ONLY_RISCV = {TARGETS / "common" / "startup_riscv.c", *TARGETS.glob("riscv-virt/*.c")}
CORE = [path for folder in ("src", "link", "store") for path in sorted(RUNTIME.glob(f"{folder}/*.c"))]
KERNELS = [RUNTIME / "src" / "kernels" / f"{name}.c" for name in ("choose", "errors", "portable", "spikes")]


def test_cppcheck_finds_nothing() -> None:
    """Without its search through calls for unset members: it misses structs that are filled in steps."""
    checks = ["--std=c99", "--enable=warning,portability,performance", "--max-configs=4", "--quiet"]
    quiet = [f"--suppress={name}" for name in ("missingIncludeSystem", "ctuuninitvar", "toomanyconfigs")]
    run = subprocess.run(
        ["cppcheck", *checks, *quiet, "--error-exitcode=1", *INCLUDES, RUNTIME],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("files", "flags"),
    [
        pytest.param([*CORE, *KERNELS], ["-std=c99", *INCLUDES], id="core"),
        pytest.param(
            [file for file in BOARD_FILES if file not in ONLY_RISCV and file.name != "guard.c"], ARM, id="arm"
        ),
        pytest.param(sorted(ONLY_RISCV), RISCV, id="riscv"),
    ],
)
def test_clang_tidy_finds_nothing(files: list[Path], flags: list[str]) -> None:
    """With the checks of .clang-tidy, which says what is left out and why."""
    run = subprocess.run(
        ["clang-tidy", "--quiet", *files, "--", *flags], cwd=ROOT, capture_output=True, text=True
    )
    found = re.findall(r"^.*(?:warning|error): .*$", run.stdout + run.stderr, re.MULTILINE)
    assert run.returncode == 0 and not found, "\n".join(found) or run.stderr


def test_valgrind_finds_no_use_of_what_was_never_set(tmp_path: Path) -> None:
    """What sanitizers do not see: decisions on memory that nobody wrote. Portable kernels."""
    program = tmp_path / "test_runtime"
    sources = [*RUNTIME.glob("src/*.c"), *RUNTIME.glob("src/kernels/*.c")]
    build = ["gcc", "-std=c99", "-O1", "-g", "-DEDGE_PORTABLE", *INCLUDES]
    subprocess.run([*build, ROOT / "tests/c/test_runtime.c", *sources, "-o", program], check=True)
    run = subprocess.run(
        ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=no", program],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-4000:]
