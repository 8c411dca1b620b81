"""The benchmark harness: every tools/bench_NAME.py gives rows of one shape, ours beside its peers."""

import argparse
import importlib
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Row:
    """One figure. `peers` has figures of others for the same work; `higher` says which way is better."""

    name: str
    unit: str
    ours: float
    peers: dict[str, float] = field(default_factory=dict)
    higher: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours against the best peer; above 1 is better."""
        if not self.peers:
            return None
        best = max(self.peers.values()) if self.higher else min(self.peers.values())
        return self.ours / best if self.higher else best / self.ours

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio}


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(
        p.stem.removeprefix("bench_") for p in FOLDER.glob("bench_*.py") if not p.stem.endswith("_peer")
    )


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        model = found[0] if found else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def text(rows: list[Row]) -> str:
    """The rows, to read."""
    lines = []
    for row in rows:
        ratio = "" if row.ratio is None else f"   {row.ratio:,.2f} times the best peer"
        lines.append(f"{row.name}: {row.ours:,.4g} {row.unit}{ratio}")
        lines += [f"    {name}: {value:,.4g}" for name, value in row.peers.items()]
        lines += [f"    {row.note}"] if row.note else []
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__)
    parser.add_argument(
        "name", nargs="?", choices=names(), help="which benchmark; without it they are listed"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: rough figures, for tests")
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(FOLDER))
    if options.name is None:
        for name in names():
            print(f"{name:<12} {(importlib.import_module(f'bench_{name}').__doc__ or '').splitlines()[0]}")
        return 0
    rows: list[Row] = importlib.import_module(f"bench_{options.name}").run(options.quick)
    print(text(rows))
    if options.json is not None:
        result = {
            "benchmark": options.name,
            "quick": options.quick,
            "machine": machine(),
            "rows": [row.plain() for row in rows],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.modules["bench"] = sys.modules["__main__"]  # benchmarks import Row from here
    raise SystemExit(main())
