"""Training beside SpikingJelly and snnTorch: samples a second, memory, and time against the firing rate.

A step is the same for all: the window forward, cross-entropy at every step (TET), backward through time with
a triangle surrogate, AdamW; leaky integrate-and-fire neurons (tau 1/2, reset to 0), a linear readout, the
direct-coded first layer once a window. The convolutional network has padding 2, max pooling and weight
standardization (gain and bias) in its two convolutions on every side. Ours is pyedge's own training step
with its native backend, AFT neurons and the masked surrogate (MPD-ED), after a warm-up on the same batches,
so that neurons fire as in training; its spike inputs are packed once, as training does, the peers' are
float32 tensors. Everyone has all cores; of one thread and all, the faster counts, for every side. Rounds
alternate between the sides; figures are medians over rounds. Processor time is that of one thread, the least
of all steps: what other work on the machine disturbs least. Images are Fashion-MNIST where it is found
(see docs/data.md), else smooth noise.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bench import Row
from bench_online import environment
from bench_train_peer import CASES
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = str(ROOT / "tools" / "bench_train_peer.py")
CONV, EVENTS, EMG = CASES


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int
    steps: int  # of a measurement, where a step takes some milliseconds
    warm: int  # steps of ours before
    rates: tuple[float, ...]  # of the crossover
    compiled: bool


FULL = Plan(5, 24, 120, (0.005, 0.02, 0.05, 0.1, 0.2, 0.4), True)
QUICK = Plan(2, 8, 30, (0.02, 0.2), False)
BATCH = {CONV: 50, EVENTS: 64, EMG: 64}
RATE = {EVENTS: 0.02, EMG: 0.15}


def run(quick: bool) -> list[Row]:
    plan = QUICK if quick else FULL
    python = environment()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            rows += measure(case, data_of(case, Path(folder), RATE.get(case, 0.0)), python, plan)
        for rate in plan.rates:
            rows.append(crossing(rate, data_of(EVENTS, Path(folder), rate), python, plan))
    return rows


def data_of(case: str, folder: Path, rate: float) -> Path:
    """A file of batches: images, or random spikes of that rate."""
    rng = np.random.default_rng(0)
    window, sizes = CASES[case]
    file = folder / f"{case}-{rate}.npz"
    if sizes:
        x: NDArray[Any] = rng.random((4, window, BATCH[case], sizes[0])) < rate
        np.savez(file, x=x, y=rng.integers(0, sizes[2], (4, BATCH[case])))
    else:
        images, labels = fashion(20 * BATCH[case])
        np.savez(file, x=images.reshape(20, -1, 28, 28, 1), y=labels.reshape(20, -1))
    return file


def fashion(count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Normalized images and labels."""
    from pyedge.datasets import catalog
    from pyedge.errors import DataError

    try:
        part = catalog.load("fashion_mnist").train
        return part.x.take(range(count)).reshape(count, 28, 28), part.y[:count]
    except DataError as error:
        print(f"images are smooth noise: {error}", file=sys.stderr)
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((count, 7, 7)).repeat(4, axis=1).repeat(4, axis=2)
    return coarse.astype(np.float32), rng.integers(0, 10, count)


class Side:
    """A side's process, kept between rounds."""

    def __init__(self, python: Path, name: str, case: str, data: Path, warm: int) -> None:
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (lives as long as the process)
        pipe = subprocess.PIPE
        command = [str(python), SCRIPT, name, case, str(data), str(warm)]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.said, text=True)
        self.facts = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.said.seek(0)
            raise RuntimeError(f"a side ended with status {self.process.wait()}:\n{self.said.read()[-2000:]}")
        return json.loads(line)

    def ask(self, question: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self._answer()


@contextmanager
def sides(
    names: tuple[str, ...], case: str, data: Path, python: Path, warm: int
) -> Iterator[dict[str, Side]]:
    started: dict[str, Side] = {}
    try:
        for name in names:
            ours = name == "pyedge"
            started[name] = Side(
                Path(sys.executable) if ours else python, name, case, data, warm if ours else 2
            )
        yield started
    finally:
        for side in started.values():
            side.process.terminate()
            side.process.wait()


Times = dict[tuple[str, int], float]  # by side and threads


def timed(running: dict[str, Side], plan: Plan, slow: bool) -> tuple[Times, Times]:
    """Milliseconds a step, medians over alternating rounds; and of processor time, the least."""
    cores = len(os.sched_getaffinity(0))
    found: dict[tuple[str, int], list[list[float]]] = {}
    for turn in range(plan.rounds):
        print(f"round {turn + 1} of {plan.rounds}", file=sys.stderr)
        for name, side in running.items():
            for threads in sorted({1, cores}):
                steps = plan.steps if name == "pyedge" else max(2, plan.steps // (10 if slow else 4))
                found.setdefault((name, threads), []).append(side.ask(f"{threads} {steps}"))
    wall = {key: statistics.median(pair[0] for pair in pairs) for key, pairs in found.items()}
    return wall, {key: min(pair[1] for pair in pairs) for key, pairs in found.items()}


def best(times: Times, name: str) -> float:
    return min(value for (side, _), value in times.items() if side == name)


def measure(case: str, data: Path, python: Path, plan: Plan) -> list[Row]:
    """Speed, memory and, where wanted, the compiled peer."""
    print(case, file=sys.stderr)
    names = ("pyedge", "spikingjelly", "snntorch", *(("compiled",) if plan.compiled else ()))
    with sides(names, case, data, python, plan.warm) as running:
        times, busy = timed(running, plan, slow=case == CONV)
        memory = {name: float(side.ask("")) for name, side in running.items()}
        facts = {name: side.facts for name, side in running.items()}
    batch, window = BATCH[case], CASES[case][0]
    what = f"training {case}, T = {window}, batch {batch}"
    rates = ", ".join(f"{name} {rate:.3f}" for name, rate in facts["pyedge"]["rates"].items())
    versions = ", ".join(f"{n} {facts[n]['version']}" for n in ("spikingjelly", "snntorch"))
    threads = "; ".join(
        f"{n} {t} thread{'s' * (t > 1)} {1e3 * batch / v:,.0f}" for (n, t), v in times.items()
    )
    speed = {n: 1e3 * batch / best(times, n) for n in names}
    eager = {n: speed[n] for n in ("spikingjelly", "snntorch")}
    rows = [
        Row(
            what,
            "samples/s",
            speed["pyedge"],
            eager,
            higher=True,
            note=f"{facts['pyedge']['isa']}; our rates: {rates}; {versions}; samples/s: {threads}",
        )
    ]
    work = {n: busy[n, 1] for n in eager}
    rows.append(Row(f"{what}, processor time of one thread", "ms a step", busy["pyedge", 1], work))
    if plan.compiled:
        rows.append(
            Row(
                f"{what}, torch.compile",
                "samples/s",
                speed["pyedge"],
                {"spikingjelly": speed["compiled"]},
                higher=True,
            )
        )
    peaks = {n: memory[n] for n in ("spikingjelly", "snntorch")}
    rows.append(Row(f"{what}, peak memory of the process", "MiB", memory["pyedge"], peaks))
    return rows


def crossing(rate: float, data: Path, python: Path, plan: Plan) -> Row:
    """The event network's time at an input rate, beside the faster peer."""
    with sides(("pyedge", "spikingjelly", "snntorch"), EVENTS, data, python, 10) as running:
        times, _ = timed(running, plan._replace(rounds=max(2, plan.rounds // 2)), slow=True)
        hidden = next(iter(running["pyedge"].facts["rates"].values()))
    peers = {name: best(times, name) for name in ("spikingjelly", "snntorch")}
    return Row(
        f"training {EVENTS} at an input rate of {rate}",
        "ms a step",
        best(times, "pyedge"),
        peers,
        note=f"hidden rate {hidden:.3f}",
    )
