"""The C core under checks that do not belong to a compiler: cppcheck and valgrind (about 40 s)."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNTIME = ROOT / "runtime_c"
INCLUDES = [f"-I{RUNTIME}/include", f"-I{RUNTIME}/src"]


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
