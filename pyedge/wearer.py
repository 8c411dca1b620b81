"""A wearer's new session: a model learns from its first repetitions, anywhere, and is judged on the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pyedge.adapt import (
    BoardLearner,
    HostLearner,
    Policy,
    Progress,
    ReferenceLearner,
    Stretch,
    adapt,
    remembered,
)
from pyedge.encode import Alignment, EncoderConfig
from pyedge.errors import ConfigError
from pyedge.evaluation import Outcome
from pyedge.link import Board
from pyedge.predict import c_predictor, reference_predictor
from pyedge.quant.model import IntegerModel, Integers
from pyedge.runtime import Model, Net
from pyedge.task import Side, Task

Tick = Callable[[float], None]
Predicted = NDArray[np.int64]
OnPass = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a model learns from and is judged on."""

    new: Side  # the first repetitions of the new session, labelled
    old: Side  # the windows of old sessions that are remembered
    test: Side  # the new session's unseen remainder
    repetitions: int
    classes: tuple[str, ...]


def lessons_of(task: Task, policy: Policy, repetitions: int | None = None) -> Lessons:
    """Raises ConfigError where nothing is labelled."""
    k = task.recipe.data.repetitions if repetitions is None else repetitions
    if k < 1:
        raise ConfigError(f"{k} labelled repetitions; at least 1 is needed to learn from")
    new, test = task.new(k)
    old = task.old()
    picks = remembered(old.labels, len(task.classes), policy)
    kept = Side(old.rows[picks], old.labels[picks], old.windows.take(picks), old.fresh)
    return Lessons(new, kept, test, k, task.classes)


class Student(Protocol):
    """A model that learns and can be judged; `name` is where it runs."""

    name: str

    def learn(self, lessons: Lessons, policy: Policy, on_pass: OnPass | None = None) -> int:
        """Learn. Returns the updates made."""

    def predict(self, side: Side, tick: Tick) -> Predicted:
        """What it says of each window now."""

    def weights(self) -> tuple[Integers, ...]:
        """Its weights now, (fan_in, fan_out) each."""

    def alignment(self) -> Alignment:
        """How it takes the armband to sit."""


class ReferenceStudent:
    """The integer reference in NumPy."""

    name = "integer reference"

    def __init__(self, model: IntegerModel) -> None:
        self.learner = ReferenceLearner(model)

    def learn(self, lessons: Lessons, policy: Policy, on_pass: OnPass | None = None) -> int:
        return _adapt(self.learner, lessons, policy, on_pass)

    def predict(self, side: Side, tick: Tick) -> Predicted:
        return reference_predictor(self.learner.model, self.weights(), self.alignment())(side.rows, tick)

    def weights(self) -> tuple[Integers, ...]:
        return self.learner.state.weights

    def alignment(self) -> Alignment:
        return self.learner.alignment


class HostStudent:
    """The C runtime in this process."""

    name = "host C"

    def __init__(self, image: bytes) -> None:
        self.learner = HostLearner(image)

    def learn(self, lessons: Lessons, policy: Policy, on_pass: OnPass | None = None) -> int:
        return _adapt(self.learner, lessons, policy, on_pass)

    def predict(self, side: Side, tick: Tick) -> Predicted:
        net = Net(self.learner.net.model, weights=self.learner.net.learned_bytes())
        return c_predictor(self.learner.stream.encoder, net.run_window, self.alignment())(side.rows, tick)

    def weights(self) -> tuple[Integers, ...]:
        return self.learner.net.weights()

    def alignment(self) -> Alignment:
        return self.learner.stream.alignment

    def hash(self) -> str:
        """SHA-256 of what learning changed."""
        return self.learner.net.weights_hash()


class BoardStudent:
    """A board: it gets raw samples only, and encodes, keeps, learns and predicts by itself."""

    def __init__(self, board: Board, image: bytes, encoder: EncoderConfig) -> None:
        """Deploys the image."""
        board.deploy(image)
        self.name, self.board = board.info.name, board
        self.learner = BoardLearner(board, encoder, Model(image).window)

    def learn(self, lessons: Lessons, policy: Policy, on_pass: OnPass | None = None) -> int:
        self.learner.sends = iter([*_by_trial(lessons.new), *_by_window(lessons.old)])
        return _adapt(self.learner, lessons, policy, on_pass)

    def predict(self, side: Side, tick: Tick) -> Predicted:
        found: list[int] = []
        for stretch in _by_trial(side):
            if stretch is not None:
                found += self.learner.watch(stretch)
                tick(len(found))
        return np.array(found, np.int64)

    def weights(self) -> tuple[Integers, ...]:
        return self.board.weights()

    def alignment(self) -> Alignment:
        return self.board.alignment()

    def hash(self) -> str:
        """SHA-256 of what learning changed, read back."""
        return self.board.weights_hash()


def _by_window(side: Side) -> list[Stretch]:
    w = side.windows
    columns = (w.recording, w.start, w.stop, w.label)
    return [
        Stretch(w.recordings[r], int(a), int(b), int(y), side.fresh)
        for r, a, b, y in zip(*columns, strict=True)
    ]


def _by_trial(side: Side) -> list[Stretch | None]:
    """For each window: the stretch of its whole trial if it is the trial's first, else None."""
    ids, each = side.windows.trial_ids(), _by_window(side)
    first = np.diff(ids, prepend=-1) != 0
    last = np.diff(ids, append=-1) != 0
    stops = iter([each[n].stop for n in np.flatnonzero(last)])
    return [s._replace(stop=next(stops)) if f else None for s, f in zip(each, first, strict=True)]


class Adapted(NamedTuple):
    """A student before and after its lessons."""

    before: Outcome
    after: Outcome
    updates: int
    changed: float  # share of weights that differ


def study(
    student: Student,
    lessons: Lessons,
    policy: Policy,
    ticks: Callable[[str, float], None] = lambda *_: None,
    on_pass: OnPass | None = None,
) -> Adapted:
    """Judge, teach, judge again. ticks : called with "before", "learning" or "after" and the share done."""

    def judge(what: str) -> Outcome:
        count = len(lessons.test.labels)
        predicted = student.predict(lessons.test, lambda n: ticks(what, n / count))
        return Outcome(lessons.test.labels, predicted, lessons.classes)

    def passed(progress: Progress) -> None:
        ticks("learning", progress.passed / progress.passes)
        if on_pass is not None:
            on_pass(progress)

    before, old = judge("before"), student.weights()
    updates = student.learn(lessons, policy, passed)
    new = student.weights()
    moved = sum(int(np.count_nonzero(a != b)) for a, b in zip(old, new, strict=True))
    return Adapted(before, judge("after"), updates, moved / sum(w.size for w in old))


def _adapt(learner: Any, lessons: Lessons, policy: Policy, on_pass: OnPass | None) -> int:
    new, old = (lessons.new.rows, lessons.new.labels), (lessons.old.rows, lessons.old.labels)
    return adapt(learner, new, old, lessons.repetitions, policy, on_pass)
