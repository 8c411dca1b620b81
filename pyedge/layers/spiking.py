"""The layer of neurons."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pyedge.layers.layer import Backward, Forward, Shape
from pyedge.neuron import LIF, Neuron, Spike
from pyedge.ops import Array


@dataclass(frozen=True)
class Spiking:
    """A layer of neurons: currents in, spikes (bool) out. Its error is the learning rule's work."""

    neuron: Neuron = field(default_factory=LIF)
    kind = "spiking"

    def out_shape(self, shape: Shape) -> Shape:
        return shape

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        return {}

    def forward(
        self, params: Mapping[str, Array], x: Array, how: Forward
    ) -> tuple[Array, tuple[Spike, bool]]:
        run = how.ops.neuron(self.neuron, how.ops.array(x, how.dtype), how.window)
        return run.fired, (run, len(x) == 1)

    def backward(
        self,
        params: Mapping[str, Array],
        cache: tuple[Spike, bool],
        error: Array,
        how: Backward,
        learn: bool,
        pass_on: bool,
    ) -> tuple[Any, dict[str, Array]]:
        if not pass_on:
            return None, {}
        run, static = cache
        if how.penalty is not None:
            error = error + how.penalty(run.fired)
        epsilon = how.ops.rule(how.rule, run, self.neuron, error)
        return (how.ops.over_time(epsilon) if static else epsilon), {}
