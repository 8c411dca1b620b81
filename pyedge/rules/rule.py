"""What a learning rule is, so that a user's own plugs in."""

from typing import Protocol

from pyedge.neuron import Spike
from pyedge.ops import Array


class Rule(Protocol):
    """A pure function, given as a frozen dataclass with `__call__`."""

    def __call__(self, run: Spike, decay: float, spike_error: Array) -> Array:
        """The error of a spiking layer's input current, dL/dI[t], (T, batch, neurons).

        run         : the layer's window.
        decay       : tau of its neurons.
        spike_error : dL/ds[t] from the layer above or the loss (inter-neuron part only), (T, batch, neurons).
        The layer below gets W times the result, the weights its product with the layer's inputs.
        """
