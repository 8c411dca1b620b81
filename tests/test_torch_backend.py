"""Law: the torch backend gives NumPy's spikes and gradients for every layer, neuron and rule (about 8 s)."""

import logging
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyedge.architectures import Style, build
from pyedge.errors import ConfigError
from pyedge.layers import BatchNorm, Conv, Dense, Dropout, Flatten, MaxPool, MeanPool, Residual, Spiking
from pyedge.losses import TET, CountCrossEntropy, EnhancedSpikeCount, ScoreCrossEntropy
from pyedge.model import Activity, Input, Network, dense_network
from pyedge.neuron import IF, LIF, SRM
from pyedge.ops import Geometry, backend
from pyedge.ops.torch_array import TorchArray, tensor
from pyedge.optim import SGD, AdamW
from pyedge.rules import MPDED, STDED, AlphaED, Surrogate, stbp
from pyedge.trainer import TrainConfig, evaluate, fit

OPS = backend("torch:cpu")


def dyadic(network: Network, seed: int) -> dict[str, np.ndarray]:
    """Weights of few bits: float32 sums of them are exact in any order."""
    rng = np.random.default_rng(seed)
    return {
        name: (np.rint(p * 32 + rng.integers(-2, 5, p.shape)) / 32).astype(np.float32)
        for name, p in network.init(0).items()
    }


def inputs(network: Network, seed: int, batch: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, network.classes, batch)
    lead = (batch,) if network.input.kind == "static" else (network.window, batch)
    x = rng.integers(-4, 9, (*lead, *network.input.shape)) / 8
    return (x > 0.5 if network.input.kind == "spikes" else x), labels


LIFS, IFS = Spiking(LIF(alpha=0.25)), Spiking(IF(alpha=0.25))
SHAPE = (6, 6, 2)


def image_network(*layers: object, kind: str = "frames", window: int = 4) -> Network:
    return Network(Input(kind, SHAPE), layers, window)  # type: ignore[arg-type]


NETWORKS = {
    "dense": dense_network(Input("spikes", (12,)), (20, 9), 4, 6, neuron=LIF(alpha=0.125)),
    "static": dense_network(Input("static", (12,)), (20,), 4, 6, neuron=IF(alpha=0.125)),
    "conv": image_network(Conv(5, 3), LIFS, MaxPool(2), Conv(4, 3, stride=2), LIFS, Dense(3)),
    "direct": image_network(Conv(5, 3, bias=False), IFS, MeanPool(2, adjusted=True), Dense(3), kind="static"),
    "mean": image_network(Conv(5, 2, padding=0), IFS, MeanPool(2), Flatten(), Dense(3, bias=False)),
    "standard": image_network(Conv(4, 3, standardize=True), LIFS, Dense(3, standardize=True)),
    "norm": image_network(Conv(4, 3), BatchNorm(), LIFS, Dense(6), BatchNorm(), LIFS, Dense(3)),
    "spike add": image_network(Conv(4, 3), IFS, Residual((Conv(4, 3), IFS)), Dense(3)),
    "membrane add": image_network(
        Conv(4, 3), Residual((LIFS, Conv(6, 3)), (MeanPool(1), Conv(6, 1))), LIFS, Dense(3)
    ),
    "spiking readout": image_network(Conv(4, 3), IFS, MeanPool(2, adjusted=True), Dense(3), IFS),
}
RULES = (MPDED(), MPDED(Surrogate("sigmoid"), reset="threshold"), MPDED(recursion="printed"), stbp())


@pytest.mark.parametrize("name", NETWORKS)
@given(st.data())
@settings(max_examples=12)
def test_every_layer_and_rule_as_in_numpy(name, data):
    network, seed = NETWORKS[name], data.draw(st.integers(0, 99))
    integrates = any(getattr(layer, "neuron", None) == IFS.neuron for layer in network.layers)
    rule = data.draw(st.sampled_from((STDED(), STDED("increment")) if integrates else RULES))
    params, (x, y) = dyadic(network, seed), inputs(network, seed)
    loss = TET(0.05) if network.readout == "linear" else EnhancedSpikeCount(3, 1)
    found = []
    for ops in (backend("numpy"), OPS):
        record = network.forward(params, x, True, np.random.default_rng(seed), ops)
        if network.readout == "spiking":
            record = network.with_teacher(record, y)
        error = loss(ops.numpy(record.outputs), y).error
        grads = network.backward(params, record, error, rule, activity=Activity(0.5, 0.01, 2))
        found.append((record, {name: np.asarray(g) for name, g in grads.items()}))
    (ours, theirs), (grads, expected) = (found[1][0], found[0][0]), (found[1][1], found[0][1])
    same = [
        (np.asarray(a.fired) == np.asarray(b.fired)).all()
        for a, b in zip(network.runs(ours).values(), network.runs(theirs).values(), strict=True)
    ]
    if name in ("standard", "norm") and not all(same):
        return  # their weights are not dyadic: one rounding moves a spike
    assert all(same)
    largest = max(np.abs(g).max() for g in expected.values())
    for key, g in expected.items():
        assert grads[key].dtype == np.float32
        assert np.abs(grads[key] - g).max() <= 2e-5 * largest, key


def test_networks_that_are_not_dyadic_agree_in_most_windows():
    """So that the exemption above hides nothing."""
    for name in ("standard", "norm"):
        network, equal = NETWORKS[name], 0
        for seed in range(20):
            params, (x, _) = dyadic(network, seed), inputs(network, seed)
            a, b = (network.forward(params, x, True, ops=ops) for ops in (backend("numpy"), OPS))
            pairs = zip(network.runs(a).values(), network.runs(b).values(), strict=True)
            equal += all((np.asarray(p.fired) == np.asarray(q.fired)).all() for p, q in pairs)
        assert equal >= 16


def test_alpha_kernel_and_a_users_own_rule_run_in_numpy_and_say_so(caplog):
    @dataclass(frozen=True)
    class Mine:
        def __call__(self, run, neuron, spike_error):
            return spike_error * run.fired

    for neuron, rule in ((SRM(5, 3, alpha=0.0), AlphaED()), (LIF(), Mine())):
        network = dense_network(Input("spikes", (12,)), (20,), 4, 6, neuron=neuron)
        params, (x, y) = dyadic(network, 1), inputs(network, 1)
        OPS._said.clear()  # type: ignore[attr-defined]
        with caplog.at_level(logging.WARNING):
            found = []
            for ops in (backend("numpy"), OPS):
                record = network.forward(params, x, ops=ops)
                error = ScoreCrossEntropy()(ops.numpy(record.outputs), y).error
                found.append(network.backward(params, record, error, rule))
        assert "leaves" in caplog.text and "to NumPy" in caplog.text
        for key, g in found[0].items():
            np.testing.assert_allclose(np.asarray(found[1][key]), g, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", [AdamW(0.01), SGD(0.1, 0.9, 0.01)])
def test_training_learns_resumes_and_gives_numpy_back(optimizer, tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90)
    x = (rng.random((8, 90, 12)) < 0.1 + 0.6 * (np.arange(12) % 3 == y[:, None])).astype(bool)
    layers = (Dense(30), Spiking(LIF()), Dropout(0.2), Dense(3))
    network = Network(Input("spikes", (12,)), layers, 8)
    config = TrainConfig(epochs=6, batch=30, optimizer=optimizer, backend="torch:cpu", keep="best")

    class Enough(Exception):
        pass

    def stop(row):
        if row["epoch"] == 3:
            raise Enough

    whole = fit(network, config, (x, y), (x, y))
    with pytest.raises(Enough):
        fit(network, config, (x, y), (x, y), path=tmp_path / "run.npz", on_epoch=stop)
    resumed = fit(network, config, (x, y), (x, y), path=tmp_path / "run.npz")
    for name, value in whole.params.items():
        assert type(value) is np.ndarray
        np.testing.assert_array_equal(value, resumed.params[name])
    assert evaluate(network, whole.params, x, y).accuracy > 0.9
    assert evaluate(network, whole.params, x, y, CountOf(), ops=OPS).accuracy > 0.9


@dataclass(frozen=True)
class CountOf(ScoreCrossEntropy):
    """A loss of the user's own, of NumPy's arrays."""

    def __call__(self, outputs, labels):
        assert type(outputs) is np.ndarray
        return super().__call__(outputs, labels)


def test_a_spiking_readout_and_the_paper_networks_train():
    network = build("12C5-P2-64C5-P2", Input("frames", (18, 18, 2)), 4, 3, Style(LIF(), "max", "batch"))
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, (3, 8, 18, 18, 2)), rng.integers(0, 4, 8)
    done = fit(network, TrainConfig(epochs=2, batch=4, backend="torch:cpu", loss=TET()), (x, y))
    assert np.isfinite(done.history[-1]["loss"])
    spiking = dense_network(Input("spikes", (12,)), (20,), 4, 6, "spiking")
    config = TrainConfig(epochs=2, batch=4, backend="torch:cpu", loss=CountCrossEntropy(), teacher=True)
    xs, ys = inputs(spiking, 0, 8)
    assert np.isfinite(fit(spiking, config, (xs, ys)).history[-1]["loss"])


ARRAYS = st.integers(0, 2**31).map(
    lambda seed: np.random.default_rng(seed).integers(-3, 4, (3, 2, 4)).astype(np.float32)
)


@given(ARRAYS)
def test_a_torch_array_is_numpys_array(a):
    t, b = TorchArray(tensor(a, "cpu")), a > 0
    tb = t > 0
    pairs = [
        (t + a, a + a), (2 - t, 2 - a), (t * tb, a * b), (~tb, ~b), (t / 2, a / 2), (t**2, a**2),
        (np.maximum(t, 1), np.maximum(a, 1)), (np.abs(t), np.abs(a)), (np.where(tb, t, 0), np.where(b, a, 0)),
        (t.sum(axis=(0, 1)), a.sum(axis=(0, 1))), (t.mean(axis=0), a.mean(axis=0)), (tb.mean(), b.mean()),
        (t.max(axis=-1, keepdims=True), a.max(axis=-1, keepdims=True)), (t.argmax(axis=2), a.argmax(axis=2)),
        (tb.any(axis=0), b.any(axis=0)), (tb.all(), b.all()), (t[1], a[1]), (t[b], a[b]),
        (t.astype(np.float64), a.astype(np.float64)), (np.zeros_like(t), np.zeros_like(a)),
        (np.concatenate([t[:1], t]), np.concatenate([a[:1], a])), (t.reshape(3, -1), a.reshape(3, -1)),
        (np.sqrt(np.abs(t)), abs(a) ** 0.5),
    ]  # fmt: skip
    for ours, numpys in pairs:
        assert ours.shape == np.shape(numpys)
        np.testing.assert_array_equal(np.asarray(ours), numpys)
    copy = t.copy()
    copy *= 2
    copy[0] = a[1]
    assert (np.asarray(t) == a).all() and (np.asarray(copy)[0] == a[1]).all()
    with pytest.raises(TypeError):
        np.fft.fft(t)


@given(st.integers(0, 99), st.sampled_from(((3, 1, 1), (5, 1, 2), (3, 2, 1), (2, 2, 0), (1, 1, 0))))
@settings(max_examples=30)
def test_convolutions_of_any_geometry(seed, geometry):
    rng, g = np.random.default_rng(seed), Geometry(*geometry)
    x = (rng.random((2, 2, 7, 6, 3)) < 0.4).astype(np.float32)
    w = rng.integers(-8, 9, (g.size, g.size, 3, 4)).astype(np.float32) / 8
    numpy = backend("numpy")
    y = numpy.conv(x, w, None, g)
    e = rng.integers(-8, 9, y.shape).astype(np.float32) / 8
    np.testing.assert_array_equal(OPS.conv(x, w, None, g), y)
    np.testing.assert_array_equal(OPS.conv_weight_gradient(x, e, g), numpy.conv_weight_gradient(x, e, g))
    ours = OPS.conv_input_error(e, w, (7, 6, 3), g, None)
    np.testing.assert_array_equal(ours, numpy.conv_input_error(e, w, (7, 6, 3), g, None))


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"no device 'cuda:77' here .*choose 'cpu'"):
        backend("torch:cuda:77")
    with pytest.raises(ConfigError, match="unknown"):
        backend("native:cpu")
