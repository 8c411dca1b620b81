"""Law: the native backend gives NumPy's spikes and gradients on any network and processor (about 10 s)."""

import logging
import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from pyedge.errors import ConfigError
from pyedge.layers import BatchNorm, Conv, Dense, Dropout, Flatten, MaxPool, MeanPool, Residual, Spiking
from pyedge.losses import TET, CountCrossEntropy, EnhancedSpikeCount, ScoreCrossEntropy
from pyedge.model import Activity, Input, Network, dense_network
from pyedge.neuron import IF, LIF, SRM
from pyedge.ops import NUMPY, Geometry, backend, native
from pyedge.ops.native import OPS, lazy, memory
from pyedge.optim import SGD, AdamW
from pyedge.rules import MPDED, STDED, AlphaED, Surrogate, stbp
from pyedge.rules.surrogate import DEFAULT_WIDTHS
from pyedge.trainer import TrainConfig, fit

SETS = ("plain", "avx2", "avx512")
HERE = [name for name in SETS if native.use_isa(name)]
native.use_isa(HERE[-1])

KINDS = st.sampled_from(("spikes", "frames", "static"))
NEURONS = st.sampled_from((LIF(), LIF(alpha=0.0), LIF(0.75, 1.5, 0.125), IF(), IF(2.0, 0.25)))
# A constant surrogate with the reset's part as it is lets errors, and rounding, grow with every spike.
RULES = st.builds(
    lambda shape, width, reset: MPDED(Surrogate(shape, width), reset=reset),
    st.sampled_from(sorted(DEFAULT_WIDTHS)),
    st.sampled_from((None, 0.75)),
    st.sampled_from(("on", "off", "threshold")),
).filter(lambda rule: rule.surrogate.shape != "constant" or rule.reset != "on")


TIMING = st.sampled_from((IF(), IF(alpha=0.0), IF(2.0, 0.25)))


@pytest.fixture(params=HERE)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    native.use_isa(request.param)
    yield request.param
    native.use_isa(HERE[-1])


@st.composite
def dense_networks(draw: st.DrawFn) -> Network:
    window = draw(st.sampled_from((1, 2, 5, 8, 13, 39, 70)))
    hidden = draw(st.lists(st.sampled_from((1, 15, 16, 33, 70, 130)), min_size=1, max_size=2))
    source = Input(draw(KINDS), (draw(st.sampled_from((3, 17, 300))),))
    return dense_network(source, hidden, draw(st.integers(2, 18)), window, "linear", draw(NEURONS))


@st.composite
def conv_networks(draw: st.DrawFn, neurons: st.SearchStrategy = NEURONS) -> Network:
    channels = st.sampled_from((1, 3, 12, 16, 32, 40, 64))
    shape = (draw(st.integers(4, 9)), draw(st.integers(4, 9)), draw(st.integers(1, 3)))
    size = draw(st.sampled_from((1, 2, 3, 5)))
    padding = draw(st.sampled_from((None, 0, 1))) if size < 5 else None
    if size == 1:
        padding = 0
    spiking = Spiking(draw(neurons))
    strides = st.sampled_from((1, 1, 2, 3))
    pools = st.sampled_from(((), (MaxPool(2),), (MeanPool(2),), (MeanPool(2, adjusted=True),), (MaxPool(3),)))
    pool = draw(pools)
    dropped = draw(st.sampled_from(((), (Dropout(0.5),))))
    pool, last = (*pool, *dropped), (*draw(pools), *dropped)
    head = draw(st.sampled_from(((Dense(5),), (Dense(20), spiking, *dropped, Dense(5)))))
    layers = (
        Conv(draw(channels), size, draw(strides), padding, draw(st.booleans())),
        spiking,
        *pool,
        Conv(draw(channels), 3, draw(strides)),
        spiking,
        *last,
    )
    try:
        return Network(Input(draw(KINDS), shape), (*layers, *head), draw(st.sampled_from((1, 4, 5, 20))))
    except ConfigError:  # too small for its convolutions and poolings
        reject()


def dyadic(network: Network, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights of few bits, so that float32 sums of them are exact in any order; as large as fresh ones."""
    return {
        name: (np.rint(p * 32 + rng.integers(-2, 5, p.shape)) / 32).astype(np.float32)
        for name, p in network.init(0).items()
    }


def inputs(network: Network, rng: np.random.Generator, batch: int = 3) -> tuple[np.ndarray, np.ndarray]:
    shape = network.input.shape
    labels = rng.integers(0, network.classes, batch)
    if network.input.kind == "static":
        return rng.integers(-2, 9, (batch, *shape)) / 8, labels
    if network.input.kind == "frames":
        return rng.integers(-4, 9, (network.window, batch, *shape)) / 8, labels
    return rng.random((network.window, batch, *shape)) < 0.3, labels


def spikes_of(network: Network, record) -> list[np.ndarray]:
    return [np.asarray(run.fired) for run in network.runs(record).values()]


def gradients(network, params, record, loss, rule, labels, **options):
    """From errors rounded to 12 bits, so that both sides start from the same."""
    error = np.rint(loss(record.outputs, labels).error * 4096) / 4096
    return network.backward(params, record, error, rule, **options)


def is_true(condition: bool) -> None:
    assert condition


def assert_same_training(
    network, params, x, labels, loss, rule, tolerance, given=is_true, teacher=False, training=True, **options
) -> None:
    """Spikes are equal; gradients are exact within tolerance of their tensor's largest (or a tenth of all's),
    and NumPy's own rounding in float32."""
    wide = {name: p.astype(np.float64) for name, p in params.items()}
    narrow, ours, exact = (
        network.forward(weights, x, training, np.random.default_rng(0), ops)
        for weights, ops in ((params, NUMPY), (params, OPS), (wide, NUMPY))
    )
    for a, b in zip(spikes_of(network, narrow), spikes_of(network, ours), strict=True):
        np.testing.assert_array_equal(a, b)
    rates, theirs = network.firing_rates(ours), network.firing_rates(narrow)
    assert all(abs(rates[name] - theirs[name]) < 1e-12 for name in rates)
    pairs = zip(spikes_of(network, narrow), spikes_of(network, exact), strict=True)
    given(all((a == b).all() for a, b in pairs))  # thresholds such as 2/3 round differently in float64
    if teacher:
        narrow, ours, exact = (network.with_teacher(record, labels) for record in (narrow, ours, exact))
    expected = gradients(network, wide, exact, loss, rule, labels, **options)
    found = gradients(network, params, ours, loss, rule, labels, **options)
    reference = gradients(network, params, narrow, loss, rule, labels, **options)
    assert expected.keys() == found.keys()
    largest = max(np.abs(g).max() for g in expected.values())
    for name, g in expected.items():
        assert found[name].dtype == np.float32
        allowed = tolerance * max(np.abs(g).max(), largest / 10) + np.abs(reference[name] - g).max()
        assert np.abs(found[name] - g).max() <= allowed, name


@settings(max_examples=60)
@given(dense_networks(), RULES, st.sampled_from((TET(), TET(0.05), ScoreCrossEntropy())), st.integers(0, 99))
def test_dense_networks_train_as_in_numpy(network, rule, loss, seed):
    rng = np.random.default_rng(seed)
    assert_same_training(network, dyadic(network, rng), *inputs(network, rng), loss, rule, 1e-6, assume)


@settings(max_examples=60)
@given(conv_networks(), RULES, st.integers(0, 99))
def test_convolutional_networks_train_as_in_numpy(network, rule, seed):
    rng = np.random.default_rng(seed)
    assert_same_training(network, dyadic(network, rng), *inputs(network, rng), TET(), rule, 1e-6, assume)


@settings(max_examples=60)
@given(conv_networks(TIMING), st.booleans(), st.sampled_from((4.0, 0.5)), st.integers(0, 99))
def test_std_ed_trains_as_in_numpy(network, teacher, clamp, seed):
    rng = np.random.default_rng(seed)
    network = replace(network, layers=(*network.layers, Spiking(network.layers[1].neuron)))
    loss, rule, (x, labels) = EnhancedSpikeCount(3, 1), STDED(clamp=clamp), inputs(network, rng)
    assert_same_training(network, dyadic(network, rng), x, labels, loss, rule, 3e-6, assume, teacher)


SMALL = Network(
    Input("spikes", (8, 7, 2)),
    (Conv(20, 3), Spiking(), MaxPool(2), Conv(64, 3), Spiking(), Dense(70), Spiking(), Dense(4)),
    6,
)
TIMED = {Spiking: Spiking(IF()), MaxPool: MeanPool(2, adjusted=True)}
DENSE = dense_network(Input("spikes", (40,)), (130, 33), 4, 13)


@pytest.mark.parametrize("network", (SMALL, DENSE), ids=("conv", "dense"))
def test_every_instruction_set_does(isa, network):
    rng = np.random.default_rng(1)
    assert native.isa() == isa
    for shape in DEFAULT_WIDTHS:
        rule = MPDED(Surrogate(shape))
        assert_same_training(network, dyadic(network, rng), *inputs(network, rng), TET(), rule, 1e-6)
    timing, layers = STDED(), tuple(TIMED.get(type(layer), layer) for layer in network.layers)
    network = replace(network, layers=layers)
    assert_same_training(network, dyadic(network, rng), *inputs(network, rng), TET(), timing, 1e-6)


@pytest.mark.parametrize("network", (SMALL, DENSE), ids=("conv", "dense"))
def test_ordinary_weights_agree_to_rounding_where_spikes_do(network):
    rng = np.random.default_rng(2)
    assert_same_training(network, network.init(3), *inputs(network, rng), TET(), MPDED(), 2e-5)


@pytest.mark.parametrize("network", (SMALL, DENSE), ids=("conv", "dense"))
def test_a_spiking_readout_a_penalty_and_frozen_layers_do(network):
    rng = np.random.default_rng(3)
    spiking = replace(network, layers=(*network.layers, Spiking()))
    loss, options = CountCrossEntropy(), {"activity": Activity(0.5, 0.01), "learn": [network.names[0]]}
    x, labels = inputs(spiking, rng)
    assert_same_training(spiking, dyadic(spiking, rng), x, labels, loss, MPDED(), 1e-6, **options)
    assert_same_training(spiking, dyadic(spiking, rng), x, labels, loss, MPDED(), 1e-6)


@pytest.mark.parametrize("network", (SMALL, DENSE), ids=("conv", "dense"))
def test_the_number_of_threads_changes_no_bit(network):
    rng = np.random.default_rng(4)
    params, (x, labels) = network.init(5), inputs(network, rng, batch=11)
    results = []
    for threads in (1, 2, 3, 5):
        native.use_threads(threads)
        record = network.forward(params, x, ops=OPS)
        results.append(
            (np.asarray(record.outputs), gradients(network, params, record, TET(), MPDED(), labels))
        )
    native.use_threads(0)
    for outputs, found in results[1:]:
        np.testing.assert_array_equal(outputs, results[0][0])
        assert all(np.array_equal(found[name], g) for name, g in results[0][1].items())


@pytest.mark.parametrize("rule", (MPDED(), stbp(), STDED()), ids=("mpd_ed", "stbp", "std_ed"))
@pytest.mark.parametrize("kind", ("static", "spikes"))
def test_layers_that_stay_numpys_work_between_its_own(rule, kind):
    """Batch norm sees the same exact currents on both sides, so that spikes are equal here too."""
    rng, spiking = np.random.default_rng(10), Spiking(IF() if isinstance(rule, STDED) else LIF())
    layers = (
        *(Conv(16, 3, bias=False), BatchNorm(), spiking, MaxPool(2)),
        *(Residual((Conv(16, 3, bias=False), spiking)), MeanPool(2, adjusted=True), Flatten()),
        *(Dense(20), spiking, Dense(4)),
    )
    network = Network(Input(kind, (8, 8, 2)), layers, 4)
    params, (x, labels) = dyadic(network, rng), inputs(network, rng)
    ours, reference = (network.forward(params, x, training=True, ops=ops) for ops in (OPS, NUMPY))
    for a, b in zip(spikes_of(network, ours), spikes_of(network, reference), strict=True):
        np.testing.assert_array_equal(a, b)
    found, expected = (gradients(network, params, r, TET(), rule, labels) for r in (ours, reference))
    assert found.keys() == expected.keys()
    for name, g in expected.items():
        assert np.abs(found[name] - g).max() <= 1e-5 * np.abs(g).max() + 1e-9, name


class Mine(LIF):
    """A user's own kind of neuron."""


@pytest.mark.parametrize(
    ("change", "said"),
    (
        ({"rule": stbp()}, "backward pass of MPDED"),
        ({"rule": MPDED(recursion="printed")}, "backward pass of MPDED"),
        ({"rule": STDED("increment"), "neuron": IF()}, "backward pass of STDED"),
        ({"rule": MPDED(lambda z: 1 / (1 + z * z))}, "backward pass of MPDED"),
        ({"neuron": Mine()}, "neurons of kind Mine"),
        ({"rule": AlphaED(), "neuron": SRM()}, "neurons of kind SRM"),
        ({"padding": 3}, "padding 3"),
        ({"dtype": np.float64}, "float64"),
    ),
    ids=("stbp", "printed", "increment", "own surrogate", "own neuron", "alpha kernel", "padding", "float64"),
)
def test_what_it_does_not_know_is_numpys_and_said(change, said, caplog):
    rng = np.random.default_rng(6)
    spiking = Spiking(change.get("neuron", LIF()))
    layers = (Conv(6, 3, padding=change.get("padding", 1)), spiking, MaxPool(2), Dense(9), spiking, Dense(3))
    network = Network(Input("spikes", (8, 8, 2)), layers, 4)
    params = {k: p.astype(change.get("dtype", np.float32)) for k, p in dyadic(network, rng).items()}
    (x, labels), rule = inputs(network, rng), change.get("rule", MPDED())
    ops = native.NativeOps()
    with caplog.at_level(logging.WARNING, "pyedge.ops.native"):
        ours, reference = network.forward(params, x, ops=ops), network.forward(params, x)
        found = gradients(network, params, ours, TET(), rule, labels)
    expected = gradients(network, params, reference, TET(), rule, labels)
    for a, b in zip(spikes_of(network, ours), spikes_of(network, reference), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, g in expected.items():
        assert np.abs(found[name] - g).max() <= 2e-6 * np.abs(g).max() + 1e-12, name
    assert said in caplog.text
    assert len(caplog.messages) == len(set(caplog.messages))


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 200)), st.floats(0, 1), st.integers(0, 99)
)
def test_packed_spikes_stand_for_the_array(shape, rate, seed):
    rng = np.random.default_rng(seed)
    x = rng.random(shape) < rate
    packed = lazy.Spikes.pack(x)
    which = rng.integers(0, shape[1], 5)
    np.testing.assert_array_equal(np.asarray(packed), x)
    np.testing.assert_array_equal(np.asarray(packed.take(which, 1)), x.take(which, 1))
    np.testing.assert_array_equal(np.asarray(packed[:, 1:3]), x[:, 1:3])
    np.testing.assert_array_equal(packed.reshape(shape[0], shape[1], -1, 1), x[..., None])
    np.testing.assert_array_equal(packed + 1, x + 1)
    assert abs(packed.mean() - x.mean()) < 1e-12 and packed.astype(bool) is packed
    t, b, n = np.nonzero(x)
    order = np.lexsort((n, t, b))
    np.testing.assert_array_equal(packed.bits.index[: packed.bits.count], n[order])


@given(st.tuples(*(st.integers(2, 7),) * 2, st.integers(1, 40)), st.sampled_from((2, 3)), st.integers(0, 99))
def test_max_pooling_is_or_and_the_first_spike_wins(shape, size, seed):
    assume(min(shape[:2]) >= size)
    rng = np.random.default_rng(seed)
    x = rng.random((3, 2, *shape)) < 0.4
    ours, reference = OPS.max_pool(lazy.Spikes.pack(x), size), NUMPY.max_pool(x, size)
    np.testing.assert_array_equal(np.asarray(ours.out), reference.out)
    error = rng.standard_normal(reference.out.shape).astype(np.float32)
    below = NUMPY.max_pool_error(reference, error, shape, size)
    np.testing.assert_array_equal(np.asarray(OPS.max_pool_error(ours, error, shape, size)), below)


@given(
    st.tuples(*(st.integers(3, 7),) * 2, st.integers(1, 40)),
    st.sampled_from((2, 3)),
    st.sampled_from((1, 5, 20)),
    st.integers(0, 99),
)
def test_mean_pooling_counts_spikes_and_shares_errors(shape, size, window, seed):
    rng = np.random.default_rng(seed)
    x = rng.random((window, 2, *shape)) < rng.random((2, *shape))  # some fire at nearly every step
    packed = lazy.Spikes.pack(x)
    ours, reference = OPS.mean_pool(packed, size, np.float32), NUMPY.mean_pool(x, size, np.float32)
    assert isinstance(ours, lazy.Multiples)
    np.testing.assert_allclose(ours, reference, rtol=1e-6)
    weight = rng.integers(-8, 9, (reference[0, 0].size, 20)).astype(np.float32)
    flat = ours.reshape(window, 2, -1), reference.reshape(window, 2, -1)
    np.testing.assert_allclose(
        OPS.linear(flat[0], weight, None), NUMPY.linear(flat[1], weight, None), atol=1e-3
    )
    error = rng.standard_normal(reference.shape).astype(np.float32)
    for found, expected in (
        (OPS.adjusted_pool_error(packed, error, size), NUMPY.adjusted_pool_error(x, error, size)),
        (OPS.mean_pool_error(error, shape, size), NUMPY.mean_pool_error(error, shape, size)),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", ((300, 200), (5, 5, 3, 40), (70, 7), (1, 3)))
def test_weight_standardization_is_numpys(isa, shape):
    rng = np.random.default_rng(11)
    narrow = [rng.standard_normal(size).astype(np.float32) for size in (shape, shape[-1:], shape)]
    wide = [x.astype(np.float64) for x in narrow]
    results = []
    for ops, (weight, gain, error) in ((OPS, narrow), (NUMPY, wide)):
        weight = weight * 0.1 + 3
        done = ops.standardize(weight, gain)
        results.append((*done, *ops.standardize_error(done, weight, gain, error)))
    for found, expected in zip(*results, strict=True):
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max() + 1e-6


@pytest.mark.parametrize("width", (3, 70))
def test_weight_gradients_by_inputs_and_by_errors_are_the_same(isa, width):
    rng = np.random.default_rng(7)
    x = lazy.Spikes.pack(rng.random((13, 5, 70)) < 0.2)
    weight = (rng.integers(-8, 12, (70, width)) / 16).astype(np.float32)
    error = rng.standard_normal((13, 5, width)).astype(np.float32)
    run = OPS.neuron(LIF(), OPS.linear(x, weight, None), 13)
    by_inputs, by_errors = (OPS.rule(MPDED(), run, LIF(), error) for _ in range(2))
    assert by_errors.events.value.size  # known, so that they are used
    found = by_errors.weight_gradient(x)
    expected = NUMPY.linear_weight_gradient(x.array, np.asarray(by_inputs))
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(by_inputs.weight_gradient(x), expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(
        by_inputs.bias_gradient, np.asarray(by_errors).sum((0, 1)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("padding", (0, 1, 2))
@pytest.mark.parametrize("stride", (1, 2, 3))
def test_convolutions_of_floats_are_numpys(isa, padding, stride):
    rng, g = np.random.default_rng(8), Geometry(3, stride, padding)
    x = rng.integers(-3, 4, (2, 3, 6, 5, 4)).astype(np.float32)
    weight = rng.integers(-8, 9, (3, 3, 4, 20)).astype(np.float32)
    out = np.asarray(OPS.conv(x, weight, None, g))
    np.testing.assert_array_equal(out, NUMPY.conv(x, weight, None, g))
    error = rng.integers(-4, 5, out.shape).astype(np.float32)
    np.testing.assert_array_equal(
        OPS.conv_weight_gradient(x, error, g), NUMPY.conv_weight_gradient(x, error, g)
    )
    np.testing.assert_array_equal(OPS.bias_gradient(error), NUMPY.bias_gradient(error))
    np.testing.assert_array_equal(
        np.asarray(OPS.conv_input_error(error, weight, x.shape[2:], g, None)),
        NUMPY.conv_input_error(error, weight, x.shape[2:], g, None),
    )


@pytest.mark.parametrize("classes", (2, 10, 16, 33, 64))
def test_cross_entropy_at_every_step_is_numpys(isa, classes):
    rng = np.random.default_rng(12)
    logits, labels = rng.normal(0, 5, (7, 50, classes)), rng.integers(0, classes, 50)
    logits[0, 0] = -200
    logits[0, 0, labels[0]] = 200
    found, expected = OPS.loss(TET(), logits.astype(np.float32), labels), TET()(logits, labels)
    assert abs(found.value - expected.value) < 1e-6 * expected.value
    np.testing.assert_allclose(found.error, expected.error, atol=1e-6 / 350)


@given(
    st.integers(1, 200_000), st.sampled_from((0.0, 0.01)), st.sampled_from((None, 0.37)), st.integers(0, 9)
)
@settings(max_examples=10)
def test_adamw_gives_the_very_bits(size, decay, limit, seed):
    rng = np.random.default_rng(seed)
    params = {
        "dense1.weight": rng.standard_normal(size).astype(np.float32),
        "dense1.bias": np.ones(3, np.float32),
    }
    optimizer = AdamW(weight_decay=decay)
    ours, theirs = ((params, optimizer.init(params)) for _ in range(2))
    before = {name: p.copy() for name, p in params.items()}
    for _ in range(3):
        grads = {  # whose norm is exact
            name: (rng.integers(-4, 5, p.shape) / 8).astype(np.float32) for name, p in params.items()
        }
        given = {name: g.copy() for name, g in grads.items()}
        ours = OPS.update(optimizer, ours[0], given, ours[1], 0.7, limit)
        theirs = NUMPY.update(optimizer, theirs[0], grads, theirs[1], 0.7, limit)
    assert ours[2:] == theirs[2:] == (True, True)
    for a, b in zip(ours[:2], theirs[:2], strict=True):
        assert all(np.array_equal(a[name], b[name]) for name in b)
    assert all(np.array_equal(p, before[name]) for name, p in params.items())
    assert OPS.finite(ours[0]["dense1.weight"])
    assert abs(OPS.norm(grads.values()) / NUMPY.norm(grads.values()) - 1) < 1e-5
    grads["dense1.weight"][size // 2] = np.inf
    assert not np.isfinite(OPS.norm(grads.values())) and not OPS.finite(grads["dense1.weight"])


def test_an_update_needs_memory_for_the_gradients_alone():
    weight = memory.weights((300, 300))
    weight[:] = 1
    grads = {"dense1.weight": memory.weights((300, 300))}
    grads["dense1.weight"][:] = 1
    room, state = pointer_of(grads["dense1.weight"]), AdamW().init({"dense1.weight": weight})
    moment = pointer_of(state["m/dense1.weight"])
    params, state = OPS.update(AdamW(), {"dense1.weight": weight}, grads, state, 1.0, None)[:2]
    assert pointer_of(params["dense1.weight"]) == room and pointer_of(state["m/dense1.weight"]) == moment
    assert (weight == 1).all()
    at = pointer_of(weight)
    del weight
    assert pointer_of(memory.weights((300, 300))) == at


@pytest.mark.parametrize("size", (1, 15, 70_001))
@pytest.mark.parametrize("limit", (None, 1.0))
@pytest.mark.parametrize("value", (np.inf, np.nan))
def test_an_update_says_what_is_not_finite(isa, size, limit, value):
    for where in (0, size // 2, size - 1):
        params = {"conv1.gain": np.ones(3, np.float32), "dense1.weight": np.ones(size, np.float32)}
        optimizer = AdamW(eps=0.0)
        grads = {name: np.ones_like(p) for name, p in params.items()}
        assert OPS.update(optimizer, params, grads, optimizer.init(params), 1.0, limit)[2:] == (True, True)
        grads = {name: np.ones_like(p) for name, p in params.items()}
        grads["dense1.weight"][where] = value
        done = OPS.update(optimizer, params, grads, optimizer.init(params), 1.0, limit)
        assert not done.gradients and [name for name in grads if not OPS.finite(grads[name])] == [
            "dense1.weight"
        ]
        grads = {name: np.ones_like(p) for name, p in params.items()}
        params["dense1.weight"][where] = value
        done = OPS.update(optimizer, params, grads, optimizer.init(params), 1.0, limit)
        assert done[2:] == (True, False) and not OPS.finite(done.params["dense1.weight"])


def pointer_of(array):
    return array.__array_interface__["data"][0]


def test_memory_that_is_used_again_is_a_process_own():
    first = memory.roomy(5, np.float32)
    first[:] = 1
    child = os.fork()
    if not child:
        first[:] = 2
        os._exit(0)
    os.waitpid(child, 0)
    assert (first == 1).all()
    del first
    again, other = memory.roomy(5, np.float32), memory.roomy(5, np.float32)
    again[:], other[:] = 3, 4
    assert (again == 3).all()


def test_a_forked_process_trains():
    network = dense_network(Input("spikes", (12,)), (24,), 3, 8)
    rng = np.random.default_rng(0)
    x, params = rng.random((8, 4, 12)) < 0.3, network.init(0)
    expected = np.asarray(network.forward(params, x, ops=OPS).outputs)
    child = os.fork()
    if not child:
        same = np.array_equal(np.asarray(network.forward(params, x, ops=OPS).outputs), expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("optimizer", (AdamW(1e-2), SGD(0.5)), ids=("adamw", "sgd"))
def test_training_is_repeatable_and_learns(optimizer):
    rng = np.random.default_rng(9)
    labels = rng.integers(0, 3, 90)
    x = rng.random((8, 90, 12)) < 0.1 + 0.5 * np.eye(3)[labels].repeat(4, axis=1)
    network = dense_network(Input("spikes", (12,)), (24,), 3, 8)
    config = TrainConfig(epochs=12, batch=16, optimizer=optimizer, backend="native", keep="best")
    first, second = (fit(network, config, (x, labels), (x, labels)) for _ in range(2))
    assert all(np.array_equal(first.params[name], p) for name, p in second.params.items())
    assert first.history[-1]["validation_accuracy"] > 0.9
    assert backend("auto") is OPS
