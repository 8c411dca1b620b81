"""Choosing an encoder's parameters from training recordings, never from test data."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .align import levels
from .datasets import Recording
from .encode import EncoderConfig, Integers, Rows, begin, code, measured, to_rows
from .errors import DataError

CLIPPED_SHARE = 0.001  # of values that may leave a row's eight bits
LOG_SHIFT = 3  # rows in 1/32 octave, the unit of the alignment's gains
TAIL_SHARE = 0.01  # of rows below the lowest and above the highest of the spike code's levels, each


def calibrate(
    config: EncoderConfig, recordings: Sequence[Recording], event_rate: float = 0.05
) -> EncoderConfig:
    """The encoder with its shift, and its centres, levels or threshold, set from the trials of recordings.

    Log kinds: centres at the median of the training rows, 32 steps an octave unless more than 0.1 % were
    clipped; levels of the spike code span the middle 98 %. Events: the smallest threshold at which a line
    fires in at most `event_rate` of the steps.
    Raises DataError without trials, or if no threshold makes events that rare.
    """
    parts = [
        measured(config, begin(config), r.emg[t.start : t.stop])[1] for r in recordings for t in r.trials
    ]
    parts = [p for p in parts if len(p)]
    if not parts:
        raise DataError("no trial is long enough to calibrate an encoder on")
    values = np.concatenate(parts)
    if config.log:
        config = replace(
            config,
            centre0=int(np.median(values[:, : config.channels])),
            centre1=int(np.median(values[:, config.channels :])),
        )
        config = replace(config, shift=_shift(config, values, LOG_SHIFT))
        return _with_levels(config, to_rows(config, values)) if config.kind == "log_spikes" else config
    config = replace(config, shift=_shift(config, values, 0))
    return config if config.kind == "direct" else _with_threshold(config, parts, event_rate)


def _shift(config: EncoderConfig, values: Integers, least: int) -> int:
    centred = values - np.repeat([config.centre0, config.centre1], config.channels) if config.log else values
    for shift in range(least, 15):
        scaled = centred >> shift
        if np.mean((scaled < -128) | (scaled > 127)) <= CLIPPED_SHARE:
            return shift
    return 15


def _with_levels(config: EncoderConfig, rows: Rows) -> EncoderConfig:
    low, high = (int(q) for q in np.quantile(rows, [TAIL_SHARE, 1 - TAIL_SHARE]))
    width = 0
    while width < 7 and config.levels << width < high - low + 1:
        width += 1
    middle = (low + high + 1 - (config.levels << width)) // 2
    return replace(config, level_low=max(-128, min(127, middle)), level_width=width)


def _with_threshold(config: EncoderConfig, parts: Sequence[Integers], event_rate: float) -> EncoderConfig:
    low, high = 1, 128
    while low < high:
        middle = (low + high) // 2
        if middle < 128 and _event_rate(replace(config, threshold=middle), parts) > event_rate:
            low = middle + 1
        else:
            high = middle
    if low == 128:
        raise DataError(
            f"even the highest threshold gives more than {event_rate:.3g} events a step; raise event_rate"
        )
    return replace(config, threshold=low)


def _event_rate(config: EncoderConfig, parts: Sequence[Integers]) -> float:
    fired = total = 0
    for values in parts:
        whole = len(values) // config.rows_per_step * config.rows_per_step
        spikes = code(config, to_rows(config, values[:whole])) if whole else np.zeros(0, bool)
        fired, total = fired + int(np.count_nonzero(spikes)), total + spikes.size
    return fired / max(total, 1)


def profile(
    config: EncoderConfig, rows: Rows, labels: NDArray[np.integer], classes: int
) -> tuple[tuple[int, ...], ...]:
    """Mean level of each class and channel over training windows: what the alignment's gains aim at.

    rows : (n, rows, row_values). Raises DataError for a class without windows.
    """
    level, y = levels(config, rows, 0), np.asarray(labels)
    missing = sorted(set(range(classes)) - set(y.tolist()))
    if missing:
        raise DataError(f"no training window of class {missing[0]}; the profile needs every class")
    means = np.stack([level[y == c].mean(0) for c in range(classes)])
    return tuple(tuple(int(v) for v in row) for row in np.clip(np.rint(means), -128, 127))
