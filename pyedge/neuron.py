"""Spiking neurons: with an adaptive firing threshold (AFT), one pure function a time step, and the SRM.

"Eq. n" is that of Wei et al., "Event-Driven Learning for Spiking Neural Networks". A window starts as if
every neuron had just fired; the threshold follows from the integer age alone, through one table; a neuron
fires when u >= theta, and restarts at 0 after a spike.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from pyedge.errors import ConfigError
from pyedge.ops import Array


class Spike(NamedTuple):
    """What the backward pass needs, of one step (batch, neurons) or of a window (T, batch, neurons)."""

    fired: Array  # bool
    u: Array  # membrane potential before the reset
    theta: Array  # threshold it was compared with


class AFTLIFParams(NamedTuple):
    tau: float  # factor of the membrane potential a step, in (0, 1]; 1 is an IF neuron
    theta: Array  # threshold by age, (T + 1,), theta[1] is the window's first; entry 0 is never read by LIF


class AFTLIFState(NamedTuple):
    u: Array  # membrane potential after the last step, 0 where it fired, (batch, neurons)
    age: Array  # steps since the last spike, 1 at the window's first step, integer, (batch, neurons)


def aft_lif_step(current: Array, state: AFTLIFState, p: AFTLIFParams) -> tuple[Spike, AFTLIFState]:
    """One time step of adaptive-threshold leaky integrate-and-fire neurons (AFT-IF where p.tau is 1).

    current : input current, (batch, neurons), in the unit of the thresholds.
    Returns what the backward pass needs and the new state.
    Source: Eq. 15-17; Eq. 6-9 for AFT-IF, whose table runs one decay ahead (Eq. 8).
    """
    u = p.tau * state.u + current
    theta = p.theta.take(state.age)
    fired = u >= theta
    return Spike(fired, u, theta), AFTLIFState(u * ~fired, state.age * ~fired + 1)


def rested(shape: tuple[int, ...], dtype: np.dtype) -> AFTLIFState:
    """The state at a window's start: as if every neuron had just fired."""
    return AFTLIFState(np.zeros(shape, dtype), np.ones(shape, np.intp))


def aft_window(current: Array, window: int, p: AFTLIFParams) -> Spike:
    """A whole window from rest: `aft_lif_step`, `window` times.

    current : (window, batch, neurons), or (1, batch, neurons) for a current that is the same at every step.
    """
    shape = (window, *current.shape[1:])
    run = Spike(np.empty(shape, bool), np.empty(shape, current.dtype), np.empty(shape, current.dtype))
    state = rested(current.shape[1:], current.dtype)
    for t in range(window):
        step, state = aft_lif_step(current[t if len(current) > 1 else 0], state, p)
        run.fired[t], run.u[t], run.theta[t] = step
    return run


class Neuron(Protocol):
    """What a network needs of a neuron model; a frozen dataclass with these members plugs in."""

    @property
    def decay(self) -> float:
        """tau: the derivative of the membrane potential with respect to that of the step before."""

    def run(self, current: Array, window: int) -> Spike:
        """A whole window from rest; see `aft_window`."""


def threshold_table(window: int, theta0: float, alpha: float | None, ahead: int) -> Array:
    """Thresholds by age, (window + 1,), float64: max(0, theta0 - alpha (age - 1 + ahead)); entry 0 is theta0.

    alpha None stands for theta0 / window, computed as theta0 * (window - decays) / window: one rounding, and
    an exact 0 at the end. ahead : 0 for Eq. 16 (LIF), 1 for Eq. 8 (IF).
    """
    decays = np.maximum(np.arange(window + 1) - 1 + ahead, 0)
    if alpha is None:
        return np.maximum(theta0 * (window - decays) / window, 0.0)
    return np.maximum(theta0 - alpha * decays, 0.0)


def _check(tau: float, theta0: float, alpha: float | None) -> None:
    if not 0 < tau <= 1:
        raise ConfigError(f"tau is {tau}; a leak factor lies in (0, 1]")
    if not theta0 > 0:
        raise ConfigError(f"theta0 is {theta0}; the initial threshold must be positive")
    if alpha is not None and not alpha >= 0:
        raise ConfigError(f"alpha is {alpha}; the threshold's decay a step must be 0 (fixed) or positive")


@dataclass(frozen=True)
class LIF:
    """AFT-LIF (Eq. 15-17). alpha None is theta0 / T, the paper's choice; alpha 0 is a plain LIF neuron."""

    tau: float = 0.5
    theta0: float = 1.0
    alpha: float | None = None

    def __post_init__(self) -> None:
        _check(self.tau, self.theta0, self.alpha)

    @property
    def decay(self) -> float:
        return self.tau

    def params(self, window: int, dtype: np.dtype) -> AFTLIFParams:
        return AFTLIFParams(self.tau, threshold_table(window, self.theta0, self.alpha, 0).astype(dtype))

    def run(self, current: Array, window: int) -> Spike:
        return aft_window(current, window, self.params(window, current.dtype))


@dataclass(frozen=True)
class IF:
    """AFT-IF (Eq. 6-9); an input spike counts in its own step. alpha None is theta0 / T, alpha 0 plain IF."""

    theta0: float = 1.0
    alpha: float | None = None

    def __post_init__(self) -> None:
        _check(1.0, self.theta0, self.alpha)

    @property
    def decay(self) -> float:
        return 1.0

    def params(self, window: int, dtype: np.dtype) -> AFTLIFParams:
        return AFTLIFParams(1.0, threshold_table(window, self.theta0, self.alpha, 1).astype(dtype))

    def run(self, current: Array, window: int) -> Spike:
        return aft_window(current, window, self.params(window, current.dtype))


@dataclass(frozen=True)
class SRM:
    """Spike response neuron with an alpha-shaped kernel (Eq. 1-3), the baseline of the paper's ablation.

    Between two of its spikes, u[t] = sum_k kernel[k] I[t - k], Eq. 2 in the discrete form of the lineage; a
    spike clears all of it (a hard reset, as theirs, in place of Eq. 4's refractory kernel).
    tau_m, tau_s : time constants of membrane and synapse in steps, 1 < tau_s < tau_m.
    alpha        : 0 is the fixed threshold of the baseline; None is theta0 / T, the table of `LIF`.
    Source: Zhu et al., NeurIPS 2022 and 2023.
    """

    tau_m: float = 5.0
    tau_s: float = 3.0
    theta0: float = 1.0
    alpha: float | None = 0.0

    def __post_init__(self) -> None:
        if not 1 < self.tau_s < self.tau_m:
            raise ConfigError(f"tau_s is {self.tau_s}, tau_m {self.tau_m}; 1 < tau_s < tau_m is needed")
        _check(1.0, self.theta0, self.alpha)

    @property
    def decay(self) -> float:
        raise ConfigError("an SRM neuron has no single leak; learn with `AlphaED`, not with this rule")

    @property
    def _scale(self) -> float:
        return self.tau_m / (self.tau_m - self.tau_s)

    def kernel(self, window: int) -> Array:
        """Response of u to a unit of current k steps ago, k = 0 .. window - 1, float64."""
        t = np.arange(1, window + 1)
        return self._scale * ((1 - 1 / self.tau_m) ** t - (1 - 1 / self.tau_s) ** t)

    def kernel_slope(self, window: int) -> Array:
        """The kernel's derivative in time, at the same places; negative beyond the kernel's peak."""
        t = np.arange(1, window + 1)
        m, s = 1 - 1 / self.tau_m, 1 - 1 / self.tau_s
        return self._scale * (np.log(m) * m**t - np.log(s) * s**t)

    def run(self, current: Array, window: int) -> Spike:
        table = threshold_table(window, self.theta0, self.alpha, 0).astype(current.dtype)
        shape = (window, *current.shape[1:])
        run = Spike(np.empty(shape, bool), np.empty(shape, current.dtype), np.empty(shape, current.dtype))
        m = s = np.zeros(shape[1:], current.dtype)
        age = np.ones(shape[1:], np.intp)
        for t in range(window):
            now = current[t if len(current) > 1 else 0]
            m, s = (m + now) * (1 - 1 / self.tau_m), (s + now) * (1 - 1 / self.tau_s)
            run.u[t] = (m - s) * self._scale
            run.theta[t] = table.take(age)
            fired = run.fired[t] = run.u[t] >= run.theta[t]
            m, s, age = m * ~fired, s * ~fired, age * ~fired + 1
        return run
