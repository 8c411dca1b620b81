"""Laws of the layers: their gradients are autograd's, their shapes torch's, and folding changes nothing."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_gradients import torch_layer
from torch.nn import functional

from pyedge.errors import ConfigError
from pyedge.fold import fold
from pyedge.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Forward,
    MaxPool,
    MeanPool,
    Residual,
    Spiking,
)
from pyedge.losses import TET
from pyedge.model import Activity, Input, Network
from pyedge.neuron import IF, LIF
from pyedge.rules import MPDED

WINDOW, BATCH, IMAGE = 4, 3, (6, 5, 2)
RULE = MPDED()


def to_torch(x):
    """(T, B, h, w, c) to (T B, c, h, w)."""
    return x.reshape(-1, *x.shape[2:]).permute(0, 3, 1, 2)


def from_torch(x, lead):
    return x.permute(0, 2, 3, 1).reshape(*lead, *x.shape[2:], x.shape[1])


def effective(p, name):
    """The weights in use: standardized by torch's own std where there is a gain."""
    w = p[f"{name}weight"]
    if f"{name}gain" not in p:
        return w
    axes = tuple(range(w.ndim - 1))
    std = torch.sqrt(w.std(axes, correction=1) ** 2 + 1e-5)
    return (w - w.mean(axes)) / std * p[f"{name}gain"]


def torch_forward(layers, p, x, prefix, window, training, mask, rule=RULE):
    """The layers in torch, with torch's own convolution, pooling and normalization."""
    counts: dict[str, int] = {}
    for layer in layers:
        counts[layer.kind] = counts.get(layer.kind, 0) + 1
        name, lead = f"{prefix}{layer.kind}{counts[layer.kind]}.", x.shape[:2]
        match layer:
            case Dense():
                x = x.reshape(*lead, -1) @ effective(p, name) + p.get(f"{name}bias", 0)
            case Conv():
                w = effective(p, name).permute(3, 2, 0, 1).contiguous()
                g = layer.geometry
                y = functional.conv2d(to_torch(x), w, p.get(f"{name}bias"), g.stride, g.padding)
                x = from_torch(y, lead)
            case Spiking():
                x = torch_layer(x, layer.neuron, rule, window)[0]
            case MaxPool():
                x = from_torch(functional.max_pool2d(to_torch(x), layer.size), lead)
            case MeanPool():
                x = from_torch(functional.avg_pool2d(to_torch(x), layer.size), lead)
            case Flatten():
                x = x.reshape(*lead, -1)
            case Dropout():
                x = x * mask if training else x
            case BatchNorm():
                channels = x.shape[-1]
                running = (p[f"{name}mean"], p[f"{name}variance"])
                y = functional.batch_norm(
                    x.reshape(-1, channels),
                    *running,
                    p[f"{name}gamma"],
                    p[f"{name}beta"],
                    training,
                    layer.momentum,
                    layer.eps,
                )
                x = y.reshape(x.shape)
            case Residual():
                a = torch_forward(layer.branch, p, x, f"{name}branch.", window, training, mask, rule)
                b = torch_forward(layer.shortcut, p, x, f"{name}shortcut.", window, training, mask, rule)
                x = a + b
    return x


def inputs_of(kind, rng, shape=IMAGE):
    if kind == "static":
        return rng.normal(0, 1, (BATCH, *shape))
    return (
        rng.random((WINDOW, BATCH, *shape)) < 0.4
        if kind == "spikes"
        else rng.normal(size=(WINDOW, BATCH, *shape))
    )


def check(layers, kind="frames", training=True, shape=IMAGE, seed=0, atol=1e-9):
    """Outputs, gradients and running statistics of a network of these layers against torch's."""
    rng = np.random.default_rng(seed)
    net = Network(Input(kind, shape), tuple(layers), WINDOW)
    params = net.init(rng, np.float64)
    params = {n: p + rng.normal(0, 0.1, p.shape) if p.ndim == 1 else p for n, p in params.items()}
    params = {n: abs(p) if n.endswith("variance") else p for n, p in params.items()}
    x, labels = inputs_of(kind, rng, shape), rng.integers(0, net.classes, BATCH)
    record = net.forward(params, x, training, np.random.default_rng(7))
    dropped = [c for layer, c in zip(net.layers, record.caches, strict=True) if isinstance(layer, Dropout)]
    mask = torch.tensor(dropped[0]) if dropped and training else None
    value, error = TET()(record.outputs, labels)
    grads = net.backward(params, record, error, MPDED())

    p = {
        n: torch.tensor(v, requires_grad=n.rpartition(".")[2] not in ("mean", "variance"))
        for n, v in params.items()
    }
    start = torch.tensor(np.asarray(x, np.float64))
    start = start.expand(WINDOW, *start.shape) if kind == "static" else start
    out = torch_forward(net.layers, p, start, "", WINDOW, training, mask).reshape(WINDOW, BATCH, -1)
    np.testing.assert_allclose(record.outputs, out.detach(), rtol=0, atol=1e-10)
    loss = sum(functional.cross_entropy(o, torch.tensor(labels)) for o in out) / WINDOW
    assert value == pytest.approx(float(loss.detach()))
    loss.backward()
    wanted = {n for n, v in p.items() if v.requires_grad}
    assert set(grads) == wanted
    for name in wanted:
        expected = p[name].grad if p[name].grad is not None else torch.zeros_like(p[name])
        bound = atol * max(float(expected.abs().max()), 1e-3)
        np.testing.assert_allclose(grads[name], expected, rtol=0, atol=bound, err_msg=name)
    moved = net.observed(params, record)
    for name in moved:
        if kind != "static":  # torch repeats a static input, which makes its unbiased variance another
            np.testing.assert_allclose(moved[name], p[name].detach(), rtol=1e-10, atol=1e-12)
    return net, params, x, grads


def conv(*args, **kwargs):
    return Conv(*args, init_scheme="he_normal", gain=1.3, **kwargs)


END = (Spiking(), Dense(3))
BLOCKS = {
    "conv": (conv(4, 3), *END),
    "conv-stride-2": (conv(4, 3, 2), *END),
    "conv-even": (conv(4, 2, 1, 0), Spiking(), conv(3, 3, 1, 0, bias=False), *END),
    "conv-stride-3-padding-2": (conv(4, 3, 3, 2), *END),
    "two-convs": (conv(4, 3), Spiking(), conv(3, 5), *END),
    "max-pool": (conv(4, 3), Spiking(), MaxPool(2), conv(3, 3), *END),
    "max-pool-3": (conv(4, 3), Spiking(), MaxPool(3), *END),
    "pool-first": (MaxPool(2), conv(3, 3), *END),
    "mean-pool": (conv(4, 3), Spiking(), MeanPool(2), conv(3, 3), *END),
    "batch-norm": (conv(4, 3), BatchNorm(), Spiking(), conv(3, 3), BatchNorm(0.7), *END),
    "batch-norm-dense": (Dense(6), BatchNorm(), Spiking(), Dense(5), BatchNorm(), *END),
    "dropout": (conv(4, 3), Spiking(), Dropout(0.4), Dense(5), *END),
    "flatten": (conv(4, 3), Spiking(), Flatten(), Dense(5, standardize=True), *END),
    "standardized": (conv(4, 3, standardize=True), Spiking(), conv(3, 3, standardize=True, bias=False), *END),
    "sew": (
        conv(3, 3),
        Spiking(),
        Residual((conv(3, 3), BatchNorm(), Spiking(), conv(3, 3), BatchNorm(), Spiking())),
        Residual((conv(4, 3, 2), Spiking(), conv(4, 3), Spiking()), (conv(4, 1, 2, 0), Spiking())),
        *END,
    ),
    "sew-on-input": (Residual((conv(2, 3), Spiking())), conv(3, 3), *END),
    "ms": (
        conv(3, 3),
        BatchNorm(),
        Residual((Spiking(), conv(3, 3, bias=False), BatchNorm(), Spiking(), conv(3, 3), BatchNorm(0.0))),
        Residual(
            (Spiking(), conv(4, 3, 2, bias=False), BatchNorm(), Spiking(), conv(4, 3), BatchNorm()),
            (conv(4, 1, 2, 0, bias=False), BatchNorm()),
        ),
        *END,
    ),
    "nested": (Residual((Residual((conv(2, 3), Spiking(), conv(2, 3))), Spiking(), conv(2, 3))), *END),
}


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("kind", ["spikes", "frames", "static"])
@pytest.mark.parametrize("name", BLOCKS)
def test_gradients_are_autograds(name, kind, training):
    *_, grads = check(BLOCKS[name], kind, training)
    assert all(np.abs(g).max() > 0 for n, g in grads.items() if n.startswith("conv1"))


def test_gains_that_do_not_learn_have_no_gradient_and_change_no_other():
    layers = [conv(3, 3, standardize=True), Spiking(), conv(3, 3, standardize=True, bias=False), *END]
    net, params, x, _ = check(layers, "spikes")
    held = replace(net, layers=(*layers[:2], replace(layers[2], learn_gain=False), *layers[3:]))
    record = held.forward(params, x, True, np.random.default_rng(7))
    _, error = TET()(record.outputs, np.zeros(BATCH, int))
    found = held.backward(params, record, error, MPDED())
    expected = net.backward(params, record, error, MPDED())
    assert set(expected) - set(found) == {"conv2.gain"}
    assert all((found[name] == expected[name]).all() for name in found)


@pytest.mark.parametrize("kind", ["spikes", "frames", "static"])
@pytest.mark.parametrize("name", BLOCKS)
def test_everything_has_the_parameters_type(name, kind):
    rng = np.random.default_rng(3)
    net = Network(Input(kind, IMAGE), BLOCKS[name], WINDOW)
    params = net.init(rng, np.float32)
    record = net.forward(params, inputs_of(kind, rng), True, rng)
    grads = net.backward(params, record, TET()(record.outputs, np.zeros(BATCH, int)).error, MPDED())
    found = grads | net.observed(params, record) | {n: run.u for n, run in net.runs(record).items()}
    assert {n: a.dtype for n, a in found.items() if a.dtype != np.float32} == {}
    assert {n: g.shape for n, g in grads.items()} == {n: params[n].shape for n in grads}


@settings(max_examples=40)
@given(st.data())
def test_convolution_is_torchs(data):
    draw = data.draw
    size, stride, padding = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 3))
    h, w = draw(st.integers(max(1, size - 2 * padding), 7)), draw(st.integers(max(1, size - 2 * padding), 7))
    layer = Conv(draw(st.integers(1, 3)), size, stride, padding)
    assert layer.out_shape((h, w, 2)) == (
        *functional.conv2d(
            torch.zeros(1, 2, h, w), torch.zeros(1, 2, size, size), None, stride, padding
        ).shape[2:],
        layer.channels,
    )
    check((layer, Spiking(), Dense(2)), "frames", shape=(h, w, 2), seed=draw(st.integers(0, 99)))


def test_pooled_spikes_are_an_or():
    rng = np.random.default_rng(0)
    x = rng.random((2, 3, 7, 6, 2)) < 0.3
    out, _ = MaxPool(2).forward({}, x, Forward(2, np.float64))
    assert out.dtype == bool
    for t, b, r, c, k in product(range(2), range(3), range(3), range(3), range(2)):
        assert out[t, b, r, c, k] == x[t, b, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2, k].any()


def test_running_statistics_are_what_evaluation_uses_and_only_training_moves_them():
    rng = np.random.default_rng(1)
    layer = BatchNorm(momentum=1.0)
    x = rng.normal(3, 2, (WINDOW, 50, 4))
    params = layer.init(rng, (4,), np.dtype(np.float64))
    out, cache = layer.forward(params, x, Forward(WINDOW, np.float64, training=True))
    assert layer.observed(params, layer.forward(params, x, Forward(WINDOW, np.float64))[1]) == {}
    params |= layer.observed(params, cache)
    again, _ = layer.forward(params, x, Forward(WINDOW, np.float64))
    np.testing.assert_allclose(again, out, atol=2e-2)


def test_dropout_is_the_same_at_every_step_and_gone_in_evaluation():
    layer, x = Dropout(0.5), np.ones((WINDOW, 20, 30))
    out, _ = layer.forward({}, x, Forward(WINDOW, np.float64, training=True, rng=np.random.default_rng(0)))
    assert set(np.unique(out)) == {0.0, 2.0} and (out == out[0]).all()
    assert 0.4 < (out == 0).mean() < 0.6
    assert layer.forward({}, x, Forward(WINDOW, np.float64))[0] is x
    with pytest.raises(ConfigError, match="generator"):
        layer.forward({}, x, Forward(WINDOW, np.float64, training=True))


@pytest.mark.parametrize("kind", ["spikes", "static"])
@pytest.mark.parametrize("name", BLOCKS)
def test_folding_changes_no_output(name, kind):
    rng = np.random.default_rng(4)
    net = Network(Input(kind, IMAGE), BLOCKS[name], WINDOW)
    params = {n: p + rng.random(p.shape) for n, p in net.init(rng, np.float64).items()}
    plain, folded = fold(net, params)
    x = inputs_of(kind, rng)
    kinds = {n.split(".")[-2].rstrip("0123456789") for n in folded}
    assert kinds <= {"conv", "dense"} and {n.rpartition(".")[2] for n in folded} <= {"weight", "bias"}
    before, after = net.forward(params, x).outputs, plain.forward(folded, x).outputs
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)


def test_a_norm_with_nothing_to_fold_into_is_named():
    net = Network(Input("frames", IMAGE), (BatchNorm(), Conv(2, 3), Spiking(), Dense(2)), WINDOW)
    with pytest.raises(ConfigError, match="batch_norm1"):
        fold(net, net.init(0))


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_aft_if_is_if_with_a_constant_bias(seed, window):
    """Inside one window, in exact arithmetic: the folding that fixed-threshold chips rely on."""
    rng = np.random.default_rng(seed)
    alpha = 2.0**-4
    current = np.round(rng.normal(0.1, 0.4, (window, 3, 5)) * 64) / 64
    aft = IF(alpha=alpha).run(current, window)
    fixed = IF(alpha=0.0).run(current + alpha, window)
    np.testing.assert_array_equal(aft.fired, fixed.fired)


def test_channels_first_data_give_what_channels_last_give():
    rng = np.random.default_rng(5)
    last = Network(Input("frames", IMAGE), BLOCKS["max-pool"], WINDOW)
    first = replace(last, input=Input("frames", (IMAGE[2], *IMAGE[:2]), channels="first"))
    params = last.init(0)
    x = rng.normal(size=(WINDOW, BATCH, *IMAGE))
    np.testing.assert_array_equal(
        first.forward(params, np.moveaxis(x, -1, -3)).outputs, last.forward(params, x).outputs
    )


def test_an_activity_penalty_reaches_neurons_inside_blocks():
    rng = np.random.default_rng(6)
    net = Network(Input("frames", IMAGE), BLOCKS["sew"], WINDOW)
    params, x = net.init(rng, np.float64), inputs_of("frames", rng)
    assert net.hidden_spiking[1] == "residual1.branch.spiking1"
    record = net.forward(params, x)
    error = np.zeros(record.outputs.shape)
    without, with_penalty = (
        net.backward(params, record, error, MPDED(), activity=Activity(weight)) for weight in (0.0, 1.0)
    )
    assert all((g == 0).all() for g in without.values())
    assert np.abs(with_penalty["residual1.branch.conv2.weight"]).max() > 0


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ((Conv(2, 9, padding=0), Dense(2)), r"layer conv1: .*does not fit into 6x5"),
        ((MaxPool(2), MaxPool(2), MaxPool(2), Dense(2)), r"layer max_pool3: .*does not fit into 1x1"),
        ((Dense(4), Conv(2, 3), Dense(2)), r"layer conv1: .*\(4,\)"),
        ((Residual((Conv(3, 3),)), Dense(2)), "cannot be added"),
    ],
)
def test_an_impossible_shape_names_the_layer(layers, text):
    with pytest.raises(ConfigError, match=text):
        Network(Input("frames", IMAGE), layers, WINDOW)


@pytest.mark.parametrize(
    "make", [lambda: Dropout(1.0), lambda: Conv(0, 3), lambda: Conv(2, 3, 0), lambda: LIF(0)]
)
def test_impossible_values_are_refused(make):
    with pytest.raises(ConfigError):
        make()
