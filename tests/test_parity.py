"""The C runtime computes the bits of the integer reference, inferring and learning (about 120 s).

PYEDGE_PARITY=2000 pytest tests/test_parity.py -k graphs draws that many random graphs of each sort, not 120.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import (
    graphs,
    lessons,
    models,
    saturated_convolutions,
    saturated_model,
    tangles,
    windows,
)

from pyedge._edge import ffi, lib
from pyedge.datasets import catalog
from pyedge.datasets.frames import Binning
from pyedge.errors import CapacityError, LabelError, ModeError
from pyedge.plan import plan
from pyedge.quant import reference
from pyedge.quant.model import (
    InputKind,
    IntegerLayer,
    IntegerModel,
    Integers,
    Map,
    NeuronKind,
    Pooling,
    Surrogate,
)
from pyedge.runtime import ERRORS, Model, Net

GRAPHS = int(os.environ.get("PYEDGE_PARITY", "120"))
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@dataclass
class Tally:
    """What the tests of this file compared: windows, updates, and weights that could move and did."""

    windows: int = 0
    updates: int = 0
    weights: int = 0
    moved: int = 0

    @property
    def moved_share(self) -> float:
        return self.moved / max(1, self.weights)


@pytest.fixture(scope="module")
def total(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """The whole file's tally, printed when its last test is done."""
    tally = Tally()
    yield tally
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(
            f"\nparity: {tally.windows} windows and {tally.updates} updates compared; "
            f"{tally.moved_share:.1%} of the learning weights moved in an update"
        )


@pytest.fixture
def tally(total: Tally) -> Iterator[Tally]:
    """One test's tally, added to the file's."""
    own = Tally()
    yield own
    for field in vars(own):
        setattr(total, field, getattr(total, field) + getattr(own, field))


def net_of(model: IntegerModel) -> Net:
    return Net(Model.open(model), "infer" if model.lowest_learning is None else "learn")


def assert_same_weights(net: Net, state: reference.NetState) -> None:
    for ours, theirs in zip(net.weights(), state.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours_carry, theirs_carry in zip(net.carry(), state.carry, strict=True):
        assert (ours_carry is None) == (theirs_carry is None)
        if ours_carry is not None and theirs_carry is not None:
            np.testing.assert_array_equal(ours_carry, theirs_carry)
    assert net.updates == state.update


def compare_window(
    model: IntegerModel, net: Net, state: reference.NetState, window: Integers, tally: Tally
) -> reference.WindowRecord:
    """Runs one window in both and compares everything that it says."""
    net.clear_stats()
    record = reference.run_window(model, state.weights, window)
    scores = reference.active(model, record.scores, state.classes)
    assert tuple(net.run_window(window)) == reference.predict(model, scores, state.classes)
    np.testing.assert_array_equal(net.scores(), scores)
    likelihoods = [net.likelihood(c) for c in range(state.classes)]
    assert likelihoods == reference.log_likelihood(model, scores).tolist()
    stats = net.stats()
    assert [s.spikes_out for s in stats] == [int(f.sum()) for f in record.fired]
    assert [s.forward_sops for s in stats] == list(record.sops)
    tally.windows += 1
    return record


def compare_update(
    model: IntegerModel,
    net: Net,
    state: reference.NetState,
    window: Integers,
    label: int,
    tally: Tally,
    budget: int | None = None,
) -> reference.NetState:
    """Learns one window in both and compares weights, carry and counts; returns the new state."""
    record = compare_window(model, net, state, window, tally)
    try:
        after = reference.learn(model, state, record, label).state
    except CapacityError:
        with pytest.raises(CapacityError):
            net.learn(label, budget)
        assert_same_weights(net, state)
        return state
    net.learn(label, budget)
    assert_same_weights(net, after)
    for l, (layer, old, new) in enumerate(zip(model.layers, state.weights, after.weights, strict=True)):
        if not layer.learns:
            continue
        changed = old != new
        carry, carry_after = state.carry[l], after.carry[l]
        if carry is not None and carry_after is not None:
            changed = changed | (carry != carry_after)
        assert net.stats()[l].moved == int(changed.sum())
        tally.weights += changed.size
        tally.moved += int(changed.sum())
    tally.updates += 1
    return after


BUDGETS = st.sampled_from([None, 0, 1, 7, 100, 1000])


def test_inference_and_learning(tally: Tally) -> None:
    """Any net, any windows, any labels, any slices."""

    @settings(max_examples=600, suppress_health_check=SLOW)
    @given(st.data())
    def compare(data: st.DataObject) -> None:
        model = data.draw(models())
        net, state = net_of(model), reference.fresh(model)
        for window, label in data.draw(lessons(model)):
            if model.lowest_learning is None:
                compare_window(model, net, state, window, tally)
            else:
                state = compare_update(model, net, state, window, label, tally, data.draw(BUDGETS))

    compare()
    assert tally.windows >= 1000
    assert tally.moved_share > 0.01


@pytest.mark.parametrize("drawn", [graphs, tangles])
def test_random_graphs(tally: Tally, drawn: Callable[[], st.SearchStrategy[IntegerModel]]) -> None:
    """Convolutions, pools, counts, adds, values and spare rows in any order; also their memory plan."""

    @settings(max_examples=GRAPHS, suppress_health_check=SLOW)
    @given(st.data())
    def compare(data: st.DataObject) -> None:
        model = data.draw(drawn())
        net, state, planned = net_of(model), reference.fresh(model), plan(model)
        assert net.model.arena_size() == planned.inference
        assert net.model.arena_size("learn") == planned.learning
        assert net.model.weights_size == planned.learned_weights
        for window, label in data.draw(lessons(model, most=3)):
            if model.lowest_learning is None:
                compare_window(model, net, state, window, tally)
                continue
            if state.classes < model.layers[-1].fan_out and data.draw(st.booleans()):
                assert net.add_class() == state.classes
                state = reference.activate(model, state)
                label = data.draw(st.sampled_from([label, state.classes - 1]))
            state = compare_update(model, net, state, window, label, tally, data.draw(BUDGETS))

    compare()
    assert tally.windows >= GRAPHS
    assert tally.moved_share > 0.01


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("neuron", [NeuronKind.LIF, NeuronKind.IF])
@pytest.mark.parametrize("pooling", list(Pooling))
def test_bounds_of_convolutions(tally: Tally, bits: int, neuron: NeuronKind, pooling: Pooling) -> None:
    """Fan-in 1024 and counts, everything firing, every weight at an end of its range."""
    model = saturated_convolutions(bits, neuron, pooling)
    net, state = net_of(model), reference.fresh(model)
    everything = np.ones((model.window, model.inputs), np.int64)
    for label in range(2):
        state = compare_update(model, net, state, everything, label, tally)
    assert tally.moved > 0


def test_a_spare_row_becomes_a_class_once(tally: Tally) -> None:
    """Its label is refused before, and it is part of the saved state."""
    model = replace(dense(16, 20, 5), spare=2)
    net, state = net_of(model), reference.fresh(model)
    window = np.ones((model.window, model.inputs), np.int64)
    net.run_window(window)
    with pytest.raises(LabelError):
        net.learn_begin(3)
    assert (net.classes, net.add_class(), net.classes, net.add_class()) == (3, 3, 4, 4)
    with pytest.raises(ERRORS[-22]):
        net.add_class()
    state = reference.activate(model, reference.activate(model, state))
    for label in (3, 4, 0):
        state = compare_update(model, net, state, window, label, tally)
    again = net_of(model)
    again.load(net.save())
    assert again.classes == 5 and again.save() == net.save()
    with pytest.raises(ModeError):
        Net(Model.open(model)).add_class()


def papers_network(kind: InputKind, shape: Map, window: int, *tokens: tuple[int, int, int]) -> IntegerModel:
    """A network of the paper, random and learning. tokens: channels, kernel (0: dense layer), padding.

    Convolutions are followed by max pooling; thresholds let some of the neurons fire.
    """
    rng, layers, rate, scale = np.random.default_rng(4), [], 0.3, 60 if kind != InputKind.SPIKES else 1
    for channels, kernel, padding in (*tokens, (10, 0, 0)):
        last = channels == 10
        fan_in = kernel * kernel * shape.channels if kernel else shape.size
        reach = 20 * (fan_in * rate) ** 0.5 * scale
        layer = IntegerLayer(
            NeuronKind.LINEAR if last else NeuronKind.LIF,
            np.clip(np.rint(rng.normal(0, 20, (fan_in, channels))), -128, 127),
            np.zeros(channels),
            np.full(channels, 0 if last else int(256 * reach)),
            np.full(channels, 0 if last else int(256 * reach / window)),
            learns=True,
            surrogate=Surrogate.NONE if last else Surrogate.LINEAR,
            gate_mult=0 if last else max(1, 2**20 // int(reach)),
            gate_shift=0 if last else 13,
            down_shift=0 if last else 5,
            input_shift=6 if scale > 1 else 0,
            rate_shift=-6,
            reset_mult=0 if last else 1,
            reset_shift=0 if last else 15,
        )
        if kernel:
            layer = replace(
                layer,
                height=shape.height,
                width=shape.width,
                kernel=kernel,
                stride=1,
                padding=padding,
                pooling=Pooling.MAX,
                pool_size=2,
            )
        if not last:
            layer = replace(layer, capacity=layer.neurons * window)
        layers.append(layer)
        shape, scale = layer.outputs, 1
    return IntegerModel(window, kind, tuple(layers), score_mult=1, score_shift=12, seed=3)


def fashion() -> tuple[IntegerModel, Integers]:
    """32C5-P2-64C5-P2-1024 and images of Fashion-MNIST."""
    model = papers_network(InputKind.STATIC, Map(28, 28, 1), 5, (32, 5, 2), (64, 5, 2), (1024, 0, 0))
    images = np.asarray(catalog.load("fashion_mnist").test.x[:2])
    return model, np.clip(np.rint(40 * images), -128, 127).astype(np.int64).reshape(2, -1)


def nmnist() -> tuple[IntegerModel, Integers]:
    """12C5-P2-64C5-P2 and recordings of N-MNIST, counts of events."""
    model = papers_network(InputKind.FRAMES, Map(34, 34, 2), 10, (12, 5, 1), (64, 5, 0))
    counts = np.asarray(catalog.load("nmnist_1000", Binning(10)).test.x[:, :2])
    frames = np.clip(60 * counts, 0, 127).astype(np.int64)
    return model, frames.swapaxes(0, 1).reshape(2, 10, -1)


@pytest.mark.parametrize("case", [fashion, nmnist])
def test_the_papers_networks_on_their_data(
    tally: Tally, case: Callable[[], tuple[IntegerModel, Integers]]
) -> None:
    model, samples = case()
    net, state = net_of(model), reference.fresh(model)
    for label, window in enumerate(samples):
        state = compare_update(model, net, state, window, label, tally)
    assert all(layer.spikes_out for layer in net.stats()[:-1])
    assert all(layer.moved for layer in net.stats())


def test_up_to_fifty_updates(tally: Tally) -> None:
    """Small nets that learn for long, with a rate decay in the middle."""

    @settings(max_examples=40, suppress_health_check=SLOW)
    @given(st.data())
    def compare(data: st.DataObject) -> None:
        model = data.draw(models(learning=True, largest=12, longest=12))
        net, state = net_of(model), reference.fresh(model)
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        repertoire = [data.draw(windows(model)) for _ in range(3)]
        for k in range(data.draw(st.sampled_from([50, 50, 20]))):
            if k == 10:
                net.rate_decay(1)
                state = state._replace(rate_decay=1)
            label = int(rng.integers(model.classes))
            state = compare_update(model, net, state, repertoire[k % 3], label, tally)

    compare()
    assert tally.windows >= 1000
    assert tally.moved_share > 0.01


def test_large_nets(tally: Tally) -> None:
    """Layers of several tiles, chunks of inputs, long windows."""

    @settings(max_examples=50, suppress_health_check=SLOW)
    @given(st.data())
    def compare(data: st.DataObject) -> None:
        model = data.draw(models(learning=True, largest=400, hidden_layers=2))
        net, state = net_of(model), reference.fresh(model)
        for window, label in data.draw(lessons(model, most=2)):
            state = compare_update(model, net, state, window, label, tally, data.draw(BUDGETS))

    compare()
    assert tally.updates >= 20


def test_long_windows(tally: Tally) -> None:
    @settings(max_examples=30, suppress_health_check=SLOW)
    @given(st.data())
    def compare(data: st.DataObject) -> None:
        model = data.draw(models(learning=True, largest=10, longest=1024))
        net, state = net_of(model), reference.fresh(model)
        for window, label in data.draw(lessons(model, most=2)):
            state = compare_update(model, net, state, window, label, tally, data.draw(BUDGETS))

    compare()
    assert tally.updates >= 15


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("neuron", [NeuronKind.LIF, NeuronKind.IF])
@pytest.mark.parametrize("carry", [False, True])
def test_bounds(tally: Tally, bits: int, neuron: NeuronKind, carry: bool) -> None:
    """1024 inputs that all fire, every weight at an end of its range, errors at their limits."""
    model = saturated_model(bits=bits, neuron=neuron)
    model = replace(model, layers=tuple(replace(layer, carry=carry) for layer in model.layers))
    net, state = net_of(model), reference.fresh(model)
    everything = np.ones((model.window, model.inputs), np.int64)
    for label in range(3):
        state = compare_update(model, net, state, everything, label, tally)
    assert tally.moved > 0


@pytest.mark.parametrize("kind", [InputKind.FRAMES, InputKind.STATIC])
@pytest.mark.parametrize("bits", [8, 10])
def test_sums_over_values_saturate_without_a_shift(tally: Tally, kind: InputKind, bits: int) -> None:
    """Learning over frames went wrong where input_shift was 0: sums beyond 16 bits stayed as they were."""
    spiking = saturated_model(40, 9, bits=bits)
    readout = replace(spiking.layers[1], weights=np.zeros((40, 5)))
    model = replace(spiking, input_kind=kind, layers=(readout,))
    net, state = net_of(model), reference.fresh(model)
    shape = (model.inputs,) if kind == InputKind.STATIC else (model.window, model.inputs)
    for label, seed in enumerate([5, 6, 7]):
        window = np.random.default_rng(seed).integers(-128, 128, shape)
        state = compare_update(model, net, state, window, label, tally)
    assert tally.moved > 0


def dense(*shape: int, surrogate: Surrogate = Surrogate.RECTANGULAR, window: int = 39) -> IntegerModel:
    """Learning LIF layers that fire about a tenth of the time, and a linear readout."""
    rng = np.random.default_rng(1)
    layers = []
    for l, (fan_in, fan_out) in enumerate(pairwise(shape)):
        last = l + 2 == len(shape)
        reach = 20 * (fan_in * 0.1) ** 0.5
        needs = not last and (surrogate == Surrogate.LINEAR or l + 3 < len(shape))
        layers.append(
            IntegerLayer(
                NeuronKind.LINEAR if last else NeuronKind.LIF,
                np.clip(np.rint(rng.normal(0, 20, (fan_in, fan_out))), -128, 127),
                np.zeros(fan_out),
                np.full(fan_out, 0 if last else int(256 * 2 * reach)),
                np.full(fan_out, 0 if last else int(256 * 2 * reach / window)),
                learns=True,
                surrogate=Surrogate.NONE if last else surrogate,
                down_shift=0 if last else 6,
                rate_shift=-2 if last else -4,
                reset_mult=0 if last else 1,
                reset_shift=0 if last else 15,
                gate_width=int(2 * reach) if not last and surrogate == Surrogate.RECTANGULAR else 0,
                gate_mult=1 if not last and surrogate == Surrogate.LINEAR else 0,
                capacity=fan_out * window if needs else 0,
            )
        )
    return IntegerModel(window, InputKind.SPIKES, tuple(layers), score_mult=1, score_shift=8, seed=3)


@pytest.mark.parametrize(
    ("first", "last", "window"),
    [
        ({}, {}, 70),
        ({"down_shift": 31}, {"input_down": 1}, 39),
        ({"rate_shift": 31}, {}, 39),
        ({"reset_mult": 0}, {}, 39),
    ],
)
def test_at_the_ends_of_what_is_made_together(
    tally: Tally, first: dict[str, int], last: dict[str, int], window: int
) -> None:
    """Histories of nine bytes, errors shifted by 32, a rate of 2^-31, resets that pass no error."""
    model = dense(16, 20, 5, window=window)
    hidden, readout = model.layers
    model = replace(model, layers=(replace(hidden, **first), replace(readout, **last)))
    net, state = net_of(model), reference.fresh(model)
    for label in range(2):
        everything = np.ones((window, model.inputs), np.int64)
        state = compare_update(model, net, state, everything, label, tally)


def test_a_wide_convolution_is_learned_tile_by_tile(tally: Tally) -> None:
    rng = np.random.default_rng(6)
    wide = IntegerLayer(
        NeuronKind.LIF, rng.integers(-20, 21, (8, 70)), 0, 256 * 30, 256, learns=True, down_shift=4,
        rate_shift=-4, surrogate=Surrogate.RECTANGULAR, gate_width=900, height=3, width=3, kernel=2, stride=1,
    )  # fmt: skip
    readout = IntegerLayer(NeuronKind.LINEAR, rng.integers(-20, 21, (280, 3)), 0, 0, 0, learns=True)
    model = IntegerModel(8, InputKind.SPIKES, (wide, readout), score_mult=1, score_shift=8, seed=3)
    net, state = net_of(model), reference.fresh(model)
    window = (rng.random((8, 18)) < 0.3).astype(np.int64)
    for label in range(3):
        state = compare_update(model, net, state, window, label, tally)
    assert tally.moved > 0


def test_currents_taken_as_values_beside_what_learns(tally: Tally) -> None:
    """A branch above the lowest layer that learns, through which no error passes."""
    rng = np.random.default_rng(8)
    conv = IntegerLayer(
        NeuronKind.LIF, rng.integers(-20, 60, (2, 2)), 0, 256 * 9, 256, height=2, width=3, kernel=1, stride=1
    )
    learns = replace(conv, learns=True, rate_shift=-4, surrogate=Surrogate.RECTANGULAR, gate_width=900)
    values = replace(conv, source=2, value_pool=1, value_shift=2)
    readout = IntegerLayer(NeuronKind.LINEAR, rng.integers(-20, 21, (12, 3)), 0, 0, 0, source=1, learns=True)
    layers = (conv, learns, replace(conv, source=0), values, readout)
    model = IntegerModel(8, InputKind.SPIKES, layers, score_mult=1, score_shift=8, seed=3)
    net, state = net_of(model), reference.fresh(model)
    window = (rng.random((8, 12)) < 0.5).astype(np.int64)
    for label in range(3):
        state = compare_update(model, net, state, window, label, tally)
    assert tally.moved > 0


@settings(max_examples=GRAPHS, suppress_health_check=SLOW)
@given(st.one_of(models(learning=True), graphs(learning=True), tangles(learning=True)), st.data())
def test_a_net_that_does_not_count_computes_the_same(model: IntegerModel, data: st.DataObject) -> None:
    counting, quiet = net_of(model), net_of(model)
    assert lib.edge_net_count(quiet.c, ffi.NULL) == 0
    for window, label in data.draw(lessons(model, most=2)):
        assert counting.run_window(window) == quiet.run_window(window)
        if model.lowest_learning is None:
            continue
        try:
            counting.learn(label)
        except CapacityError:
            continue
        quiet.learn(label)
        assert counting.save() == quiet.save()


@pytest.mark.parametrize("shape", [(1024, 512, 10), (300, 200, 129, 65, 17), (64, 1000, 70)])
@pytest.mark.parametrize("surrogate", [Surrogate.RECTANGULAR, Surrogate.LINEAR])
def test_many_tiles(tally: Tally, shape: tuple[int, ...], surrogate: Surrogate) -> None:
    """Wide layers, 5 % of the inputs and then all of them firing."""
    model = dense(*shape, surrogate=surrogate)
    net, state = net_of(model), reference.fresh(model)
    rng = np.random.default_rng(2)
    for k, rate in enumerate([0.05, 0.05, 0.3, 1.0]):
        window = (rng.random((model.window, model.inputs)) < rate).astype(np.int64)
        state = compare_update(model, net, state, window, k % model.classes, tally, [None, 3000][k % 2])
    assert tally.updates == 4
    assert tally.moved_share > 0.01


def test_learning_fits_in_12_kib(capsys: pytest.CaptureFixture[str]) -> None:
    """What learning adds for 1024-512-10, T = 39, is known beforehand: no window needs more."""
    opened = Model.open(dense(1024, 512, 10))
    beyond = opened.arena_size("learn") - opened.arena_size()
    with capsys.disabled():
        print(f"\nlearning beyond inference, 1024-512-10, T = 39: {beyond} bytes")
    assert beyond < 12288


def test_any_slicing_gives_the_same_bits(tally: Tally) -> None:
    """An update in slices of any, changing, size equals the update in one."""

    @settings(max_examples=100, suppress_health_check=SLOW)
    @given(st.data())
    def compare(data: st.DataObject) -> None:
        model = data.draw(models(learning=True))
        whole, sliced = net_of(model), net_of(model)
        budgets = data.draw(st.lists(st.integers(0, 500), min_size=1, max_size=8))
        for window, label in data.draw(lessons(model, most=2)):
            whole.run_window(window)
            sliced.run_window(window)
            try:
                whole.learn(label)
            except CapacityError:
                continue
            sliced.learn_begin(label)
            k = 0
            while sliced.learn_run(budgets[k % len(budgets)]):
                k += 1
            assert sliced.save() == whole.save()
            assert sliced.stats() == whole.stats()
            tally.windows += 1

    compare()
    assert tally.windows >= 50


def test_saved_and_resumed_equals_uninterrupted(tally: Tally) -> None:
    """A net that is saved after any step and resumed in a fresh one goes on as if nothing had happened."""

    @settings(max_examples=80, suppress_health_check=SLOW)
    @given(st.data())
    def compare(data: st.DataObject) -> None:
        model = data.draw(models(learning=True))
        opened = Model.open(model)
        steady, broken = Net(opened, "learn"), Net(opened, "learn")
        for window, label in data.draw(lessons(model, most=4)):
            decay = data.draw(st.integers(0, 2))
            steady.rate_decay(decay)
            broken.rate_decay(decay)
            if data.draw(st.booleans()):
                if data.draw(st.booleans()) and model.input_kind != InputKind.STATIC:
                    for t in range(data.draw(st.integers(0, model.window))):
                        broken.step(window[t])
                state, broken = broken.save(), Net(opened, "learn")
                broken.load(state)
                assert broken.save() == state
            assert steady.run_window(window) == broken.run_window(window)
            try:
                steady.learn(label)
            except CapacityError:
                continue
            broken.learn(label)
            assert steady.save() == broken.save()
            tally.windows += 1

    compare()
    assert tally.windows >= 50


def test_learned_weights_run_without_learning(tally: Tally) -> None:
    """What a net learned, run by another in inference mode, predicts the same."""

    @settings(max_examples=60, suppress_health_check=SLOW)
    @given(st.data())
    def compare(data: st.DataObject) -> None:
        model = data.draw(models(learning=True))
        opened = Model.open(model)
        learner = Net(opened, "learn")
        for window, label in data.draw(lessons(model, most=3)):
            reader = Net(opened, weights=learner.learned_bytes())
            assert learner.run_window(window) == reader.run_window(window)
            np.testing.assert_array_equal(learner.scores(), reader.scores())
            try:
                learner.learn(label)
            except CapacityError:
                continue
            tally.windows += 1

    compare()


@settings(max_examples=200, suppress_health_check=SLOW)
@given(st.one_of(models(largest=400), models(largest=10, longest=1024)))
def test_memory_plan_is_the_same_in_c_and_python(model: IntegerModel) -> None:
    opened, planned = Model.open(model), plan(model)
    assert opened.arena_size() == planned.inference
    assert opened.arena_size("learn") == planned.learning
    assert opened.weights_size == planned.learned_weights
