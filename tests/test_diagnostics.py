"""Laws of the measurements of reversed gradients and silent neurons."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pyedge.architectures import Style, build
from pyedge.diagnostics import reversal, silence
from pyedge.layers import Dense, Spiking
from pyedge.losses import TET, EnhancedSpikeCount
from pyedge.methods import NAMES, method
from pyedge.model import Input, Network
from pyedge.neuron import IF, LIF, SRM


def network(neuron, window=12):
    layers = (Dense(6, False, gain=2.0), Spiking(neuron), Dense(4, False, gain=2.0), Spiking(neuron))
    return Network(Input("spikes", (5,)), layers, window)


def inputs(net, seed=0):
    rng = np.random.default_rng(seed)
    return net.init(rng), rng.random((net.window, 8, 5)) < 0.3


@pytest.mark.parametrize("neuron", [SRM(5, 3, 0.3), SRM(8, 4, 0.2), IF()])
def test_reversed_pairs_are_those_beyond_the_kernels_peak(neuron):
    net = network(neuron)
    params, x = inputs(net)
    record = net.forward(params, x)
    found = reversal(net, params, record)
    trains = [x, *(run.fired for run in net.runs(record).values())]
    for number, name in ((0, "dense1"), (1, "dense2")):
        weight, below, out = params[f"{name}.weight"], trains[number], trains[number + 1]
        pairs = turned = 0
        for b in range(8):
            for i in range(weight.shape[1]):
                last = -1
                for t_k in np.flatnonzero(out[:, b, i]):
                    for j in np.flatnonzero(weight[:, i] > 0):
                        for t in range(last + 1, t_k + 1):
                            if below[t, b, j]:
                                pairs += 1
                                turned += isinstance(neuron, SRM) and neuron.kernel_slope(12)[t_k - t] < 0
                    last = t_k
        assert found[name] == (pairs, turned) and pairs > 0
        assert (found[name].share > 0) == isinstance(neuron, SRM)


def test_direct_coding_has_no_input_spikes_to_reverse():
    net = replace(network(SRM(5, 3, 0.3)), input=Input("static", (5,)))
    params, _ = inputs(net)
    x = np.random.default_rng(1).normal(size=(8, 5))
    assert set(reversal(net, params, net.forward(params, x))) == {"dense2"}


def test_silence_is_counted_by_window_and_overall():
    net = network(LIF(theta0=1.5, alpha=0.0))
    params, x = inputs(net)
    record = net.forward(params, x)
    for name, run in net.runs(record).items():
        found = silence(net, record)[name]
        assert found.in_window == pytest.approx((run.fired.sum(axis=0) == 0).mean())
        assert found.in_all == pytest.approx((run.fired.sum(axis=(0, 1)) == 0).mean())


def test_an_adaptive_threshold_leaves_nobody_silent_whose_input_is_not_negative():
    net = network(LIF())
    params, x = inputs(net)
    params = {name: abs(p) for name, p in params.items()}
    adaptive = silence(net, net.forward(params, x))
    fixed_net = network(LIF(alpha=0.0))
    fixed = silence(fixed_net, fixed_net.forward({n: p * 0.01 for n, p in params.items()}, x))
    assert all(found.in_window < 0.1 for found in adaptive.values())
    assert all(found.in_all == 1 for found in fixed.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_method_trains_the_first_layer(name):
    m = method(name)
    style = Style(m.neuron, m.pool, m.norm, readout=m.readout, gain=2.0)
    net = build("4C3-P2-8", Input("static", (6, 6, 1)), 3, 8, style)
    rng = np.random.default_rng(0)
    params, labels = net.init(rng, np.float64), rng.integers(0, 3, 5)
    record = net.forward(params, abs(rng.normal(size=(5, 6, 6, 1))), training=True)
    loss = EnhancedSpikeCount(4, 1) if m.readout == "spiking" else TET()
    grads = net.backward(params, record, loss(record.outputs, labels).error, m.rule)
    assert all(np.abs(g).max() > 0 for g in grads.values())


def test_the_page_of_results_says_what_was_measured():
    root = Path(__file__).parent.parent
    tool = runpy.run_path(str(root / "tools/paper_problems.py"))
    found = json.loads((root / "docs/results/paper_problems.json").read_text())
    assert tool["page"](found) == (root / "docs/results/paper_problems.md").read_text()
