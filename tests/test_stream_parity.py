"""Streams in C give the bits of the Python encoders: windows, kept windows, the fitted alignment (20 s)."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pyedge import align, encode, image
from pyedge._edge import ffi, lib
from pyedge.encode import Alignment, EncoderConfig
from pyedge.quant import reference
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind

SEEDS = st.integers(0, 2**32 - 1)
BYTE = st.integers(-128, 127)


# What is generated


@st.composite
def encoders(draw: st.DrawFn, classes: int, kinds: tuple[str, ...] = encode.KINDS) -> EncoderConfig:
    kind = draw(st.sampled_from(kinds))
    log, levels = "log" in kind, kind == "log_spikes"
    channels = draw(st.integers(1, 9) | st.sampled_from([1, 2, 8, 64]))
    centre = draw(st.sampled_from([st.integers(-32768, 32767), st.integers(0, 2000)]))
    profile = draw(st.booleans())
    bytes_ = st.lists(BYTE, min_size=channels, max_size=channels).map(tuple)
    return EncoderConfig(
        kind=kind,
        channels=channels,
        hop=draw(st.integers(1, 12) | st.sampled_from([1, 256]) if channels < 10 else st.integers(1, 3)),
        hops=draw(st.integers(1, 32)) if log else 1,
        shift=draw(st.integers(0, 8) | st.integers(0, 15)),
        mode=draw(st.sampled_from(encode.MODES)) if kind == "difference" else "any",
        levels=draw(st.integers(2, 16)) if levels else 0,
        level_low=draw(BYTE) if levels else 0,
        level_width=draw(st.integers(0, 7)) if levels else 0,
        threshold=draw(st.integers(1, 127)) if kind in ("difference", "delta") else 0,
        centre0=draw(centre) if log else 0,
        centre1=draw(centre) if log else 0,
        stride=draw(st.integers(1, 6) | st.integers(1, 20)),
        span=draw(st.integers(0, 5) | st.sampled_from([64])),
        penalty=draw(st.integers(0, 255)),
        gain_limit=draw(st.integers(0, 127)),
        rotation=draw(st.sampled_from([0, 0, 1, -128, 127]) | BYTE),
        gains=draw(bytes_) if draw(st.booleans()) else (),
        profile=tuple(draw(bytes_) for _ in range(classes)) if profile else (),
    )


@st.composite
def models(draw: st.DrawFn, longest: int = 8) -> IntegerModel:
    """A linear readout with random weights over an encoder: inputs that differ give scores that differ."""
    classes = draw(st.integers(2, 6))
    encoder = draw(encoders(classes))
    rng = np.random.default_rng(draw(SEEDS))
    readout = IntegerLayer(
        NeuronKind.LINEAR,
        rng.integers(-128, 128, (encoder.inputs, classes)),
        np.zeros(classes),
        np.zeros(classes),
        np.zeros(classes),
    )
    return IntegerModel(
        draw(st.integers(1, longest)),
        InputKind.SPIKES if encoder.spikes else InputKind.FRAMES,
        (readout,),
        score_mult=draw(st.integers(1, 65535)),
        score_shift=draw(st.integers(10, 24)),
        seed=0,
        encoder=encoder,
    )


@st.composite
def recordings(draw: st.DrawFn, model: IntegerModel, windows: int = 3) -> np.ndarray:
    """Samples for a few windows and a rest; int16 at its ends, silence, and in between."""
    e = model.encoder
    most = e.hop * (model.window + windows * e.stride) + e.hop + 1
    rng = np.random.default_rng(draw(SEEDS))
    n = min(draw(st.integers(0, most) | st.just(most)), 4000)
    style = draw(st.sampled_from(["noise", "noise", "ends", "low", "zero", "steps"]))
    if style == "ends":
        return rng.choice([-32768, 32767], (n, e.channels)).astype(np.int16)
    if style == "low":
        return np.full((n, e.channels), -32768, np.int16)
    if style == "steps":
        return np.repeat(rng.integers(-300, 300, (n // 3 + 1, e.channels)), 3, 0)[:n].astype(np.int16)
    scale = 0 if style == "zero" else draw(st.sampled_from([1, 10, 127, 3000, 32767]))
    return rng.integers(-scale, scale + 1, (n, e.channels)).astype(np.int16)


# The runtime, as firmware uses it


def aligned(size: int) -> Any:
    return ffi.new("uint64_t[]", max(1, (size + 7) // 8))


class Runtime:
    def __init__(self, model: IntegerModel, ring: int = 64) -> None:
        blob = image.write(model)
        self.blob = aligned(len(blob))
        ffi.memmove(self.blob, blob, len(blob))
        self.model, self.net, self.stream = (ffi.new(f"edge_{n}_t *") for n in ("model", "net", "stream"))
        assert lib.edge_model_open(self.model, self.blob, len(blob)) == 0
        weights = lib.edge_model_weights_size(self.model)
        mode = lib.EDGE_LEARN if weights else lib.EDGE_INFER
        arena = lib.edge_model_arena_size(self.model, mode)
        self.arena, self.weights = aligned(arena), aligned(weights) if weights else ffi.NULL
        assert lib.edge_net_init(self.net, self.model, self.weights, self.arena, arena, mode) == 0
        size = lib.edge_stream_size(self.model, ring)
        assert size > 0 and size % 8 == 0
        self.memory = aligned(size)
        assert lib.edge_stream_init(self.stream, self.net, self.memory, size, ring) == 0
        self.ring, self.classes = ring, model.classes
        self.window_size = lib.edge_stream_window_size(self.model)

    def push(self, samples: np.ndarray) -> int:
        raw = [ffi.from_buffer("int16_t[]", sample.tobytes()) for sample in samples]
        return sum(lib.edge_stream_push(self.stream, sample) == 0 for sample in raw)

    def poll(self) -> list[tuple[np.ndarray, bytes]]:
        """Scores and rows of every window that is due."""
        done = []
        while (code := lib.edge_stream_poll(self.stream)) != 0:
            assert code == 1
            done.append((self.scores(), self.keep()))
        return done

    def scores(self) -> np.ndarray:
        out = np.zeros(self.classes, np.int32)
        assert lib.edge_net_scores(self.net, ffi.from_buffer("int32_t[]", out)) == 0
        return out

    def keep(self) -> bytes:
        rows = ffi.new("uint8_t[]", self.window_size)
        assert lib.edge_stream_keep(self.stream, rows, self.window_size) == 0
        return bytes(ffi.buffer(rows))

    def align(self, a: Alignment) -> None:
        c = ffi.new("edge_alignment_t *", {"rotation": a.rotation, "gain": list(a.gains)})
        lib.edge_stream_align(self.stream, c)

    @property
    def alignment(self) -> Alignment:
        a = lib.edge_stream_alignment(self.stream)
        return Alignment(a.rotation, tuple(a.gain))


def reference_scores(model: IntegerModel, rows: np.ndarray, alignment: Alignment) -> np.ndarray:
    """Scores of windows of rows, (n, classes)."""
    x = encode.encode(model.encoder, rows, alignment).astype(np.int64)
    return x.sum(-2) @ model.layers[0].weights


def padded(gains: tuple[int, ...]) -> tuple[int, ...]:
    return gains + (0,) * (64 - len(gains))


# Laws


@settings(max_examples=300)
@given(st.data())
def test_any_split_of_samples_gives_the_windows_of_the_python_encoder(data: st.DataObject) -> None:
    model = data.draw(models())
    samples = data.draw(recordings(model))
    runtime = Runtime(model)
    assert runtime.alignment == Alignment(model.encoder.rotation, padded(model.encoder.gains))
    expected = list(encode.Stream(model.encoder, model.window).push(samples))
    got, at = [], 0
    while at < len(samples):
        n = data.draw(st.integers(1, runtime.ring), label="samples between two polls")
        assert runtime.push(samples[at : at + n]) == len(samples[at : at + n])
        at += n
        got += runtime.poll()
    assert [rows for _, rows in got] == [rows.tobytes() for rows in expected]
    if got:
        wanted = reference_scores(model, np.stack(expected), model.encoder.alignment)
        np.testing.assert_array_equal([s for s, _ in got], wanted)


@settings(max_examples=200)
@given(st.data())
def test_kept_windows_replay_under_any_alignment_as_python_encodes_them(data: st.DataObject) -> None:
    model = data.draw(models())
    rng = np.random.default_rng(data.draw(SEEDS))
    e = model.encoder
    rows = rng.integers(-128, 128, (3, model.window * e.rows_per_step, e.row_values)).astype(np.int8)
    runtime = Runtime(model)
    for window in rows:
        a = Alignment(data.draw(BYTE), tuple(int(g) for g in rng.integers(-128, 128, e.channels)))
        runtime.align(a)
        assert lib.edge_stream_replay(runtime.stream, window.tobytes(), window.size) == 0
        np.testing.assert_array_equal(runtime.scores(), reference_scores(model, window[None], a)[0])
    lib.edge_stream_align(runtime.stream, ffi.NULL)
    assert runtime.alignment == Alignment(e.rotation, padded(e.gains))


@settings(max_examples=150)
@given(st.data())
def test_the_fit_finds_the_alignment_of_the_python_fit(data: st.DataObject) -> None:
    model = data.draw(models(longest=4))
    e = model.encoder
    rng = np.random.default_rng(data.draw(SEEDS))
    count, repetitions = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 255) | st.integers(1, 3))
    scale = data.draw(st.sampled_from([1, 20, 128]))
    shape = (count, model.window * e.rows_per_step, e.row_values)
    rows = rng.integers(-scale, scale, shape).astype(np.int8)
    labels = rng.integers(0, model.classes, count)

    def likelihoods(x: np.ndarray) -> np.ndarray:
        scores = x.astype(np.int64).sum(-2) @ model.layers[0].weights
        return np.stack([reference.log_likelihood(model, o) for o in scores])

    wanted = align.fit_alignment(e, rows, labels, repetitions, likelihoods).alignment
    runtime, fit = Runtime(model), ffi.new("edge_fit_t *")
    before = runtime.alignment
    kept = ffi.from_buffer(rows.tobytes())
    kept_labels = ffi.from_buffer("uint8_t[]", labels.astype(np.uint8).tobytes())
    assert lib.edge_fit_begin(fit, runtime.stream, kept, kept_labels, count, repetitions) == 0
    calls = 1
    while (code := lib.edge_fit_run(fit)) == 1:
        assert runtime.alignment == before
        calls += 1
    assert code == 0
    assert calls == count * (2 * e.span + 1 + 2 * bool(e.profile))
    assert runtime.alignment == Alignment(wanted.rotation, padded(wanted.gains))
    assert lib.edge_fit_run(fit) == 0


@given(st.data())
def test_a_full_ring_reports_what_it_lost_and_keeps_the_rest(data: st.DataObject) -> None:
    model = data.draw(models())
    runtime = Runtime(model, ring=data.draw(st.sampled_from([2, 4, 16])))
    samples = data.draw(recordings(model))
    taken = runtime.push(samples)
    assert taken == min(len(samples), runtime.ring)
    assert lib.edge_stream_lost(runtime.stream) == len(samples) - taken
    assert lib.edge_stream_waiting(runtime.stream) == taken
    assert lib.edge_stream_room(runtime.stream) == runtime.ring - taken
    expected = encode.Stream(model.encoder, model.window).push(samples[:taken])
    assert [rows for _, rows in runtime.poll()] == [rows.tobytes() for rows in expected]


@given(st.data())
def test_reset_starts_a_new_recording_and_keeps_the_alignment(data: st.DataObject) -> None:
    model = data.draw(models())
    runtime = Runtime(model, ring=4096)
    samples = data.draw(recordings(model))
    runtime.align(Alignment(7, (5,) * model.encoder.channels))
    runtime.push(samples)
    first = runtime.poll()
    runtime.push(samples[: data.draw(st.integers(0, len(samples)))])
    lib.edge_stream_reset(runtime.stream)
    runtime.push(samples)
    again = runtime.poll()
    assert [rows for _, rows in again] == [rows for _, rows in first]
    assert runtime.alignment == Alignment(7, padded((5,) * model.encoder.channels))


def test_a_ring_of_any_legal_size_survives_its_counters_wrapping() -> None:
    model = _direct_model()
    for ring in (2, 256, 32768):
        runtime = Runtime(model, ring)
        sent = np.arange(70000, dtype=np.int64)[:, None].astype(np.int16)
        got = []
        for at in range(0, len(sent), 1000 if ring > 1000 else ring):
            part = sent[at : at + (1000 if ring > 1000 else ring)]
            assert runtime.push(part) == len(part)
            while lib.edge_stream_poll(runtime.stream) == 1:
                got.append(runtime.scores()[0])
        np.testing.assert_array_equal(got, np.clip(sent[:, 0] // 256, -128, 127))


def _direct_model(learns: bool = False) -> IntegerModel:
    e = EncoderConfig("direct", channels=1, shift=8)
    zero = np.zeros(2)
    readout = IntegerLayer(NeuronKind.LINEAR, np.array([[1, 0]]), zero, zero, zero, learns=learns)
    return IntegerModel(1, InputKind.FRAMES, (readout,), score_mult=1, score_shift=0, seed=0, encoder=e)


def test_bad_calls_get_their_error_and_change_nothing() -> None:
    model = _direct_model()
    runtime, fit = Runtime(model), ffi.new("edge_fit_t *")
    assert [lib.edge_stream_size(runtime.model, n) for n in (0, 1, 3, 65536)] == [0] * 4
    rows = ffi.new("uint8_t[]", 64)
    assert lib.edge_stream_keep(runtime.stream, rows, 64) == lib.EDGE_ERR_WINDOW
    assert lib.edge_stream_replay(runtime.stream, rows, 0) == lib.EDGE_ERR_MEMORY
    assert lib.edge_stream_replay(runtime.stream, ffi.NULL, 64) == lib.EDGE_ERR_ARGUMENT
    labels = ffi.new("uint8_t[]", [0, 2])
    assert lib.edge_fit_begin(fit, runtime.stream, rows, labels, 2, 1) == lib.EDGE_ERR_LABEL
    for windows, repetitions in ((0, 1), (65536, 1), (1, 0), (1, 256)):
        code = lib.edge_fit_begin(fit, runtime.stream, rows, labels, windows, repetitions)
        assert code == lib.EDGE_ERR_ARGUMENT
    size = lib.edge_stream_size(runtime.model, 2)
    memory, s = aligned(size + 8), ffi.new("edge_stream_t *")
    odd = ffi.cast("uint8_t *", memory) + 1
    assert lib.edge_stream_init(s, runtime.net, memory, size - 1, 2) == lib.EDGE_ERR_MEMORY
    assert lib.edge_stream_init(s, runtime.net, odd, size, 2) == lib.EDGE_ERR_ALIGN
    assert lib.edge_stream_init(s, runtime.net, memory, size, 3) == lib.EDGE_ERR_ARGUMENT


def test_an_image_without_an_encoder_has_no_stream() -> None:
    runtime = Runtime(_direct_model())
    blob = image.write(replace(_direct_model(), encoder=None))
    ffi.memmove(runtime.blob, blob, len(blob))
    assert lib.edge_model_open(runtime.model, runtime.blob, len(blob)) == 0
    assert lib.edge_stream_size(runtime.model, 16) == 0 and lib.edge_stream_window_size(runtime.model) == 0
    s, memory = ffi.new("edge_stream_t *"), aligned(1024)
    assert lib.edge_net_init(runtime.net, runtime.model, ffi.NULL, runtime.arena, 1024, lib.EDGE_INFER) == 0
    assert lib.edge_stream_init(s, runtime.net, memory, 1024, 16) == lib.EDGE_ERR_ENCODER


def test_samples_wait_while_the_net_learns_and_none_is_lost() -> None:
    runtime = Runtime(_direct_model(learns=True), ring=64)
    samples = np.arange(-32768, 32767, 1024, dtype=np.int16)[:, None]
    runtime.push(samples[:1])
    assert len(runtime.poll()) == 1
    assert lib.edge_net_learn_begin(runtime.net, 1) == 0
    assert lib.edge_stream_poll(runtime.stream) == lib.EDGE_ERR_BUSY
    assert runtime.push(samples) == len(samples)
    assert lib.edge_stream_poll(runtime.stream) == lib.EDGE_ERR_BUSY
    assert lib.edge_stream_waiting(runtime.stream) == len(samples)
    while lib.edge_net_learn_run(runtime.net, 1) == 1:
        assert lib.edge_stream_poll(runtime.stream) == lib.EDGE_ERR_BUSY
    assert [np.frombuffer(rows, np.int8)[0] for _, rows in runtime.poll()] == list(samples[:, 0] // 256)
    assert lib.edge_stream_lost(runtime.stream) == 0
