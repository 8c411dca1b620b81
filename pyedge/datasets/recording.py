"""What an EMG recording is, and what is checked before samples are believed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import (
    ChannelError,
    LabelError,
    SamplingGapError,
    SamplingRateError,
    ShapeError,
    ValueRangeError,
)

CHANNELS = 8
MAX_GAP_S = 0.1
RATE_TOLERANCE = 0.02


@dataclass(frozen=True)
class Trial:
    """One repetition of one gesture: samples start .. start + length - 1 of its recording."""

    start: int
    length: int
    label: int
    rep: int  # repetition of this label within the session, from 0

    @property
    def stop(self) -> int:
        return self.start + self.length


@dataclass(frozen=True, eq=False)
class Recording:
    """An uninterrupted stretch of samples and the trials inside it.

    Nothing outside a recording precedes its first sample, so an encoder starts afresh there
    and may look back to anything before a trial. (dataset, subject, index) names a recording.
    """

    emg: NDArray[np.int8]  # (samples, channels), device units
    rate_hz: float
    dataset: str
    subject: str
    session: int  # from 1
    day: int | None  # from 1; None where the origin does not say
    index: int  # position in the subject's file
    trials: tuple[Trial, ...]

    @property
    def key(self) -> tuple[str, str, int]:
        return self.dataset, self.subject, self.index

    def with_trials(self, trials: Sequence[Trial]) -> "Recording":
        """The same samples with other trials."""
        return replace(self, trials=tuple(trials))


def checked_samples(emg: object, where: str, channels: int = CHANNELS) -> NDArray[np.int8]:
    """Samples as int8 (samples, channels), or a named error.

    emg : integers, or floats that are whole, in -128 .. 127; `where` names the source in messages.
    Raises ShapeError, ChannelError, ValueRangeError.
    """
    array = np.asarray(emg)
    if array.dtype.kind not in "iuf":
        raise ShapeError(f"{where}: samples of type {array.dtype}; numbers are needed")
    if array.ndim != 2 or len(array) == 0:
        raise ShapeError(
            f"{where}: samples of shape {array.shape}; (samples, {channels}) is needed, at least one sample"
        )
    if array.shape[1] != channels:
        raise ChannelError(f"{where}: {array.shape[1]} channels; this data set has {channels}")
    if array.dtype.kind == "f":
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            raise ValueRangeError(
                f"{where}: sample {bad[0][0]} of channel {bad[0][1]} is {array[tuple(bad[0])]} "
                f"({len(bad)} such values); repair or drop the recording"
            )
        if np.any(array != np.rint(array)):
            raise ValueRangeError(
                f"{where}: samples are not whole numbers; give raw device units, not filtered or scaled ones"
            )
    low, high = array.min(), array.max()
    if low < -128 or high > 127:
        raise ValueRangeError(
            f"{where}: samples from {low} to {high}; the armband's raw range is -128 .. 127"
        )
    return array.astype(np.int8)


def check_times(times_s: NDArray[np.float64], rate_hz: float, where: str) -> None:
    """Refuse time stamps (seconds, one per sample) with a gap or another rate than stated.

    The armband sends samples in pairs, so jitter below MAX_GAP_S is normal; the mean rate must be within 2 %.
    Raises ShapeError, SamplingGapError, SamplingRateError.
    """
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or len(times) < 2:
        raise ShapeError(
            f"{where}: time stamps of shape {times.shape}; one per sample is needed, at least two"
        )
    if not np.all(np.isfinite(times)):
        raise SamplingGapError(f"{where}: time stamp {int(np.argmax(~np.isfinite(times)))} is not a number")
    steps = np.diff(times)
    if steps.min() < 0:
        raise SamplingGapError(
            f"{where}: time runs backwards after sample {int(steps.argmin())}; sort or drop the recording"
        )
    if steps.max() > MAX_GAP_S + 1 / rate_hz:
        worst = int(steps.argmax())
        raise SamplingGapError(
            f"{where}: {steps[worst]:.3f} s without a sample after sample {worst} "
            f"(about {steps[worst] * rate_hz:.0f} lost at {rate_hz:g} Hz); cut the recording there"
        )
    measured = (len(times) - 1) / (times[-1] - times[0]) if times[-1] > times[0] else np.inf
    if abs(measured / rate_hz - 1) > RATE_TOLERANCE:
        raise SamplingRateError(
            f"{where}: sampled at {measured:.1f} Hz, not {rate_hz:g} Hz; state the true rate or resample"
        )


def check_duration(samples: int, rate_hz: float, seconds: float, tolerance: float, where: str) -> None:
    """Refuse a stretch whose known duration contradicts its rate; the only check without time stamps."""
    measured = samples / seconds
    if abs(measured / rate_hz - 1) > tolerance:
        raise SamplingRateError(
            f"{where}: {samples} samples in {seconds:g} s are {measured:.1f} Hz, not {rate_hz:g} Hz; "
            "samples were lost, or another rate must be stated"
        )


def recording_from_samples(
    emg: object,
    rate_hz: float,
    *,
    classes: int,
    trials: Sequence[Trial] = (),
    times_s: NDArray[np.float64] | None = None,
    dataset: str = "own",
    subject: str = "wearer",
    session: int = 1,
    day: int | None = None,
    index: int = 0,
    channels: int = CHANNELS,
) -> Recording:
    """A recording from one's own samples, checked like a file's, and by its time stamps if given.

    Raises the errors of checked_samples, check_times and check_trials.
    """
    where = f"{dataset}/{subject} recording {index}"
    if not 1 <= rate_hz <= 65535:
        raise SamplingRateError(f"{where}: a rate of {rate_hz} Hz; 1 .. 65535 is possible")
    samples = checked_samples(emg, where, channels)
    if times_s is not None:
        if len(times_s) != len(samples):
            raise ShapeError(f"{where}: {len(times_s)} time stamps for {len(samples)} samples")
        check_times(times_s, rate_hz, where)
    check_trials(trials, len(samples), classes, where)
    return Recording(samples, float(rate_hz), dataset, subject, session, day, index, tuple(trials))


def check_trials(trials: Sequence[Trial], samples: int, classes: int, where: str) -> None:
    """Refuse trials outside the recording (ShapeError) or with a label that is no class (LabelError)."""
    for trial in trials:
        if trial.length < 1 or trial.start < 0 or trial.stop > samples:
            raise ShapeError(
                f"{where}: a trial covers samples {trial.start} .. {trial.stop - 1} of {samples}"
            )
        if not 0 <= trial.label < classes:
            raise LabelError(
                f"{where}: label {trial.label} at sample {trial.start}; classes are 0 .. {classes - 1}"
            )


def runs(values: NDArray[np.generic]) -> list[tuple[int, int]]:
    """(start, length) of each stretch of equal neighbours."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    starts = np.concatenate(([0], edges))
    return [(int(a), int(b - a)) for a, b in zip(starts, np.append(edges, len(values)), strict=True)]


def numbered(found: Sequence[tuple[int, int, int]]) -> tuple[Trial, ...]:
    """Trials from (start, length, label), each label's repetitions counted from 0 in order."""
    seen: dict[int, int] = {}
    trials = []
    for start, length, label in found:
        rep = seen.get(label, 0)
        seen[label] = rep + 1
        trials.append(Trial(start, length, label, rep))
    return tuple(trials)
