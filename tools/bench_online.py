"""Learning from one sample at a time on this computer, beside snnTorch and SpikingJelly.

One step is the same for all: a window of 39 steps forward, cross-entropy of the mean output, backward
through time with a triangle surrogate, one update by plain gradient descent; batch 1; layers of leaky
integrate-and-fire neurons (tau 1/2, reset to 0), a linear readout. Inputs spike in 5 % of the steps,
hidden neurons in about 10 % (each side's threshold is set for that). Ours is the portable C runtime,
called from C on one core: 8-bit weights, the masked triangle. The peers compute in float32 with the
first layer's product taken over the whole window at once, and the readout on the mean of the hidden
spikes, which is the same number and their fastest form; they run with one and with two threads, and the
faster counts. Rounds alternate between all sides; a figure is the median over rounds of the median over
samples, in processor time where one thread works (on an idle computer that is the time by the clock) and
by the clock for two.
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
from typing import Any

import numpy as np
from bench import Row
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
WINDOW, INPUT_RATE, HIDDEN_RATE = 39, 0.05, 0.10
NETWORKS = ((16, 512, 5), (1024, 512, 10))
SAMPLES = 64
PEERS = ("snntorch", "spikingjelly")
PACKAGES = ("torch==2.13.0", "snntorch==1.0.0", "spikingjelly==2.0.0", "numpy")


def run(quick: bool) -> list[Row]:
    """Rows of every network: microseconds a learned sample."""
    rounds, passes = (2, 1) if quick else (9, 4)
    python = environment()
    with tempfile.TemporaryDirectory() as folder:
        program = compile_ours(Path(folder))
        rows = []
        for shape in NETWORKS:
            rows += measure(shape, Path(folder), program, python, rounds, passes)
        return rows


def environment() -> Path:
    """Python of the peers' own environment, made if need be ($PYEDGE_BENCH_VENV, else .venv-bench)."""
    venv = Path(os.environ.get("PYEDGE_BENCH_VENV", ROOT / ".venv-bench"))
    python, stamp = venv / "bin" / "python", venv / "pyedge-bench"
    wanted = " ".join(PACKAGES)
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {wanted} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        stamp.write_text(wanted)
    return python


def compile_ours(folder: Path) -> Path:
    """The timing program over the library as CMake builds it for release."""
    build = folder / "build"
    configure = ["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release"]
    for command in (configure, ["cmake", "--build", str(build), "--target", "edge"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (library,) = build.rglob("libedge.a")
    program = folder / "bench_online"
    flags = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", f"-I{ROOT / 'runtime_c' / 'include'}"]
    source = str(ROOT / "tools" / "bench_online.c")
    subprocess.run(["gcc", *flags, source, str(library), "-o", str(program)], check=True)
    return program


def integer_model(shape: tuple[int, int, int], windows: NDArray[np.bool_], labels: NDArray[np.uint8]) -> Any:
    """Random weights, quantized as `pyedge quantize` does, with the threshold that gives the wanted rate."""
    from pyedge.model import Input, dense_network
    from pyedge.neuron import LIF
    from pyedge.quant.quantizer import quantize

    x = np.moveaxis(windows, 0, 1)

    def network(theta0: float) -> Any:
        return dense_network(
            Input("spikes", shape[:1]), shape[1:2], shape[2], WINDOW, neuron=LIF(theta0=theta0)
        )

    low, high = 1e-3, 10.0
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        tried = network(middle)
        (rate,) = tried.firing_rates(tried.forward(tried.init(1), x[:, :16])).values()
        low, high = (middle, high) if rate > HIDDEN_RATE else (low, middle)
    chosen = network(high)
    return quantize(chosen, chosen.init(1), x, labels, name="bench").model


def hidden_rate(model: Any, windows: NDArray[np.bool_]) -> float:
    """Share of hidden neurons that fire in a step."""
    from pyedge.runtime import Model, Net

    net = Net(Model.open(model))
    for window in windows:
        net.run_window(window)
    return net.stats()[0].spikes_out / (len(windows) * WINDOW * model.layers[0].fan_out)


class Peer:
    """A peer's process, kept between rounds."""

    def __init__(
        self, python: Path, name: str, shape: tuple[int, int, int], windows: Path, labels: Path
    ) -> None:
        script = str(ROOT / "tools" / "bench_online_peer.py")
        command = [
            str(python),
            script,
            name,
            *map(str, shape),
            str(WINDOW),
            str(HIDDEN_RATE),
            str(windows),
            str(labels),
        ]
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (lives as long as the process)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.said, text=True)
        self.facts = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.said.seek(0)
            raise RuntimeError(
                f"the peer ended with status {self.process.wait()}:\n{self.said.read()[-2000:]}"
            )
        return json.loads(line)

    def time(self, threads: int, count: int) -> float:
        """Median microseconds a sample over `count` samples."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{threads} {count}\n")
        self.process.stdin.flush()
        return float(self._answer())


@contextmanager
def peers(
    python: Path, shape: tuple[int, int, int], windows: Path, labels: Path
) -> Iterator[dict[str, Peer]]:
    started: dict[str, Peer] = {}
    try:
        for name in PEERS:
            started[name] = Peer(python, name, shape, windows, labels)
        yield started
    finally:
        for peer in started.values():
            peer.process.terminate()
            peer.process.wait()


def measure(
    shape: tuple[int, int, int], folder: Path, program: Path, python: Path, rounds: int, passes: int
) -> list[Row]:
    from pyedge import image

    inputs, _, classes = shape
    rng = np.random.default_rng(0)
    windows = rng.random((SAMPLES, WINDOW, inputs)) < INPUT_RATE
    labels = rng.integers(0, classes, SAMPLES).astype(np.uint8)
    model = integer_model(shape, windows, labels)
    rate = hidden_rate(model, windows)
    files = {
        name: folder / f"{inputs}-{name}"
        for name in ("image", "windows", "labels", "spikes.npy", "labels.npy")
    }
    files["image"].write_bytes(image.write(model))
    files["windows"].write_bytes(np.packbits(windows, axis=2, bitorder="little").tobytes())
    files["labels"].write_bytes(labels.tobytes())
    np.save(files["spikes.npy"], windows)
    np.save(files["labels.npy"], labels.astype(np.int64))

    command = [
        str(program),
        *(str(files[n]) for n in ("image", "windows", "labels")),
        str(SAMPLES),
        str(passes * 8 + 1),
    ]
    ours: list[float] = []
    theirs: dict[str, list[float]] = {}
    moved = 0
    with peers(python, shape, files["spikes.npy"], files["labels.npy"]) as running:
        for turn in range(rounds):
            print(f"{'-'.join(map(str, shape))}: round {turn + 1} of {rounds}", file=sys.stderr)
            *times, _, moved_text = subprocess.run(
                command, check=True, capture_output=True, text=True
            ).stdout.split()
            ours.append(statistics.median(map(float, times)) / 1000)
            moved = int(moved_text)
            for name, peer in running.items():
                for threads in (1, 2):
                    theirs.setdefault(f"{name}, {threads} thread{'s' * (threads > 1)}", []).append(
                        peer.time(threads, SAMPLES * passes)
                    )
        rates = ", ".join(f"{name} {peer.facts['rate']:.3f}" for name, peer in running.items())
        versions = ", ".join(f"{name} {peer.facts['version']}" for name, peer in running.items())
    return [
        Row(
            name=f"online learning, {'-'.join(map(str, shape))}, T = {WINDOW}",
            unit="us a sample",
            ours=statistics.median(ours),
            peers={name: statistics.median(values) for name, values in theirs.items()},
            note=f"hidden rate: ours {rate:.3f}, {rates}; "
            f"{moved / SAMPLES:.0f} weights moved a sample; {versions}",
        )
    ]
