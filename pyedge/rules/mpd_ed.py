"""MPD-ED (Eq. 18-21): membrane-potential-dependent event-driven learning; unmasked, it is STBP."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pyedge.errors import ConfigError
from pyedge.neuron import Neuron, Spike
from pyedge.ops import Array
from pyedge.rules.surrogate import Surrogate


@dataclass(frozen=True)
class MPDED:
    """The error of the membrane potential, epsilon[t] = dL/du[t], with the threshold held constant.

    surrogate : g(u - theta); any callable from an array to an array of its shape.
    masked    : True, g is zero below threshold (Eq. 19, MPD-ED); False, it is not (STBP).
    recursion : "full" is back-propagation through time, what automatic differentiation of Eq. 15-17 gives.
                "printed" takes Eq. 18 and Eq. 21 to the letter: of the future both see only
                dL/ds[t+1] g[t+1], one step of the recursion.
    reset     : the reset's part of ds[t], -tau u[t] epsilon[t+1]. "on" as it is; "off" leaves it out;
                "threshold" takes theta[t] for u[t] where the neuron fired, as the boards do.
                With "on" and a surrogate that does not fall off (constant), tau u g may exceed 1 and errors
                grow from spike to spike: take one of the others there.
    """

    surrogate: Callable[[Array], Array] = field(default_factory=Surrogate)
    masked: bool = True
    recursion: Literal["full", "printed"] = "full"
    reset: Literal["on", "off", "threshold"] = "on"

    def __post_init__(self) -> None:
        if self.recursion not in ("full", "printed"):
            raise ConfigError(f"recursion is {self.recursion!r}; choose 'full' or 'printed'")
        if self.reset not in ("on", "off", "threshold"):
            raise ConfigError(f"reset is {self.reset!r}; choose 'on', 'off' or 'threshold'")

    @property
    def event_driven(self) -> bool:
        return self.masked

    def __call__(self, run: Spike, neuron: Neuron, spike_error: Array) -> Array:
        """See `Rule`. spike_error is not written to."""
        decay = neuron.decay
        epsilon = np.empty_like(run.u)
        carried = np.zeros_like(run.u[0])  # of step t + 1: epsilon, or dL/ds g where printed
        for t in range(len(epsilon) - 1, -1, -1):
            fired, u, theta = run.fired[t], run.u[t], run.theta[t]
            g = self.surrogate(u - theta)
            if self.masked:
                g = g * fired
            ds = spike_error[t]
            if self.reset == "on":
                ds = ds - decay * u * carried
            elif self.reset == "threshold":
                ds = ds - decay * np.where(fired, theta, u) * carried
            direct = g * ds
            epsilon[t] = direct + decay * carried * ~fired
            carried = epsilon[t] if self.recursion == "full" else direct
        return epsilon


def stbp(surrogate: Callable[[Array], Array] | None = None) -> MPDED:
    """The baseline: spatio-temporal back-propagation, the same recursion with the surrogate at every step."""
    return MPDED(surrogate or Surrogate(), masked=False)
