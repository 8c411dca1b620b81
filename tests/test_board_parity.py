"""The emulated boards compute and learn the same bits as the integer reference (about 20 s)."""

import struct
import zlib
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyedge import align, encode, image
from pyedge.boards import BOARDS, batch
from pyedge.errors import CapacityError
from pyedge.plan import round_up
from pyedge.quant import reference
from pyedge.quant.model import IntegerModel, Integers, NeuronKind
from tests.strategies import labels, lessons, models, saturated_model, windows

EDGE_ERR_CAPACITY = -14
BUDGETS = (4096, 64, 1, 1 << 20)  # of a slice of learning: none changes a bit
IN_BATCHES = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

board = pytest.mark.parametrize("name", list(BOARDS))


def state_bytes(model: IntegerModel, blob: bytes, state: reference.NetState) -> bytes:
    """What edge_net_save writes (docs/image.md section 6), from the reference's state."""
    areas = []
    for l, layer in enumerate(model.layers):
        if layer.learns:
            areas.append(image.canonical(state.weights[l], layer.bits))
            carry = state.carry[l]
            if carry is not None:
                pad = ((0, 0), (0, -layer.fan_out % 4))
                areas.append(np.pad(carry, pad, constant_values=128).astype(np.uint8).tobytes())
    body = b"".join(area + bytes(-len(area) % 8) for area in areas)
    (checksum,) = struct.unpack_from("<I", blob, 12)
    rest = struct.pack("<II", checksum, state.update) + body
    size = round_up(16 + len(rest), 8)
    rest += bytes(size - 16 - len(rest))
    return struct.pack("<4sHBBII", b"EDGS", 1, state.rate_decay, 0, size, zlib.crc32(rest)) + rest


class Case(NamedTuple):
    """A model and what it sees; a label learns the window before it."""

    model: IntegerModel
    lessons: list[tuple[Integers, int]]


@st.composite
def cases(draw: st.DrawFn, most: int = 5, **shape: int) -> Case:
    model = draw(models(**shape))
    return Case(model, draw(lessons(model, most)))


def operations(case: Case) -> list[batch.Operation]:
    learns = case.model.lowest_learning is not None
    out = [batch.open_image(image.write(case.model), learns)]
    for k, (inputs, label) in enumerate(case.lessons):
        out.append(batch.window(case.model.input_kind, inputs))
        if learns:
            out += [batch.learn(label, BUDGETS[k % len(BUDGETS)]), batch.save()]
    return out


def check(case: Case, results: list[batch.Result]) -> list[float]:
    """Compare one case with the reference. Returns the share of learning weights that each update moved."""
    model, blob = case.model, image.write(case.model)
    state, left, moved = reference.fresh(model), iter(results), []
    assert next(left).status == 0
    for inputs, label in case.lessons:
        record = reference.run_window(model, state.weights, inputs)
        answer = batch.answer(next(left))
        assert np.array_equal(answer.scores, record.scores)
        assert (answer.label, answer.confidence) == reference.predict(model, record.scores)
        assert np.array_equal(answer.likelihoods, reference.log_likelihood(model, record.scores))
        if model.lowest_learning is None:
            continue
        before = state
        try:
            state = reference.learn(model, state, record, label).state
            assert next(left).status == 0
        except CapacityError:
            assert next(left).status == EDGE_ERR_CAPACITY
        assert next(left).data == state_bytes(model, blob, state)
        changed = [np.mean(a != b) for a, b in zip(before.weights, state.weights, strict=True)]
        moved.append(max(float(share) for share in changed))
    assert next(left, None) is None
    return moved


def check_all(name: str, drawn: list[Case]) -> list[float]:
    """Many cases through one run of the emulator."""
    asked = [operations(case) for case in drawn]
    results = batch.run(name, [operation for case in asked for operation in case])
    moved, at = [], 0
    for case, its in zip(drawn, asked, strict=True):
        moved += check(case, results[at : at + len(its)])
        at += len(its)
    return moved


@board
@settings(max_examples=11, suppress_health_check=IN_BATCHES)
@given(drawn=st.lists(cases(), min_size=24, max_size=24))
def test_a_board_infers_and_learns_the_same_bits_as_the_reference(name: str, drawn: list[Case]) -> None:
    check_all(name, drawn)


@board
@settings(max_examples=5, suppress_health_check=IN_BATCHES)
@given(data=st.data())
def test_fifty_updates_in_a_row_move_many_weights_and_stay_equal(name: str, data: st.DataObject) -> None:
    model = data.draw(models(learning=True, largest=24, longest=20))
    count = data.draw(st.integers(30, 50))
    seen = [data.draw(windows(model)) for _ in range(3)]
    case = Case(model, [(seen[k % 3], data.draw(labels(model))) for k in range(count)])
    check_all(name, [case])


@board
def test_bounds_are_reached_and_kept(name: str) -> None:
    """Saturated weights, every input firing, 1024 inputs: far more than 1 % of the weights move."""
    rng = np.random.default_rng(3)
    drawn = []
    for bits in (8, 10):
        for neuron in (NeuronKind.LIF, NeuronKind.IF):
            model = saturated_model(1024, 33, bits=bits, neuron=neuron)
            full = np.ones((model.window, model.inputs), np.int64)
            sparse = (rng.random(full.shape) < 0.05).astype(np.int64)
            drawn.append(Case(model, [(full, 1), (sparse, 0), (sparse, 3), (full, 2)]))
    moved = check_all(name, drawn)
    assert np.mean([share > 0.01 for share in moved]) > 0.5


class Live(NamedTuple):
    """A model with an encoder, and raw samples for a few windows."""

    model: IntegerModel
    samples: Integers
    seed: int

    @property
    def config(self) -> encode.EncoderConfig:
        assert self.model.encoder is not None
        return self.model.encoder

    def rows(self) -> list[Integers]:
        return list(encode.Stream(self.config, self.model.window).push(self.samples))

    def labels(self, count: int) -> list[int]:
        return [int(y) for y in np.random.default_rng(self.seed).integers(0, self.model.classes, count)]


@st.composite
def live(draw: st.DrawFn) -> Live:
    model = draw(models(encoder=True, learning=False, longest=12))
    assert model.encoder is not None
    model = replace(model, encoder=replace(model.encoder, span=draw(st.integers(0, 3))))
    config, seed = model.encoder, draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    steps = model.window + 3 * min(config.stride, model.window)
    loud = rng.choice([3, 60, 2000, 32767], (config.hop * steps // 8 + 1, 1)).repeat(8, axis=0)
    samples = np.clip(rng.normal(0, loud, (len(loud), config.channels)), -32768, 32767).astype(np.int64)
    return Live(model, samples, seed)


def stream_operations(case: Live) -> list[batch.Operation]:
    kept = case.rows()
    out = [batch.open_image(image.write(case.model), learn=False), batch.stream(), batch.push(case.samples)]
    if kept:
        rows = [window.astype(np.int8).tobytes() for window in kept]
        out += [batch.fit(rows, case.labels(len(kept)), 2), batch.replay(rows[-1])]
    return out


def check_stream(case: Live, results: list[batch.Result]) -> None:
    model, config, kept = case.model, case.config, case.rows()
    weights = reference.fresh(model).weights

    def scores(rows: Integers, alignment: encode.Alignment) -> Integers:
        inputs = encode.encode(config, rows, alignment).astype(np.int64)
        return reference.run_window(model, weights, inputs).scores

    got = batch.streamed(results[2], kept[0].size if kept else 0)
    assert len(got) == len(kept)
    for window, rows in zip(got, kept, strict=True):
        assert window.rows == rows.astype(np.int8).tobytes()
        assert (window.label, window.confidence) == reference.predict(model, scores(rows, config.alignment))
    if not kept:
        return

    def likelihoods(coded: Integers) -> Integers:
        runs = [reference.run_window(model, weights, inputs.astype(np.int64)).scores for inputs in coded]
        return np.array([reference.log_likelihood(model, o) for o in runs])

    fitted = align.fit_alignment(config, np.array(kept), case.labels(len(kept)), 2, likelihoods).alignment
    gains = np.array(fitted.gains, np.int8).tobytes()
    assert results[3].status == 0
    assert results[3].data[: 1 + config.channels] == struct.pack("b", fitted.rotation) + gains
    assert np.array_equal(batch.answer(results[4]).scores, scores(kept[-1], fitted))


@board
@settings(max_examples=3, suppress_health_check=IN_BATCHES)
@given(drawn=st.lists(live(), min_size=16, max_size=16))
def test_a_board_streams_and_fits_the_same_bits_as_the_reference(name: str, drawn: list[Live]) -> None:
    asked = [stream_operations(case) for case in drawn]
    results, at = batch.run(name, [operation for case in asked for operation in case]), 0
    for case, its in zip(drawn, asked, strict=True):
        check_stream(case, results[at : at + len(its)])
        at += len(its)
