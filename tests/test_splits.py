"""Splits: whole trials, every trial on one side, none on two (about 4 s)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyedge.datasets import (
    Recording,
    SplitError,
    Trial,
    by_day,
    by_repetition,
    by_session,
    by_subject,
    check_disjoint,
    live_windows,
    load,
    session_and_k,
    session_folds,
    subject_folds,
)

EMG = np.zeros((400, 8), np.int8)


@st.composite
def people(draw, days=False):
    """Two to four people, three sessions, gestures repeated two to four times, in one recording or many."""
    classes, reps = draw(st.integers(2, 4)), draw(st.integers(2, 4))
    together = draw(st.booleans())
    made = []
    for person in range(draw(st.integers(2, 4))):
        index = 0
        for session in range(1, 4):
            trials = [Trial(20 * (c * reps + r), 20, c, r) for c in range(classes) for r in range(reps)]
            groups = [trials] if together else [[t] for t in trials]
            for group in groups:
                day = 1 + session // 2 if days else None
                made.append(Recording(EMG, 200.0, "made", f"p{person}", session, day, index, tuple(group)))
                index += 1
    return tuple(made)


def trials(side):
    return {(r.key, t) for r in side for t in r.trials}


def assert_divides(whole, *sides):
    parts = [trials(s) for s in sides]
    assert set().union(*parts) == trials(whole)
    assert sum(map(len, parts)) == len(trials(whole))
    windows = [{(side[w].key, int(a), int(b)) for w, a, b in zip(v.recording, v.start, v.stop, strict=True)}
               for side in sides for v in [live_windows(side, 5, 5)]]  # fmt: skip
    assert sum(map(len, windows)) == len(set().union(*windows))


@given(people(), st.sets(st.integers(0, 1), min_size=1, max_size=1))
def test_by_repetition(whole, reps):
    train, test = by_repetition(whole, reps)
    assert_divides(whole, train, test)
    assert {t.rep for r in test for t in r.trials} == reps


@given(people())
def test_session_folds_are_two_to_one_and_test_everything_once(whole):
    folds = session_folds(whole)
    assert len(folds) == 3
    for train, test in folds:
        assert_divides(whole, train, test)
        assert len(trials(train)) == 2 * len(trials(test))
    assert_divides(whole, *(test for _, test in folds))


@given(people(days=True))
def test_by_day(whole):
    train, test = by_day(whole, {2})
    assert_divides(whole, train, test)
    assert {r.day for r in test} == {2} and {r.day for r in train} == {1}


@given(people())
def test_unknown_days_are_refused(whole):
    with pytest.raises(SplitError, match="session"):
        by_day(whole, {2})


@given(people(), st.data())
def test_subject_folds_test_everyone_once(whole, data):
    folds = subject_folds(whole, data.draw(st.integers(2, len({r.subject for r in whole}))))
    for train, test in folds:
        assert_divides(whole, train, test)
        assert not {r.subject for r in train} & {r.subject for r in test}
    assert_divides(whole, *(test for _, test in folds))
    train, test = by_subject(whole, {"p0"})
    assert {r.subject for r in test} == {"p0"}


@given(people(), st.integers(0, 4))
def test_session_and_k(whole, k):
    classes = {t.label for r in whole for t in r.trials}
    reps = 1 + max(t.rep for r in whole for t in r.trials)
    if k >= reps:
        with pytest.raises(SplitError):
            session_and_k(whole, k=k)
        return
    old, new, test = session_and_k(whole, k=k)
    assert_divides(whole, old, new, test)
    assert {r.session for r in old} == {1, 2} and {r.session for r in test} == {3}
    assert len(trials(new)) == k * len(classes) * len({r.subject for r in whole})
    assert {t.label for r in test for t in r.trials} == classes


@given(people(), st.data())
def test_an_overlap_is_found(whole, data):
    train, test = by_session(whole, {3})
    leaked = data.draw(st.sampled_from(test))
    trial = leaked.trials[0]
    shifted = Trial(trial.start + data.draw(st.integers(-19, 19)), trial.length, trial.label, trial.rep)
    with pytest.raises(SplitError, match="are on sides 0 and 1"):
        check_disjoint((*train, leaked.with_trials([shifted])), test)


@given(people())
def test_empty_sides_and_impossible_requests_are_refused(whole):
    for split in (
        lambda: by_session(whole, {9}),
        lambda: by_session(whole, {1, 2, 3}),
        lambda: by_repetition(whole, {99}),
        lambda: session_and_k(whole, train_sessions=(1, 3), new_session=3),
        lambda: session_and_k(whole, train_sessions=(1, 8), new_session=3),
        lambda: session_and_k(whole, k=-1),
        lambda: subject_folds(whole, 1),
    ):
        with pytest.raises(SplitError):
            split()


def test_the_embedded_people_split_as_the_demo_needs():
    whole = load("myo_wrist_embedded", ["p10000"]).recordings
    for k in range(6):
        old, new, test = session_and_k(whole, k=k)
        assert_divides(whole, old, new, test)
        assert (len(trials(old)), len(trials(new)), len(trials(test))) == (96, 8 * k, 48 - 8 * k)
