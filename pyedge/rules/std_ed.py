"""STD-ED (Eq. 10-14): spike-timing-dependent event-driven learning, and its alpha-kernel baseline.

Both learn from spike times. What the package calls the error of a spike, dL/ds, is -dL/dt here: an earlier
spike counts as more of a spike. Losses and layers need not know the difference.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pyedge.errors import ConfigError
from pyedge.neuron import SRM, Neuron, Spike
from pyedge.ops import Array, Split

Slope = Literal["potential", "increment"]


def _check(slope: str, clamp: float) -> None:
    if slope not in ("potential", "increment"):
        raise ConfigError(f"slope is {slope!r}; choose 'potential' or 'increment'")
    if not clamp > 0:
        raise ConfigError(f"clamp is {clamp}; it must be positive")


def inverse_slope(run: Spike, slope: Slope, clamp: float) -> Array:
    """-dt/du of every spike (Eq. 12), in [0, clamp]; (T, batch, ...), of meaning only where the neuron fired.

    "potential" : 1 / u, which for spikes without a bias is Eq. 12's sum of the weights of the input spikes
                  since the neuron's last spike.
    "increment" : 1 / (u[t] - u[t-1]), the lineage's slope; where u did not rise the error is 0.
    """
    rise = run.u
    if slope == "increment":
        before = np.concatenate([np.zeros_like(run.u[:1]), run.u[:-1] * ~run.fired[:-1]])
        rise = run.u - before
    least = rise.dtype.type(1 / clamp)
    return np.where(rise < 0, 0, 1 / np.maximum(rise, least)).astype(rise.dtype, copy=False)


@dataclass(frozen=True)
class STDED:
    """Eq. 10-14 for (AFT-)IF neurons.

    With e = dL/ds[t_k] / slope at output spike k, every input spike since the spike before it (its own step
    included) gets w e, and every weight the sum of e over such input spikes: the error of the current is e
    from the output spike back to the one before. Output spikes do not act on each other.
    slope : of the potential around the spike, see `inverse_slope`.
    clamp : largest 1 / slope; the lineage's 4.
    """

    slope: Slope = "potential"
    clamp: float = 4.0
    event_driven = True

    def __post_init__(self) -> None:
        _check(self.slope, self.clamp)

    def __call__(self, run: Spike, neuron: Neuron, spike_error: Array) -> Array:
        """See `Rule`."""
        if neuron.decay != 1:
            raise ConfigError(f"STD-ED needs IF neurons, which do not leak; these have tau {neuron.decay}")
        entering = spike_error * inverse_slope(run, self.slope, self.clamp)
        epsilon = np.empty_like(run.u)
        carried = np.zeros_like(run.u[0])
        for t in range(len(epsilon) - 1, -1, -1):
            carried = epsilon[t] = np.where(run.fired[t], entering[t], carried)
        return epsilon


@dataclass(frozen=True)
class AlphaED:
    """Event-driven learning with the alpha kernel, for `SRM` neurons: references [23] and [24] of the paper.

    A weight gets e times the kernel at the distance from input to output spike. An input spike's time acts
    through the kernel's derivative, negative beyond the kernel's peak: the gradient reversal problem.
    tau_grad : the derivative is replaced by h = (1 - 1 / tau_grad)^(k + 1), k steps apart (the exponential of
               [23], [24]); None takes the derivative as it is.
    slope, clamp : as for `STDED`; the lineage's are "increment" and 4, without a clamp on the way to inputs.
    """

    tau_grad: float | None = 2.5
    slope: Slope = "increment"
    clamp: float = 4.0
    event_driven = True

    def __post_init__(self) -> None:
        _check(self.slope, self.clamp)
        if self.tau_grad is not None and not self.tau_grad > 1:
            raise ConfigError(f"tau_grad is {self.tau_grad}; it must be larger than 1 step, or None")

    def time_kernel(self, neuron: SRM, window: int) -> Array:
        """What stands for the kernel's derivative, by the steps between input and output spike."""
        if self.tau_grad is None:
            return neuron.kernel_slope(window)
        return (1 - 1 / self.tau_grad) ** np.arange(1, window + 1)

    def __call__(self, run: Spike, neuron: Neuron, spike_error: Array) -> Split:
        """See `Rule`."""
        if not isinstance(neuron, SRM):
            raise ConfigError(f"AlphaED needs SRM neurons, not {type(neuron).__name__}")
        window, dtype = len(run.u), run.u.dtype
        entering = spike_error * inverse_slope(run, self.slope, self.clamp)
        on_weights = neuron.kernel(window).astype(dtype)
        on_times = self.time_kernel(neuron, window).astype(dtype)
        split = Split(np.empty_like(run.u), np.empty_like(run.u))
        carried, steps = np.zeros_like(run.u[0]), np.zeros(run.u.shape[1:], np.intp)
        for t in range(window - 1, -1, -1):
            carried = np.where(run.fired[t], entering[t], carried)
            steps = np.where(run.fired[t], 0, steps + 1).clip(max=window - 1)
            split.weights[t] = carried * on_weights[steps]
            split.inputs[t] = carried * on_times[steps]
        return split
