"""A neuron, a surrogate and a learning rule of one's own, trained with the package as it is."""

from dataclasses import dataclass

import numpy as np

from pyedge.layers import Dense, Spiking
from pyedge.losses import ScoreCrossEntropy
from pyedge.model import Input, Network
from pyedge.neuron import Spike
from pyedge.optim import AdamW
from pyedge.rules import MPDED
from pyedge.trainer import TrainConfig, evaluate, fit


@dataclass(frozen=True)
class SoftReset:
    """LIF neurons that lose `theta` at a spike instead of all their potential.

    A neuron has `decay`, how much of u is left after a step, and `run`, a window from rest.
    """

    decay: float = 0.5
    theta: float = 1.0

    def run(self, current, window):
        # A current that is the same at every step comes with a time axis of length 1.
        current = np.broadcast_to(current, (window, *current.shape[1:]))
        u = np.zeros_like(current[0])
        fired, potential = [], []
        for now in current:
            u = self.decay * u + now
            potential.append(u)
            fired.append(u >= self.theta)
            u = u - self.theta * fired[-1]
        return Spike(np.stack(fired), np.stack(potential), np.full_like(current, self.theta))


def lorentzian(distance):
    """A surrogate is any function of u - theta."""
    return 1 / (1 + (np.pi * distance) ** 2)


@dataclass(frozen=True)
class SpikesOnly:
    """A rule is any function from a layer's window and its spikes' errors to its currents' errors.

    This one stays at the spike's own step: no error runs back in time.
    """

    event_driven = True  # spike_error is looked at only where a neuron fired: backends may leave out the rest

    def __call__(self, run, neuron, spike_error):
        return spike_error * lorentzian(run.u - run.theta) * run.fired


def main():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 400)
    x = rng.random((20, 400, 16)) < 0.1 + 0.3 * np.eye(4, 16)[y]
    network = Network(Input("spikes", (16,)), (Dense(32), Spiking(SoftReset()), Dense(4)), window=20)
    accuracy = {}
    for name, rule in {"own surrogate": MPDED(lorentzian), "own rule": SpikesOnly()}.items():
        config = TrainConfig(epochs=15, loss=ScoreCrossEntropy(4.0), rule=rule, optimizer=AdamW(5e-3))
        fitted = fit(network, config, (x[:, :300], y[:300]))
        accuracy[name] = evaluate(network, fitted.params, x[:, 300:], y[300:]).accuracy
        print(f"{name}: accuracy {accuracy[name]:.2f} on samples it has not seen")
    return accuracy


if __name__ == "__main__":
    main()
