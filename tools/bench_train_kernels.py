"""What share of the machine's limits each kernel of a training step reaches, layer by layer, on one core.

The networks, data and steps are bench_train's. Counted are synaptic operations: a spike, value or error times
every weight it meets, one multiplication and addition with one load, however the kernel goes about it (equal
steps are merged, so that a kernel may do less; neurons, pooling and lists are part of its time). The limits
are measured here with the same instruction set: fused multiply-adds in registers, and floats loaded and added
from the first-level cache (16 KiB), the second (256 KiB) and memory (64 MiB). Optimizer and weight
standardization are bound by memory: floats read or written. Times are processor time, medians over steps.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import bench_train
import bench_train_peer
import numpy as np
from bench import Row

SIZES = {"L1": 16 << 10, "L2": 256 << 10, "memory": 64 << 20}
MODULES = ("conv", "dense", "lazy", "neurons", "pooling", "standard", "threads", "updates")


def run(quick: bool) -> list[Row]:
    fma, loads = limits(50)
    rows = [Row("limit: fused multiply-adds", "G/s", fma, higher=True)]
    rows += [Row(f"limit: floats loaded from {name}", "G/s", x, higher=True) for name, x in loads.items()]
    with tempfile.TemporaryDirectory() as folder:
        for case in bench_train.CASES:
            print(case, file=sys.stderr)
            data = bench_train.data_of(case, Path(folder), bench_train.RATE.get(case, 0.0))
            rows += [row(case, call, total, fma, loads) for call, total in measure(case, data, quick)]
    return rows


def limits(times: int) -> tuple[float, dict[str, float]]:
    """Billions a second: multiply-adds, and floats loaded by where from."""
    from pyedge._train import ffi, lib

    def best(operations: float, call: Callable[[], Any]) -> float:
        found = []
        for _ in range(times):
            start = time.process_time()
            call()
            found.append(time.process_time() - start)
        return operations / min(found) / 1e9

    width, rounds = lib.train_width(), 1_000_000
    fma = best(10.0 * width * rounds, lambda: lib.train_limit(ffi.NULL, 0, rounds))
    loads = {}
    for name, size in SIZES.items():
        count = size // 4 // (10 * width) * 10 * width
        memory = np.zeros(count, np.float32)
        often = max(1, 100_000_000 // count)
        pointer = ffi.from_buffer("float[]", memory)
        loads[name] = best(float(count * often), partial(lib.train_limit, pointer, count, often))
    return fma, loads


class Call(NamedTuple):
    """One call of a kernel within a step."""

    name: str
    seconds: float
    operations: float  # synaptic operations, or floats moved
    moved: bool  # floats moved


def row(case: str, call: Call, total: float, fma: float, loads: dict[str, float]) -> Row:
    rate = call.operations / call.seconds / 1e9
    shares = [f"{rate / x:.2f} of loads from {name}" for name, x in loads.items()]
    if call.moved:
        unit, note = "Gfloat/s", shares[-1]
    else:
        unit, note = "Gsynop/s", f"{rate / fma:.2f} of multiply-adds, {shares[0]}, {shares[1]}"
    spent = f"{1e3 * call.seconds:.2f} ms, {call.seconds / total:.0%} of the step"
    return Row(f"{case}: {call.name}", unit, rate, higher=True, note=f"{note}; {spent}")


def measure(case: str, data: Path, quick: bool) -> list[tuple[Call, float]]:
    """The calls of a step that work on weights, each with the whole step's seconds."""
    stored = np.load(data)
    xs, ys = list(stored["x"]), list(stored["y"])
    step, threads, _ = bench_train_peer.pyedge(case, xs, ys)
    threads(1)
    for n in range(10 if quick else 60):
        step(n % len(xs))
    steps, totals = [], []
    with watched() as calls:
        for n in range(5 if quick else 20):
            calls.clear()
            start = time.process_time()
            step(n % len(xs))
            totals.append(time.process_time() - start - sum(c.seconds for c in calls if c.name == COUNTING))
            steps.append([c for c in calls if c.operations])
    threads(0)
    total = statistics.median(totals)
    found = []
    for same in zip(*steps, strict=True):
        middle = [statistics.median(c[k] for c in same) for k in (1, 2)]
        found.append((Call(same[0].name, middle[0], middle[1], same[0].moved), total))
    return found


COUNTING = "counting"


@contextmanager
def watched() -> Any:
    """The kernels called meanwhile, one `Call` each."""
    from importlib import import_module

    from pyedge._train import lib

    calls: list[Call] = []

    class Watch:
        def __getattr__(self, name: str) -> Any:
            kernel = getattr(lib, name)
            if name not in WORK:
                return kernel

            def timed(pool: Any, job: Any, *rest: Any) -> Any:
                start = time.process_time()
                label, operations, moved = WORK[name](job, *rest)
                between = time.process_time()
                result = kernel(pool, job, *rest)
                end = time.process_time()
                calls.append(Call(COUNTING, between - start, 0, False))
                calls.append(Call(label, end - between, operations, moved))
                return result

            return timed

    modules = [import_module(f"pyedge.ops.native.{name}") for name in MODULES]
    changed: list[Any] = [m for m in modules if hasattr(m, "lib")]
    try:
        for module in changed:
            module.lib = Watch()
        yield calls
    finally:
        for module in changed:
            module.lib = lib


Work = tuple[str, float, bool]


def _events(events: Any, rows: int) -> int:
    return int(events.start[rows]) if events.start else 0


def _in_patterns(patterns: Any, window: int, batch: int) -> int:
    """Spikes, listed by their neurons' patterns."""
    from pyedge._train import ffi

    lists = batch * -(-window // patterns.width) << patterns.width
    start = np.frombuffer(ffi.buffer(patterns.start, 4 * (lists + 1)), np.int32)
    spikes = [k.bit_count() for k in range(1 << patterns.width)]
    return int((np.diff(start).reshape(-1, len(spikes)) * spikes).sum())


def _forward(job: Any) -> Work:
    steps = job.window * job.batch
    events = getattr(job, "in")
    count = _events(events, steps)
    if job.common.start:
        count += job.window * _events(job.common, job.batch)
    if job.patterns.start:
        count += _in_patterns(job.patterns, job.window, job.batch)
    return f"dense {job.inputs} to {job.outputs}, forward", float(count) * job.outputs, False


def _image(image: Any) -> str:
    return f"{image.height}x{image.width}x{image.channels}"


def _meetings(job: Any, image: Any, other: Any, size: int, padding: int) -> np.ndarray[Any, Any]:
    """How many windows see each pixel, (height, width)."""
    along = []
    for length, windows in ((image.height, other.height), (image.width, other.width)):
        seen = np.zeros(length)
        for k in range(windows):
            seen[max(k - padding, 0) : max(min(k - padding + size, length), 0)] += 1
        along.append(seen)
    return np.outer(*along)


def _present(job: Any, image: Any, steps: int) -> np.ndarray[Any, Any]:
    """Spikes, values or errors of every pixel, (height, width)."""
    from pyedge._train import ffi

    shape, count = (image.height, image.width, image.channels), image.height * image.width * image.channels
    if job.values:
        values = np.frombuffer(ffi.buffer(job.values, 4 * steps * job.batch * count), np.float32)
        return (values.reshape(-1, *shape) != 0).sum(axis=(0, 3))
    packed = job.bits or job.counts
    if packed:
        rows = np.frombuffer(ffi.buffer(packed, job.window * job.batch * job.row), np.uint8).reshape(
            -1, job.row
        )
        each = np.unpackbits(rows, axis=1, bitorder="little") if job.bits else rows != 0
        return each[:, :count].reshape(-1, *shape).sum(axis=(0, 3), dtype=float)
    total = job.errors.start[job.window * job.batch]
    index = np.frombuffer(ffi.buffer(job.errors.index, 2 * total), np.uint16)
    pixels = np.bincount(index // image.channels, minlength=image.height * image.width)
    return pixels.reshape(image.height, image.width)


def _conv(job: Any) -> Work:
    source, into = getattr(job, "in"), job.out
    seen = _meetings(job, source, into, job.size, job.padding)
    operations = float((_present(job, source, job.steps) * seen).sum()) * into.channels
    what = "input error" if job.flipped else "forward"
    return f"convolution {_image(source)} to {_image(into)}, {what}", operations, False


def _conv_gradient(job: Any) -> Work:
    source, into = getattr(job, "in"), job.out
    label = f"convolution {_image(source)} to {_image(into)}, weight gradient"
    if job.values:
        seen = _meetings(job, source, into, job.size, job.padding)
        return label, float((_present(job, source, job.steps) * seen).sum()) * into.channels, False
    errors = _events(job.errors, job.window * job.batch)
    return label, float(errors) * job.size**2 * source.channels, False


def _backward(job: Any) -> Work:
    steps = job.window * job.batch
    operations, does = 0.0, []
    if job.weight_above:
        errors = _events(job.errors_above, steps) if job.errors_above.start else steps * job.above
        operations += float(errors) * job.outputs
        does.append(f"error from {job.above}")
    if job.gradient:
        operations += float(_events(getattr(job, "in"), steps)) * job.outputs
        does.append(f"weight gradient of {job.inputs}")
    return f"{job.outputs} backward: {' and '.join(does) or 'neurons'}", operations, False


def _gradient(job: Any) -> Work:
    errors = _events(job.errors, job.window * job.batch)
    return f"dense {job.inputs} to {job.outputs}, weight gradient", float(errors) * job.inputs, False


def _readout(job: Any) -> Work:
    events = _events(getattr(job, "in"), job.window * job.batch)
    return f"readout {job.inputs} to {job.outputs}, weight gradient", float(events) * job.outputs, False


WORK: dict[str, Callable[..., Work]] = {
    "train_forward_run": _forward,
    "train_conv_run": _conv,
    "train_conv_gradient_run": _conv_gradient,
    "train_backward_run": _backward,
    "train_gradient_run": _gradient,
    "train_readout_run": _readout,
    "train_standardize_run": lambda job: ("standardization", 3.0 * job.rows * job.columns, True),
    "train_standardize_error_run": lambda job: (
        "standardization, backward",
        5.0 * job.rows * job.columns,
        True,
    ),
    "train_adamw_run": lambda jobs, count: ("AdamW", 7.0 * sum(jobs[k].count for k in range(count)), True),
}
