"""What of a UART's bytes the link carries: images and samples, over a line whose time is counted, or a board.

The counted line takes ten bits for a byte in either direction and `latency` seconds between a request and
its response (drivers, USB); the server is the firmware's own and takes no time. Nothing here looks at a clock
unless a board is named, so that figures repeat.
"""

import argparse
import time

import numpy as np

from pyedge import image
from pyedge.encode import EncoderConfig
from pyedge.link import Board, Loopback
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind

IMAGE_BYTES = 64 * 1024


class CountedLine(Loopback):
    """The server behind a line; seconds pass as bytes do."""

    def __init__(self, payload: int, baud: int, latency: float) -> None:
        super().__init__(payload=payload)
        self.byte, self.latency, self.seconds = 10 / baud, latency, 0.0

    def write(self, data: bytes) -> None:
        self.seconds += len(data) * self.byte + self.latency
        super().write(data)

    def read(self, timeout: float) -> bytes:
        data = super().read(timeout)
        self.seconds += len(data) * self.byte
        return data


def model() -> IntegerModel:
    """About 64 KB of weights behind eight channels of raw samples."""
    rng = np.random.default_rng(0)
    classes = 250
    encoder = EncoderConfig("difference", channels=8, hop=5, threshold=12, stride=40)
    neurons = IMAGE_BYTES // (classes + 8)
    hidden = IntegerLayer(
        NeuronKind.LIF, rng.integers(-9, 10, (16, neurons)), np.zeros(neurons), np.full(neurons, 256 * 4000),
        np.full(neurons, 256 * 100),
    )  # fmt: skip
    zero = np.zeros(classes)
    readout = IntegerLayer(NeuronKind.LINEAR, rng.integers(-128, 128, (neurons, classes)), zero, zero, zero)
    return IntegerModel(
        40, InputKind.SPIKES, (hidden, readout), score_mult=1, score_shift=10, seed=0, encoder=encoder
    )


def carried(board: Board, blob: bytes, samples: np.ndarray, now: object) -> tuple[float, float]:
    """Bytes a second of an image, and of raw samples."""
    assert callable(now)
    start = now()
    board.deploy(blob)
    deployed = now()
    board.push(samples)
    return len(blob) / (deployed - start), samples.nbytes / (now() - deployed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--board", help="an emulated board instead, against the clock (not repeatable)")
    args = parser.parse_args()
    blob = image.write(model())
    samples = np.random.default_rng(1).integers(-999, 1000, (4000, 8)).astype(np.int16)
    print(f"an image of {len(blob):,} bytes, {samples.nbytes:,} bytes of samples\n")
    if args.board:
        from pyedge import boards

        with boards.start(args.board) as running, Board.open(running.port) as board:
            up, down = carried(board, blob, samples, time.perf_counter)
            print(f"{args.board}, emulated: image {up:,.0f} B/s, samples {down:,.0f} B/s")
        return
    row = "{:>8}{:>9}{:>12}{:>14}{:>9}{:>14}{:>9}"
    print(row.format("baud", "payload", "latency ms", "image B/s", "share", "samples B/s", "share"))
    for baud in (115200, 921600):
        for payload in (136, 512, 1024):
            for latency in (0.0, 0.001):
                line = CountedLine(payload, baud, latency)
                up, down = carried(Board(line), blob, samples, lambda line=line: line.seconds)
                rates = [text for rate in (up, down) for text in (f"{rate:,.0f}", f"{10 * rate / baud:.1%}")]
                print(row.format(baud, payload, f"{1000 * latency:g}", *rates))


if __name__ == "__main__":
    main()
