"""What a learning rule is, so that a user's own plugs in."""

from typing import Any, Protocol

from pyedge.neuron import Neuron, Spike
from pyedge.ops import Array


class Rule(Protocol):
    """A pure function, given as a frozen dataclass with `__call__`.

    A rule that looks at spike_error only where a neuron fired may say so with `event_driven = True`; backends
    then leave out the rest.
    """

    def __call__(self, run: Spike, neuron: Neuron, spike_error: Array) -> Any:
        """The error of a spiking layer's input current, dL/dI[t], (T, batch, ...).

        run         : the layer's window.
        neuron      : its neuron model.
        spike_error : dL/ds[t] from the layer above or the loss (inter-neuron part only), (T, batch, ...).
        The layer below gets W times the result, the weights its product with the layer's inputs. Where the
        two differ, a `pyedge.ops.Split`.
        """


def is_event_driven(rule: Rule) -> bool:
    """Whether the rule looks at errors of spikes alone."""
    return bool(getattr(rule, "event_driven", False))
