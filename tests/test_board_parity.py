"""The emulated boards compute and learn the same bits as the integer reference (about 100 s).

Cases are drawn once, and their results worked out once, for all boards whose memory they fit.
PYEDGE_PARITY=200 pytest -s tests/test_board_parity.py -k graphs runs that many random graphs, not 48.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pyedge import align, encode, image
from pyedge.boards import BOARDS, batch, board
from pyedge.errors import CapacityError
from pyedge.plan import plan, round_up
from pyedge.quant import reference
from pyedge.quant.model import IntegerModel, Integers, NeuronKind, Pooling
from tests.strategies import (
    graphs,
    labels,
    lessons,
    models,
    saturated_convolutions,
    saturated_model,
    tangles,
    windows,
)

EDGE_ERR_CAPACITY = -14
RING = 32
GRAPHS = int(os.environ.get("PYEDGE_PARITY", "48"))
BUDGETS = (4096, 64, 1, 1 << 20)  # of a slice of learning: none changes a bit
IN_BATCHES = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

KIB = 1024
SMALL = [name for name, spec in BOARDS.items() if spec.ram < 64 * KIB]
BIG_ENDIAN = "powerpc-linux"
GROUPS = [[*(name for name in BOARDS if name not in SMALL), BIG_ENDIAN], SMALL]
groups = pytest.mark.parametrize("names", GROUPS, ids=["roomy", "small"])


def room(names: Sequence[str]) -> int:
    """Bytes for a case on the smallest of these boards; the rest is the test firmware's stack and its own."""
    return min(board(name).ram for name in names) * 17 // 32


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
    added = state.classes - model.classes
    head = struct.pack("<4sHBBII", b"EDGS", 1, state.rate_decay, added, size, zlib.crc32(rest))
    return head + rest


class Case(NamedTuple):
    """A model and what it sees; a label learns the window before it. grows: spare rows become classes, one
    a lesson; the new class is its label."""

    model: IntegerModel
    lessons: list[tuple[Integers, int]]
    grows: bool = False


def needs(model: IntegerModel) -> int:
    """Bytes of a case: image, weights, arena, and the largest of what comes and goes."""
    memory = plan(model)
    window = model.window * max(model.inputs, 8 * model.classes) + 8 * model.layers[-1].fan_out
    return (
        len(image.write(model))
        + 2 * memory.learned_weights
        + memory.inference
        + memory.learning
        + window
        + 256
    )


@st.composite
def cases(draw: st.DrawFn, names: Sequence[str], most: int = 5) -> Case:
    largest = 40 if names is not SMALL else 16
    model = draw(models(largest=largest, longest=largest).filter(lambda m: needs(m) <= room(names)))
    return Case(model, draw(lessons(model, most)))


@st.composite
def graph_cases(draw: st.DrawFn, names: Sequence[str]) -> Case:
    """Of any layers, in any order, two sorts alike; many small maps on small boards."""
    if names is SMALL:
        drawn = st.one_of(graphs(longest=8, convolutions=2), tangles(longest=8, depth=3, side=4))
    else:
        drawn = st.one_of(graphs(), tangles())
    model = draw(drawn.filter(lambda m: needs(m) <= room(names)))
    return Case(model, draw(lessons(model, 3)), draw(st.booleans()))


def operations(case: Case) -> list[batch.Operation]:
    learns = case.model.lowest_learning is not None
    out = [batch.open_image(image.write(case.model), learns)]
    classes = case.model.classes
    for k, (inputs, label) in enumerate(case.lessons):
        if learns and case.grows and classes < case.model.layers[-1].fan_out:
            out.append(batch.add_class())
            label = classes
            classes += 1
        out.append(batch.window(case.model.input_kind, inputs))
        if learns:
            out += [batch.learn(label, BUDGETS[k % len(BUDGETS)]), batch.save()]
    return out


def expected_answer(
    code: batch.Code, model: IntegerModel, scores: Integers, classes: int | None = None
) -> batch.Result:
    label, confidence = reference.predict(model, scores, classes)
    scores = reference.active(model, scores, classes)
    values = [confidence, *scores, *reference.log_likelihood(model, scores)]
    return batch.Result(code, label, np.array(values).astype("<i4").tobytes())


def expected(case: Case) -> tuple[list[batch.Result], list[float]]:
    """What the reference makes of the operations, and the share of weights that each update moved: of the
    layer that moved most."""
    model, blob = case.model, image.write(case.model)
    state, moved = reference.fresh(model), []
    out = [batch.Result(batch.Code.OPEN, 0, b"")]
    learns = model.lowest_learning is not None
    for inputs, label in case.lessons:
        if learns and case.grows and state.classes < model.layers[-1].fan_out:
            out.append(batch.Result(batch.Code.GROW, state.classes, b""))
            label = state.classes
            state = reference.activate(model, state)
        record = reference.run_window(model, state.weights, inputs)
        out.append(expected_answer(batch.Code.WINDOW, model, record.scores, state.classes))
        if not learns:
            continue
        before, status = state, 0
        try:
            state = reference.learn(model, state, record, label).state
        except CapacityError:
            status = EDGE_ERR_CAPACITY
        out.append(batch.Result(batch.Code.LEARN, status, b""))
        saved = state_bytes(model, blob, state)
        out.append(batch.Result(batch.Code.SAVE, len(saved), saved))
        changed = [np.mean(a != b) for a, b in zip(before.weights, state.weights, strict=True)]
        moved.append(max(float(share) for share in changed))
    return out, moved


def check_all(names: Sequence[str], drawn: list[Case]) -> list[float]:
    """Many cases through one run of each board. Returns the shares of moved weights."""
    asked = [operation for case in drawn for operation in operations(case)]
    worked_out = [expected(case) for case in drawn]
    right = [result for results, _ in worked_out for result in results]
    for name in names:
        got = batch.run(name, asked)
        wrong = next((k for k, (a, b) in enumerate(zip(got, right, strict=True)) if a != b), None)
        assert wrong is None, f"{name}, operation {wrong}: {got[wrong]} instead of {right[wrong]}"
    return [share for _, moved in worked_out for share in moved]


@groups
@settings(max_examples=11, suppress_health_check=IN_BATCHES)
@given(data=st.data())
def test_boards_infer_and_learn_the_same_bits_as_the_reference(
    names: Sequence[str], data: st.DataObject
) -> None:
    check_all(names, data.draw(st.lists(cases(names), min_size=24, max_size=24)))


@groups
def test_boards_run_random_graphs_as_the_reference(
    names: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Convolutions, pools, counts, adds, values, spare rows; learning moves more than 1 % of the weights."""
    tally: list[tuple[int, list[float]]] = []

    @settings(max_examples=-(-GRAPHS // 24), suppress_health_check=[*IN_BATCHES, HealthCheck.filter_too_much])
    @given(data=st.data())
    def compare(data: st.DataObject) -> None:
        drawn = data.draw(st.lists(graph_cases(names), min_size=24, max_size=24))
        convolutions = sum(any(layer.conv for layer in case.model.layers) for case in drawn)
        tally.append((convolutions, check_all(names, drawn)))

    compare()
    moved = [share for _, shares in tally for share in shares]
    convolutions = sum(count for count, _ in tally)
    many = np.mean([share > 0.01 for share in moved])
    with capsys.disabled():
        print(
            f"\n{', '.join(names)}: {24 * len(tally)} graphs, {convolutions} with convolutions; "
            f"{len(moved)} updates, {many:.0%} of them move more than 1 %"
        )
    assert np.mean(moved) > 0.01


@groups
@settings(max_examples=5, suppress_health_check=IN_BATCHES)
@given(data=st.data())
def test_fifty_updates_in_a_row_move_many_weights_and_stay_equal(
    names: Sequence[str], data: st.DataObject
) -> None:
    model = data.draw(models(learning=True, largest=24, longest=20).filter(lambda m: needs(m) <= room(names)))
    count = data.draw(st.integers(30, 50))
    seen = [data.draw(windows(model)) for _ in range(3)]
    check_all(names, [Case(model, [(seen[k % 3], data.draw(labels(model))) for k in range(count)])])


@pytest.mark.parametrize("name", [*BOARDS, BIG_ENDIAN])
def test_bounds_are_reached_and_kept(name: str) -> None:
    """Saturated weights, all of 1024 inputs (or what fits) firing: far more than 1 % of the weights move."""
    rng = np.random.default_rng(3)
    drawn = []
    for bits in (8, 10):
        for neuron in (NeuronKind.LIF, NeuronKind.IF):
            model = next(
                model
                for fan_in in (1024, 256, 64, 32, 12)
                if needs(model := saturated_model(fan_in, 33, bits=bits, neuron=neuron)) <= room([name])
            )
            full = np.ones((model.window, model.inputs), np.int64)
            sparse = (rng.random(full.shape) < 0.05).astype(np.int64)
            drawn.append(Case(model, [(full, 1), (sparse, 0), (sparse, 3), (full, 2)]))
        # A micro:bit has no room for the smallest of these.
        pooling = Pooling.SUM if bits == 8 else Pooling.MAX
        shapes = ((64, 33), (16, 9), (2, 5), (1, 1))
        convolutions = (saturated_convolutions(bits, neuron, pooling, *shape) for shape in shapes)
        fitting = next((model for model in convolutions if needs(model) <= room([name])), None)
        if fitting is not None:
            full = np.ones((fitting.window, fitting.inputs), np.int64)
            drawn.append(Case(fitting, [(full, 1), (full, 0)]))
    moved = check_all([name], drawn)
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
def live(draw: st.DrawFn, names: Sequence[str]) -> Live:
    largest = 40 if names is not SMALL else 12
    model = draw(models(encoder=True, learning=False, largest=largest, longest=12))
    assert model.encoder is not None
    model = replace(model, encoder=replace(model.encoder, span=draw(st.integers(0, 3))))
    config, seed = model.encoder, draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    steps = model.window + 3 * min(config.stride, model.window)
    loud = rng.choice([3, 60, 2000, 32767], (config.hop * steps // 8 + 1, 1)).repeat(8, axis=0)
    samples = np.clip(rng.normal(0, loud, (len(loud), config.channels)), -32768, 32767).astype(np.int64)
    case = Live(model, samples, seed)
    kept = sum(8 + round_up(rows.size, 8) for rows in case.rows())
    assume(
        kept
        and len(image.write(model)) + plan(model).inference + 2 * samples.size + 2 * kept + 4096
        <= 2 * room(names)
    )
    return case


def stream_operations(case: Live) -> list[batch.Operation]:
    rows = [window.astype(np.int8).tobytes() for window in case.rows()]
    return [
        batch.open_image(image.write(case.model), learn=False),
        batch.stream(RING),
        batch.push(case.samples),
        batch.fit(rows, case.labels(len(rows)), 2),
        batch.replay(rows[-1]),
    ]


class Streamed(NamedTuple):
    """What the reference makes of a stream: windows, alignment, and the last window again under it."""

    windows: list[batch.StreamedWindow]
    alignment: bytes
    again: batch.Result


def expected_stream(case: Live) -> Streamed:
    model, config, kept = case.model, case.config, case.rows()
    weights = reference.fresh(model).weights

    def scores(rows: Integers, alignment: encode.Alignment) -> Integers:
        inputs = encode.encode(config, rows, alignment).astype(np.int64)
        return reference.run_window(model, weights, inputs).scores

    def likelihoods(coded: Integers) -> Integers:
        runs = [reference.run_window(model, weights, inputs.astype(np.int64)).scores for inputs in coded]
        return np.array([reference.log_likelihood(model, o) for o in runs])

    windows = [
        batch.StreamedWindow(
            *reference.predict(model, scores(rows, config.alignment)), rows.astype(np.int8).tobytes()
        )
        for rows in kept
    ]
    fitted = align.fit_alignment(config, np.array(kept), case.labels(len(kept)), 2, likelihoods).alignment
    packed = struct.pack("b", fitted.rotation) + np.array(fitted.gains, np.int8).tobytes()
    return Streamed(windows, packed, expected_answer(batch.Code.REPLAY, model, scores(kept[-1], fitted)))


@groups
@settings(max_examples=3, suppress_health_check=IN_BATCHES)
@given(data=st.data())
def test_boards_stream_and_fit_the_same_bits_as_the_reference(
    names: Sequence[str], data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(live(names), min_size=16, max_size=16))
    asked = [operation for case in drawn for operation in stream_operations(case)]
    right = [expected_stream(case) for case in drawn]
    for name in names:
        results = iter(batch.run(name, asked))
        for case, worked_out in zip(drawn, right, strict=True):
            opened, stream, pushed, fitted, again = (next(results) for _ in range(5))
            assert opened.status == stream.status == fitted.status == 0
            assert batch.streamed(pushed, len(worked_out.windows[0].rows)) == worked_out.windows, name
            assert fitted.data[: 1 + case.config.channels] == worked_out.alignment, name
            assert again == worked_out.again, name
