"""Law: the rules' gradients are those of automatic differentiation (torch) of the same forward pass."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyedge.losses import TET, CountCrossEntropy, EnhancedSpikeCount, ScoreCrossEntropy, SpikeCount
from pyedge.model import Activity, Input, Network, dense_network
from pyedge.neuron import IF, LIF
from pyedge.rules import MPDED, Surrogate
from pyedge.rules.surrogate import DEFAULT_WIDTHS

TOLERANCE = 1e-9  # of a tensor's largest value

SURROGATES = {
    "constant": lambda z: torch.ones_like(z),
    "rectangular": lambda z: 0.5 * (z.abs() < 1),
    "linear": lambda z: (1 - z.abs()).clamp(min=0),
    "exponential": lambda z: 0.5 * torch.exp(-z.abs()),
    "sigmoid": lambda z: torch.sigmoid(z) * (1 - torch.sigmoid(z)),
}
LINEAR_LOSSES = (ScoreCrossEntropy(), ScoreCrossEntropy(3.0), TET(), TET(0.05))
SPIKING_LOSSES = (
    CountCrossEntropy(),
    CountCrossEntropy(0.5),
    ScoreCrossEntropy(),
    TET(0.1),
    SpikeCount(3, 1),
    SpikeCount(3, 1, False),
    EnhancedSpikeCount(3, 1),
)


class TorchSpike(torch.autograd.Function):
    """A step function whose derivative is the surrogate's."""

    @staticmethod
    def forward(ctx, distance, surrogate: Surrogate, masked: bool):
        ctx.save_for_backward(distance)
        ctx.rule = surrogate, masked
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, error):
        (distance,) = ctx.saved_tensors
        surrogate, masked = ctx.rule
        width = surrogate.width or DEFAULT_WIDTHS[surrogate.shape]
        g = surrogate.scale * SURROGATES[surrogate.shape](distance / width) / width
        return error * (g * (distance >= 0) if masked else g), None, None


def torch_layer(current, neuron, rule: MPDED, window: int):
    """Spikes (T, batch, neurons) by the printed equations, theta detached; also u and theta."""
    alpha = neuron.theta0 / window if neuron.alpha is None else neuron.alpha
    ahead = 1 if isinstance(neuron, IF) else 0
    u = torch.zeros_like(current[0])
    age = torch.ones_like(current[0])
    spikes, us, thetas = [], [], []
    for t in range(window):
        u = neuron.decay * u + current[t]
        theta = (neuron.theta0 - alpha * (age - 1 + ahead)).clamp(min=0)
        if neuron.alpha is None:
            theta = neuron.theta0 * (window - (age - 1 + ahead)) / window
        s = TorchSpike.apply(u - theta, rule.surrogate, rule.masked)
        spikes.append(s)
        us.append(u)
        thetas.append(theta)
        fired = s.detach()
        taken = {"on": u, "off": 0 * u, "threshold": torch.where(fired > 0, theta, u)}[rule.reset].detach()
        u = u * (1 - fired) - taken * (s - fired)
        age = torch.where(fired > 0, torch.ones_like(age), age + 1)
    return torch.stack(spikes), torch.stack(us), torch.stack(thetas)


def torch_loss(loss, outputs, labels):
    window, batch, _ = outputs.shape
    ce = torch.nn.functional.cross_entropy
    if isinstance(loss, CountCrossEntropy):
        return ce(loss.scale * outputs.sum(0), labels)
    if isinstance(loss, ScoreCrossEntropy):
        return ce(loss.scale * outputs.mean(0), labels)
    if isinstance(loss, TET):
        steps = sum(ce(o, labels) for o in outputs) / window
        return (1 - loss.lam) * steps + loss.lam * ((outputs - loss.mean) ** 2).mean()
    counts = outputs.sum(0)
    target = torch.nn.functional.one_hot(labels, counts.shape[1]).bool()
    wanted = torch.where(target, loss.desired, loss.undesired)
    if isinstance(loss, EnhancedSpikeCount) or loss.overshoot_is_free:
        counts = torch.where(target, counts.clamp(max=loss.desired), counts.clamp(min=loss.undesired))
    return window / 2 * (((counts - wanted) / window) ** 2).sum() / batch


def enhanced_error(loss, outputs, labels):
    """The enhanced loss's backward pass, sample by sample from its description."""
    window, batch, classes = outputs.shape
    error, counts, wanted = np.zeros(outputs.shape), np.zeros((batch, classes)), np.zeros((batch, classes))
    for b, c in product(range(batch), range(classes)):
        n = outputs[:, b, c].sum()
        target = labels[b] == c
        counts[b, c] = min(n, loss.desired) if target else max(n, loss.undesired)
        wanted[b, c] = loss.desired if target else loss.undesired
    on_target = sum(counts[b, labels[b]] for b in range(batch))
    ratio = (counts.sum() - on_target + 1e-5) / (on_target + 1e-5)
    for b, c, t in product(range(batch), range(classes), range(window)):
        if outputs[t, b, c]:
            delta = (counts[b, c] - wanted[b, c]) / window
            delta *= max(ratio / 10, 1) if labels[b] == c else 1
            error[t, b, c] = delta / counts[b, c] / batch
    return error


def torch_gradients(net: Network, params, x, labels, loss, rule, activity=None, teacher=False):
    weights = {name: torch.tensor(p, requires_grad=True) for name, p in params.items()}
    h = torch.tensor(np.asarray(x, np.float64)) / net.input.scale
    if net.input.kind == "static":
        h = h.expand(net.window, *h.shape)
    penalty = torch.zeros((), dtype=torch.float64)
    for name, layer in zip(net.names, net.layers, strict=True):
        if layer.kind == "dense":
            h = h @ weights[f"{name}.weight"]
            if layer.bias:
                h = h + weights[f"{name}.bias"]
            continue
        h, u, theta = torch_layer(h, layer.neuron, rule, net.window)
        if activity and name in net.hidden_spiking:
            penalty = penalty + activity.weight * torch.relu(h.mean() - activity.target) ** activity.power
    if teacher:
        for b, label in enumerate(labels):
            if not h[:, b, label].any():
                step = int((u - theta)[:, b, label].argmax())
                gap = (u - theta)[step, b, label].detach()
                one = torch.zeros_like(h)
                one[step, b, label] = 1
                h = h + one * TorchSpike.apply(
                    u[step, b, label] - theta[step, b, label] - gap, rule.surrogate, True
                )
    if isinstance(loss, EnhancedSpikeCount):
        error = torch.tensor(enhanced_error(loss, h.detach().numpy(), labels))
        value, objective = torch_loss(loss, h, torch.tensor(labels)), (error * h).sum()
    else:
        value = objective = torch_loss(loss, h, torch.tensor(labels))
    objective = objective + penalty
    if objective.requires_grad:
        objective.backward()
    grads = {n: np.zeros(w.shape) if w.grad is None else w.grad.numpy() for n, w in weights.items()}
    return h.detach().numpy(), float((value + penalty).detach()), grads


def make(seed, input_kind, hidden, classes, readout, neuron=None, window=6, batch=4, inputs=5, bias=True):
    """A network, float64 parameters with biases that are not 0, a batch of inputs, and labels."""
    rng = np.random.default_rng(seed)
    source = Input(input_kind, (inputs,), 1.0 if input_kind == "spikes" else 8.0)
    net = dense_network(source, hidden, classes, window, readout, neuron, bias)
    params = net.init(rng, np.float64)
    params = {n: p + rng.normal(0, 0.1, p.shape) if n.endswith("bias") else p for n, p in params.items()}
    x = {
        "spikes": lambda: rng.random((window, batch, inputs)) < 0.4,
        "frames": lambda: rng.integers(-20, 21, (window, batch, inputs)).astype(np.int8),
        "static": lambda: rng.normal(0, 8, (batch, inputs)),
    }[input_kind]()
    return net, params, x, rng.integers(0, classes, batch)


def assert_close(ours, theirs):
    for name, expected in theirs.items():
        bound = TOLERANCE * max(np.abs(expected).max(), 1e-6)
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=bound, err_msg=name)


def check(net, params, x, labels, loss, rule, activity=None, teacher=False):
    record = net.forward(params, x)
    if teacher:
        record = net.with_teacher(record, labels)
    value, error = loss(record.outputs, labels)
    if activity:
        value += net.activity_penalty(record, activity)
    grads = net.backward(params, record, error, rule, activity=activity)
    outputs, expected_value, expected = torch_gradients(net, params, x, labels, loss, rule, activity, teacher)
    np.testing.assert_allclose(record.outputs, outputs, rtol=0, atol=1e-12)
    assert value == pytest.approx(expected_value, rel=1e-9)
    assert_close(grads, expected)
    return grads


@pytest.mark.parametrize("reset", ["on", "off", "threshold"])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("shape", SURROGATES)
@pytest.mark.parametrize("input_kind", ["spikes", "frames", "static"])
def test_every_surrogate_reset_and_input_equals_autograd(input_kind, shape, masked, reset):
    rule = MPDED(Surrogate(shape), masked, reset=reset)
    grads = check(*make(1, input_kind, (7, 6), 3, "linear"), TET(), rule)
    assert all(np.abs(g).max() > 0 for g in grads.values())


@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize(
    ("readout", "loss"),
    [("linear", x) for x in LINEAR_LOSSES] + [("spiking", x) for x in SPIKING_LOSSES],
    ids=str,
)
def test_every_loss_readout_and_depth_equals_autograd(depth, readout, loss):
    check(*make(depth, "frames", (8,) * depth, 4, readout), loss, MPDED())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_networks_equal_autograd(data):
    draw = data.draw
    readout = draw(st.sampled_from(["linear", "spiking"]))
    alpha = draw(st.sampled_from([None, 0.0, 0.07, 0.4]))
    tau = draw(st.sampled_from([0.5, 0.8, 1.0]))
    neuron = draw(st.sampled_from([LIF(tau, 1.0, alpha), IF(0.8, alpha)]))
    case = make(
        draw(st.integers(0, 10**6)),
        draw(st.sampled_from(["spikes", "frames", "static"])),
        draw(st.lists(st.integers(1, 6), max_size=3)),
        draw(st.integers(2, 4)),
        readout,
        neuron,
        window=draw(st.integers(1, 9)),
        batch=draw(st.integers(1, 4)),
        inputs=draw(st.integers(1, 6)),
        bias=draw(st.booleans()),
    )
    rule = MPDED(
        Surrogate(draw(st.sampled_from(list(SURROGATES))), draw(st.sampled_from([None, 0.3, 2.0])), 1.5),
        draw(st.booleans()),
        reset=draw(st.sampled_from(["on", "off", "threshold"])),
    )
    loss = draw(st.sampled_from(LINEAR_LOSSES if readout == "linear" else SPIKING_LOSSES))
    activity = draw(st.sampled_from([None, Activity(2.0), Activity(5.0, 0.1, 2)]))
    check(*case, loss, rule, activity)


@pytest.mark.parametrize("seed", range(5))
def test_teacher_spike_lets_the_error_into_silent_targets(seed):
    net, params, x, labels = make(seed, "spikes", (8,), 4, "spiking", LIF(theta0=3.0, alpha=0.1))
    grads = check(net, params, x, labels, CountCrossEntropy(), MPDED(), teacher=True)
    assert np.abs(grads["dense2.bias"]).max() > 0
    before = net.forward(params, x).outputs
    after = net.with_teacher(net.forward(params, x), labels).outputs
    added = (after & ~before).sum(axis=0)
    silent_target = (~before.any(axis=0)) & (labels[:, None] == np.arange(4))
    np.testing.assert_array_equal(added, silent_target)
    assert not (before & ~after).any()


def slow_printed(run, decay, error, rule):
    """Eq. 18 and Eq. 21, neuron by neuron, as printed."""
    window, batch, neurons = run.u.shape
    epsilon = np.zeros(run.u.shape)
    for b, i in product(range(batch), range(neurons)):
        s, u, theta = run.fired[:, b, i], run.u[:, b, i], run.theta[:, b, i]
        g = [float(rule.surrogate(np.array(u[t] - theta[t]))) for t in range(window)]
        if rule.masked:
            g = [g[t] if s[t] else 0.0 for t in range(window)]
        ds = [0.0] * (window + 1)
        for t in reversed(range(window)):
            later = ds[t + 1] * g[t + 1] if t + 1 < window else 0.0
            taken = {"on": u[t], "off": 0.0, "threshold": theta[t] if s[t] else u[t]}[rule.reset]
            ds[t] = error[t, b, i] + later * decay * -taken
            epsilon[t, b, i] = ds[t] * g[t] + later * decay * (1 - s[t])
    return epsilon


@pytest.mark.parametrize("reset", ["on", "off", "threshold"])
@pytest.mark.parametrize("masked", [True, False])
def test_printed_form_is_equations_18_and_21(masked, reset):
    rng = np.random.default_rng(3)
    rule = MPDED(Surrogate(), masked, "printed", reset)
    run = LIF().run(rng.normal(0.3, 0.7, (8, 3, 5)), 8)
    error = rng.normal(size=run.u.shape)
    np.testing.assert_allclose(
        rule(run, LIF(), error), slow_printed(run, 0.5, error, rule), rtol=1e-12, atol=1e-15
    )


def test_masked_errors_enter_only_at_spikes_and_halve_back_to_the_previous_one():
    rng = np.random.default_rng(4)
    run = LIF().run(rng.normal(0.2, 0.6, (12, 4, 9)), 12)
    epsilon = MPDED()(run, LIF(), rng.normal(size=run.u.shape))
    later = np.concatenate([epsilon[1:], np.zeros_like(epsilon[:1])])
    np.testing.assert_array_equal(epsilon[~run.fired], (0.5 * later)[~run.fired])


def test_only_learning_layers_get_gradients_and_they_are_unchanged():
    net, params, x, labels = make(5, "frames", (6, 6), 3, "linear")
    record = net.forward(params, x)
    error = TET()(record.outputs, labels).error
    every = net.backward(params, record, error, MPDED())
    some = net.backward(params, record, error, MPDED(), learn=["dense2"])
    assert set(some) == {"dense2.weight", "dense2.bias"}
    assert all((some[n] == every[n]).all() for n in some)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_have_the_parameters_type(dtype):
    for kind, readout in product(["spikes", "frames", "static"], ["linear", "spiking"]):
        net, params, x, labels = make(6, kind, (6,), 3, readout)
        params = {n: p.astype(dtype) for n, p in params.items()}
        record = net.forward(params, x)
        error = TET(0.1)(record.outputs, labels).error
        grads = net.backward(params, record, error, MPDED(Surrogate("sigmoid")), activity=Activity(1.0))
        assert {g.dtype for g in grads.values()} == {np.dtype(dtype)}
