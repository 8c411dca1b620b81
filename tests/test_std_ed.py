"""Laws of the spike-timing rules: STD-ED is Eq. 10-14, the alpha kernel's rule is the lineage's."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyedge import recipe
from pyedge.errors import ConfigError
from pyedge.layers import Backward, Conv, Dense, Flatten, MeanPool, Spiking
from pyedge.losses import EnhancedSpikeCount
from pyedge.model import Input, Network
from pyedge.neuron import IF, LIF, SRM
from pyedge.ops import NUMPY
from pyedge.rules import MPDED, STDED, AlphaED
from pyedge.rules.surrogate import Surrogate
from pyedge.task import loss_named, rule_of


def spike_times(train):
    return [t for t in range(len(train)) if train[t]]


def slow_std_ed(inputs, layers, loss_by_time, clamp):
    """Eq. 10-14 of one sample, spike by spike, in the paper's own terms.

    inputs : spike train, (T, inputs); layers : (weights (inputs, outputs), spike train (T, outputs)) each;
    loss_by_time : dL/dt of every output spike of the last layer, {(neuron, time): value}.
    Returns dL/dw of every layer.
    """
    gradients = []
    dl_dt = dict(loss_by_time)
    for number in range(len(layers) - 1, -1, -1):
        weights, out = layers[number]
        below = inputs if number == 0 else layers[number - 1][1]
        dl_dw = np.zeros(weights.shape)
        dl_dt_below: dict[tuple[int, int], float] = {}
        for i in range(weights.shape[1]):
            times = spike_times(out[:, i])
            for k, t_k in enumerate(times):
                t_last = times[k - 1] if k else -1
                # C: the input spikes after the last output spike, up to this one.
                contributing = [
                    (j, t)
                    for j in range(weights.shape[0])
                    for t in spike_times(below[:, j])
                    if t_last < t <= t_k
                ]
                total = sum(weights[j, i] for j, _ in contributing)
                dt_du = -min(1 / total if total > 0 else np.inf, clamp)  # Eq. 12
                for j, t in contributing:
                    du_dt = -weights[j, i]
                    value = dl_dt.get((i, t_k), 0.0) * dt_du * du_dt  # Eq. 10, Eq. 11
                    dl_dt_below[j, t] = dl_dt_below.get((j, t), 0.0) + value
                    dl_dw[j, i] += dl_dt.get((i, t_k), 0.0) * dt_du * 1  # Eq. 13, Eq. 14: K is 1 on C
        gradients.insert(0, dl_dw)
        dl_dt = dl_dt_below
    return gradients


def check(net, params, x, labels, rule, matrices):
    """The network's gradients against the slow ones, sample by sample; matrices: weights as (in, out)."""
    record = net.forward(params, x)
    loss = EnhancedSpikeCount(3, 1)
    error = loss(record.outputs, labels).error
    grads = net.backward(params, record, error, rule)
    trains = [run.fired.reshape(*run.fired.shape[:2], -1) for run in net.runs(record).values()]
    expected = [np.zeros(m.shape) for m in matrices]
    for b in range(len(labels)):
        layers = [(m, train[:, b]) for m, train in zip(matrices, trains, strict=True)]
        times = {(i, t): -error[t, b, i] for t, i in zip(*np.nonzero(trains[-1][:, b]), strict=True)}
        found = slow_std_ed(x[:, b].reshape(len(x), -1), layers, times, rule.clamp)
        expected = [e + f for e, f in zip(expected, found, strict=True)]
    return grads, expected, record


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(1, 6), max_size=2),
    st.sampled_from([IF(), IF(alpha=0.0), IF(0.7, 0.3)]),
    st.sampled_from([4.0, 1.5]),
    st.integers(1, 9),
)
def test_std_ed_is_equations_10_to_14(seed, hidden, neuron, clamp, window):
    rng = np.random.default_rng(seed)
    layers = []
    for size in [*hidden, 3]:
        layers += [Dense(size, bias=False, gain=1.5), Spiking(neuron)]
    net = Network(Input("spikes", (5,)), tuple(layers), window)
    params = net.init(rng, np.float64)
    x = rng.random((window, 2, 5)) < 0.4
    matrices = list(params.values())
    grads, expected, _ = check(net, params, x, rng.integers(0, 3, 2), STDED(clamp=clamp), matrices)
    for (name, found), slow in zip(sorted(grads.items()), expected, strict=True):
        np.testing.assert_allclose(found, slow, rtol=0, atol=1e-9 * max(abs(slow).max(), 1), err_msg=name)


def as_matrix(conv, weight, shape):
    """A convolution as a dense layer's weights: column by column from its own forward pass on unit images."""
    units = np.eye(int(np.prod(shape))).reshape(1, -1, *shape)
    return NUMPY.conv(units, weight, None, conv.geometry).reshape(units.shape[1], -1)


def test_std_ed_of_a_convolution_is_equations_10_to_14():
    rng = np.random.default_rng(2)
    conv = Conv(3, 3, 2, 1, bias=False, gain=2.0)
    layers = (conv, Spiking(IF()), Flatten(), Dense(3, bias=False), Spiking(IF()))
    net = Network(Input("spikes", (5, 4, 2)), layers, 6)
    params = net.init(rng, np.float64)
    x = rng.random((6, 3, 5, 4, 2)) < 0.3
    weight = params["conv1.weight"]
    matrices = [as_matrix(conv, weight, (5, 4, 2)), params["dense1.weight"]]
    grads, expected, _ = check(net, params, x, np.array([0, 1, 2]), STDED(), matrices)
    np.testing.assert_allclose(grads["dense1.weight"], expected[1], atol=1e-9)
    # A shared weight's gradient is the sum over the synapses that share it.
    shared = np.array(
        [
            (expected[0] * as_matrix(conv, one.reshape(weight.shape), (5, 4, 2))).sum()
            for one in np.eye(weight.size)
        ]
    )
    np.testing.assert_allclose(grads["conv1.weight"].ravel(), shared, atol=1e-9)
    assert abs(shared).max() > 0


def test_the_increment_slope_is_the_current_of_the_spikes_own_step():
    rng = np.random.default_rng(0)
    current = rng.normal(0.3, 0.5, (9, 4, 7))
    run = IF().run(current, 9)
    error = rng.normal(size=run.u.shape)
    epsilon = STDED("increment")(run, IF(), error)
    fired = run.fired
    now = np.where(current > 0, np.minimum(1 / np.where(current > 0, current, 1), 4), 0)
    np.testing.assert_allclose(epsilon[fired], (error * now)[fired], rtol=1e-10)
    later = np.concatenate([epsilon[1:], np.zeros_like(epsilon[:1])])
    np.testing.assert_array_equal(epsilon[~fired], later[~fired])


def test_std_ed_is_mpd_ed_without_leak_and_reset_and_with_the_slope_for_a_surrogate():
    rng = np.random.default_rng(1)
    run = IF().run(rng.normal(0.3, 0.5, (9, 4, 7)), 9)
    error = rng.normal(size=run.u.shape)
    ones = MPDED(Surrogate("constant"), reset="off")(run, IF(), error / np.maximum(run.u, 0.25))
    np.testing.assert_allclose(STDED()(run, IF(), error), ones, rtol=1e-12, atol=1e-15)


def test_the_alpha_kernel_is_the_papers_equation_2_for_slow_kernels():
    """(1 - 1/tau)^t is exp(-t/tau) in the limit of long time constants."""
    t = np.arange(1, 401)
    paper = 400 / (400 - 100) * (np.exp(-t / 400) - np.exp(-t / 100))
    np.testing.assert_allclose(SRM(400, 100).kernel(400), paper, atol=4e-3)


@given(st.integers(0, 10**6), st.sampled_from([(5.0, 3.0), (8.0, 4.0)]), st.sampled_from([0.0, 0.1, None]))
def test_srm_potentials_are_sums_of_kernels_since_the_last_spike(seed, taus, alpha):
    rng = np.random.default_rng(seed)
    neuron = SRM(*taus, 0.4, alpha)
    current = rng.normal(0.3, 0.6, (11, 2, 3))
    run = neuron.run(current, 11)
    kernel = neuron.kernel(11)
    for b, i in product(range(2), range(3)):
        since = 0
        for t in range(11):
            u = sum(kernel[t - s] * current[s, b, i] for s in range(since, t + 1))
            assert run.u[t, b, i] == pytest.approx(u, rel=1e-9, abs=1e-12)
            assert run.fired[t, b, i] == (run.u[t, b, i] >= run.theta[t, b, i])
            since = t + 1 if run.fired[t, b, i] else since


def test_the_kernels_slope_is_its_derivative():
    neuron, h = SRM(), 1e-6
    t = np.arange(1, 31)

    def kernel(t):
        m, s = 1 - 1 / neuron.tau_m, 1 - 1 / neuron.tau_s
        return neuron.tau_m / (neuron.tau_m - neuron.tau_s) * (m**t - s**t)

    np.testing.assert_allclose(
        neuron.kernel_slope(30), (kernel(t + h) - kernel(t - h)) / (2 * h), rtol=1e-6, atol=1e-9
    )
    assert neuron.kernel_slope(30)[0] > 0 > neuron.kernel_slope(30)[-1]


@pytest.mark.parametrize("tau_grad", [2.5, None])
@pytest.mark.parametrize("seed", range(4))
def test_alpha_rule_is_the_lineages_walk(seed, tau_grad):
    """A two-layer network, synapse by synapse: kernel on weights, its derivative or h on spike times."""
    rng = np.random.default_rng(seed)
    neuron, window = SRM(5, 3, 0.3), 10
    net = Network(
        Input("spikes", (4,)),
        (Dense(5, False, gain=3), Spiking(neuron), Dense(3, False), Spiking(neuron)),
        window,
    )
    params = net.init(rng, np.float64)
    x = rng.random((window, 1, 4)) < 0.4
    record = net.forward(params, x)
    error = rng.normal(size=record.outputs.shape)
    rule = AlphaED(tau_grad)
    grads = net.backward(params, record, error, rule)
    kernel, times = neuron.kernel(window), rule.time_kernel(neuron, window)
    trains = [x[:, 0], *(run.fired[:, 0] for run in net.runs(record).values())]
    potentials = [run.u[:, 0] for run in net.runs(record).values()]
    passed = error[:, 0]
    for number, name in ((1, "dense2.weight"), (0, "dense1.weight")):
        w, out, below = params[name], trains[number + 1], trains[number]
        u = potentials[number]
        dw, down = np.zeros(w.shape), np.zeros(below.shape)
        for i in range(w.shape[1]):
            last = -1
            for t_k in spike_times(out[:, i]):
                before = 0.0 if t_k == 0 or out[t_k - 1, i] else u[t_k - 1, i]
                rise = u[t_k, i] - before
                e = passed[t_k, i] * (0 if rise < 0 else min(4, 1 / rise))
                for j in range(w.shape[0]):
                    for t in range(last + 1, t_k + 1):
                        dw[j, i] += e * kernel[t_k - t] * below[t, j]
                        down[t, j] += e * times[t_k - t] * w[j, i]
                last = t_k
        np.testing.assert_allclose(grads[name], dw, atol=1e-10)
        passed = down
    assert abs(grads["dense1.weight"]).max() > 0


def test_adjusted_pooling_and_its_neighbours_share_an_error_among_spikes():
    rng = np.random.default_rng(3)
    x = rng.random((4, 2, 5, 6, 3)) < 0.4
    net_error = rng.normal(size=(4, 2, 2, 3, 3))
    below, _ = MeanPool(2, adjusted=True).backward({}, x, net_error, Backward(STDED()), False, True)
    for t, b, r, c, k in product(range(4), range(2), range(5), range(6), range(3)):
        if r >= 4 or not x[t, b, r, c, k]:
            assert below[t, b, r, c, k] == 0
            continue
        spikes = x[t, b, r // 2 * 2 : r // 2 * 2 + 2, c // 2 * 2 : c // 2 * 2 + 2, k].sum()
        assert below[t, b, r, c, k] == pytest.approx(net_error[t, b, r // 2, c // 2, k] / spikes)


def test_an_emg_recipe_can_ask_for_std_ed():
    table = {
        "training": {"rule": "std_ed", "loss": "enhanced_spike_count", "desired": 15.0, "undesired": 2.0}
    }
    with pytest.raises(ConfigError, match=r"training\.rule.*network\.neuron"):
        rule_of(recipe.parse(table))
    parsed = recipe.parse(table | {"network": {"neuron": "IF", "readout": "spiking"}})
    loss = loss_named(parsed.training.loss, parsed.training)
    assert rule_of(parsed) == STDED() and loss == EnhancedSpikeCount(15, 2)


def test_rules_refuse_neurons_they_are_not_for():
    run = LIF().run(np.ones((3, 1, 1)), 3)
    with pytest.raises(ConfigError, match="IF neurons"):
        STDED()(run, LIF(), run.u)
    with pytest.raises(ConfigError, match="SRM"):
        AlphaED()(run, LIF(), run.u)
    with pytest.raises(ConfigError, match="AlphaED"):
        MPDED()(run, SRM(), run.u)
    with pytest.raises(ConfigError, match="tau_s"):
        SRM(3, 5)
