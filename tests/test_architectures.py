"""Laws of network strings and names: what they mean, what they weigh, and errors that point at the token."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyedge.architectures import NAMES, Style, build
from pyedge.errors import ConfigError
from pyedge.layers import BatchNorm, Conv, Dense, Dropout, MaxPool, MeanPool, Spiking
from pyedge.layers.layer import leaves
from pyedge.methods import method
from pyedge.model import Input, load_model, save_model
from pyedge.neuron import IF, SRM

CIFAR = Input("static", (32, 32, 3))
FASHION = Input("static", (28, 28, 1))
TIMING = Style(IF(), "adjusted", "weight", readout="spiking", bias=False)


def kinds(net):
    return [layer.kind for layer in net.layers]


def weights(net):
    return {n: p.shape for n, p in net.init(0).items() if n.endswith("weight")}


def test_the_papers_fashion_network():
    net = build("32C5-P2-64C5-P2-1024", FASHION, 10, 5)
    assert kinds(net) == [
        *("conv", "batch_norm", "spiking", "max_pool") * 2,
        *("dense", "batch_norm", "spiking", "dense"),
    ]
    assert list(weights(net).values()) == [(5, 5, 1, 32), (5, 5, 32, 64), (3136, 1024), (1024, 10)]
    assert net.shapes[4] == (14, 14, 32) and net.readout == "linear"


def test_a_string_that_begins_with_a_shape_is_whole():
    net = build("34x34x2-200-10", None, None, 30, Style(norm="none", readout="spiking"))
    assert kinds(net) == ["dense", "spiking", "dense", "spiking"]
    assert net.input.shape == (34, 34, 2) and list(weights(net).values()) == [(2312, 200), (200, 10)]
    assert build("34x34x2-200-10", Input("frames", (2, 34, 34), channels="first"), 10, 30).classes == 10


def test_padding_and_stride_can_be_given():
    net = build("12C5p1-AP2-64C5p0s2-MP2-10", Input("frames", (34, 34, 2)), 10, 10)
    assert net.shapes[1] == (32, 32, 12) and net.shapes[4] == (16, 16, 12) and net.shapes[5] == (6, 6, 64)
    assert [type(layer) for layer in net.layers if "pool" in layer.kind] == [MeanPool, MaxPool]


@pytest.mark.parametrize(
    ("name", "weighted", "millions"),
    [
        ("VGG11", 11, 28.52),
        ("VGG11(w/o.FC)", 9, 7.61),
        ("VGG11*", 9, 9.24),
        ("CIFARNet", 8, 45.0),
        ("SEW-ResNet-14", 14, 11.107),
        ("MS-ResNet-18", 18, 11.16),
    ],
)
def test_named_networks_have_their_layers(name, weighted, millions):
    net = build(name, CIFAR, 10, 2)
    found = weights(net)
    assert len([n for n in found if "shortcut" not in n]) == weighted
    assert sum(np.prod(s) for s in found.values()) / 1e6 == pytest.approx(millions, rel=0.005)
    assert net.classes == 10


def test_a_style_for_spike_times_has_no_bias_no_batch_norm_and_adjusted_pooling():
    for name in NAMES:
        net = build(name, CIFAR, 10, 2, replace(TIMING, dropout=0.1))
        parts = [p.layer for n, layer in zip(net.names, net.layers, strict=True) for p in leaves(n, layer)]
        assert not [p for p in parts if isinstance(p, BatchNorm | MaxPool)]
        assert all(p.standardize and not p.bias for p in parts if isinstance(p, Conv | Dense))
        assert {type(p.neuron) for p in parts if isinstance(p, Spiking)} == {IF}
        assert any(isinstance(p, Dropout) for p in parts) and net.readout == "spiking"
        assert all(p.adjusted for p in parts if isinstance(p, MeanPool)) or name == "MS-ResNet-18"


@pytest.mark.parametrize(
    ("spec", "token", "text"),
    [
        ("32C5-P2-64X5-P2", "64X5", "no layer"),
        ("32C5-P2--64C5", "", "no layer"),
        ("", "", "no layer"),
        ("32C5-Q2-10", "Q2", "no layer"),
        ("0C5-P2", "0C5", "at least 1"),
        ("32C5s0", "32C5s0", "at least 1"),
        ("32C5-P0", "P0", "does not fit"),
        ("32C5-1024-P2", "P2", "height, width"),
        ("32C5-P2-P2-P2-P2-P2", "P2", "does not fit into 1x1"),
        ("28x28x3-10", "28x28x3", "shape is 28x28x1"),
        ("28x28x1-32C5-P2", "P2", "number of classes"),
        ("28x28x1-32C5-11", "11", "10, the number"),
        ("VGG12", "VGG12", "no layer"),
    ],
)
def test_an_error_points_at_the_token(spec, token, text):
    with pytest.raises(ConfigError, match=text) as found:
        build(spec, FASHION, 10, 5)
    reason, string, mark = str(found.value).rsplit("\n", 2)
    assert repr(token) in reason and string == "  " + spec
    start, end = mark.index("^"), mark.rindex("^") + 1
    assert string[start:end] == token or (token == "" and end - start == 1)


def test_what_a_string_leaves_open_must_be_given():
    with pytest.raises(ConfigError, match="begin with"):
        build("32C5-10", None, 10, 5)
    with pytest.raises(ConfigError, match="number of classes"):
        build("VGG11", CIFAR, None, 5)
    with pytest.raises(ConfigError, match="norm"):
        Style(norm="layer")


@pytest.mark.parametrize("name", ["MS-ResNet-18", "4C3-P2"])
def test_the_alpha_kernel_says_what_it_cannot_be_trained_with(name):
    m = method("alpha")
    net = build(name, Input("frames", (8, 8, 1)), 3, 4, Style(m.neuron, norm="batch"))
    params, x = net.init(0), np.ones((4, 2, 8, 8, 1), np.float32)
    record = net.forward(params, x, training=True)
    with pytest.raises(ConfigError, match="weight standardization"):
        net.backward(params, record, np.ones(record.outputs.shape), m.rule)


@given(st.lists(st.sampled_from(["4C3", "3C2p0", "2C5p2s2", "P2", "AP1", "6"]), max_size=5))
def test_any_string_builds_or_names_its_token(tokens):
    spec = "-".join(tokens)
    try:
        net = build(spec, Input("frames", (9, 8, 2)), 3, 2)
    except ConfigError as error:
        assert "token" in str(error)
        return
    params = net.init(0)
    out = net.forward(params, np.zeros((2, 1, 9, 8, 2), np.float32)).outputs
    assert out.shape == (2, 1, 3)


@pytest.mark.parametrize("style", [Style(), TIMING, replace(TIMING, neuron=SRM(), pool="mean")])
@pytest.mark.parametrize("name", ["SEW-ResNet-14", "4C3-P2-8"])
def test_every_network_is_saved_and_comes_back(tmp_path, name, style):
    net = build(name, Input("static", (8, 8, 1)), 3, 2, style)
    save_model(tmp_path / "m.npz", net, net.init(0))
    assert load_model(tmp_path / "m.npz")[0] == net
