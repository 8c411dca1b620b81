"""Streams in C give the bits of the Python encoders: windows, kept windows, the fitted alignment (20 s)."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyedge import align, encode
from pyedge._edge import ffi, lib
from pyedge.encode import Alignment, EncoderConfig
from pyedge.errors import DataError, LabelError
from pyedge.quant import reference
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind
from pyedge.runtime import ERRORS, Model, Net, memory
from pyedge.runtime_stream import Stream
from tests.stream_strategies import BYTE, SEEDS, encoder_models, recordings


def stream_of(model: IntegerModel, ring: int = 64) -> Stream:
    learns = any(layer.learns for layer in model.layers)
    return Stream(Net(Model.open(model), "learn" if learns else "infer"), ring)


def windows_due(stream: Stream) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and rows of every window that is due."""
    done = []
    while stream.poll() is not None:
        done.append((stream.net.scores(), stream.keep()))
    return done


def reference_scores(model: IntegerModel, rows: np.ndarray, alignment: Alignment) -> np.ndarray:
    """Scores of windows of rows, (n, classes)."""
    x = encode.encode(model.encoder, rows, alignment).astype(np.int64)
    return x.sum(-2) @ model.layers[0].weights


# Laws


@settings(max_examples=300)
@given(st.data())
def test_any_split_of_samples_gives_the_windows_of_the_python_encoder(data: st.DataObject) -> None:
    model = data.draw(encoder_models())
    samples = data.draw(recordings(model))
    stream = stream_of(model)
    assert stream.alignment == model.encoder.alignment
    expected = list(encode.Stream(model.encoder, model.window).push(samples))
    got, at = [], 0
    while at < len(samples):
        n = data.draw(st.integers(1, 64), label="samples between two polls")
        assert stream.push(samples[at : at + n]) == len(samples[at : at + n])
        at += n
        got += windows_due(stream)
    assert len(got) == len(expected)
    if got:
        np.testing.assert_array_equal([rows for _, rows in got], expected)
        wanted = reference_scores(model, np.stack(expected), model.encoder.alignment)
        np.testing.assert_array_equal([scores for scores, _ in got], wanted)


@settings(max_examples=200)
@given(st.data())
def test_kept_windows_replay_under_any_alignment_as_python_encodes_them(data: st.DataObject) -> None:
    model = data.draw(encoder_models())
    rng = np.random.default_rng(data.draw(SEEDS))
    e = model.encoder
    stream = stream_of(model)
    for window in rng.integers(-128, 128, (3, model.window * e.rows_per_step, e.row_values)).astype(np.int8):
        a = Alignment(data.draw(BYTE), tuple(int(g) for g in rng.integers(-128, 128, e.channels)))
        stream.align(a)
        assert stream.alignment == a
        stream.replay(window)
        np.testing.assert_array_equal(stream.net.scores(), reference_scores(model, window[None], a)[0])
    stream.align(None)
    assert stream.alignment == e.alignment


@settings(max_examples=150)
@given(st.data())
def test_the_fit_finds_the_alignment_of_the_python_fit(data: st.DataObject) -> None:
    """Windows of classes that were added count too; only the gains are made without them."""
    learns = data.draw(st.booleans())
    model = data.draw(encoder_models(longest=4, learns=learns))
    rows_of_readout = model.classes
    spare = data.draw(st.integers(0, rows_of_readout - 2)) if learns else 0
    e = replace(model.encoder, profile=model.encoder.profile[: rows_of_readout - spare])
    model = replace(model, spare=spare, encoder=e)
    rng = np.random.default_rng(data.draw(SEEDS))
    count, repetitions = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 255) | st.integers(1, 3))
    scale = data.draw(st.sampled_from([1, 20, 128]))
    shape = (count, model.window * e.rows_per_step, e.row_values)
    rows = rng.integers(-scale, scale, shape).astype(np.int8)
    first = data.draw(st.sampled_from([0, 0, model.classes])) if spare else 0
    labels = rng.integers(first, rows_of_readout, count)

    def likelihoods(x: np.ndarray) -> np.ndarray:
        scores = x.astype(np.int64).sum(-2) @ model.layers[0].weights
        return np.stack([reference.log_likelihood(model, o) for o in scores])

    stream = stream_of(model)
    if spare and labels.max() >= model.classes:
        with pytest.raises(LabelError):
            stream.fit_begin(rows, labels, repetitions)
    for _ in range(spare):
        stream.net.add_class()
    before = stream.alignment
    fit = stream.fit_begin(rows, labels, repetitions)
    calls = 1
    while (code := lib.edge_fit_run(fit[0])) == 1:
        assert stream.alignment == before
        calls += 1
    assert code == 0
    assert calls == count * (2 * e.span + 1 + 2 * bool(e.profile))
    assert stream.alignment == align.fit_alignment(e, rows, labels, repetitions, likelihoods).alignment
    assert lib.edge_fit_run(fit[0]) == 0


@given(st.data())
def test_a_full_ring_reports_what_it_lost_and_keeps_the_rest(data: st.DataObject) -> None:
    model = data.draw(encoder_models())
    ring = data.draw(st.sampled_from([2, 4, 16]))
    stream = stream_of(model, ring)
    samples = data.draw(recordings(model))
    taken = stream.push(samples)
    assert taken == stream.waiting == min(len(samples), ring)
    assert lib.edge_stream_room(stream.c) == ring - taken
    assert lib.edge_stream_channels(stream.c) == model.encoder.channels
    assert stream.lost == len(samples) - taken
    expected = list(encode.Stream(model.encoder, model.window).push(samples[:taken]))
    np.testing.assert_array_equal([rows for _, rows in windows_due(stream)], expected)


@given(st.data())
def test_reset_starts_a_new_recording_and_keeps_the_alignment(data: st.DataObject) -> None:
    model = data.draw(encoder_models())
    stream = stream_of(model, ring=4096)
    samples = data.draw(recordings(model))
    alignment = Alignment(7, (5,) * model.encoder.channels)
    stream.align(alignment)
    stream.push(samples)
    first = windows_due(stream)
    stream.push(samples[: data.draw(st.integers(0, len(samples)))])
    stream.reset()
    stream.push(samples)
    for (scores, rows), (scores_again, rows_again) in zip(first, windows_due(stream), strict=True):
        np.testing.assert_array_equal(rows_again, rows)
        np.testing.assert_array_equal(scores_again, scores)
    assert stream.alignment == alignment


def direct_model(learns: bool = False) -> IntegerModel:
    e = EncoderConfig("direct", channels=1, shift=8)
    zero = np.zeros(2)
    readout = IntegerLayer(NeuronKind.LINEAR, np.array([[1, 0]]), zero, zero, zero, learns=learns)
    return IntegerModel(1, InputKind.FRAMES, (readout,), score_mult=1, score_shift=0, seed=0, encoder=e)


@pytest.mark.parametrize("ring", [2, 256, 32768])
def test_a_ring_survives_its_counters_wrapping(ring: int) -> None:
    stream = stream_of(direct_model(), ring)
    sent = np.arange(70000).astype(np.int16)[:, None]
    got, part = [], min(ring, 1000)
    for at in range(0, len(sent), part):
        assert stream.push(sent[at : at + part]) == len(sent[at : at + part])
        while lib.edge_stream_poll(stream.c) == 1:
            got.append(stream.net.scores()[0])
    np.testing.assert_array_equal(got, sent[:, 0] // 256)


@pytest.mark.parametrize("end", ["measured", "reset"])
def test_a_window_can_be_kept_until_the_next_sample_or_a_reset(end: str) -> None:
    model = direct_model()
    stream = stream_of(replace(model, encoder=replace(model.encoder, hop=2)))
    stream.push(np.zeros((2, 1), np.int16))
    assert len(windows_due(stream)) == 1
    stream.keep()
    if end == "reset":
        stream.reset()
    else:
        stream.push(np.zeros((1, 1), np.int16))
        assert not windows_due(stream)
    with pytest.raises(ERRORS[lib.EDGE_ERR_WINDOW]):
        stream.keep()


def test_samples_wait_while_the_net_learns_and_none_is_lost() -> None:
    stream = stream_of(direct_model(learns=True))
    samples = np.arange(-32768, 32767, 1024).astype(np.int16)[:, None]
    stream.push(samples[:1])
    assert len(windows_due(stream)) == 1
    stream.net.learn_begin(1)
    stream.push(samples)
    more = True
    while more:
        assert lib.edge_stream_poll(stream.c) == lib.EDGE_ERR_BUSY
        assert stream.waiting == len(samples)
        more = stream.net.learn_run(1)
    assert [int(rows[0, 0]) for _, rows in windows_due(stream)] == list(samples[:, 0] // 256)
    assert stream.lost == 0


# Bad input


def test_bad_calls_get_their_error_and_change_nothing() -> None:
    stream = stream_of(direct_model())
    with pytest.raises(ERRORS[lib.EDGE_ERR_WINDOW]):
        stream.keep()
    with pytest.raises(DataError, match="a window has 1 values"):
        stream.replay(np.zeros(0, np.int8))
    for rows, text in (([[1], [2]], "one window has 1"), ([[300]], "integers in"), ([[1.5]], "integers in")):
        with pytest.raises(DataError, match=text):
            stream.replay(np.array(rows))
    for labels, text in (([0.5, 1], "2 integers"), ([0], "2 integers"), ([0, 256], "0 .. 255")):
        with pytest.raises(DataError, match=text):
            stream.fit(np.zeros((2, 1, 1), np.int8), labels, 1)  # type: ignore[arg-type]
    with pytest.raises(LabelError):
        stream.fit(np.zeros((2, 1, 1), np.int8), [0, 2], 1)
    with pytest.raises(DataError, match=r"\(n, 1\) is needed"):
        stream.push(np.zeros((3, 2), np.int16))
    with pytest.raises(DataError, match="16 bits"):
        stream.push(np.full((1, 1), 40000))
    for ring in (0, 1, 3, 65536):
        with pytest.raises(ERRORS[lib.EDGE_ERR_ARGUMENT]):
            stream_of(direct_model(), ring)
    with pytest.raises(ERRORS[lib.EDGE_ERR_ENCODER]):
        stream_of(replace(direct_model(), encoder=None))


def test_memory_that_is_short_null_or_not_aligned_is_refused() -> None:
    net, s, fit = Net(Model.open(direct_model())), ffi.new("edge_stream_t *"), ffi.new("edge_fit_t *")
    size = lib.edge_stream_size(net.model.c, 2)
    room = memory(size + 8)
    odd = ffi.cast("uint8_t *", room) + 1
    assert lib.edge_stream_init(s, net.c, room, size - 1, 2) == lib.EDGE_ERR_MEMORY
    assert lib.edge_stream_init(s, net.c, odd, size, 2) == lib.EDGE_ERR_ALIGN
    assert lib.edge_stream_init(s, net.c, ffi.NULL, size, 2) == lib.EDGE_ERR_ARGUMENT
    assert lib.edge_stream_init(s, net.c, room, size, 2) == 0
    assert lib.edge_stream_replay(s, room, 0) == lib.EDGE_ERR_MEMORY
    assert lib.edge_stream_replay(s, ffi.NULL, 64) == lib.EDGE_ERR_ARGUMENT
    labels = ffi.new("uint8_t[]", 1)
    for windows, repetitions in ((0, 1), (65536, 1), (1, 0), (1, 256)):
        code = lib.edge_fit_begin(fit, s, room, labels, windows, repetitions)
        assert code == lib.EDGE_ERR_ARGUMENT
