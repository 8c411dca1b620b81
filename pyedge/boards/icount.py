"""Exact instruction counts of the runtime on an emulated board: the same in every run, to the instruction.

QEMU counts (tools/icount), not the guest: measuring changes nothing. Instructions are not cycles.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyedge.boards import batch
from pyedge.boards.build import batch_firmware, counter, tool
from pyedge.boards.registry import board
from pyedge.errors import BatchError, DataError
from pyedge.image import read
from pyedge.quant.model import Integers

REGIONS = ("empty", "infer", "learn", "stream", "spin")


@dataclass(frozen=True)
class Counts:
    """Executed instructions and memory accesses."""

    instructions: int
    loads: int
    stores: int


@dataclass(frozen=True)
class Region:
    """One visit of a marked region.

    functions : those that ran, without what they called.
    parts     : what ran between the marks that `measure` was given, in order; the first is "start".
    """

    name: str
    total: Counts
    functions: dict[str, Counts] = field(default_factory=dict)
    parts: list[tuple[str, Counts]] = field(default_factory=list)


def measure(
    name: str, operations: Sequence[batch.Operation], marks: Sequence[tuple[str, int]] = ()
) -> tuple[list[batch.Result], list[Region]]:
    """Carry out operations (see batch) on a board and count every `infer`, `learn` and `stream` region.

    marks : names and addresses that divide regions into parts.
    The cost of the markers of regions is taken off (but not from parts).
    Raises what batch.run and boards.build raise.
    """
    elf, plugin = batch_firmware(name), counter()
    symbols = symbols_of(board(name).prefix, elf)
    address = {symbol: at for symbol, at, _ in symbols}
    with tempfile.TemporaryDirectory(prefix="pyedge-") as folder:
        functions, report = Path(folder, "functions"), Path(folder, "report")
        functions.write_text(
            "".join(f"{at:x} {size:x} {symbol}\n" for symbol, at, size in symbols if size), encoding="utf-8"
        )
        regions_at = "".join(f",mark={region}@{address['mark_' + region]:x}" for region in REGIONS)
        parts_at = "".join(f",part={part}@{at:x}" for part, at in marks)
        arguments = (
            f"{plugin},out={report},functions={functions},end={address['mark_end']:x}{regions_at}{parts_at}"
        )
        results = batch.run(name, operations, ("-plugin", arguments))
        regions = _read(report)
    empty = next((region for region in regions if region.name == "empty"), None)
    if empty is None:
        raise BatchError("the emulator did not count; use a build of QEMU with plugins (its --help: -plugin)")
    return results, [_without(region, empty.total) for region in regions if region is not empty]


def count(
    image: bytes,
    windows: Sequence[Integers],
    labels: Sequence[int] | None = None,
    name: str = "mps2-an386",
) -> dict[str, object]:
    """Instructions of one inferred and one learned sample, for these windows in this order.

    windows : encoded inputs, (T, inputs) each, or (inputs,) for static inputs.
    labels  : learn every window after it ran; None: only infer.
    Returns {"board", "windows", "infer", "learn"}; the last two are {"instructions", "loads", "stores",
    "least", "most", "functions"}: means over the windows, extremes of the instructions, and mean instructions
    of each function, largest first. A learned sample costs infer + learn; "learn" is None without labels.
    """
    kind = read(image).input_kind
    check_labels(windows, labels)
    operations = [batch.open_image(image, labels is not None)]
    for k, inputs in enumerate(windows):
        operations.append(batch.window(kind, inputs))
        if labels is not None:
            operations.append(batch.learn(labels[k]))
    results, regions = measure(name, operations)
    for result in results:
        batch.require(result)
    infer, learn = ([region for region in regions if region.name == part] for part in ("infer", "learn"))
    return {
        "board": name,
        "windows": len(windows),
        "infer": summary(infer),
        "learn": summary(learn) if labels is not None else None,
    }


def check_labels(windows: Sequence[Integers], labels: Sequence[int] | None) -> None:
    """Raises DataError unless there is a window, and a label for each where there are labels."""
    if not len(windows) or (labels is not None and len(labels) != len(windows)):
        said = "" if labels is None else f" and {len(labels)} labels"
        raise DataError(f"{len(windows)} windows{said}; one of each is the least, and as many")


def count_stream(image: bytes, samples: Integers, name: str = "mps2-an386") -> dict[str, object]:
    """Instructions from raw samples to predictions: encoder and network together.

    samples : integers (n, channels), 16 bits.
    Returns {"board", "samples", "windows", "instructions", "per_sample", "most", "functions"}: the sum over
    all samples, its mean, the most that one sample took (it completed a window), and each function's sum.
    """
    operations = [batch.open_image(image, False), batch.stream(), batch.push(samples)]
    results, regions = measure(name, operations)
    for result in results:
        batch.require(result)
    each = [region.total.instructions for region in regions]
    model = read(image)
    assert model.encoder is not None
    rows = model.window * model.encoder.rows_per_step * model.encoder.row_values
    return {
        "board": name,
        "samples": len(each),
        "windows": len(batch.streamed(results[2], rows)),
        "instructions": sum(each),
        "per_sample": sum(each) / max(1, len(each)),
        "most": max(each, default=0),
        "functions": by_function(regions),
    }


def by_function(regions: Sequence[Region]) -> dict[str, int]:
    """Instructions of each function, summed over regions, largest first."""
    functions: dict[str, int] = {}
    for region in regions:
        for function, counts in region.functions.items():
            functions[function] = functions.get(function, 0) + counts.instructions
    return dict(sorted(functions.items(), key=lambda item: -item[1]))


def summary(regions: Sequence[Region]) -> dict[str, object]:
    """Means over visits of a region."""
    n = max(1, len(regions))
    instructions = [region.total.instructions for region in regions]
    return {
        "instructions": sum(instructions) / n,
        "loads": sum(region.total.loads for region in regions) / n,
        "stores": sum(region.total.stores for region in regions) / n,
        "least": min(instructions, default=0),
        "most": max(instructions, default=0),
        "functions": {function: total / n for function, total in by_function(regions).items()},
    }


def symbols_of(prefix: str, elf: Path) -> list[tuple[str, int, int]]:
    """Name, address and size of every function."""
    listing = subprocess.run(
        [tool(prefix + "nm"), "-S", str(elf)], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listing.splitlines()]
    return [
        (row[3], int(row[0], 16) & ~1, int(row[1], 16)) for row in rows if len(row) == 4 and row[2] in "tTwW"
    ]


def _read(report: Path) -> list[Region]:
    regions: list[Region] = []
    for line in report.read_text(encoding="utf-8").splitlines():
        kind, name, *numbers = line.split()
        counts = Counts(*map(int, numbers))
        if kind == "region":
            regions.append(Region(name, counts))
        elif kind == "part":
            regions[-1].parts.append((name, counts))
        else:
            regions[-1].functions[name] = counts
    return regions


def _without(region: Region, empty: Counts) -> Region:
    """The region without its markers."""
    functions = {name: c for name, c in region.functions.items() if not name.startswith("mark_")}
    total = Counts(
        region.total.instructions - empty.instructions,
        region.total.loads - empty.loads,
        region.total.stores - empty.stores,
    )
    return Region(region.name, total, functions, region.parts)
