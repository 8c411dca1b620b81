"""Learns one model for a million windows of a stream whose classes drift, and checks that it never wears out.

The stream: six classes; an input's firing rate in a class walks from one random place to the next in `drift`
windows. Random weights, quantized as `pyedge quantize` does, learn each window after classifying it. soak.c
does it on the host; the first windows are learned on an emulated board as well, to the same state.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyedge.quant.model import IntegerModel

ROOT = Path(__file__).resolve().parent.parent
INPUTS, HIDDEN, CLASSES, WINDOW = 32, 24, 6, 10
UPDATES, STRETCH, DRIFT = 1_000_000, 50_000, 50_000
ON_BOARD = 200  # updates
CALIBRATION = 256  # windows


def hash32(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """lowbias32 of numbers below 2^32."""
    x = x ^ x >> np.uint64(16)
    x = x * np.uint64(0x7FEB352D) & np.uint64(0xFFFFFFFF)
    x = x ^ x >> np.uint64(15)
    x = x * np.uint64(0x846CA68B) & np.uint64(0xFFFFFFFF)
    return x ^ x >> np.uint64(16)


def _hash(x: int | NDArray[np.int64]) -> NDArray[np.int64]:
    return hash32(np.asarray(x).astype(np.uint64) & np.uint64(0xFFFFFFFF)).astype(np.int64)


def window(n: int, drift: int) -> tuple[NDArray[np.int64], int]:
    """Window n of the stream: spikes (T, inputs), and its label."""
    label = int(_hash(n ^ 0x55555555)) % CLASSES
    inputs = np.arange(INPUTS)
    place = _hash(label * 65536 + inputs) + n // drift
    start, end = _hash(place) >> 24, _hash(place + 1) >> 24
    walked = (end - start) * (n % drift)
    rate = (start + np.sign(walked) * (np.abs(walked) // drift)) // 2  # C's division: towards zero
    noise = _hash(int(_hash(n)) + np.arange(WINDOW)[:, None] * INPUTS + inputs)
    return (noise >> 24 < rate).astype(np.int64), label


def windows(n: int, drift: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first n windows, (n, T, inputs), and their labels."""
    spikes, labels = zip(*(window(k, drift) for k in range(n)), strict=True)
    return np.stack(spikes), np.asarray(labels)


def model(drift: int, step: float = 0.03) -> IntegerModel:
    """Random weights on the quantizer's scales; both layers learn."""
    from pyedge.model import Input, dense_network
    from pyedge.quant.quantizer import QuantizeConfig, quantize

    spikes, labels = windows(CALIBRATION, drift)
    network = dense_network(Input("spikes", (INPUTS,)), (HIDDEN,), CLASSES, WINDOW)
    config = QuantizeConfig(step=step, readout_step=step)
    return quantize(
        network, network.init(1), np.moveaxis(spikes, 0, 1), labels, config=config, name="soak"
    ).model


def build() -> Path:
    """The program over the library as CMake builds it for release."""
    folder = ROOT / "build" / "soak"
    configure = ["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release"]
    for command in (configure, ["cmake", "--build", str(folder), "--target", "edge"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    program = folder / "soak"
    subprocess.run(
        ["gcc", "-std=c99", "-O2", "-Wall", "-Wextra", f"-I{ROOT / 'runtime_c/include'}",
         str(ROOT / "tools" / "soak.c"), str(folder / "runtime_c" / "libedge.a"), "-o", str(program)],
        check=True,
    )  # fmt: skip
    return program


def on_host(blob: bytes, updates: int, stretch: int, drift: int) -> list[dict[str, Any]]:
    """What tools/soak.c reports of every stretch: accuracy, weights moved, the state's checksum."""
    program = build()
    file = program.with_name("soak.edge")
    file.write_bytes(blob)
    call = [str(program), str(file), str(updates), str(stretch), str(drift)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def on_board(name: str, blob: bytes, updates: int, drift: int) -> str:
    """Checksum of the state after so many updates on an emulated board."""
    from pyedge.boards import batch
    from pyedge.quant.model import InputKind

    operations = [batch.open_image(blob)]
    for spikes, label in (window(n, drift) for n in range(updates)):
        operations += [batch.window(InputKind.SPIKES, spikes), batch.learn(label)]
    results = batch.run(name, [*operations, batch.save()])
    for result in results:
        batch.require(result)
    return results[-1].data[12:16][::-1].hex()


def plot(stretches: Sequence[dict[str, Any]], path: Path) -> None:
    """Accuracy of every stretch, learning and not."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 3), layout="constrained")
    updates = [s["updates"] / 1000 for s in stretches]
    for key, name in (("accuracy", "learns every window"), ("frozen", "learned the first stretch only")):
        axis.plot(updates, [s[key] for s in stretches], marker=".", label=name)
    axis.axhline(1 / CLASSES, color="grey", linewidth=0.8, label="chance")
    axis.set(xlabel="updates, thousands", ylabel="accuracy before learning", ylim=(0, 1))
    axis.legend(loc="center right")
    figure.savefig(path)
    pyplot.close(figure)


def main() -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tools/soak", description=__doc__)
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument("--stretch", type=int, default=STRETCH, help="windows between reports")
    parser.add_argument("--drift", type=int, default=DRIFT, help="windows from one place to the next")
    parser.add_argument("--step", type=float, default=0.03, help="of the quantizer, for both layers")
    parser.add_argument("--board", default="mps2-an386", help="that learns the first windows, too")
    parser.add_argument("--json", type=Path, help="file that receives the figures")
    parser.add_argument("--plot", type=Path, help="picture to draw")
    args = parser.parse_args()

    from pyedge import image

    blob = image.write(model(args.drift, args.step))
    (start,) = on_host(blob, ON_BOARD, ON_BOARD, args.drift)
    board_state = on_board(args.board, blob, ON_BOARD, args.drift)
    stretches = on_host(blob, args.updates, args.stretch, args.drift)
    print(f"{'updates':>9}{'accuracy':>10}{'frozen':>8}{'moved a window':>16}{'at a limit':>12}  state")
    for s in stretches:
        moved = sum(s["moved"]) / args.stretch
        shares = f"{s['accuracy']:>10.4f}{s['frozen']:>8.4f}"
        print(f"{s['updates']:>9}{shares}{moved:>16.1f}{s['extreme']:>12.4f}  {s['state']}")
    print(f"after {ON_BOARD} updates: host {start['state']}, {args.board} {board_state}")
    if args.json:
        figures = {"drift": args.drift, "step": args.step, "stretches": stretches, "after": ON_BOARD,
                   "host": start["state"], args.board: board_state}  # fmt: skip
        args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if args.plot:
        plot(stretches, args.plot)
    return int(board_state != start["state"])


if __name__ == "__main__":
    sys.exit(main())
