"""Image networks in integers: exact where weights are dyadic, learning as the float rule, families (20 s)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_layers import torch_forward

from pyedge import image
from pyedge.errors import ConfigError
from pyedge.layers import Conv, Dense, MaxPool, MeanPool, Residual, Spiking
from pyedge.losses import ScoreCrossEntropy
from pyedge.model import Input, Network
from pyedge.neuron import IF, LIF
from pyedge.quant import reference
from pyedge.quant.lower import float_layers
from pyedge.quant.quantizer import QuantizeConfig, dequantize, flat, quantize
from pyedge.rules import MPDED

CLASSES, WINDOW, SIDE = 5, 8, 8
LOSS, RULE = ScoreCrossEntropy(), MPDED(reset="threshold")
NEURONS = Spiking(LIF())


def sew(channels, stride):
    branch = (Conv(channels, 3, stride), NEURONS, Conv(channels, 3), NEURONS)
    return Residual(branch, (Conv(channels, 1, stride, 0), NEURONS) if stride == 2 else ())


def ms(channels, stride=1):
    branch = (NEURONS, Conv(channels, 3, stride), NEURONS, Conv(channels, 3))
    return Residual(branch, (MeanPool(2), Conv(channels, 1, 1, 0)) if stride == 2 else ())


BODIES = {
    "max pools": (Conv(6, 5), NEURONS, MaxPool(2), Conv(8, 3, padding=0), NEURONS, Dense(12), NEURONS),
    "mean pools": (Conv(6, 3), NEURONS, MeanPool(2), Conv(8, 3, 2), NEURONS, MeanPool(2), Dense(9), NEURONS),
    "IF neurons": (Conv(6, 3), Spiking(IF()), MaxPool(2), Dense(9), Spiking(IF())),
    "spike adds": (Conv(6, 3), NEURONS, sew(6, 2), sew(6, 1), MeanPool(4)),
    "current adds": (Conv(6, 3), ms(6), ms(6), NEURONS, MeanPool(4)),
}


def drawn(body, kind="spikes", grid=64, seed=3):
    """A network whose weights and biases are multiples of 1 / grid, and windows that make it fire."""
    rng = np.random.default_rng(seed)
    # A chain's scale is the largest weight over 100; where ways meet it is the power of two above.
    top = 33 if any(isinstance(layer, Residual) for layer in body) else 50
    network = Network(Input(kind, (2, SIDE, SIDE), 1.0, "first"), (*body, Dense(CLASSES)), WINDOW)
    params = {}
    for name, value in network.init(seed, np.float64).items():
        if name.endswith("bias"):
            params[name] = rng.integers(0, 12, value.shape) / grid
            continue
        params[name] = np.clip(np.rint(1.2 * value * grid), -top, top) / grid
        params[name].flat[0] = top / grid
    shape = (WINDOW, 24, 2, SIDE, SIDE)
    return network, params, (rng.random(shape) < 0.3).astype(np.int64), rng.integers(0, CLASSES, 24)


def exact(body):
    network, params, x, y = drawn(body)
    found = quantize(
        network, params, x, y, LOSS, RULE, QuantizeConfig(calibration=12, evaluation=24, margin=20)
    )
    return network, params, x, y, found


@pytest.mark.parametrize("name", BODIES)
def test_dyadic_networks_spike_alike_in_float_and_in_integers(name):
    network, params, x, _, found = exact(BODIES[name])
    in_float = network.forward(params, x)
    spikes = {k: run.fired.reshape(WINDOW, x.shape[1], -1) for k, run in network.runs(in_float).items()}
    names = [layer.neurons for layer in float_layers(network, params)]
    weights = reference.fresh(found.model).weights
    for n in range(6):
        record = reference.run_window(found.model, weights, flat(network, x)[:, n])
        for l, layer in enumerate(names):
            if layer:
                assert np.array_equal(record.fired[l], spikes[layer][:, n]), (l, layer)
        scores = record.scores * found.model.layers[-1].scale / WINDOW
        # A readout's scale holds what mean pooling divides by.
        unit = float_layers(network, params)[-1].unit
        np.testing.assert_allclose(scores * unit, in_float.outputs[:, n].mean(axis=0), atol=2 / 64 / WINDOW)
    assert all(fired > 0.01 for r in found.report.layers if (fired := r.rate_integer) is not None)


def autograd(network, params, x, label):
    """Gradients of the float loss by automatic differentiation of torch's own layers, reset as on boards."""
    p = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    images = torch.tensor(np.moveaxis(x, 2, -1).astype(np.float64))
    out = torch_forward(network.layers, p, images, "", WINDOW, False, None, RULE).mean(dim=0)
    torch.nn.functional.cross_entropy(out.reshape(1, -1), torch.tensor([label])).backward()
    return {name: value.grad.numpy() for name, value in p.items()}


@pytest.mark.parametrize("name", BODIES)
def test_expected_moves_are_those_of_automatic_differentiation(name):
    network, params, x, y, found = exact(BODIES[name])
    floats, model = float_layers(network, params), found.model
    state = reference.fresh(model)
    totals = [[np.zeros(0), np.zeros(0)] for _ in floats]
    for n in range(8):
        record = reference.run_window(model, state.weights, flat(network, x)[:, n])
        label = (int(y[n]) + 1) % CLASSES
        moved = reference.learn(model, state, record, label).sums
        grads = autograd(network, params, x[:, n : n + 1], label)
        for l, layer in enumerate(floats):
            rate = found.report.layers[l].learning_rate
            expected = -rate * grads[f"{layer.name}.weight"].reshape(layer.weight.shape)
            for i, what in enumerate((moved[l] / 32768 * model.layers[l].scale, expected)):
                totals[l][i] = np.append(totals[l][i], what)
    for l, (ours, wanted) in enumerate(totals):
        alike = ours @ wanted / np.sqrt((ours @ ours) * (wanted @ wanted))
        size = np.sqrt((ours @ ours) / (wanted @ wanted))
        assert alike > 0.98, (l, floats[l].name, alike)
        assert 0.8 < size < 1.2, (l, floats[l].name, size)


@pytest.mark.parametrize("kind", ["static", "frames"])
def test_membrane_shortcuts_that_change_shape_stay_close(kind):
    """Currents taken as values are rounded once; spikes then move little."""
    rng = np.random.default_rng(1)
    body = (Conv(8, 3), ms(8), ms(12, 2), ms(12), NEURONS, MeanPool(4))
    network = Network(Input(kind, (2, SIDE, SIDE), 32.0, "first"), (*body, Dense(CLASSES)), WINDOW)
    params = network.init(4, np.float64)
    shape = (20, 2, SIDE, SIDE) if kind == "static" else (WINDOW, 20, 2, SIDE, SIDE)
    x = np.clip(np.rint(rng.normal(0, 32, shape)), -128, 127).astype(int)
    found = quantize(
        network,
        params,
        x,
        network.predict(params, x),
        config=QuantizeConfig(learn="last", bits=10, calibration=10, evaluation=20, spare=2),
    )
    assert found.report.agreement >= 0.85
    for r in found.report.layers:
        if r.rate_float is not None:
            assert r.rate_integer == pytest.approx(r.rate_float, rel=0.05)
    model = found.model
    assert model.classes == CLASSES and model.layers[-1].fan_out == CLASSES + 2
    assert image.write(image.read(image.write(model))) == image.write(model)
    assert any(layer.value_pool == 2 for layer in model.layers)
    with pytest.raises(ConfigError, match="may not learn"):
        quantize(network, params, x, network.predict(params, x), config=QuantizeConfig(learn="all"))


def test_pools_of_one_and_flattening_change_nothing():
    network, params, x, y = drawn(BODIES["max pools"])
    layers = list(network.layers)
    layers[3:3] = [MaxPool(1), MeanPool(1)]
    padded = replace(network, layers=tuple(layers))
    renamed = {("max_pool2" if k == "max_pool1" else k): v for k, v in params.items()}
    a, b = (
        quantize(n, p, x, y, LOSS, RULE, QuantizeConfig(learn="last", evaluation=4)).model
        for n, p in ((network, params), (padded, renamed))
    )
    assert image.write(a) == image.write(b)


def test_learned_weights_of_convolutions_return_to_float():
    network, params, x, y, found = exact(BODIES["max pools"])
    state = reference.fresh(found.model)
    record = reference.run_window(found.model, state.weights, flat(network, x)[:, 0])
    state = reference.learn(found.model, state, record, int(y[0])).state
    after = dequantize(network, params, found.model, state.weights)
    layer = found.model.layers[0]
    moved = np.rint((after["conv1.weight"] - params["conv1.weight"]) / layer.scale)
    assert np.array_equal(moved.reshape(layer.weights.shape), state.weights[0] - layer.weights)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ((MaxPool(2), Conv(3, 3), NEURONS), "max_pool1 pools the input; .* put it behind"),
        ((Conv(3, 3), NEURONS, MaxPool(2), MaxPool(2)), "max_pool2 pools what is pooled"),
        ((Conv(4, 3), NEURONS, sew(4, 1), MaxPool(2)), "largest of sums"),
        ((Conv(4, 3), NEURONS, Residual((Conv(4, 3),))), "adds what integers cannot"),
    ],
)
def test_networks_that_integers_do_not_have_are_refused(body, said):
    network, params, x, y = drawn(body)
    with pytest.raises(ConfigError, match=said):
        quantize(network, params, x, y, LOSS, RULE)


def test_a_shortcut_of_weights_alone_is_currents_only():
    """Spikes come in, currents are added: it was taken for a linear readout, and refused."""
    body = (Conv(6, 3), NEURONS, Residual((Conv(8, 3), NEURONS, Conv(8, 3)), (Conv(8, 1, 1, 0),)), NEURONS)
    network, params, x, y = drawn(body)
    config = QuantizeConfig(learn="last", calibration=4, evaluation=8)
    found = quantize(network, params, x, y, LOSS, RULE, config)
    assert [layer.neuron.name for layer in found.model.layers] == ["LIF", "CURRENTS", "LIF", "LIF", "LINEAR"]
    assert found.report.agreement >= 0.85
    for r in found.report.layers:
        if r.rate_float is not None:
            assert r.rate_integer == pytest.approx(r.rate_float, rel=0.05)
