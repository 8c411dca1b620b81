"""Quantization: integers decide and learn as the float network they came from (25 s)."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from pyedge import image
from pyedge.errors import ConfigError, DataError, SilentLayerError
from pyedge.fold import fold
from pyedge.layers import BatchNorm, Dense, Spiking
from pyedge.losses import TET, CountCrossEntropy, EnhancedSpikeCount, ScoreCrossEntropy, SpikeCount
from pyedge.model import Input, Network, dense_network
from pyedge.neuron import IF, LIF, Spike
from pyedge.optim import AdamW
from pyedge.quant import reference
from pyedge.quant.model import InputKind, NeuronKind
from pyedge.quant.model import Surrogate as BoardSurrogate
from pyedge.quant.quantizer import QuantizeConfig, dequantize, fraction, quantize
from pyedge.quant.report import RateShiftWarning
from pyedge.rules import MPDED, Surrogate
from pyedge.trainer import TrainConfig, fit

RULE = MPDED(reset="threshold")
QUICK = QuantizeConfig(calibration=24, evaluation=40)


def task(kind: str, window: int = 20, inputs: int = 16, classes: int = 5, samples: int = 160, seed: int = 0):
    """A noisy task in the encoder's integers: (x, y) as a network takes them."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, samples)
    centres = rng.normal(0, 40, (classes, inputs))
    if kind == "spikes":
        chance = 1 / (1 + np.exp(-(centres[y] / 15 - 1.5)))
        return (rng.random((window, samples, inputs)) < chance).astype(np.int64), y
    noisy = centres[y] + rng.normal(0, 30, (window, samples, inputs))
    x = np.clip(np.rint(noisy), -128, 127).astype(np.int64)
    return (x[0] if kind == "static" else x), y


def trained(kind, hidden, readout="linear", neuron=None, loss=None, rule=RULE, epochs=4, window=20):
    """A network that has learned something, and its data."""
    x, y = task(kind, window)
    source = Input(kind, (16,), 1.0 if kind == "spikes" else 32.0)
    network = dense_network(source, hidden, 5, window, readout, neuron)
    loss = loss or (ScoreCrossEntropy() if readout == "linear" else CountCrossEntropy(0.5))
    config = TrainConfig(epochs=epochs, loss=loss, rule=rule, batch=16, optimizer=AdamW(lr=0.01))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params = fit(network, config, (x, y)).params
    return network, params, x, y, loss


def float_gradients(model, weights, record, label, loss, rule, input_scale):
    """dL/dw of every layer in float, by the trainer's rule, from the integers' own spikes.

    Everything is in float units: a weight is w * scale, u and theta are integers * scale.
    """
    window, last = model.window, model.layers[-1]
    units = [layer.scale / (input_scale if l == 0 else 1) for l, layer in enumerate(model.layers)]
    if last.neuron == NeuronKind.LINEAR:
        outputs = np.broadcast_to(record.scores / window * units[-1], (window, model.classes))
    else:
        outputs = record.fired[-1].astype(np.float64)
    error = loss(outputs[:, None], np.array([label])).error.astype(np.float64)
    gradients = [None] * len(model.layers)
    for l in range(len(model.layers) - 1, -1, -1):
        layer, s, fired = model.layers[l], units[l], record.fired[l]
        if layer.neuron != NeuronKind.LINEAR:
            steps = np.arange(1, window + 1)[:, None]
            last_spike = np.maximum.accumulate(np.where(fired, steps, 0), axis=0)
            before = np.vstack([np.zeros_like(last_spike[:1]), last_spike[:-1]])
            theta = reference.threshold(layer, steps - before)
            u = np.where(fired, record.distance[l] * s + theta / 256 * s, 0.0)
            run = Spike(fired[:, None], u[:, None], theta[:, None] / 256 * s)
            error = rule(run, LIF() if layer.neuron == NeuronKind.LIF else IF(), error)
        x = record.fired[l - 1] if l else record.inputs / input_scale
        if x.ndim == 1:
            gradients[l] = np.outer(x, error[:, 0].sum(axis=0))
        else:
            gradients[l] = x.astype(np.float64).T @ error[:, 0]
        error = error @ (weights[l].astype(np.float64) * s).T
    return gradients


CASES = {
    "frames, 1 hidden": ("frames", (48,), "linear", None, None, Surrogate("linear")),
    "frames, 2 hidden": ("frames", (48, 32), "linear", None, None, Surrogate("linear")),
    "frames, 3 hidden": ("frames", (48, 32, 24), "linear", None, None, Surrogate("linear")),
    "spikes, rectangular": ("spikes", (48, 32), "linear", None, None, Surrogate("rectangular", 1.0)),
    "static, wide": ("static", (48,), "linear", None, None, Surrogate("linear", 2.0)),
    "IF": ("spikes", (48, 32), "linear", IF(), None, Surrogate("linear")),
    "fixed threshold": ("frames", (48,), "linear", LIF(alpha=0.0), None, Surrogate("linear")),
    "spiking readout": ("frames", (48, 32), "spiking", None, CountCrossEntropy(0.5), Surrogate("linear")),
    "spike count": ("frames", (48,), "spiking", None, SpikeCount(8, 1), Surrogate("linear")),
    "constant": ("frames", (48,), "linear", None, None, Surrogate("constant")),
    "reset off": ("frames", (48, 32), "linear", None, None, Surrogate("linear")),
}


@pytest.mark.parametrize("case", CASES)
def test_integer_learning_learns_the_right_thing(case):
    """The expectation S / 32768 of an update against minus the learning rate times the float gradient."""
    kind, hidden, readout, neuron, loss, surrogate = CASES[case]
    rule = MPDED(surrogate, reset="off" if case == "reset off" else "threshold")
    network, params, x, y, loss = trained(kind, hidden, readout, neuron, loss, rule)
    found = quantize(network, params, x, y, loss, rule, QUICK)
    model, scale = found.model, network.input.scale
    state = reference.fresh(model)
    moves = [[] for _ in model.layers]
    gradients = [[] for _ in model.layers]
    for n in range(0, len(y), 8):
        record = reference.run_window(model, state.weights, x[n] if kind == "static" else x[:, n])
        # A wearer's windows are partly misread; the trained labels alone would leave few errors.
        label = int(y[n]) if n % 16 else int(y[n] + 1) % model.classes
        update = reference.learn(model, state, record, label)
        wanted = float_gradients(model, state.weights, record, label, loss, rule, scale)
        for l, layer in enumerate(model.layers):
            moves[l].append(update.sums[l] / 32768 * layer.scale)
            gradients[l].append(-found.report.layers[l].learning_rate * wanted[l])
    for l in range(len(model.layers)):
        got, want = np.ravel(moves[l]), np.ravel(gradients[l])
        assert np.any(want)
        correlation = np.corrcoef(got, want)[0, 1]
        slope = (got * want).sum() / (want * want).sum()
        assert correlation >= 0.98, (l, correlation, slope)
        assert 0.9 <= slope <= 1.1, (l, correlation, slope)


@pytest.mark.parametrize(
    "case", ["frames, 2 hidden", "spikes, rectangular", "spiking readout", "IF", "static, wide"]
)
@pytest.mark.parametrize("bits", [8, 10])
def test_integers_decide_as_the_float_network(case, bits):
    kind, hidden, readout, neuron, loss, surrogate = CASES[case]
    network, params, x, y, loss = trained(kind, hidden, readout, neuron, loss, MPDED(surrogate))
    found = quantize(network, params, x, y, loss, config=QuantizeConfig(bits=bits, calibration=24))
    assert found.report.agreement >= (0.97 if readout == "linear" else 0.94)  # counts tie
    assert abs(found.report.accuracy_float - found.report.accuracy_integer) <= 0.02
    for layer in found.report.layers:
        if layer.rate_float is not None:
            assert layer.rate_integer == pytest.approx(layer.rate_float, abs=0.01)
    # The board's probabilities are those of the float softmax.
    model = found.model
    logits = network.scores(params, x).astype(np.float64) * getattr(loss, "scale", 1.0)
    for n in range(0, len(y), 20):
        record = reference.run_window(
            model, reference.fresh(model).weights, x[n] if kind == "static" else x[:, n]
        )
        p = reference.softmax(model, record.scores) / 32768
        own = record.scores * (model.score_mult / 2**model.score_shift / 64 / np.log2(np.e))
        assert np.abs(p - np.exp(log_softmax(own))).max() < 0.01
        if readout == "linear":
            assert np.abs(own - own.mean() - logits[n] + logits[n].mean()).max() < 0.3 / (
                1 if bits == 8 else 3
            )


def test_learning_on_integers_lowers_the_loss_of_the_float_network():
    """What integers learned, back in float."""
    network, params, x, y, loss = trained("frames", (48, 32))
    swapped = (y + 1) % 5  # the wearer's gestures mean something else today
    found = quantize(network, params, x, y, loss, RULE, replace(QUICK, step=0.1, readout_step=0.2))
    state = reference.fresh(found.model)
    for n in np.resize(np.arange(len(y)), 400):
        record = reference.run_window(found.model, state.weights, x[:, n])
        state = reference.learn(found.model, state, record, int(swapped[n])).state
    learned = dequantize(network, params, found.model, state.weights)
    before = loss(network.forward(params, x).outputs, swapped).value
    after = loss(network.forward(learned, x).outputs, swapped).value
    assert after < 0.5 * before


def test_dequantized_fresh_weights_are_the_float_weights_to_half_a_bit():
    network, params, x, y, loss = trained("frames", (24,), epochs=1)
    model = quantize(network, params, x, y, loss, RULE, QUICK).model
    back = dequantize(network, params, model, reference.fresh(model).weights)
    for l, name in enumerate(("dense1.weight", "dense2.weight")):
        assert np.abs(back[name] - params[name]).max() <= 0.5001 * model.layers[l].scale
    with pytest.raises(DataError):
        dequantize(network, params, model, tuple(w[:-1] for w in reference.fresh(model).weights))


def test_layers_below_the_lowest_that_learns_have_a_scale_per_channel():
    network, params, x, y, loss = trained("frames", (48, 32), epochs=1)
    params = params | {"dense1.weight": params["dense1.weight"] * np.geomspace(0.1, 1, 48)}
    found = quantize(network, params, x, y, loss, RULE, replace(QUICK, learn="last"))
    first, second, readout = found.model.layers
    assert (np.abs(first.weights).max(axis=0) == 127).all()
    assert len(np.unique(first.theta0)) > 40
    assert np.abs(readout.weights).max() == 100
    whole = quantize(network, params, x, y, loss, RULE, replace(QUICK, learn="last", per_channel=False))
    assert len(np.unique(whole.model.layers[0].theta0)) == 1
    assert found.report.agreement >= whole.report.agreement - 0.02
    assert [layer.learns for layer in found.model.layers] == [False, False, True]
    assert not any(layer.capacity for layer in found.model.layers)
    assert second.surrogate == BoardSurrogate.NONE


def test_a_learning_rate_in_float_comes_out_within_a_factor_of_the_square_root_of_two():
    network, params, x, y, loss = trained("spikes", (24, 16), epochs=1)
    rates = {0: 0.03, 1: 0.004, 2: 0.0007}
    found = quantize(network, params, x, y, loss, RULE, replace(QUICK, rates=rates))
    for l, rate in rates.items():
        assert 0.7 < found.report.layers[l].learning_rate / rate < 1.42


@given(step=st.floats(0.002, 0.2), readout_step=st.floats(0.002, 0.2))
@settings(max_examples=8)
def test_a_step_is_the_expected_move_of_a_weight(step, readout_step):
    network, params, x, y, loss = MODEL
    found = quantize(network, params, x, y, loss, RULE, replace(QUICK, step=step, readout_step=readout_step))
    first, readout = found.report.layers
    assert 0.6 < first.expected_move / step < 1.6 or any("layer 0" in note for note in found.report.notes)
    assert 0.6 < readout.expected_move / readout_step < 1.6 or any(
        "layer 1" in note for note in found.report.notes
    )


def test_a_silenced_layer_is_refused_and_a_shifted_rate_is_said():
    network, params, x, y, loss = trained("frames", (24,), epochs=1)
    lone = params | {
        "dense1.weight": params["dense1.weight"].copy(),
        "dense1.bias": params["dense1.bias"] * 0,
    }
    lone["dense1.weight"][0, 0] = 400.0  # one huge weight leaves the others no bits
    lone["dense1.weight"][:, 1:] *= 0.9
    lone["dense1.bias"][0] = -1e5
    with pytest.raises(SilentLayerError, match="spiking1"):
        quantize(network, lone, x, y, loss, RULE, QUICK)
    largest = np.abs(lone["dense1.weight"][:, 1:]).max()
    lone["dense1.weight"][0, 0] = 190 * largest  # the others are left with -1, 0 and 1
    with pytest.warns(RateShiftWarning, match="spiking1"):
        found = quantize(network, lone, x, y, loss, RULE, QUICK)
    assert any("spiking1 fires" in note for note in found.report.notes)


def test_the_report_says_what_boards_do_otherwise():
    network, params, x, y, loss = MODEL
    for rule, used, said in (
        (MPDED(Surrogate("exponential")), None, "exponential surrogate"),
        (MPDED(Surrogate("sigmoid"), masked=False), None, "unmasked"),
        (RULE, TET(), "TET"),
        (lambda *_: None, None, "no known surrogate"),
    ):
        notes = quantize(network, params, x, y, used or loss, rule, QUICK).report.notes
        assert any(said in note for note in notes), (said, notes)
    spiking, sparams, _, _, _ = trained("frames", (24,), "spiking", epochs=1)
    notes = quantize(spiking, sparams, x, y, EnhancedSpikeCount(8, 1), RULE, QUICK).report.notes
    assert any("spike-count" in note for note in notes)


def test_the_report_is_text_and_json_and_its_model_an_image():
    network, params, x, y, loss = MODEL
    found = quantize(network, params, x, y, loss, RULE, QUICK, metadata={"data": "made up"}, name="m")
    assert json.loads(json.dumps(found.report.as_dict()))["windows"] == found.report.windows
    assert f"{found.report.accuracy_integer:.3f}" in str(found.report)
    read = image.read(image.write(found.model))
    assert read.metadata is not None and read.metadata["quantization"]["windows"] == found.report.windows
    assert read.layers[0].learns and read.input_kind == InputKind.FRAMES
    assert read.name == "m"  # it was that of the network's last parameter


@pytest.mark.parametrize("margin", [1.0, 2.0])
def test_capacities_hold_every_calibration_window(margin):
    network, params, x, y, loss = trained("frames", (24, 16), epochs=1)
    found = quantize(network, params, x, y, loss, RULE, replace(QUICK, margin=margin, calibration=40))
    for layer in found.report.layers[:-1]:
        room = found.model.layers[layer.layer]
        assert min(margin * layer.spikes_most, room.fan_out * 20) <= layer.capacity <= room.fan_out * 20


def test_silent_if_neurons_fire_at_age_t():
    """alpha = ceil(theta0 / T): a neuron without any input fires at a = T, as in float."""
    network, params, x, y, loss = trained("frames", (24,), neuron=IF(), epochs=1)
    quiet = params | {key: value * 0 for key, value in params.items() if key.startswith("dense1")}
    quiet["dense1.weight"] = quiet["dense1.weight"] + np.float32(1e-3) * np.sign(params["dense1.weight"])
    model = quantize(network, quiet, x * 0, y, loss, RULE, QUICK).model
    record = reference.run_window(model, reference.fresh(model).weights, x[:, 0] * 0)
    assert np.array_equal(np.argwhere(record.fired[0])[:, 0], np.full(24, 19))


@given(st.floats(1e-9, 65000), st.integers(8, 62))
def test_a_fraction_is_as_near_as_sixteen_bits_allow(ratio, most):
    try:
        mult, shift = fraction(ratio, most, "ratio")
    except ConfigError:
        assert ratio * 2.0**most < 0.51
        return
    assert 1 <= mult <= 65535 and 0 <= shift <= most
    assert abs(mult / 2.0**shift - ratio) <= max(ratio * 2**-15, 0.5 / 2.0**most)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (dense_network(Input("frames", (16,)), (8,), 5, 20, neuron=LIF(tau=0.75)), "tau"),
        (Network(Input("frames", (16,)), (Dense(8), Dense(5)), 20), "linear layer"),
        (Network(Input("frames", (16,)), (Spiking(), Dense(5)), 20), "follows no layer with weights"),
    ],
)
def test_what_boards_cannot_run_is_refused(network, said):
    x, y = task("frames")
    with pytest.raises(ConfigError, match=said):
        quantize(network, network.init(0), x, y)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"x": lambda x: x[:, :, :15]}, DataError, "15"),
        ({"x": lambda x: x[:19]}, DataError, "19"),
        ({"x": lambda x: x + 0.5}, DataError, "fractions"),
        ({"x": lambda x: x * np.nan}, DataError, "or NaN"),
        ({"x": lambda x: x * 4}, DataError, "-128 .. 127"),
        ({"y": lambda y: y[:-1]}, DataError, "labels"),
        ({"y": lambda y: y + 1}, DataError, "labels lie in 1 .. 5"),
        ({"params": lambda p: p | {"dense1.weight": p["dense1.weight"] * np.inf}}, DataError, "dense1.w"),
        ({"config": lambda c: replace(c, learn=(5,))}, ConfigError, "5"),
        ({"config": lambda c: replace(c, bits=9)}, ConfigError, "8 or 10 bits, not 9"),
        ({"config": lambda c: replace(c, step=0)}, ConfigError, "steps are positive"),
        ({"config": lambda c: replace(c, rates={0: 0.0})}, ConfigError, "rates are positive"),
        ({"config": lambda c: replace(c, head_room=1.5)}, ConfigError, "head_room is 1.5"),
        ({"config": lambda c: replace(c, spare=252)}, ConfigError, "5 classes leave at most 251"),
    ],
)
def test_unfit_input_is_refused(change, error, text):
    network, params, x, y, loss = MODEL
    given_ = {"params": params, "x": x, "y": y, "config": QUICK}
    with pytest.raises(error) as raised, np.errstate(invalid="ignore"):
        given_ |= {key: f(given_[key]) for key, f in change.items()}
        quantize(network, given_["params"], given_["x"], given_["y"], loss, RULE, given_["config"])
    assert text in str(raised.value)


MODEL = trained("frames", (24,), epochs=1)


def test_norms_fold_into_the_integers():
    x, y = task("spikes")
    layers = (Dense(12, standardize=True), BatchNorm(), Spiking(), Dense(5))
    network = Network(Input("spikes", (16,)), layers, 20)
    rng = np.random.default_rng(1)
    params = {n: p + 0.2 * rng.random(p.shape) for n, p in network.init(0, np.float64).items()}
    folded, whole = (
        quantize(*net, x, y, config=QUICK).model for net in (fold(network, params), (network, params))
    )
    assert image.write(whole) == image.write(folded)
