"""Runs many operations of the C runtime on an emulated board in one go, through its test firmware.

For parity tests and instruction counts. The firmware reads and writes files by semihosting, far faster than a
UART; nothing here is part of the product. Formats: targets/common/batch.c.
"""

import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pyedge.boards.build import batch_firmware
from pyedge.boards.emulator import command
from pyedge.boards.registry import board
from pyedge.errors import BatchError, DataError
from pyedge.quant.model import InputKind, Integers
from pyedge.runtime_stream import raw_samples

BATCH_SECONDS = 600
BUDGET = 16384

EXIT_REASONS = {
    2: "it cannot use its files",
    3: "it does not know an operation",
    4: "the board's memory is too small for an image",
    70: "a fault of the processor",
}


class Code(IntEnum):
    OPEN = 1
    WINDOW = 2
    LEARN = 3
    SAVE = 4
    LOAD = 5
    DECAY = 6
    STREAM = 7
    PUSH = 8
    REPLAY = 9
    FIT = 10
    ALIGN = 11
    FAULT = 12
    SPIN = 13
    STACK = 14
    GROW = 15


@dataclass(frozen=True)
class Operation:
    """One call of the runtime; make it with the functions below."""

    code: Code
    a: int = 0
    b: int = 0
    payload: bytes = b""


class Result(NamedTuple):
    """What came of an operation: the runtime's return value (negative: an error code) and bytes."""

    code: Code
    status: int
    data: bytes


class Answer(NamedTuple):
    """A window's end: class, its probability in 1 / 32768, scores and log likelihoods of every class."""

    label: int
    confidence: int
    scores: Integers
    likelihoods: Integers


class StreamedWindow(NamedTuple):
    """A window that raw samples completed, with its rows before alignment."""

    label: int
    confidence: int
    rows: bytes


def open_image(image: bytes, learn: bool = True) -> Operation:
    """Open an image and make a net; what was there before is gone."""
    return Operation(Code.OPEN, int(learn), payload=image)


def window(kind: InputKind, inputs: Integers) -> Operation:
    """Run one window: (T, inputs), or (inputs,) for static inputs. The result is an `answer`."""
    return Operation(Code.WINDOW, payload=packed(kind, inputs))


def learn(label: int, budget: int = BUDGET) -> Operation:
    """Learn the window just seen, in slices of `budget`."""
    return Operation(Code.LEARN, label, budget)


def save() -> Operation:
    """The state of the net (docs/image.md section 6)."""
    return Operation(Code.SAVE)


def load(state: bytes) -> Operation:
    """Go on from a saved state."""
    return Operation(Code.LOAD, payload=state)


def rate_decay(decay: int) -> Operation:
    """Halve the learning rate `decay` times."""
    return Operation(Code.DECAY, decay)


def stream(ring: int = 256) -> Operation:
    """A new stream over the net."""
    return Operation(Code.STREAM, ring)


def push(samples: Integers) -> Operation:
    """Raw samples, (n, channels), through the stream. The result is `streamed`. Raises DataError."""
    raw = raw_samples(samples, samples.shape[-1])
    return Operation(Code.PUSH, raw.shape[1], payload=raw.astype("<i2").tobytes())


def replay(rows: bytes) -> Operation:
    """Run a window again from its rows. The result is an `answer`."""
    return Operation(Code.REPLAY, payload=rows)


def fit(rows: Sequence[bytes], labels: Sequence[int], repetitions: int) -> Operation:
    """Fit the alignment to labelled windows. The result is the alignment: i8 rotation, i8[64] gains."""
    return Operation(Code.FIT, len(rows), repetitions, b"".join(rows) + bytes(labels))


def align(alignment: bytes) -> Operation:
    """Set the alignment."""
    return Operation(Code.ALIGN, payload=alignment)


def fault(stack: bool = False) -> Operation:
    """Make the processor fault, by an undefined instruction or for want of stack: the batch fails."""
    return Operation(Code.FAULT, int(stack))


def spin(turns: int) -> Operation:
    """Turn a loop of two instructions, at least once, in a region `spin`: what tests the counter."""
    return Operation(Code.SPIN, turns)


def stack_used() -> Operation:
    """Most bytes of stack since the start, as the status."""
    return Operation(Code.STACK)


def add_class() -> Operation:
    """Make a spare row of the readout a class; the status is its index."""
    return Operation(Code.GROW)


def packed(kind: InputKind, inputs: Integers) -> bytes:
    """Inputs as edge_net_step takes them, step by step. Raises DataError."""
    x = np.asarray(inputs)
    low, high = (0, 1) if kind == InputKind.SPIKES else (-128, 127)
    if x.dtype.kind not in "biu" or (x.size and (x.min() < low or x.max() > high)):
        raise DataError(f"inputs of type {x.dtype}; integers in {low} .. {high} are needed")
    if kind == InputKind.SPIKES:
        return np.packbits(x != 0, axis=-1, bitorder="little").tobytes()
    return x.astype(np.int8).tobytes()


def answer(result: Result) -> Answer:
    """A window's result, read. Raises BatchError if the window could not run."""
    require(result)
    values = np.frombuffer(result.data, "<i4").astype(np.int64)
    classes = (len(values) - 1) // 2
    return Answer(result.status, int(values[0]), values[1 : 1 + classes], values[1 + classes :])


def streamed(result: Result, window_size: int) -> list[StreamedWindow]:
    """The windows that a `push` completed; window_size: bytes of a window's rows."""
    require(result)
    record = 8 + -(-window_size // 8) * 8
    windows = []
    for at in range(0, len(result.data), record):
        label, confidence = struct.unpack_from("<ii", result.data, at)
        windows.append(StreamedWindow(label, confidence, result.data[at + 8 : at + 8 + window_size]))
    return windows


def require(result: Result) -> None:
    """Raise BatchError unless an operation succeeded."""
    if result.status < 0:
        raise BatchError(f"{result.code.name.lower()} failed on the board with code {result.status}")


def run(name: str, operations: Sequence[Operation], extra: Sequence[str] = ()) -> list[Result]:
    """Carry out operations on a board, in order, and return as many results.

    extra : further arguments for the emulator. Raises BatchError, and what `boards.build` raises.
    """
    with tempfile.TemporaryDirectory(prefix="pyedge-") as folder:
        requests = b"".join(
            struct.pack("<4I", o.code, o.a, o.b, len(o.payload)) + o.payload + bytes(-len(o.payload) % 8)
            for o in operations
        )
        Path(folder, "operations.bin").write_bytes(requests)
        call = [*command(board(name), batch_firmware(name)), *extra]
        if board(name).machine:
            call += ["-serial", "none", "-semihosting-config", "enable=on,target=native"]
        try:
            done = subprocess.run(
                call, cwd=folder, capture_output=True, text=True, timeout=BATCH_SECONDS, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise BatchError(f"the test firmware of {name} ran longer than {BATCH_SECONDS} s") from None
        results = _read(Path(folder, "results.bin"))
        record = Path(folder, "fault.bin")
        where = _fault(record.read_bytes()) if record.is_file() else ""
    if done.returncode or len(results) != len(operations):
        unknown = done.stderr.strip() or f"exit status {done.returncode}"
        reason = EXIT_REASONS.get(done.returncode, unknown) + where
        at = min(len(results), len(operations) - 1)
        code = operations[at].code.name.lower()
        raise BatchError(f"the test firmware of {name} stopped at operation {at} ({code}): {reason}")
    return results


def _fault(record: bytes) -> str:
    _, status, pc, lr = struct.unpack("<4I", record)
    return f" (at {pc:#010x}, called from {lr:#010x}, status {status:#010x})"


def _read(path: Path) -> list[Result]:
    blob, at, results = path.read_bytes() if path.is_file() else b"", 0, []
    while at + 16 <= len(blob):
        code, status, size, _ = struct.unpack_from("<IiII", blob, at)
        results.append(Result(Code(code), status, blob[at + 16 : at + 16 + size]))
        at += 16 + size + -size % 8
    return results
