"""Laws of initial weights by firing rate."""

from dataclasses import replace

import numpy as np
import pytest

from pyedge.architectures import Style, build
from pyedge.errors import ConfigError
from pyedge.methods import method
from pyedge.model import Input
from pyedge.rate_init import scale_to_rate

WINDOW = 12


@pytest.mark.parametrize("norm", ["none", "weight", "batch"])
@pytest.mark.parametrize("name", ["alpha", "if_fixed", "mpd_ed"])
@pytest.mark.parametrize("kind", ["static", "frames"])
def test_every_layer_fires_at_the_wanted_rate(kind, name, norm):
    m = method(name)
    style = Style(m.neuron, m.pool, norm, readout="spiking", dropout=0.2)
    net = build("8C3-P2-8C3-32-32", Input(kind, (8, 8, 2)), 5, WINDOW, style)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 8, 8, 2) if kind == "static" else (WINDOW, 40, 8, 8, 2))
    params = net.init(0, np.float64)
    wanted = 2.0 / WINDOW
    scaled = scale_to_rate(net, params, x, 2.0)
    assert scaled.keys() == params.keys() and all(scaled[k].dtype == params[k].dtype for k in params)
    still = replace(net, layers=tuple(layer for layer in net.layers if layer.kind != "dropout"))
    runs = still.runs(still.forward(scaled, x, training=True))
    for layer, run in runs.items():
        # With few steps and neurons a rate moves in jumps; AFT fires at least once a window by itself.
        rate = run.fired[8:].mean()
        assert rate == pytest.approx(wanted, rel=0.35), layer


def test_a_dead_deep_network_comes_to_life():
    m = method("if_fixed")
    net = build(
        "8C3-8C3-8C3-8C3-16",
        Input("static", (8, 8, 1)),
        4,
        5,
        Style(m.neuron, m.pool, m.norm, readout="spiking"),
    )
    x, params = np.random.default_rng(1).normal(0, 0.3, (30, 8, 8, 1)), net.init(0, np.float64)
    before, after = (
        net.firing_rates(net.forward(p, x)) for p in (params, scale_to_rate(net, params, x, 1.0))
    )
    assert before["spiking5"] == 0 and min(after.values()) > 0.1


def test_blocks_are_reached():
    m = method("alpha", times=(7.0, 4.0, 3.5))
    net = build(
        "SEW-ResNet-14", Input("static", (8, 8, 3)), 4, 6, Style(m.neuron, m.pool, m.norm, readout="spiking")
    )
    x, params = np.random.default_rng(1).normal(size=(4, 8, 8, 3)).astype(np.float32), net.init(0)
    rates = net.firing_rates(net.forward(scale_to_rate(net, params, x, 1.0), x))
    assert all(0.05 < rate < 0.4 for name, rate in rates.items()), rates


def test_neurons_that_fire_by_themselves_are_named():
    m = method("std_ed")
    net = build("4C3-8", Input("static", (8, 8, 1)), 4, 5, Style(m.neuron, m.pool, m.norm, readout="spiking"))
    x = np.random.default_rng(1).normal(size=(9, 8, 8, 1))
    with pytest.raises(ConfigError, match=r"layer conv1: .*adaptive threshold"):
        scale_to_rate(net, net.init(0, np.float64), x, 0.6)


def test_an_impossible_rate_is_refused():
    net = build("4C3-8", Input("static", (8, 8, 1)), 4, 5)
    with pytest.raises(ConfigError, match="at most one a step"):
        scale_to_rate(net, net.init(0), np.zeros((2, 8, 8, 1)), 6.0)
