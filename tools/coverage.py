"""Branches of the C core that the tests take, and the reason of each that none takes.

The C tests and the fuzzers' corpora run on one instrumented build with the kernels of portable C, tests in
Python with what boards' tables add; counts are added up. tests/c/coverage/untaken.toml has the reasons:
a branch that is not taken and has none there is an error, and so is a reason for a branch that is taken.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "coverage"
RUNTIME = ROOT / "runtime_c"
FLAGS = ["-std=c99", "-O1", "-g", "-DEDGE_PORTABLE", "-DEDGE_ANY_TABLE",
         "-fprofile-instr-generate", "-fcoverage-mapping",
         f"-I{RUNTIME}/include", f"-I{RUNTIME}/src"]  # fmt: skip
KERNELS = ("errors", "portable", "spikes")  # the others are for other processors
PROGRAMS = ("test_runtime", "test_refusals", "test_link", "test_store", "test_version")
TARGETS = ("image", "link", "store")
CHOOSE = ROOT / "tests" / "c" / "coverage" / "kernels.c"
REASONS = ROOT / "tests" / "c" / "coverage" / "untaken.toml"
PYTHON = ("kept", "runtime", "parity", "stream_parity", "forged", "link", "store", "versions", "security")
TESTS = tuple(f"tests/test_{name}.py" for name in PYTHON)
BUILDS_NOTHING = "not firmware and not power_cuts and not small_server and not sanitizers"
GRAPHS = "1500"  # random networks of each sort; fewer leave out what is rare
TEXT = {"error.c", "text.c", "version.c"}


def sources() -> list[Path]:
    """The core's C files."""
    kernels = [RUNTIME / "src" / "kernels" / f"{name}.c" for name in KERNELS]
    return sorted([*RUNTIME.glob("src/*.c"), *RUNTIME.glob("link/*.c"), *RUNTIME.glob("store/*.c"), *kernels])


def build() -> list[Path]:
    """Compile everything. Returns the programs, the Python extension last."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    objects = []
    for source in [*sources(), CHOOSE]:
        objects.append(FOLDER / f"{source.stem}.o")
        run(["clang", *FLAGS, "-fPIC", "-c", source, "-o", objects[-1]])
    made = []
    for name in PROGRAMS:
        made.append(FOLDER / name)
        run(["clang", *FLAGS, ROOT / "tests" / "c" / f"{name}.c", *objects, "-o", made[-1]])
    for name in TARGETS:
        made.append(FOLDER / f"fuzz_{name}")
        # The image target has the loader compiled in.
        own = [o for o in objects if name != "image" or o.stem != "model"]
        harness = ROOT / "tests" / "c" / "fuzz" / f"{name}.c"
        run(["clang", *FLAGS, "-fsanitize=fuzzer", harness, *own, "-o", made[-1]])
    binding, package = FOLDER / "_edge.c", FOLDER / "package" / "pyedge"
    generate = ROOT / "cmake" / "generate_binding.py"
    descriptions = (ROOT / "pyedge" / "_edge.cdef.txt", ROOT / "pyedge" / "_edge.csrc.txt")
    run([sys.executable, generate, "pyedge._edge", *descriptions, binding])
    shutil.copytree(ROOT / "pyedge", package, ignore=shutil.ignore_patterns("_edge*.so", "__pycache__"))
    include = subprocess.run(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    made.append(package / "_edge.abi3.so")
    shared = ["-fPIC", "-shared", "-DPy_LIMITED_API=0x030b0000", f"-I{include}"]
    run(["clang", *FLAGS, *shared, binding, *objects, "-o", made[-1]])
    return made


def run(call: Sequence[str | Path]) -> None:
    """Run a command. Raises CalledProcessError."""
    subprocess.run([str(word) for word in call], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def measure(made: Sequence[Path], tests: Sequence[str]) -> Path:
    """Run the tests on the programs. Returns the merged counts."""
    os.environ["LLVM_PROFILE_FILE"] = str(FOLDER / "raw" / "%p-%m.profraw")
    for program in made[: len(PROGRAMS)]:
        run([program])
    for name in TARGETS:
        run([FOLDER / f"fuzz_{name}", *sorted((ROOT / "tests" / "c" / "fuzz" / "corpus" / name).iterdir())])
    for file in tests:
        _pytest(file)
    merged = FOLDER / "merged"
    run(["llvm-profdata", "merge", "-sparse", *sorted((FOLDER / "raw").iterdir()), "-o", merged])
    return merged


def _pytest(file: str) -> None:
    """Run tests over the instrumented extension and the boards' table. Raises RuntimeError."""
    start = (
        "import sys, pytest; sys.path.insert(0, sys.argv[1]); import pyedge._edge; "
        "sys.path[0] = '.'; sys.exit(pytest.main(['-q', '-k', sys.argv[2], sys.argv[3]]))"
    )
    call = [sys.executable, "-c", start, str(FOLDER / "package"), BUILDS_NOTHING, file]
    environment = os.environ | {"EDGE_BOARD_TABLE": "1", "PYEDGE_PARITY": GRAPHS}
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(done.stdout[-4000:] + done.stderr[-1000:])


def between(text: Sequence[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from a line and column, counted from 1, to before another."""
    lines = list(text[start[0] - 1 : end[0]])
    lines[-1] = lines[-1][: end[1] - 1]
    lines[0] = lines[0][start[1] - 1 :]
    return " ".join(lines)


def function_at(text: Sequence[str], line: int) -> str:
    """The name of the function that a line is in."""
    for above in reversed(text[:line]):
        if head := re.match(r"[a-z][\w *]*?\b(\w+)\(", above):
            return head[1]
    return ""


def judge(files: Sequence[dict[str, Any]], reasons: dict[str, str]) -> list[str]:
    """Write its reason into each missed branch. Returns what has none, or has one and is taken."""
    left = set(reasons)
    wrong = []
    for f in files:
        for m in f["missed"]:
            key = f"{Path(f['file']).name} {m['function']}: never {m['never']}: {m['condition']}"
            m["reason"] = reasons.get(key)
            left.discard(key)
            if m["reason"] is None:
                wrong.append(f"no reason: {key}")
    return wrong + [f"taken, or not there: {key}" for key in sorted(left)]


def read_reasons(path: Path) -> dict[str, str]:
    """Reasons by branch."""
    groups = tomllib.loads(path.read_text(encoding="utf-8"))["untaken"]
    return {" ".join(branch.split()): group["why"] for group in groups for branch in group["branches"]}


def branches(made: Sequence[Path], merged: Path) -> list[dict[str, Any]]:
    """Every source's branches: how many there are, how many were taken, and those that never were."""
    export = subprocess.run(
        ["llvm-cov", "export", str(made[0]), *(f"-object={p}" for p in made[1:]), f"-instr-profile={merged}",
         *map(str, sources())],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = []
    for file in json.loads(export.stdout)["data"][0]["files"]:
        path = Path(file["filename"])
        if path.name in TEXT:
            continue
        text = path.read_text(encoding="utf-8").splitlines()
        taken: dict[tuple[int, int, int, int], list[int]] = {}
        for line, column, end_line, end, true, false, *_ in file["branches"]:
            counts = taken.setdefault((line, column, end_line, end), [0, 0])
            counts[0] += true
            counts[1] += false
        missed = [
            {"line": line, "function": function_at(text, line), "never": "true" if side == 0 else "false",
             "condition": " ".join(between(text, (line, column), (end_line, end)).split())}
            for (line, column, end_line, end), counts in sorted(taken.items())
            for side in (0, 1)
            if not counts[side]
        ]  # fmt: skip
        found.append({"file": str(path.relative_to(ROOT)), "branches": 2 * len(taken), "missed": missed})
    return found


def main() -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tools/coverage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="C tests and corpora alone, without judging")
    parser.add_argument("--json", type=Path, help="file that receives the figures")
    args = parser.parse_args()
    made = build()
    files = branches(made, measure(made, () if args.quick else TESTS))
    wrong = judge(files, read_reasons(REASONS))
    total = sum(f["branches"] for f in files)
    missed = sum(len(f["missed"]) for f in files)
    for f in files:
        print(f"{f['file']}: {f['branches'] - len(f['missed'])} of {f['branches']}")
        for m in f["missed"]:
            print(f"    {m['line']}: {m['function']}: never {m['never']}: {m['condition']} ({m['reason']})")
    print(f"{total - missed} of {total} branches taken, {100 - 100 * missed / total:.1f} %")
    if args.json:
        args.json.write_text(json.dumps(files, indent=1) + "\n", encoding="utf-8")
    if not args.quick and wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
