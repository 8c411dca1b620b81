"""Encoders: the specification's numbers, the same in any split, causal; alignment and its fit (8 s)."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyedge import align as fitting
from pyedge import encode
from pyedge.calibrate import calibrate, profile
from pyedge.datasets import Recording, Trial, in_samples, live_windows, load, session_and_k, whole_trials
from pyedge.encode import Alignment, EncoderConfig
from pyedge.errors import ConfigError, DataError, FieldError

BYTE = st.integers(-128, 127)


@st.composite
def configs(draw, kinds=encode.KINDS):
    kind = draw(st.sampled_from(kinds))
    log, events, levels = "log" in kind, kind in ("difference", "delta"), kind == "log_spikes"
    centre = st.integers(-32768, 32767) if draw(st.booleans()) else st.integers(0, 2000)
    return EncoderConfig(
        kind=kind,
        channels=draw(st.integers(1, 9)),
        hop=draw(st.integers(1, 12)),
        hops=draw(st.integers(1, 32)) if log else 1,
        shift=draw(st.integers(0, 15)),
        mode=draw(st.sampled_from(encode.MODES)) if kind == "difference" else "any",
        levels=draw(st.integers(2, 16)) if levels else 0,
        level_low=draw(BYTE) if levels else 0,
        level_width=draw(st.integers(0, 7)) if levels else 0,
        threshold=draw(st.integers(1, 127)) if events else 0,
        centre0=draw(centre) if log else 0,
        centre1=draw(centre) if log else 0,
        stride=draw(st.integers(1, 6)),
    )


@st.composite
def signals(draw, channels, most=120):
    """Raw samples of any size, quiet or at the ends of 16 bits."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0, 1, 10, 127, 3000, 32768]))
    samples = rng.integers(-scale, max(scale, 1), (draw(st.integers(0, most)), channels))
    return samples.astype(draw(st.sampled_from([np.int16, np.int64])))


def alignments(channels):
    gains = st.lists(BYTE, min_size=channels, max_size=channels)
    return st.builds(Alignment, BYTE, gains.map(tuple))


# The specification, one number at a time


def log2(v):
    n = v.bit_length() - 1
    return 256 * n + round(256 * math.log2(1 + (v * 64 // 2**n - 64) / 64))


def clamp(v):
    return max(-128, min(127, v))


def rows_by_the_page(c, samples):
    """Section 4.2, sample by sample."""
    rows, prev, hop, hops = [], None, [], []
    for x in samples.tolist():
        if c.kind == "delta":
            rows.append([clamp(v // 2**c.shift) for v in x])
            continue
        if c.kind == "difference" and prev is None:
            prev = x
            continue
        before = x if prev is None else prev
        hop.append((x, [a - b for a, b in zip(x, before, strict=True)]))
        prev = x
        if len(hop) < c.hop:
            continue
        channels = range(c.channels)
        if c.kind == "direct":
            values = hop[-1][0]
        elif c.kind == "difference":
            seen = [[d[k] for _, d in hop] for k in channels]
            ends = [(max, min), (lambda s: s[-1], lambda s: s[-1])][c.mode == "last"]
            values = [end(s) for end in ends for s in seen]
        else:
            hops.append(hop)
            window = [sample for h in hops[-c.hops :] for sample in h]
            n = len(window)
            values = [log2(sum(abs(x[k]) for x, _ in window) + n) - log2(n) - c.centre0 for k in channels]
            values += [log2(sum(abs(d[k]) for _, d in window) + n) - log2(n) - c.centre1 for k in channels]
        rows.append([clamp(v // 2**c.shift) for v in values])
        hop = []
    return np.array(rows, np.int64).reshape(-1, c.row_values)


def aligned_by_the_page(c, row, alignment):
    """Section 4.3, value by value."""
    out = []
    for block in range(len(row) // c.channels):
        v = row[block * c.channels : (block + 1) * c.channels]
        sh = alignment.rotation // 4
        f = alignment.rotation - 4 * sh
        for k in range(c.channels):
            y = ((4 - f) * v[(k + sh) % c.channels] + f * v[(k + sh + 1) % c.channels] + 2) // 4
            g = alignment.gains[k]
            m, e = round(4096 * 2 ** ((g % 32) / 32)), g // 32
            out.append(clamp(y + g if c.log else (y * m + 2 ** (11 - e)) // 2 ** (12 - e)))
    return out


def coded_by_the_page(c, rows):
    """Section 4.4, one window."""
    out, reference = [], None
    for row in rows.tolist():
        line = [0] * c.inputs
        for k, v in enumerate(row):
            if c.kind == "difference":
                line[k] = int(v >= c.threshold if k < c.channels else v <= -c.threshold)
            elif c.kind == "log_spikes":
                line[k * c.levels + max(0, min(c.levels - 1, (v - c.level_low) // 2**c.level_width))] = 1
            elif c.kind != "delta":
                line[k] = v
            elif reference is not None and abs(v - reference[k]) >= c.threshold:
                line[k + c.channels * (v < reference[k])] = 1
                reference[k] = v
        reference = reference or list(row)
        out.append(line)
    steps = np.array(out)
    return steps.reshape(-1, c.hop, c.inputs).max(1) if c.kind == "delta" else steps


@given(st.data())
def test_rows_are_the_specification_s(data):
    c = data.draw(configs())
    samples = data.draw(signals(c.channels))
    rows = encode.measure_all(c, samples)
    assert rows.dtype == np.int8 and np.array_equal(rows, rows_by_the_page(c, samples))
    assert len(rows) // c.rows_per_step == encode.steps_completed(c, len(samples))


@given(st.data())
def test_alignment_and_code_are_the_specification_s(data):
    c = data.draw(configs())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    steps = data.draw(st.integers(1, 4))
    rows = rng.integers(-128, 128, (steps * c.rows_per_step, c.row_values)).astype(np.int8)
    a = data.draw(alignments(c.channels))
    aligned = encode.align(c, rows, a)
    assert np.array_equal(aligned, [aligned_by_the_page(c, row, a) for row in rows.tolist()])
    coded = encode.code(c, aligned)
    assert coded.dtype == (bool if c.spikes else np.int8)
    assert coded.shape == (steps, c.inputs)
    assert np.array_equal(coded, coded_by_the_page(c, aligned))


@given(st.integers(1, 2**32 - 1))
def test_the_logarithm_is_within_one_sixty_fourth_of_an_octave(v):
    ours = int(encode.log2(np.array([v]))[0])
    assert ours == log2(v) and -6 <= ours - 256 * math.log2(v) <= 1


# Streams


@given(st.data())
def test_any_split_of_the_samples_gives_the_same_rows(data):
    c = data.draw(configs())
    samples = data.draw(signals(c.channels))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=8)))
    state, parts = encode.begin(c), []
    for piece in np.split(samples, cuts):
        state, rows = encode.measure(c, state, piece)
        parts.append(rows)
    assert np.array_equal(np.concatenate(parts), encode.measure_all(c, samples))


@given(st.data())
def test_any_split_of_a_stream_gives_the_same_windows(data):
    c, steps = data.draw(configs()), data.draw(st.integers(1, 5))
    samples = data.draw(signals(c.channels))
    stream = encode.Stream(c, steps)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=8)))
    windows = [w for piece in np.split(samples, cuts) for w in stream.push(piece)]
    rows, per_step = encode.measure_all(c, samples), c.rows_per_step
    starts = range(0, encode.steps_completed(c, len(samples)) - steps + 1, c.stride)
    assert len(windows) == len(starts)
    for window, start in zip(windows, starts, strict=True):
        assert np.array_equal(window, rows[start * per_step : (start + steps) * per_step])


@given(st.data())
def test_windows_of_a_recording_are_a_stream_s_and_causal(data):
    c, steps = data.draw(configs()), data.draw(st.integers(1, 4))
    samples = np.clip(data.draw(signals(c.channels)), -128, 127).astype(np.int8)
    lead = steps * c.hop + 1
    if len(samples) <= lead + 3:
        return
    recording = Recording(
        samples, 200.0, "made", "one", 1, None, 0, (Trial(lead, len(samples) - lead, 0, 0),)
    )
    windows = live_windows([recording], 3, 2)
    rows = encode.window_rows(c, windows, steps)
    n = data.draw(st.integers(0, len(windows) - 1))
    stop = int(windows.stop[n])
    until = encode.measure_all(c, samples[:stop])
    done = encode.steps_completed(c, stop) * c.rows_per_step
    assert np.array_equal(rows[n], until[done - steps * c.rows_per_step : done])


@given(st.data())
def test_a_batch_is_its_windows(data):
    c = data.draw(configs())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = rng.integers(-128, 128, (3, 2 * c.rows_per_step, c.row_values)).astype(np.int8)
    a = data.draw(alignments(c.channels))
    batch = encode.encode(c, rows, a)
    assert np.array_equal(batch, [encode.encode(c, window, a) for window in rows])


@given(configs(kinds=("difference", "delta")), st.integers(0, 40), st.integers(1, 8))
def test_what_a_short_trial_lacks_is_silence(c, length, steps):
    samples = np.random.default_rng(length).integers(-128, 128, (length + 1, c.channels)).astype(np.int8)
    recording = Recording(samples, 200.0, "made", "one", 1, None, 0, (Trial(0, length + 1, 0, 0),))
    rows = encode.window_rows(c, whole_trials([recording]), steps, fresh=True)
    spikes = encode.code(c, rows)[0]
    done = min(steps, encode.steps_completed(c, length + 1))
    assert spikes.shape == (steps, c.inputs) and not spikes[done:].any()
    if done:
        alone = encode.measure_all(c, samples)[: done * c.rows_per_step]
        assert np.array_equal(spikes[:done], encode.code(c, alone))


def test_a_window_with_too_few_steps_is_refused():
    recording = Recording(np.ones((20, 8), np.int8), 200.0, "made", "one", 1, None, 0, (Trial(0, 20, 0, 0),))
    config = EncoderConfig("log_frames", hop=5)
    with pytest.raises(DataError, match="has 1 of 2 steps"):
        encode.window_rows(config, live_windows([recording], 5, 5), 2)
    with pytest.raises(DataError, match="steps"):
        encode.window_rows(config, whole_trials([recording]), 5, fresh=True)
    with pytest.raises(ConfigError):
        encode.window_rows(config, whole_trials([recording]), 0)


# Alignment


@given(st.data())
def test_no_alignment_changes_nothing_and_a_full_turn_is_none(data):
    c = data.draw(configs())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = rng.integers(-128, 128, (4, c.row_values)).astype(np.int8)
    none, whole = (0,) * c.channels, data.draw(st.integers(-31, 31))
    assert np.array_equal(encode.align(c, rows, Alignment(0, none)), rows)
    turned = encode.align(c, rows, Alignment(4 * whole, none))
    blocks = rows.reshape(4, -1, c.channels)
    assert np.array_equal(turned, np.roll(blocks, -whole, -1).reshape(rows.shape))


@given(st.data())
def test_the_fit_is_the_specification_s(data):
    c = data.draw(configs())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    classes, n, k = 3, data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    c = replace(
        c,
        span=data.draw(st.integers(0, 5)),
        penalty=data.draw(st.integers(0, 255)),
        gain_limit=data.draw(st.integers(0, 127)),
        # Classes that were added have none.
        profile=tuple(map(tuple, rng.integers(-128, 128, (rng.integers(1, 4), c.channels)).tolist()))
        if data.draw(st.booleans())
        else (),
    )
    rows = rng.integers(-128, 128, (n, 2 * c.rows_per_step, c.row_values)).astype(np.int8)
    labels = rng.integers(0, classes, n)
    weights = rng.integers(-3, 4, (c.inputs, classes))

    def log_likelihood(inputs):
        return -np.abs(inputs.astype(np.int64).sum(1) @ weights)

    def score(q, gains):
        total = 0
        for window, label in zip(rows, labels, strict=True):
            inputs = encode.encode(c, window, Alignment(q, gains))
            total += max(int(log_likelihood(inputs[None])[0, label]), -256)
        return total - n * c.penalty * abs(q) // (4 * k)

    none, best = (0,) * c.channels, 0
    for q in [s * a for a in range(1, c.span + 1) for s in (-1, 1)]:
        if score(q, none) > score(best, none):
            best = q
    gains = none
    if c.profile:
        delta, profiled = [0] * c.channels, 0
        for window, label in zip(rows, labels, strict=True):
            if label >= len(c.profile):
                continue
            profiled += 1
            aligned = encode.align(c, window, Alignment(best, none)).astype(int).reshape(-1, c.channels)
            for ch in range(c.channels):
                total = int(aligned[:, ch].sum() if c.log else np.abs(aligned[:, ch]).sum())
                count = len(aligned)
                level = total // count if c.log else clamp((log2(total + count) - log2(count)) // 8)
                delta[ch] += c.profile[label][ch] - level
        parts = max(profiled, 1) * (k + 1)
        tried = tuple(max(-c.gain_limit, min(c.gain_limit, math.trunc(d * k / parts))) for d in delta)
        gains = tried if score(best, tried) > score(best, none) else none
    fit = fitting.fit_alignment(c, rows, labels, k, log_likelihood)
    assert fit.alignment == Alignment(best, gains)
    assert fit.score == score(best, gains) and fit.score_before == score(0, none)


def test_the_fit_finds_an_armband_that_was_turned_and_turned_up():
    people = load("myo_wrist_embedded", ["p10000"]).recordings
    old, new, _ = session_and_k(people, k=1)
    config = calibrate(EncoderConfig("log_frames", hop=5, hops=5), old)
    skip = in_samples(0.5, 200.0)
    windows = live_windows(old, 50, 50, skip)
    rows = encode.window_rows(config, windows, 10)
    config = replace(config, profile=profile(config, rows, windows.label, 8), penalty=0)
    templates = np.stack([encode.code(config, rows)[windows.label == c].mean((0, 1)) for c in range(8)])

    def log_likelihood(inputs):
        distance = np.abs(inputs.mean(1)[:, None] - templates).sum(2)
        return (-distance / 4).astype(np.int64)

    for turn, louder in ((0, 0), (4, 0), (-6, 0), (0, 12)):
        worn = encode.align(config, rows, Alignment(turn, (louder,) * 8))
        fit = fitting.fit_alignment(config, worn, windows.label, 4, log_likelihood)
        assert abs(fit.alignment.rotation + turn) <= 1
        assert fit.score >= fit.score_before
        if louder:
            assert all(-12 <= g < 0 for g in fit.alignment.gains)
    assert new


@pytest.mark.parametrize(
    ("labels", "repetitions", "error"),
    [([0, 1, 2], 1, DataError), ([0, 10], 1, DataError), ([0, -1], 1, DataError), ([0, 1], 0, ConfigError)],
)
def test_a_fit_that_cannot_work_is_refused(labels, repetitions, error):
    config = EncoderConfig("direct", channels=2, profile=((0, 0),) * 2)
    with pytest.raises(error):
        fitting.fit_alignment(
            config, np.zeros((2, 3, 2), np.int8), labels, repetitions, lambda x: np.zeros((2, 10), np.int64)
        )


def test_gains_are_one_a_channel():
    config = EncoderConfig("log_frames", channels=3)
    with pytest.raises(DataError, match="1 gains for 3 channels"):
        encode.align(config, np.zeros((2, 4, 6), np.int8), Alignment(0, (1,)))


# Configuration and calibration


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "wavelet"},
        {"channels": 0},
        {"channels": 65},
        {"hop": 257},
        {"hops": 33},
        {"shift": 16},
        {"threshold": 5},
        {"levels": 4},
        {"mode": "last"},
        {"kind": "difference", "threshold": 0},
        {"kind": "difference", "threshold": 5, "hops": 2},
        {"kind": "difference", "threshold": 5, "centre0": 1},
        {"kind": "log_spikes", "levels": 17},
        {"gains": (0,) * 7},
        {"profile": ((0,) * 8, (200,) * 8)},
        {"rate_hz": 0},
        {"stride": 0},
        {"span": 65},
        {"hop": 10.0},
        {"stride": None},
        {"gains": (0.5,) * 8},
    ],
)
def test_a_value_out_of_range_is_refused_by_name(change):
    with pytest.raises(FieldError) as caught:
        EncoderConfig(**({"kind": "log_frames"} | change))
    assert caught.value.field == list(change)[-1]


@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig("difference", hop=10, threshold=1),
        EncoderConfig("difference", hop=10, threshold=1, mode="last"),
        EncoderConfig("delta", hop=10, threshold=1),
        EncoderConfig("log_frames", hop=5, hops=5),
        EncoderConfig("log_spikes", hop=5, hops=5, levels=8),
        EncoderConfig("direct", hop=5),
    ],
    ids=lambda c: f"{c.kind}-{c.mode}",
)
def test_calibration_keeps_its_promises_on_real_recordings(config):
    recordings = load("myo_wrist_embedded", ["p10101"]).recordings[:8]
    config = calibrate(config, recordings, event_rate=0.07)
    rows = encode.window_rows(config, live_windows(recordings, 50, 50, 100), 5)
    coded = encode.code(config, rows)
    if config.kind in ("difference", "delta"):
        assert 0.03 < coded.mean() < 0.1
    else:
        assert np.mean((rows == -128) | (rows == 127)) < 0.01
    if config.kind == "log_spikes":
        assert coded.sum() == coded.shape[0] * coded.shape[1] * config.row_values
        used = coded.reshape(-1, config.row_values, config.levels).mean((0, 1))
        assert np.count_nonzero(used > 0.005) >= config.levels // 2


def test_calibration_needs_data_and_possible_rates():
    recordings = load("myo_wrist_embedded", ["p10101"]).recordings[:1]
    with pytest.raises(DataError, match="no trial"):
        calibrate(EncoderConfig("log_frames"), [r.with_trials(()) for r in recordings])
    noise = np.random.default_rng(0).choice([-128, 127], (2000, 8)).astype(np.int8)
    loud = recordings[0].with_trials([Trial(0, 2000, 0, 0)])
    with pytest.raises(DataError, match="events"):
        calibrate(
            EncoderConfig("difference", hop=20, threshold=1), [replace(loud, emg=noise)], event_rate=1e-6
        )


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((3, 7), int),
        np.zeros(8, int),
        np.zeros((3, 8)),
        np.full((3, 8), 40000),
        np.full((3, 8), -32769),
    ],
)
def test_samples_that_are_no_raw_samples_are_refused(samples):
    with pytest.raises(DataError):
        encode.measure_all(EncoderConfig("direct"), samples)
