"""Classical baselines: the encoder's rotation, fits that find what was turned, honest scores (3 s)."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pyedge import baselines, encode
from pyedge.datasets import live_windows, load, session_and_k


@given(st.integers(0, 2**32 - 1), st.integers(-64, 64))
def test_rotation_is_the_encoder_s_up_to_rounding(seed, quarters):
    rows = np.random.default_rng(seed).integers(-128, 128, (5, 16)).astype(np.int8)
    config = encode.EncoderConfig("log_frames")
    aligned = encode.align(config, rows, encode.Alignment(quarters, (0,) * 8))
    assert np.abs(baselines.rotate(rows.astype(float), quarters) - aligned).max() <= 0.5


@given(st.integers(0, 2**32 - 1), st.integers(-20, 20), st.integers(-5, 5))
def test_turns_by_whole_electrodes_add_up(seed, quarters, whole):
    x = np.random.default_rng(seed).normal(size=(5, 16))
    twice = baselines.rotate(baselines.rotate(x, quarters), 4 * whole)
    assert np.allclose(twice, baselines.rotate(x, quarters + 4 * whole))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_balanced_accuracy_weighs_classes_not_windows(pairs):
    predicted, labels = np.array(pairs).T
    plain, balanced = baselines.scores(predicted, labels)
    recalls = [np.mean([p == y for p, y in pairs if y == c]) for c in set(labels.tolist())]
    assert np.isclose(balanced, np.mean(recalls)) and np.isclose(plain, np.mean(predicted == labels))


def features(side):
    windows = live_windows(side, 50, 50, 100)
    return baselines.log_features(windows), windows.label


def test_features_are_logarithms_of_means():
    windows = live_windows(load("myo_wrist_embedded", ["p10000"]).recordings[:2], 50, 200)
    x = windows.samples(3).astype(float)
    row = baselines.log_features(windows)[3]
    assert np.allclose(2 ** row[:8] - 1, np.abs(x).mean(0))
    assert np.allclose(2 ** row[8:] - 1, np.abs(np.diff(x, axis=0)).mean(0))


def test_models_learn_a_wearer_and_find_a_turned_armband():
    old, new, test = session_and_k(load("myo_wrist_embedded", ["p10101"]).recordings, k=2)
    (x, y), (test_x, test_y) = features(new), features(test)
    for fit in (baselines.lda, baselines.svm):
        assert baselines.scores(fit(x, y).predict(test_x), test_y).balanced > 0.6
    model = baselines.lda(*features(old))
    here = baselines.fit_rotation(model, x, y, k=2)
    for turn in (-4, 4):
        assert abs(baselines.fit_rotation(model, baselines.rotate(x, turn), y, k=2) - (here - turn)) <= 2
