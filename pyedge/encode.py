"""Spike encoders: raw samples to network input in three integer stages, the same in a batch and in a stream.

docs/arithmetic.md, section 4, is normative; the C runtime computes the same bits.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from .datasets import Windows
from .errors import ConfigError, DataError, FieldError

Integers = NDArray[np.int64]
Rows = NDArray[np.int8]
Kind = Literal["difference", "delta", "log_frames", "log_spikes", "direct"]
Mode = Literal["any", "last"]

KINDS: tuple[Kind, ...] = get_args(Kind)  # in the order of the image's codes, from 1
MODES: tuple[Mode, ...] = get_args(Mode)  # in the order of the image's codes, from 0

LOG2F = np.array([round(256 * math.log2(1 + f / 64)) for f in range(64)])
GAIN = np.array([round(4096 * 2 ** (k / 32)) for k in range(32)])
ALIGNMENT = struct.Struct("<65b")


@dataclass(frozen=True)
class EncoderConfig:
    """An encoder; the fields are the image's (docs/image.md, section 3), with its ranges.

    Raises FieldError for a value out of range or one that its kind does not use.
    """

    kind: Kind
    channels: int = 8
    hop: int = 1  # samples a step
    hops: int = 1  # hops in a log window
    shift: int = 0
    mode: Mode = "any"
    levels: int = 0
    level_low: int = 0
    level_width: int = 0
    threshold: int = 0
    centre0: int = 0
    centre1: int = 0
    rate_hz: int = 200
    stride: int = 1  # steps between the starts of live windows
    span: int = 8  # quarter electrodes tried on either side by the alignment's fit
    penalty: int = 14  # of the fit: 1 / 64 bit a window and electrode, at one repetition
    gain_limit: int = 32
    rotation: int = 0
    gains: tuple[int, ...] = ()  # one a channel; empty: all 0
    profile: tuple[tuple[int, ...], ...] = ()  # (classes)(channels), mean levels of the training data

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FieldError("kind", f"is {self.kind!r}; there are {', '.join(KINDS)}")
        if self.mode not in MODES:
            raise FieldError("mode", f"is {self.mode!r}; there are {', '.join(MODES)}")
        where = f"of a {self.kind} encoder"
        levels = self.kind == "log_spikes"
        events = self.kind in ("difference", "delta")
        for field, low, high in (
            ("channels", 1, 64),
            ("hop", 1, 256),
            ("hops", 1, 32 if self.log else 1),
            ("shift", 0, 15),
            ("levels", 2 * levels, 16 * levels),
            ("level_low", -128 * levels, 127 * levels),
            ("level_width", 0, 7 * levels),
            ("threshold", int(events), 127 * events),
            ("centre0", -32768 * self.log, 32767 * self.log),
            ("centre1", -32768 * self.log, 32767 * self.log),
            ("rate_hz", 1, 65535),
            ("stride", 1, 65535),
            ("span", 0, 64),
            ("penalty", 0, 255),
            ("gain_limit", 0, 127),
            ("rotation", -128, 127),
        ):
            value = getattr(self, field)
            if not isinstance(value, int | np.integer):
                raise FieldError(field, f"{where} is {value!r}; an integer is needed")
            if not low <= value <= high:
                raise FieldError(field, f"{where} is {value}; {low} .. {high} is possible")
        if self.mode == "last" and self.kind != "difference":
            raise FieldError("mode", f"{where} is 'last'; that is for difference encoders")
        for name, values in (("gains", self.gains), *(("profile", row) for row in self.profile)):
            if values and len(values) != self.channels:
                raise FieldError(name, f"{where} has {len(values)} values for {self.channels} channels")
            if any(not (isinstance(v, int | np.integer) and -128 <= v <= 127) for v in values):
                raise FieldError(name, f"{where} has other values than integers in -128 .. 127")

    @property
    def log(self) -> bool:
        """Rows are logarithms."""
        return self.kind in ("log_frames", "log_spikes")

    @property
    def spikes(self) -> bool:
        """The network gets spikes; frames otherwise."""
        return self.kind in ("difference", "delta", "log_spikes")

    @property
    def row_values(self) -> int:
        """Values of one row."""
        return self.channels if self.kind in ("delta", "direct") else 2 * self.channels

    @property
    def rows_per_step(self) -> int:
        """Rows that one time step of the network takes."""
        return self.hop if self.kind == "delta" else 1

    @property
    def inputs(self) -> int:
        """Inputs of the network."""
        if self.kind == "delta":
            return 2 * self.channels
        return self.row_values * max(self.levels, 1)

    @property
    def alignment(self) -> "Alignment":
        """The alignment that the image starts with."""
        return Alignment(self.rotation, self.gains or (0,) * self.channels)


class Alignment(NamedTuple):
    """How this wearer's armband sits, against the training data."""

    rotation: int  # quarter electrodes, -128 .. 127
    gains: tuple[int, ...]  # per channel, 1/32 octave, -128 .. 127

    def packed(self) -> bytes:
        """As C has it: i8 rotation, i8[64] gains. Raises DataError."""
        try:
            return ALIGNMENT.pack(self.rotation, *self.gains, *(0,) * (64 - len(self.gains)))
        except struct.error:
            raise DataError(
                f"{self} is no alignment: a rotation and at most 64 gains, integers in -128 .. 127"
            ) from None


# Measure: section 4.1 and 4.2


def log2(v: Integers) -> Integers:
    """LOG2 of section 4.1: v in 1 .. 2^32 - 1, in 1/256 octave."""
    n = np.frexp(v.astype(np.float64))[1].astype(np.int64) - 1
    return 256 * n + LOG2F[(v * 64 >> n) - 64]


class MeasureState(NamedTuple):
    """Where a stream stands between two samples."""

    prev: Integers  # the last sample, (channels,); no rows before the first sample: (0, channels)
    pending: Integers  # what the unfinished hop has seen, (samples, values)
    sums: Integers  # log kinds: sums of the last hops, at most hops - 1, (hops, values)


def begin(config: EncoderConfig) -> MeasureState:
    """A stream before its first sample."""
    c, values = config.channels, 2 * config.channels if config.log else config.channels
    return MeasureState(
        np.zeros((0, c), np.int64), np.zeros((0, values), np.int64), np.zeros((0, values), np.int64)
    )


def measure(
    config: EncoderConfig, state: MeasureState, samples: NDArray[np.integer]
) -> tuple[MeasureState, Rows]:
    """Take samples into a stream: (new state, rows completed by them).

    samples : int16 range, (n, channels), n may be 0. Rows are int8, (rows, row_values).
    Any split of the samples gives the same rows. Raises DataError for other shapes, types or ranges.
    """
    state, values = measured(config, state, samples)
    return state, to_rows(config, values)


def to_rows(config: EncoderConfig, values: Integers) -> Rows:
    """Measured values as rows: centred (log kinds), shifted, clamped."""
    if config.log:
        values = values - np.repeat([config.centre0, config.centre1], config.channels)
    return np.clip(values >> config.shift, -128, 127).astype(np.int8)


def measured(
    config: EncoderConfig, state: MeasureState, samples: NDArray[np.integer]
) -> tuple[MeasureState, Integers]:
    """As measure, but the values before centre, shift and clamp; calibration looks at these."""
    x = _checked(config, samples)
    prev, pending, sums = state
    last = x[-1:] if len(x) else prev
    if config.kind == "delta":
        return MeasureState(last, pending, sums), x
    if config.kind == "difference":
        fresh = np.diff(np.concatenate([prev, x]), axis=0)
    elif config.kind == "direct":
        fresh = x
    else:
        before = np.concatenate([prev if len(prev) else x[:1], x[:-1]])
        fresh = np.concatenate([np.abs(x), np.abs(x - before[: len(x)])], 1)
    pending = np.concatenate([pending, fresh])
    whole = len(pending) // config.hop
    hops = pending[: whole * config.hop].reshape(whole, config.hop, pending.shape[1])
    pending = pending[whole * config.hop :]
    if config.kind == "direct":
        values = hops[:, -1]
    elif config.kind == "difference":
        ends = (hops.max(1), hops.min(1)) if config.mode == "any" else (hops[:, -1], hops[:, -1])
        values = np.concatenate(ends, 1)
    else:
        sums = np.concatenate([sums, hops.sum(1)])
        values = _log_means(config, sums, whole)
        sums = sums[max(0, len(sums) - config.hops + 1) :]
    return MeasureState(last, pending, sums), values


def _log_means(config: EncoderConfig, sums: Integers, new: int) -> Integers:
    # The last `new` hops end a window each; earlier ones are what these windows look back to.
    ends = np.arange(len(sums) - new, len(sums)) + 1
    starts = np.maximum(0, ends - config.hops)
    total = np.concatenate([np.zeros((1, sums.shape[1]), np.int64), np.cumsum(sums, 0)])
    n = (config.hop * (ends - starts))[:, None]
    return log2(total[ends] - total[starts] + n) - log2(n)


def _checked(config: EncoderConfig, samples: NDArray[np.integer]) -> Integers:
    if samples.ndim != 2 or samples.shape[1] != config.channels:
        raise DataError(f"samples of shape {samples.shape}; the encoder takes (samples, {config.channels})")
    if samples.dtype.kind not in "iu":
        raise DataError(f"samples of type {samples.dtype}; the encoder takes raw integers")
    if len(samples) and (samples.min() < -32768 or samples.max() > 32767):
        raise DataError(f"samples from {samples.min()} to {samples.max()}; 16 bits are -32768 .. 32767")
    return samples.astype(np.int64)


def measure_all(config: EncoderConfig, samples: NDArray[np.integer]) -> Rows:
    """Rows of a whole recording, from a fresh start."""
    return measure(config, begin(config), samples)[1]


# Align: section 4.3


def align(config: EncoderConfig, rows: Rows, alignment: Alignment) -> Rows:
    """Rows as they would be had the armband sat as in training; any leading dimensions. Raises DataError."""
    if len(alignment.gains) != config.channels:
        raise DataError(f"{len(alignment.gains)} gains for {config.channels} channels")
    blocks = rows.reshape(*rows.shape[:-1], -1, config.channels).astype(np.int64)
    whole, f = divmod(alignment.rotation, 4)
    near, far = np.roll(blocks, -whole, -1), np.roll(blocks, -whole - 1, -1)
    y = ((4 - f) * near + f * far + 2) >> 2
    gains = np.array(alignment.gains, np.int64)
    if config.log:
        z = y + gains
    else:
        m, e = GAIN[gains % 32], gains // 32
        z = (y * m + (1 << (11 - e))) >> (12 - e)
    return np.clip(z, -128, 127).astype(np.int8).reshape(rows.shape)


# Code: section 4.4


def code(config: EncoderConfig, rows: Rows) -> NDArray[np.bool_] | Rows:
    """Network input of windows of aligned rows: (..., rows, row_values) to (..., steps, inputs).

    bool for spikes, int8 for frames. Each window starts afresh.
    """
    if config.kind in ("log_frames", "direct"):
        return rows
    v = rows.astype(np.int64)
    if config.kind == "difference":
        c = config.channels
        return np.concatenate([v[..., :c] >= config.threshold, v[..., c:] <= -config.threshold], -1)
    if config.kind == "log_spikes":
        level = np.clip((v - config.level_low) >> config.level_width, 0, config.levels - 1)
        return (level[..., None] == np.arange(config.levels)).reshape(*v.shape[:-1], config.inputs)
    return _delta_events(config, v)


def _delta_events(config: EncoderConfig, v: Integers) -> NDArray[np.bool_]:
    events = np.zeros((*v.shape[:-1], config.inputs), bool)
    reference = v[..., 0, :]
    for row in range(1, v.shape[-2]):
        up = v[..., row, :] - reference >= config.threshold
        down = reference - v[..., row, :] >= config.threshold
        events[..., row, :] = np.concatenate([up, down], -1)
        reference = np.where(up | down, v[..., row, :], reference)
    steps = v.shape[-2] // config.hop
    return np.any(events.reshape(*v.shape[:-2], steps, config.hop, config.inputs), axis=-2)


def encode(config: EncoderConfig, rows: Rows, alignment: Alignment | None = None) -> NDArray[np.bool_] | Rows:
    """Align and code windows of rows; the default alignment is the encoder's own."""
    return code(config, align(config, rows, alignment or config.alignment))


# Windows


class Stream:
    """A running encoder: samples in, rows of live windows out, as on the board.

    A window of `steps` steps begins every config.stride steps; overlapping windows share rows.
    """

    def __init__(self, config: EncoderConfig, steps: int) -> None:
        self.config = config
        self.steps = _window_steps(steps)
        self._state = begin(config)
        self._rows = np.zeros((0, config.row_values), np.int8)
        self._to_skip = 0  # rows before the next window's start

    def push(self, samples: NDArray[np.integer]) -> Iterator[Rows]:
        """Rows before alignment, (rows, row_values), of each window these samples complete."""
        self._state, fresh = measure(self.config, self._state, samples)
        self._rows = np.concatenate([self._rows, fresh])
        per_step = self.config.rows_per_step
        done: list[Rows] = []
        while True:
            skipped = min(self._to_skip, len(self._rows))
            self._rows, self._to_skip = self._rows[skipped:], self._to_skip - skipped
            if self._to_skip or len(self._rows) < self.steps * per_step:
                return iter(done)
            done.append(self._rows[: self.steps * per_step])
            self._to_skip = self.config.stride * per_step


def steps_completed(config: EncoderConfig, samples: int) -> int:
    """Time steps that the first `samples` samples of a stream complete."""
    return max(0, samples - (config.kind == "difference")) // config.hop


def window_rows(config: EncoderConfig, windows: Windows, steps: int, fresh: bool = False) -> Rows:
    """Rows before alignment of windows of recordings, (n, rows, row_values).

    As a running device has them: the stream began with the recording, and a window is the last `steps` steps
    complete at its stop, so rows may look back before its start and never past its stop.
    fresh : each stream begins at its window's start instead and gives its first `steps` steps; what a shorter
        window lacks is silence (difference and delta encoders only).
    Raises DataError for a window with too few steps.
    """
    _window_steps(steps)
    per_step = config.rows_per_step
    out = np.zeros((len(windows), steps * per_step, config.row_values), np.int8)
    streams: dict[int, Rows] = {}
    for n in range(len(windows)):
        r = int(windows.recording[n])
        if fresh:
            rows = measure_all(config, windows.samples(n))
            got = min(steps, steps_completed(config, int(windows.stop[n] - windows.start[n])))
            first = 0
        else:
            if r not in streams:
                streams[r] = measure_all(config, windows.recordings[r].emg)
            rows = streams[r]
            got = min(steps, steps_completed(config, int(windows.stop[n])))
            first = steps_completed(config, int(windows.stop[n])) - got
        if got < steps and not (fresh and config.kind in ("difference", "delta")):
            raise DataError(
                f"window {n} of recording {windows.recordings[r].key} has {got} of {steps} steps; "
                "cut longer windows, or skip more of each trial's start"
            )
        used = rows[first * per_step : (first + got) * per_step]
        out[n, : len(used)] = used
        if config.kind == "delta" and 0 < len(used) < out.shape[1]:
            out[n, len(used) :] = used[-1]  # a signal that stands still has no events
    return out


def _window_steps(steps: int) -> int:
    if steps < 1:
        raise ConfigError(f"windows of {steps} steps; at least 1 is needed")
    return steps
