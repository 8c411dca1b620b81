"""The two problems event-driven learning starts from, measured: reversed gradients and silent neurons."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np

from pyedge.layers import Conv, Dense, Layer, Spiking
from pyedge.layers.layer import Part, leaves, local
from pyedge.layers.weights import effective_weight
from pyedge.model import Network, Record
from pyedge.neuron import SRM, Neuron, Spike
from pyedge.ops import Array


class Reversal(NamedTuple):
    """Pairs of an input spike and the output spike it leads to, over synapses of positive weight."""

    pairs: int
    reversed: int  # of them, those with dt_out / dt_in < 0: an earlier input would make a later output

    @property
    def share(self) -> float:
        return self.reversed / self.pairs if self.pairs else 0.0


class Silence(NamedTuple):
    """Shares of a layer's neurons."""

    in_window: float  # without a spike in a sample's window, mean over the samples
    in_all: float  # without a spike in any of them


def reversal(network: Network, params: Mapping[str, Array], record: Record) -> dict[str, Reversal]:
    """By layer with weights that is fed by spikes and feeds neurons.

    With the slope of u at a spike positive (it has just crossed the threshold), dt_out / dt_in has the sign
    of the weight times dK/dt: negative where the output spike falls on the descending side of the kernel. An
    IF kernel does not descend (there the paper takes -w for du/dt_in), so its share is 0.
    """
    found = {}
    for weights, neurons in _pairs(network, record):
        x, (run, _) = weights.cache.x, neurons.cache
        if x.dtype != bool and (x < 0).any():
            continue  # direct coding: the inputs are no spikes
        present = x != 0
        neuron = cast(Spiking, neurons.layer).neuron
        leads = _indicator(run, np.ones(len(run.u), bool))
        falls = _indicator(run, falling(neuron, len(run.u)))
        positive = effective_weight(local(params, weights.name)) > 0
        counts = [
            _pairs_by_weight(weights.layer, present, where, record)[positive] for where in (leads, falls)
        ]
        found[weights.name] = Reversal(*(round(float(c.sum(dtype=np.float64))) for c in counts))
    return found


def silence(network: Network, record: Record) -> dict[str, Silence]:
    """By layer of neurons."""
    found = {}
    for name, run in network.runs(record).items():
        spoke = run.fired.any(axis=0)
        found[name] = Silence(1 - float(spoke.mean()), 1 - float(spoke.any(axis=0).mean()))
    return found


def falling(neuron: Neuron, window: int) -> Array:
    """Whether the neuron's kernel descends k steps after an input spike, k = 0 .. window - 1."""
    if isinstance(neuron, SRM):
        return neuron.kernel_slope(window) < 0
    return np.full(window, neuron.decay < 1)


def _indicator(run: Spike, by_distance: Array) -> Array:
    """Where an output spike of the neuron follows, at a distance for which by_distance holds; float32."""
    found = np.zeros(run.fired.shape, np.float32)
    follows, distance = np.zeros(run.fired.shape[1:], bool), np.zeros(run.fired.shape[1:], np.intp)
    for t in range(len(found) - 1, -1, -1):
        follows = follows | run.fired[t]
        distance = np.where(run.fired[t], 0, distance + 1)
        found[t] = follows & by_distance[distance.clip(max=len(found) - 1)]
    return found


def _pairs_by_weight(layer: Layer, present: Array, where: Array, record: Record) -> Array:
    if isinstance(layer, Conv):
        return record.ops.conv_weight_gradient(present, where, layer.geometry)
    flat = present.reshape(*present.shape[:2], -1)
    return record.ops.linear_weight_gradient(flat, where.reshape(*where.shape[:2], -1))


def _pairs(network: Network, record: Record) -> Iterator[tuple[Part, Part]]:
    """Every layer with weights whose currents go straight into neurons, with those."""
    triples = zip(network.names, network.layers, record.caches, strict=True)
    parts = [part for triple in triples for part in leaves(*triple)]
    for before, after in pairwise(parts):
        if isinstance(before.layer, Dense | Conv) and after.layer.kind == "spiking":
            yield before, after
