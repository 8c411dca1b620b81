"""Cutting trials into windows: index ranges into recordings, never copies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, ShapeError
from .recording import Recording, Trial

# Prompts change before the muscle does. Half a second covers the reaction of nearly everyone and leaves
# nine tenths of a 5-second hold (docs/data.md).
REACTION_S = 0.5


def in_samples(seconds: float, rate_hz: float) -> int:
    """Seconds as a whole number of samples, to the nearest."""
    return round(seconds * rate_hz)


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of some recordings: window n is samples start[n] .. stop[n] - 1 of recordings[recording[n]].

    A decision about window n may use every sample of the recording before stop[n] and none after: encoders
    may look back beyond start[n], never ahead.
    """

    recordings: tuple[Recording, ...]
    recording: NDArray[np.int32]  # (n,) index into recordings
    trial: NDArray[np.int32]  # (n,) index into that recording's trials
    start: NDArray[np.int32]
    stop: NDArray[np.int32]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def samples(self, n: int) -> NDArray[np.int8]:
        """Window n, (length, channels), a view."""
        return self.recordings[self.recording[n]].emg[self.start[n] : self.stop[n]]

    def stacked(self) -> NDArray[np.int8]:
        """All windows, (n, length, channels). Raises ShapeError if their lengths differ."""
        lengths = np.unique(self.stop - self.start)
        if len(lengths) != 1:
            raise ShapeError(
                f"windows of {len(lengths)} different lengths cannot be stacked; cut them with one length"
            )
        return np.stack([self.samples(n) for n in range(len(self))])

    def take(self, which: NDArray[np.generic]) -> "Windows":
        """The windows at these positions, or where a mask is true."""
        return Windows(
            self.recordings,
            self.recording[which],
            self.trial[which],
            self.start[which],
            self.stop[which],
            self.label[which],
        )

    def trial_of(self, n: int) -> Trial:
        """The trial that window n was cut from."""
        return self.recordings[self.recording[n]].trials[self.trial[n]]

    def trial_ids(self) -> NDArray[np.int64]:
        """(n,) a number per trial, from 0, in order of appearance: equal where windows share a trial."""
        pairs = np.stack([self.recording, self.trial], 1)
        return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def live_windows(recordings: Sequence[Recording], length: int, stride: int, skip: int = 0) -> Windows:
    """Windows as a running device sees them: every `stride` samples, each whole inside one trial.

    length, stride, skip : samples; `skip` cuts the reaction time at a trial's start. Short trials give none.
    """
    if length < 1 or stride < 1 or skip < 0:
        raise ConfigError(
            f"windows of {length} samples every {stride}, skipping {skip}: 1, 1 and 0 are the least"
        )
    return _windows(
        recordings,
        lambda trial, _: [
            (a, a + length) for a in range(trial.start + skip, trial.stop - length + 1, stride)
        ],
    )


def whole_trials(
    recordings: Sequence[Recording],
    length: int | None = None,
    skip: int = 0,
    short: Literal["keep", "drop", "extend"] = "keep",
) -> Windows:
    """One window a trial: all of it after `skip` samples, or its first `length` samples.

    short : a trial with fewer samples stays short (encoders then see silence), is dropped, or is
        extended past its end into what the recording holds next.
    """
    if (length is not None and length < 1) or skip < 0:
        raise ConfigError(f"trials of {length} samples after {skip}: 1 and 0 are the least")

    def ranges(trial: Trial, samples: int) -> list[tuple[int, int]]:
        start = trial.start + skip
        if length is None:
            return [(start, trial.stop)] if start < trial.stop else []
        stop = min(start + length, samples if short == "extend" else trial.stop)
        complete = stop - start == length
        return [(start, stop)] if complete or (short != "drop" and start < stop) else []

    return _windows(recordings, ranges)


def fixed_windows(recordings: Sequence[Recording], length: int, shifts: Sequence[int] = (0,)) -> Windows:
    """`length` samples of every trial, `shifts` samples after its start, however long the trial is.

    What a trial lacks is what follows it; where the recording ends before, the window is its last samples.
    Recordings shorter than a window give none.
    """
    if length < 1 or not shifts or min(shifts) < 0:
        raise ConfigError(
            f"windows of {length} samples, {list(shifts)} after the start: 1 and 0 are the least"
        )

    def ranges(trial: Trial, samples: int) -> list[tuple[int, int]]:
        starts = dict.fromkeys(min(trial.start + shift, samples - length) for shift in shifts)
        return [(start, start + length) for start in starts if start >= 0]

    return _windows(recordings, ranges)


def peak_windows(recordings: Sequence[Recording], length: int) -> Windows:
    """The `length` neighbouring samples of every trial whose mean absolute value, over channels, is largest.

    For short gestures somewhere inside a longer trial. Trials shorter than that give none.
    """
    if length < 1:
        raise ConfigError(f"windows of {length} samples: 1 is the least")

    def peak(recording: Recording, trial: Trial) -> Trial:
        size = np.abs(recording.emg[trial.start : trial.stop].astype(np.int64)).sum(1)
        total = np.concatenate([[0], np.cumsum(size)])
        start = trial.start + int(np.argmax(total[length:] - total[:-length]))
        return replace(trial, start=start, length=length)

    inner = [r.with_trials([peak(r, t) for t in r.trials if t.length >= length]) for r in recordings]
    return _windows(inner, lambda trial, _: [(trial.start, trial.stop)])


def _windows(recordings, ranges) -> Windows:  # type: ignore[no-untyped-def]
    rows = [
        (r, t, start, stop, trial.label)
        for r, recording in enumerate(recordings)
        for t, trial in enumerate(recording.trials)
        for start, stop in ranges(trial, len(recording.emg))
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    recording, trial, start, stop = (table[:, k].astype(np.int32) for k in range(4))
    return Windows(tuple(recordings), recording, trial, start, stop, table[:, 4])
