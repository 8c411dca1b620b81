"""Fuzzes what takes bytes from outside: runs of the targets in tests/c/fuzz, their coverage, their corpus.

A target's corpus and what once broke it stand in tests/c/fuzz/corpus and tests/c/fuzz/regressions; what a run
finds goes to build/fuzz-corpus. Inputs that break something are left in build/fuzz-broken, with status 1.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "tests" / "c" / "fuzz"
TARGETS = ("image", "link", "store")
LARGEST = 8196  # bytes of an input
SLICE_SECONDS = 120
SEED_BYTES = 3000  # images larger than that are no seeds

# The code that is there to withstand each target's bytes.
GUARDS = {
    "image": ("runtime_c/src/model.c", "runtime_c/src/plan.c"),
    "link": ("runtime_c/link/frame.c", "runtime_c/link/server.c"),
    "store": ("runtime_c/store/store.c",),
}


def program(target: str, preset: str = "fuzz") -> Path:
    """The built target."""
    return ROOT / "build" / preset / "tests" / "c" / "fuzz" / f"fuzz_{target}"


def build(preset: str = "fuzz") -> None:
    """Configure and build. Raises RuntimeError with the end of the compiler's output."""
    done = subprocess.run(
        ["cmake", "--workflow", "--preset", preset], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the fuzz targets do not build:\n{(done.stdout + done.stderr)[-4000:]}")


def corpus(target: str, kind: str = "corpus") -> Path:
    """Folder of a target's corpus, or of its regressions."""
    return SOURCES / kind / target


def replay(
    target: str, preset: str = "fuzz", folders: tuple[Path, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a target on its corpus and regressions, or on other folders, without changing any input."""
    inputs = folders or (corpus(target), corpus(target, "regressions"))
    files = sorted(file for folder in inputs for file in folder.iterdir() if file.name != ".gitkeep")
    return subprocess.run([program(target, preset), *files], capture_output=True, text=True, check=False)


def tallies(output: str) -> Counter[str]:
    """What a target counted, by name."""
    return Counter({name: int(n) for name, n in re.findall(r"^tally: (.+): (\d+)$", output, re.MULTILINE)})


def mutate(target: str, arguments: list[str]) -> tuple[int, str]:
    """One run of the fuzzer from the corpus. Returns its exit status and output."""
    found, broken = ROOT / "build" / "fuzz-corpus" / target, ROOT / "build" / "fuzz-broken"
    found.mkdir(parents=True, exist_ok=True)
    broken.mkdir(parents=True, exist_ok=True)
    call: list[str | Path] = [
        program(target), f"-max_len={LARGEST}", "-len_control=0", "-mutate_depth=2", "-timeout=20",
        "-print_final_stats=1", f"-artifact_prefix={broken}/{target}-", *arguments,
        found, corpus(target), corpus(target, "regressions"),
    ]  # fmt: skip
    done = subprocess.run(call, capture_output=True, text=True, errors="replace", check=False)
    return done.returncode, done.stderr


def run(target: str, runs: int, cpu_minutes: float, seed: int) -> Iterator[dict[str, object]]:
    """Fuzz one target for a number of runs, or for minutes of processor time.

    Yields every two minutes what it did so far: processor time, executions, edges reached, inputs kept,
    tallies, and the output of what broke, which ends it.
    """
    counted: Counter[str] = Counter()
    executions, used, broken = 0, 0.0, ""
    while not broken and not (executions if runs else used >= cpu_minutes):
        limit = f"-runs={runs}" if runs else f"-max_total_time={SLICE_SECONDS}"
        before = _cpu_seconds()
        status, output = mutate(target, [limit, f"-seed={seed}"])
        seed += 1
        counted += tallies(output)
        executions += int((re.findall(r"number_of_executed_units: (\d+)", output) or ["0"])[-1])
        used += (_cpu_seconds() - before) / 60
        broken = output[-6000:] if status else ""
        yield {
            "target": target,
            "cpu_minutes": round(used, 1),
            "executions": executions,
            "edges": int((re.findall(r" cov: (\d+) ", output) or ["0"])[-1]),
            "inputs_kept": len(list((ROOT / "build" / "fuzz-corpus" / target).iterdir())),
            "tallies": dict(counted),
            "broken": broken,
        }


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cover(targets: tuple[str, ...] = TARGETS) -> dict[str, dict[str, object]]:
    """Lines of the guarding code that each target's corpus reaches, with those it does not."""
    build("fuzz-coverage")
    result: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(prefix="pyedge-") as folder:
        for target in targets:
            raw, merged = Path(folder, f"{target}.raw"), Path(folder, f"{target}.merged")
            os.environ["LLVM_PROFILE_FILE"] = str(raw)
            done = replay(target, "fuzz-coverage")
            subprocess.run(["llvm-profdata", "merge", "-sparse", raw, "-o", merged], check=True)
            export = subprocess.run(
                ["llvm-cov", "export", program(target, "fuzz-coverage"), f"-instr-profile={merged}",
                 *(ROOT / name for name in GUARDS[target])],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            lines, reached, missed = 0, 0, []
            for file in json.loads(export.stdout)["data"][0]["files"]:
                summary = file["summary"]["lines"]
                lines, reached = lines + summary["count"], reached + summary["covered"]
                missed += [
                    f"{Path(file['filename']).name}:{n}" for n in _missed(merged, target, file["filename"])
                ]
            result[target] = {
                "files": list(GUARDS[target]),
                "inputs": len(list(corpus(target).iterdir())),
                "lines": lines,
                "reached": reached,
                "missed": missed,
                "tallies": dict(tallies(done.stderr)),
            }
    return result


def _missed(profile: Path, target: str, source: str) -> list[int]:
    """Numbers of the lines of a source that were compiled and never ran."""
    shown = subprocess.run(
        ["llvm-cov", "show", program(target, "fuzz-coverage"), f"-instr-profile={profile}", source],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [int(line) for line in re.findall(r"^ *(\d+)\| +0\|", shown, re.MULTILINE)]


def keep(target: str, folders: list[Path]) -> int:
    """Make the corpus anew: of what is there and in the folders, few small inputs that reach the same edges.

    Returns the number of inputs.
    """
    with tempfile.TemporaryDirectory(prefix="pyedge-") as temporary:
        # Counters off: an edge once is an edge.
        subprocess.run(
            [program(target), "-merge=1", "-use_counters=0", f"-max_len={LARGEST}", temporary,
             *folders, corpus(target)],
            check=True, capture_output=True,
        )  # fmt: skip
        shutil.rmtree(corpus(target), ignore_errors=True)
        corpus(target).mkdir(parents=True)
        for file in sorted(Path(temporary).iterdir()):
            blob = file.read_bytes()
            if target == "store":  # what is missing is erased
                blob = blob[:4] + blob[4:].rstrip(b"\xff")
            (corpus(target) / file.name[:12]).write_bytes(blob)
        return len(list(corpus(target).iterdir()))


def seed(folder: Path, count: int) -> int:
    """Write images of random networks of every kind that the tests draw. Returns their number."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as fixed
    from hypothesis import strategies as st

    sys.path.insert(0, str(ROOT))
    from pyedge import image
    from pyedge.quant.model import IntegerModel
    from tests.strategies import graphs, models
    from tests.stream_strategies import encoder_models

    folder.mkdir(parents=True, exist_ok=True)
    drawn = [
        models(largest=14, longest=12),
        models(largest=10, longest=8, encoder=True),
        encoder_models(),
        graphs(longest=6),
        graphs(longest=10, convolutions=2),
    ]
    written = 0

    @fixed(1)
    @settings(max_examples=count, database=None, suppress_health_check=list(HealthCheck),
              phases=[Phase.generate], deadline=None)  # fmt: skip
    @given(st.one_of(drawn))
    def write(model: IntegerModel) -> None:
        nonlocal written
        blob = image.write(model)
        if len(blob) <= SEED_BYTES:
            (folder / f"{written:04}.edge").write_bytes(blob)
            written += 1

    write()
    return written


def main() -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tools/fuzz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="fuzz")
    running.add_argument("targets", nargs="*", default=TARGETS, metavar="TARGET", help=", ".join(TARGETS))
    limits = running.add_mutually_exclusive_group()
    limits.add_argument("--runs", type=int, default=0, help="executions of each target; the same every time")
    limits.add_argument("--cpu-minutes", type=float, default=1, help="processor time for each target (1)")
    running.add_argument("--seed", type=int, default=1)
    running.add_argument("--json", type=Path, help="file that receives the figures")
    covering = commands.add_parser("cover", help="lines that the corpus reaches")
    covering.add_argument("--json", type=Path)
    keeping = commands.add_parser("keep", help="make the corpus anew from what runs found, or from folders")
    keeping.add_argument("target", choices=TARGETS)
    keeping.add_argument("folders", nargs="*", type=Path)
    seeding = commands.add_parser("seed", help="write images to start from")
    seeding.add_argument("folder", type=Path)
    seeding.add_argument("--count", type=int, default=400)
    args = parser.parse_args()

    if args.command == "seed":
        print(f"{seed(args.folder, args.count)} images")
        return 0
    latest: dict[str, dict[str, object]] = {}
    if args.command == "cover":
        latest = cover()
        for target, c in latest.items():
            found = f"{c['reached']} of {c['lines']} lines by {c['inputs']} inputs"
            print(f"{target}: {found}; missed: {c['missed']}")
    else:
        build()
        if args.command == "keep":
            print(
                f"{keep(args.target, args.folders or [ROOT / 'build' / 'fuzz-corpus' / args.target])} inputs"
            )
            return 0
        ahead = [run(target, args.runs, args.cpu_minutes, args.seed) for target in args.targets]
        while ahead:  # in turn, so that what was stopped has looked at all
            going = ahead.pop(0)
            for result in islice(going, 1):
                latest[str(result["target"])] = result
                ahead.append(going)
                print(
                    json.dumps({key: value for key, value in result.items() if key != "broken"}), flush=True
                )
                print(result["broken"], file=sys.stderr, end="")
                _write(args.json, latest)
    _write(args.json, latest)
    return int(args.command == "run" and any(result["broken"] for result in latest.values()))


def _write(path: Path | None, figures: object) -> None:
    if path:
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
