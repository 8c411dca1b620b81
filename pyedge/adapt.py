"""Adapting a model to its wearer: which kept window is learned when, the same wherever the model runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pyedge.align import LogLikelihood, fit_alignment
from pyedge.datasets import Recording
from pyedge.encode import Alignment, EncoderConfig, Rows, encode, steps_completed
from pyedge.errors import ConfigError, DataError
from pyedge.link import Board
from pyedge.link.board import Window
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
        for name in ("passes", "memory", "halvings", "seed"):
            if not isinstance(getattr(self, name), int | np.integer):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; a whole number is needed")
        counts = (self.passes, self.memory, self.seed)
        if min(counts) < 0 or not 0 <= self.halvings <= 15 or not 0 <= self.remembered < float("inf"):
            raise ConfigError("passes, memory, seed and remembered are 0 or more, halvings 0 .. 15")
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
    for rows, labels in (new, old):
        if len(rows) != len(labels):
            raise DataError(f"{len(labels)} labels for {len(rows)} windows")
    for window, label in zip(*new, strict=True):
        learner.keep(window, int(label))
    if policy.align == "fit":
        learner.fit(repetitions)
    for window, label in zip(*old, strict=True):
        learner.keep(window, int(label))
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
        likelihood = reference_likelihood(self.model, self.state.weights, self.state.classes)
        self.alignment = fit_alignment(self.encoder, rows, labels, repetitions, likelihood).alignment
        return self.alignment

    def rehearse(self, windows: Sequence[int], decay: int) -> None:
        self.state = self.state._replace(rate_decay=decay)
        for window in windows:
            rows, label = self._kept[window]
            x = encode(self.encoder, rows, self.alignment)
            record = reference.run_window(self.model, self.state.weights, x)
            self.state = reference.learn(self.model, self.state, record, label).state


def reference_likelihood(
    model: IntegerModel, weights: tuple[Integers, ...], classes: int | None = None
) -> LogLikelihood:
    """Log likelihoods of coded windows (n, T, inputs) under the reference: (n, classes), in 1/64 bit.

    classes : active rows of the readout, None for those of the start.
    """

    def likelihood(windows: NDArray[np.generic]) -> Integers:
        runs = (reference.run_window(model, weights, window).scores for window in windows)
        found = [reference.active(model, scores, classes) for scores in runs]
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


class Stretch(NamedTuple):
    """Samples start .. stop - 1 of a recording: one window, or the live windows of a labelled gesture."""

    recording: Recording
    start: int
    stop: int
    label: int
    fresh: bool = False  # the stream begins with it; else it had been running


class BoardLearner:
    """A board as a learner: it gets raw samples only, and encodes, keeps and learns by itself.

    sends : for each window that `keep` will name, the stretch of samples to send; None where the window
            before came from the same stretch, which the board has then kept already.
    """

    def __init__(self, board: Board, encoder: EncoderConfig, steps: int) -> None:
        self.board, self.encoder, self.steps = board, encoder, steps
        self.sends: Iterator[Stretch | None] = iter(())

    def keep(self, rows: Rows, label: int) -> None:
        stretch = next(self.sends)
        if stretch is not None:
            for _ in self._windows(stretch):
                self.board.keep(stretch.label)

    def watch(self, stretch: Stretch) -> list[int]:
        """Send a stretch as `keep` does: the classes that the board sees in its windows."""
        return [window.label for window in self._windows(stretch)]

    def fit(self, repetitions: int) -> Alignment:
        return self.board.fit(repetitions)

    def rehearse(self, windows: Sequence[int], decay: int) -> None:
        self.board.rate(decay)
        self.board.rehearse(windows)

    def _windows(self, stretch: Stretch) -> Iterator[Window]:
        """Send a stretch as a running band would record it: its windows, as live_windows cuts them.

        Unless afresh, the stream starts as many whole strides earlier as a log encoder's moving mean
        looks back (and the sample before, for its first difference); the windows of those are dropped.
        Raises DataError for a stretch too short for a window, or too near to its recording's start.
        """
        hop, stride = self.encoder.hop, self.encoder.stride
        begin, early = stretch.start, 0
        if not stretch.fresh:
            early = -(-self.encoder.hops // stride) if self.encoder.log else 0
            first_end = steps_completed(self.encoder, stretch.start + self.steps * hop)
            begin = (first_end - self.steps - early * stride) * hop
        if begin < 0:
            raise DataError(f"sample {stretch.start} is too near the recording's start; skip more of it")
        if steps_completed(self.encoder, stretch.stop - begin) < self.steps:
            raise DataError(
                f"samples {begin} .. {stretch.stop - 1} do not make a window of {self.steps} steps; "
                "a board has no silence to add: leave short trials out"
            )
        self.board.reset("stream")
        yield from islice(self.board.stream(stretch.recording.emg[begin : stretch.stop]), early, None)


def _encoder(encoder: EncoderConfig | None) -> EncoderConfig:
    if encoder is None:
        raise ConfigError(
            "the model has no encoder: it takes encoded inputs, and nobody can keep its windows"
        )
    return encoder
