"""Adapting a model to its wearer: which kept window is learned when, the same wherever the model runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pyedge.align import LogLikelihood, fit_alignment
from pyedge.datasets import Recording, Trial
from pyedge.encode import Alignment, EncoderConfig, Rows, encode, steps_completed
from pyedge.errors import ConfigError, DataError
from pyedge.link import Board
from pyedge.quant import reference
from pyedge.quant.model import IntegerModel, Integers
from pyedge.runtime import Model, Net
from pyedge.runtime_stream import Stream

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Policy:
    """How a wearer's labelled windows are used; docs/decisions/0006-adaptation.md has what each is worth.

    passes     : times that each new window is learned.
    remembered : windows of earlier sessions learned for each new one, drawn at random.
    memory     : earlier windows kept for that, equally many of each class.
    halvings   : of the learning rate, spread over the passes.
    align      : "fit" rotation (and gains, where the image has a profile) to the new windows first.
    """

    passes: int = 40
    remembered: float = 0.25
    memory: int = 64
    halvings: int = 3
    align: Literal["fit", "none"] = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.passes < 0 or self.memory < 0 or not 0 <= self.halvings <= 15 or self.remembered < 0:
            raise ConfigError("passes, memory and remembered are 0 or more, halvings 0 .. 15")
        if self.align not in ("fit", "none"):
            raise ConfigError(f"align is {self.align!r}; choose 'fit' or 'none'")


class Learner(Protocol):
    """A net that keeps windows and learns from them, wherever it runs."""

    def keep(self, rows: Rows, label: int) -> None:
        """Keep a window, rows before alignment, (rows, row_values)."""

    def fit(self, repetitions: int) -> Alignment:
        """Fit the alignment to the windows kept so far."""

    def rehearse(self, windows: Sequence[int], decay: int) -> None:
        """Learn kept windows, by number, one after the other."""


class Lesson(NamedTuple):
    """One pass: kept windows in order, and how often the learning rate is halved."""

    windows: list[int]
    decay: int


class Progress(NamedTuple):
    """Where an adaptation stands after a pass."""

    passed: int
    passes: int
    updates: int


def remembered(labels: Labels, classes: int, policy: Policy) -> NDArray[np.intp]:
    """Which earlier windows are remembered: policy.memory of them, equally many of each class."""
    rng = np.random.default_rng([policy.seed, 1])
    each = policy.memory // classes
    found = [np.flatnonzero(labels == c) for c in range(classes)]
    picks = [rng.choice(f, min(each, len(f)), replace=False) for f in found]
    return np.concatenate(picks) if picks else np.zeros(0, np.intp)


def lessons(new: int, old: int, policy: Policy) -> Iterator[Lesson]:
    """What is learned in which order: windows 0 .. new - 1 are new, the `old` after them remembered."""
    rng = np.random.default_rng([policy.seed, 2])
    for number in range(policy.passes):
        windows: list[int] = []
        for window in rng.permutation(new):
            windows.append(int(window))
            extra = int(policy.remembered) + (rng.random() < policy.remembered % 1)
            windows += (new + rng.integers(old, size=extra if old else 0)).tolist()
        yield Lesson(windows, policy.halvings * number // policy.passes)


def adapt(
    learner: Learner,
    new: tuple[Rows, Labels],
    old: tuple[Rows, Labels],
    repetitions: int,
    policy: Policy | None = None,
    on_pass: Callable[[Progress], None] | None = None,
) -> int:
    """Teach a learner the wearer's new windows. Returns the updates made.

    new, old    : rows before alignment (n, rows, row_values) and labels (n,); the old are remembered ones.
    repetitions : labelled repetitions of each class in `new`, 1 .. 255.
    Raises DataError without new windows, and what the learner raises; what it learned until then stays.
    """
    policy = policy or Policy()
    if not len(new[1]):
        raise DataError("there are no labelled windows to learn from")
    for rows, label in zip(*new, strict=True):
        learner.keep(rows, int(label))
    if policy.align == "fit":
        learner.fit(repetitions)
    for rows, label in zip(*old, strict=True):
        learner.keep(rows, int(label))
    updates = 0
    for number, lesson in enumerate(lessons(len(new[1]), len(old[1]), policy)):
        learner.rehearse(lesson.windows, lesson.decay)
        updates += len(lesson.windows)
        if on_pass is not None:
            on_pass(Progress(number + 1, policy.passes, updates))
    return updates


class ReferenceLearner:
    """The integer reference as a learner."""

    def __init__(self, model: IntegerModel) -> None:
        self.model, self.encoder = model, _encoder(model.encoder)
        self.state = reference.fresh(model)
        self.alignment = self.encoder.alignment
        self._kept: list[tuple[Rows, int]] = []

    def keep(self, rows: Rows, label: int) -> None:
        self._kept.append((rows, label))

    def fit(self, repetitions: int) -> Alignment:
        rows, labels = np.stack([k[0] for k in self._kept]), np.array([k[1] for k in self._kept])
        likelihood = reference_likelihood(self.model, self.state.weights)
        self.alignment = fit_alignment(self.encoder, rows, labels, repetitions, likelihood).alignment
        return self.alignment

    def rehearse(self, windows: Sequence[int], decay: int) -> None:
        self.state = self.state._replace(rate_decay=decay)
        for window in windows:
            rows, label = self._kept[window]
            x = encode(self.encoder, rows, self.alignment)
            record = reference.run_window(self.model, self.state.weights, x)
            self.state = reference.learn(self.model, self.state, record, label).state


def reference_likelihood(model: IntegerModel, weights: tuple[Integers, ...]) -> LogLikelihood:
    """Log likelihoods of coded windows (n, T, inputs) under the reference: (n, classes), in 1/64 bit."""

    def likelihood(windows: NDArray[np.generic]) -> Integers:
        found = [reference.run_window(model, weights, window).scores for window in windows]
        return np.stack([reference.log_likelihood(model, scores) for scores in found])

    return likelihood


class HostLearner:
    """The C runtime in this process as a learner."""

    def __init__(self, image: bytes) -> None:
        self.net = Net(Model(image), mode="learn")
        self.stream = Stream(self.net, ring=2)
        self._kept: list[tuple[Rows, int]] = []

    def keep(self, rows: Rows, label: int) -> None:
        self._kept.append((rows, label))

    def fit(self, repetitions: int) -> Alignment:
        return self.stream.fit(np.stack([k[0] for k in self._kept]), [k[1] for k in self._kept], repetitions)

    def rehearse(self, windows: Sequence[int], decay: int) -> None:
        self.net.rate_decay(decay)
        for window in windows:
            rows, label = self._kept[window]
            self.stream.replay(rows)
            self.net.learn(label)


class BoardLearner:
    """A board as a learner: it keeps windows of the raw samples it is sent, and learns them itself.

    `keep_trial` and `keep_window` stand in for keep: a board encodes for itself.
    """

    def __init__(self, board: Board, encoder: EncoderConfig, steps: int) -> None:
        self.board, self.encoder, self.steps = board, encoder, steps

    def keep(self, rows: Rows, label: int) -> None:
        """Nothing: the window was kept when its samples were sent."""

    def keep_trial(self, recording: Recording, trial: Trial, skip: int) -> int:
        """Send a labelled gesture as the band would record it, and keep its live windows. Returns how many.

        The windows are those that live_windows and window_rows cut with this skip (samples) and the image's
        stride. Samples before the trial that a log encoder's moving mean looks back to are sent too.
        """
        return self._keep(recording, trial.start + skip, trial.stop, trial.label)

    def keep_window(self, recording: Recording, start: int, stop: int, label: int) -> None:
        """Send and keep one window, samples start .. stop - 1 of a recording."""
        if self._keep(recording, start, stop, label, most=1) != 1:
            raise DataError(f"samples {start} .. {stop - 1} are not one window of {self.steps} steps")

    def _keep(self, recording: Recording, start: int, stop: int, label: int, most: int | None = None) -> int:
        hop, stride = self.encoder.hop, self.encoder.stride
        first_end = steps_completed(self.encoder, start + self.steps * hop + self._primer)
        strides = -(-(self.encoder.hops - 1) // stride) if self.encoder.log else 0
        begin = (first_end - self.steps - strides * stride) * hop
        if begin < 0:
            raise DataError(f"sample {start} is too near the recording's start; skip more of it")
        self.board.reset("stream")
        kept = 0
        for number, _ in enumerate(self.board.stream(recording.emg[begin:stop])):
            if number >= strides and (most is None or kept < most):
                self.board.keep(label)
                kept += 1
        return kept

    @property
    def _primer(self) -> int:
        return int(self.encoder.kind == "difference")  # its first sample is only a reference

    def fit(self, repetitions: int) -> Alignment:
        return self.board.fit(repetitions)

    def rehearse(self, windows: Sequence[int], decay: int) -> None:
        self.board.rate(decay)
        self.board.rehearse(windows)


def _encoder(encoder: EncoderConfig | None) -> EncoderConfig:
    if encoder is None:
        raise ConfigError(
            "the model has no encoder: it takes encoded inputs, and nobody can keep its windows"
        )
    return encoder
