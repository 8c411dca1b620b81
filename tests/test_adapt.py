"""Adaptation: the same lessons give the same weights in the reference, on the host and over the link."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyedge import image
from pyedge.adapt import Policy, ReferenceLearner, adapt, lessons, remembered
from pyedge.datasets import Recording, Trial, live_windows, load, select
from pyedge.encode import EncoderConfig, window_rows
from pyedge.errors import ConfigError, DataError
from pyedge.link import Board
from pyedge.link.loopback import Loopback
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind, Surrogate
from pyedge.task import Side
from pyedge.wearer import BoardStudent, HostStudent, Lessons, ReferenceStudent

STEPS = 10
LOG = EncoderConfig("log_frames", hop=5, hops=5, shift=3, centre0=681, centre1=826, stride=4, span=2)
EVENTS = EncoderConfig("difference", hop=5, threshold=12, stride=5, span=1, penalty=0)


def model_of(encoder: EncoderConfig) -> IntegerModel:
    """A network that has seen nothing, and takes large steps."""
    rng = np.random.default_rng(5)
    hidden, kind = 24, InputKind.SPIKES if encoder.spikes else InputKind.FRAMES
    theta = 256 * (60 if encoder.spikes else 4000)
    first = IntegerLayer(
        NeuronKind.LIF,
        rng.integers(-100, 101, (encoder.inputs, hidden)),
        np.zeros(hidden),
        np.full(hidden, theta),
        np.full(hidden, theta // STEPS),
        learns=True,
        surrogate=Surrogate.RECTANGULAR,
        down_shift=6,
        input_shift=0 if encoder.spikes else 5,
        reset_mult=40000,
        reset_shift=36,
        gate_width=theta // 512,
    )
    readout = IntegerLayer(
        NeuronKind.LINEAR, rng.integers(-100, 101, (hidden, 8)), np.zeros(8), 0, 0, learns=True, rate_shift=3
    )
    return IntegerModel(
        STEPS, kind, (first, readout), score_mult=40000, score_shift=21, seed=9, encoder=encoder
    )


def short(trial: Trial, first: int) -> Trial:
    """A second of a gesture, from its start or later."""
    return Trial(trial.start + first, 200, trial.label, trial.rep)


def side(encoder: EncoderConfig, recordings: tuple[Recording, ...], first: int) -> Side:
    cut = tuple(r.with_trials([short(t, first) for t in r.trials]) for r in recordings)
    windows = live_windows(cut, STEPS * encoder.hop, encoder.stride * encoder.hop, skip=101)
    return Side(window_rows(encoder, windows, STEPS), windows.label, windows)


def lessons_for(encoder: EncoderConfig, policy: Policy) -> Lessons:
    data = load("myo_wrist_embedded")
    mine = data.of(data.subjects[0])
    new = side(encoder, select(mine, lambda r, t: r.session == 3 and t.rep == 0), 0)
    old = side(encoder, select(mine, lambda r, t: r.session == 1 and t.rep == 2), 300)
    picks = remembered(old.labels, 8, policy)
    kept = Side(old.rows[picks], old.labels[picks], old.windows.take(picks))
    return Lessons(new, kept, new, 1, data.classes)


@pytest.mark.parametrize("align", ["none", "fit"])
@pytest.mark.parametrize("encoder", [LOG, EVENTS], ids=lambda e: e.kind)
def test_the_same_lessons_give_the_same_weights_everywhere(encoder: EncoderConfig, align: str) -> None:
    policy = Policy(passes=3, memory=16, remembered=0.5, halvings=2, align=align)  # type: ignore[arg-type]
    model = model_of(encoder)
    blob, given_lessons = image.write(model), lessons_for(encoder, policy)
    with Board(Loopback()) as board:
        students = [ReferenceStudent(model), HostStudent(blob), BoardStudent(board, blob, encoder)]
        counts = [student.learn(given_lessons, policy, None) for student in students]
        weights = [student.weights() for student in students]
        assert len({student.alignment() for student in students}) == 1
        predicted = [s.predict(given_lessons.test, lambda _: None).tolist() for s in students]
        assert students[1].hash() == students[2].hash()  # type: ignore[union-attr]
    assert len(set(counts)) == 1 and counts[0] > 3 * len(given_lessons.new.labels)
    for one, other in pairwise(weights):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    moved = [np.mean(a != b.weights) for a, b in zip(weights[0], model.layers, strict=True)]
    assert min(moved) > 0.01
    assert predicted[0] == predicted[1] == predicted[2]


@given(st.integers(1, 30), st.integers(0, 20), st.integers(0, 12), st.floats(0, 2), st.integers(0, 15))
def test_every_new_window_is_learned_once_a_pass_and_the_rate_falls(
    new: int, old: int, passes: int, share: float, halvings: int
) -> None:
    policy = Policy(passes=passes, remembered=share, halvings=halvings)
    done = list(lessons(new, old, policy))
    assert done == list(lessons(new, old, policy))
    assert len(done) == passes
    for lesson in done:
        assert sorted(w for w in lesson.windows if w < new) == list(range(new))
        extra = [w for w in lesson.windows if w >= new]
        assert all(w < new + old for w in extra)
        assert not old or new * int(share) <= len(extra) <= new * (int(share) + 1)
    decays = [lesson.decay for lesson in done]
    assert decays == sorted(decays) and all(0 <= d <= max(0, halvings) for d in decays)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(0, 60))
def test_what_is_remembered_is_balanced_and_no_window_twice(labels: list[int], memory: int) -> None:
    y = np.array(labels)
    picks = remembered(y, 5, Policy(memory=memory))
    assert len(set(picks.tolist())) == len(picks)
    each = memory // 5
    assert [int((y[picks] == c).sum()) for c in range(5)] == [
        min(each, int((y == c).sum())) for c in range(5)
    ]


ODD = ({"passes": 1.5}, {"memory": None}, {"seed": -1}, {"remembered": float("nan")})


def test_a_policy_out_of_range_and_no_windows_are_named() -> None:
    for wrong in ({"passes": -1}, {"halvings": 16}, {"align": "turn"}, {"remembered": -0.5}, *ODD):
        with pytest.raises(ConfigError):
            Policy(**wrong)  # type: ignore[arg-type]
    policy = Policy(memory=0)
    empty = lessons_for(LOG, policy)
    nothing = empty.new.windows.take(np.zeros(0, int))
    none = Lessons(
        Side(empty.new.rows[:0], empty.new.labels[:0], nothing), empty.old, empty.test, 1, empty.classes
    )
    with pytest.raises(DataError, match="labelled windows"):
        HostStudent(image.write(model_of(LOG))).learn(none, policy, None)
    learner = ReferenceLearner(model_of(LOG))
    old = (empty.old.rows, empty.old.labels)
    with pytest.raises(DataError, match=f"1 labels for {len(empty.new.rows)} windows"):
        adapt(learner, (empty.new.rows, empty.new.labels[:1]), old, 1, policy)
    assert adapt(learner, (empty.new.rows, empty.new.labels), old, 1, Policy(passes=0)) == 0
