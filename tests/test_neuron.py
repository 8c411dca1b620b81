"""Laws of the neurons: thresholds from the age, windows without memory, and the identity of AFT-IF."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyedge.errors import ConfigError
from pyedge.model import Input, dense_network
from pyedge.neuron import IF, LIF, AFTLIFParams, aft_lif_step, rested, threshold_table


def scalar_window(current, window, tau, theta0, alpha, ahead):
    """One neuron by Eq. 15-17 (ahead 0) or Eq. 6-9 (ahead 1), in plain numbers; alpha None is theta0 / T."""
    u, age, spikes = 0.0, 1, []
    for t in range(window):
        u = tau * u + current[t]
        decays = age - 1 + ahead
        exact = theta0 * (window - decays) / window if alpha is None else theta0 - alpha * decays
        fired = u >= max(0.0, exact)
        spikes.append(fired)
        u, age = (0.0, 1) if fired else (u, age + 1)
    return spikes


@given(
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.sampled_from([0.5, 0.25, 1.0, 0.9]),
    st.sampled_from([1.0, 0.7, 3.0]),
    st.sampled_from([None, 0.0, 0.03, 0.5]),
    st.sampled_from([0, 1]),
)
def test_a_window_is_the_equations_neuron_by_neuron(seed, window, tau, theta0, alpha, ahead):
    current = np.random.default_rng(seed).normal(0.2, 0.6, (window, 2, 3))
    neuron = IF(theta0, alpha) if ahead else LIF(tau, theta0, alpha)
    run = neuron.run(current, window)
    for b, i in product(range(2), range(3)):
        expected = scalar_window(current[:, b, i], window, neuron.decay, theta0, alpha, ahead)
        np.testing.assert_array_equal(run.fired[:, b, i], expected)


dyadic = st.integers(-64, 64).map(lambda k: k / 64)


@given(
    st.sampled_from([1, 2, 4, 8, 16, 32]).flatmap(
        lambda window: st.lists(dyadic, min_size=window, max_size=window)
    )
)
def test_aft_if_is_an_if_neuron_with_bias_alpha_and_a_fixed_threshold(values):
    """In exact arithmetic, while alpha T <= theta0: the twin's membrane is u + alpha age."""
    window = len(values)
    current = np.array(values).reshape(window, 1, 1)
    adaptive = IF(theta0=1.0).run(current, window)
    twin = IF(theta0=1.0, alpha=0.0).run(current + 1.0 / window, window)
    np.testing.assert_array_equal(adaptive.fired, twin.fired)
    np.testing.assert_array_equal(twin.u, adaptive.u + (1 - adaptive.theta))


@given(st.integers(1, 1000), st.sampled_from([1.0, 0.3, 2.5]))
def test_thresholds_start_at_theta0_fall_evenly_and_end_at_zero(window, theta0):
    lif, aft_if = threshold_table(window, theta0, None, 0), threshold_table(window, theta0, None, 1)
    assert lif.shape == aft_if.shape == (window + 1,)
    assert lif[1] == theta0 and aft_if[-1] == 0
    np.testing.assert_array_equal(lif[1:], aft_if[:-1])
    np.testing.assert_allclose(-np.diff(lif[1:]), theta0 / window, rtol=1e-9)


def test_a_silent_aft_if_neuron_fires_at_the_windows_end_and_an_aft_lif_neuron_does_not():
    current = np.zeros((8, 1, 1))
    assert IF().run(current, 8).fired[:, 0, 0].tolist() == [False] * 7 + [True]
    assert not LIF().run(current, 8).fired.any()


def test_a_step_returns_what_the_window_records():
    current = np.random.default_rng(0).normal(0.3, 0.5, (9, 2, 4))
    neuron = LIF()
    whole, state = neuron.run(current, 9), rested((2, 4), current.dtype)
    for t in range(9):
        spike, state = aft_lif_step(current[t], state, neuron.params(9, current.dtype))
        for ours, theirs in zip(spike, whole, strict=True):
            np.testing.assert_array_equal(ours, theirs[t])
        assert (state.u[spike.fired] == 0).all() and (state.age[spike.fired] == 1).all()


def test_u_equal_to_theta_fires():
    spike, _ = aft_lif_step(np.ones((1, 1)), rested((1, 1), np.dtype(float)), AFTLIFParams(0.5, np.ones(2)))
    assert spike.fired.all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_currents_type_is_kept(dtype):
    run = LIF(tau=0.9).run(np.ones((3, 2, 2), dtype), 3)
    assert run.u.dtype == run.theta.dtype == dtype


@pytest.mark.parametrize("kind", ["spikes", "frames", "static"])
@given(seed=st.integers(0, 2**32))
def test_no_window_leaks_into_the_next_or_into_its_neighbour(kind, seed):
    rng = np.random.default_rng(seed)
    net = dense_network(Input(kind, (4,)), (6, 5), 3, 7, "spiking")
    params = net.init(rng, np.float64)
    shape = (5, 4) if kind == "static" else (7, 5, 4)
    # Dyadic inputs and weights: sums are exact in any order, so only a leak could change a spike.
    params = {name: np.round(p * 64) / 64 for name, p in params.items()}
    x = rng.integers(0, 2, shape).astype(bool)
    alone = net.forward(params, x).outputs
    net.forward(params, ~x)
    np.testing.assert_array_equal(net.forward(params, x).outputs, alone)
    one = net.forward(params, x[..., 2:3, :]).outputs
    np.testing.assert_array_equal(one[:, 0], alone[:, 2])


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_a_static_input_is_a_frame_repeated(seed, window):
    rng = np.random.default_rng(seed)
    static = dense_network(Input("static", (4,), 16.0), (6,), 3, window)
    frames = dense_network(Input("frames", (4,), 16.0), (6,), 3, window)
    params = {name: np.round(p * 64) / 64 for name, p in static.init(rng, np.float64).items()}
    x = rng.integers(-128, 128, (5, 4)).astype(np.int8)
    repeated = np.broadcast_to(x, (window, 5, 4))
    np.testing.assert_array_equal(static.forward(params, x).outputs, frames.forward(params, repeated).outputs)


@pytest.mark.parametrize("bad", [{"tau": 0}, {"tau": 1.5}, {"theta0": 0}, {"alpha": -0.1}])
def test_a_value_that_cannot_work_is_named(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        LIF(**bad)
