"""Windows: inside their trial, causal, complete, and views of the recording (about 2 s)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyedge.datasets import Recording, Trial, in_samples, live_windows, load, whole_trials
from pyedge.errors import ConfigError


@st.composite
def recordings(draw, most=3):
    """Recordings with trials that do not overlap."""
    made = []
    for index in range(draw(st.integers(1, most))):
        spans = draw(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 90)), max_size=6))
        trials, at = [], 0
        for gap, length in spans:
            trials.append(Trial(at + gap, length, len(trials) % 3, len(trials) // 3))
            at += gap + length
        emg = np.arange((at + 5) * 2, dtype=np.int64).reshape(-1, 2).astype(np.int8)
        made.append(Recording(emg, 200.0, "made", "one", 1 + index, None, index, tuple(trials)))
    return tuple(made)


@given(recordings(), st.integers(1, 60), st.integers(1, 40), st.integers(0, 30))
def test_live_windows_are_all_windows_that_fit(made, length, stride, skip):
    windows = live_windows(made, length, stride, skip)
    expected = 0
    for r in made:
        for t in r.trials:
            expected += max(0, (t.length - skip - length) // stride + 1) if t.length - skip >= length else 0
    assert len(windows) == expected
    for n in range(len(windows)):
        trial = windows.trial_of(n)
        assert trial.start + skip <= windows.start[n] and windows.stop[n] <= trial.stop
        assert windows.stop[n] - windows.start[n] == length
        assert windows.label[n] == trial.label
        assert np.shares_memory(windows.samples(n), made[windows.recording[n]].emg)
    if expected:
        assert windows.stacked().shape == (expected, length, 2)


@given(recordings(), st.integers(1, 100), st.integers(0, 30))
def test_whole_trials_keep_drop_or_extend_the_short_ones(made, length, skip):
    keep, drop, extend = (whole_trials(made, length, skip, short) for short in ("keep", "drop", "extend"))
    trials = sum(len(r.trials) for r in made)
    assert len(drop) <= len(keep) <= trials and len(keep) <= len(extend) <= trials
    assert np.all(drop.stop - drop.start == length) and np.all(keep.stop - keep.start <= length)
    for windows in (keep, drop, extend):
        for n in range(len(windows)):
            assert windows.start[n] == windows.trial_of(n).start + skip
            assert windows.stop[n] <= len(made[windows.recording[n]].emg)


@given(recordings(), st.integers(1, 20), st.integers(1, 20), st.data())
def test_a_window_does_not_depend_on_what_comes_after_it(made, length, stride, data):
    windows = live_windows(made, length, stride)
    if not len(windows):
        return
    n = data.draw(st.integers(0, len(windows) - 1))
    source = made[windows.recording[n]]
    later = source.emg.copy()
    later[windows.stop[n] :] = 99
    assert np.array_equal(windows.samples(n), later[windows.start[n] : windows.stop[n]])


@given(recordings(), st.integers(1, 20))
def test_taking_windows_keeps_them(made, length):
    windows = live_windows(made, length, 3)
    mask = np.arange(len(windows)) % 2 == 0
    taken = windows.take(mask)
    assert len(taken) == mask.sum()
    assert all(np.array_equal(taken.samples(n), windows.samples(2 * n)) for n in range(len(taken)))
    assert len(np.unique(windows.trial_ids())) == len({*zip(windows.recording, windows.trial, strict=True)})


def test_windows_of_real_holds_have_every_class_equally_often():
    rest_and_gestures = load("myo_wrist_embedded", ["p10000"]).recordings
    windows = live_windows(rest_and_gestures, in_samples(0.25, 200.0), 25, in_samples(0.5, 200.0))
    counts = np.bincount(windows.label, minlength=8)
    assert counts.min() > 0.95 * counts.max()


@pytest.mark.parametrize(("length", "stride", "skip"), [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_impossible_windows_are_refused(length, stride, skip):
    with pytest.raises(ConfigError):
        live_windows((), length, stride, skip)


def test_no_windows_of_nothing():
    assert len(live_windows((), 5, 5)) == 0 and len(whole_trials(())) == 0
