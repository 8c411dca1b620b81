"""Branches of the C core (portable kernels) that the tests take, and the name of each that none takes.

The C tests, the fuzzers' corpora and the parity tests run on one instrumented build; counts are added up.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "coverage"
RUNTIME = ROOT / "runtime_c"
FLAGS = ["-std=c99", "-O0", "-g", "-DEDGE_PORTABLE", "-fprofile-instr-generate", "-fcoverage-mapping",
         f"-I{RUNTIME}/include", f"-I{RUNTIME}/src"]  # fmt: skip
KERNELS = ("choose", "errors", "portable", "spikes")  # the others are for other processors
PROGRAMS = ("test_runtime", "test_link", "test_store", "test_version")
TARGETS = ("image", "link", "store")
PARITY = tuple(f"tests/test_{name}.py" for name in ("parity", "stream_parity", "runtime", "link"))
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
    for source in sources():
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
    if tests:
        start = (
            "import sys, pytest; sys.path.insert(0, sys.argv[1]); import pyedge._edge; "
            "sys.path[0] = '.'; sys.exit(pytest.main(['-q', *sys.argv[2:]]))"
        )
        call = [sys.executable, "-c", start, str(FOLDER / "package"), *tests]
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:  # as of a test that asks for a kernel which is left out here; what ran counts
            print(done.stdout[-2000:], file=sys.stderr)
    merged = FOLDER / "merged"
    run(["llvm-profdata", "merge", "-sparse", *sorted((FOLDER / "raw").iterdir()), "-o", merged])
    return merged


def branches(made: Sequence[Path], merged: Path) -> list[dict[str, object]]:
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
            {"line": line, "condition": text[line - 1][column - 1 : end - 1 if end_line == line else None],
             "never": "true" if side == 0 else "false"}
            for (line, column, end_line, end), counts in sorted(taken.items())
            for side in (0, 1)
            if not counts[side]
        ]  # fmt: skip
        found.append({"file": str(path.relative_to(ROOT)), "branches": 2 * len(taken), "missed": missed})
    return found


def main() -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tools/coverage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the parity tests")
    parser.add_argument("--json", type=Path, help="file that receives the figures")
    args = parser.parse_args()
    made = build()
    files = branches(made, measure(made, () if args.quick else PARITY))
    for f in files:
        missed = f["missed"]
        assert isinstance(missed, list)
        print(f"{f['file']}: {f['branches'] - len(missed)} of {f['branches']}")  # type: ignore[operator]
        for m in missed:
            print(f"    {m['line']}: never {m['never']}: {m['condition']}")
    if args.json:
        args.json.write_text(json.dumps(files, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
