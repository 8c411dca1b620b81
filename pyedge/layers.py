"""Layers: frozen descriptions with pure forward and backward functions over time-first arrays.

A layer sees only its own parameters, by local names ("weight", "bias"). An array whose time axis has
length 1 is the same at every step (static inputs): linear layers then work once a window, and neurons spread
it over the window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from pyedge.errors import ConfigError
from pyedge.neuron import LIF, Neuron, Spike
from pyedge.ops import Array, linear, linear_input_error, linear_weight_gradient
from pyedge.rules import Rule

Shape = tuple[int, ...]


class Layer(Protocol):
    """What a network needs of a layer; a frozen dataclass with these members plugs in."""

    @property
    def kind(self) -> str:
        """The layer's name without its number."""

    def out_shape(self, shape: Shape) -> Shape:
        """Shape of one sample at one step after this layer."""

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        """Fresh parameters for inputs of this shape."""

    def forward(self, params: Mapping[str, Array], x: Array, window: int) -> tuple[Array, Any]:
        """The output, and what `backward` will need."""

    def backward(
        self, params: Mapping[str, Array], cache: Any, error: Array, rule: Rule, learn: bool, pass_on: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        """dL/dx (None unless pass_on) and the gradients (empty unless learn) from dL/d(output)."""


@dataclass(frozen=True)
class Dense:
    """Linear map x W + b at every step; W is (inputs, outputs), one row an input.

    init : "he_uniform", "he_normal" (variance 2 / fan_in), "lecun_uniform", "lecun_normal" (1 / fan_in);
           biases start at 0.
    gain : factor on the initial weights.
    """

    outputs: int
    bias: bool = True
    init_scheme: Literal["he_uniform", "he_normal", "lecun_uniform", "lecun_normal"] = "he_uniform"
    gain: float = 1.0
    kind = "dense"

    def __post_init__(self) -> None:
        if self.outputs < 1:
            raise ConfigError(f"a dense layer has {self.outputs} outputs; it needs at least 1")
        if self.init_scheme not in ("he_uniform", "he_normal", "lecun_uniform", "lecun_normal"):
            raise ConfigError(f"init_scheme is {self.init_scheme!r}; choose he_ or lecun_, uniform or normal")

    def out_shape(self, shape: Shape) -> Shape:
        return (self.outputs,)

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        fan_in = int(np.prod(shape))
        deviation = self.gain * ((2 if self.init_scheme.startswith("he") else 1) / fan_in) ** 0.5
        size = (fan_in, self.outputs)
        if self.init_scheme.endswith("uniform"):
            weight = rng.uniform(-(3**0.5), 3**0.5, size) * deviation
        else:
            weight = rng.standard_normal(size) * deviation
        params = {"weight": weight.astype(dtype)}
        if self.bias:
            params["bias"] = np.zeros(self.outputs, dtype)
        return params

    def forward(self, params: Mapping[str, Array], x: Array, window: int) -> tuple[Array, Array]:
        x = x.reshape(*x.shape[:2], -1).astype(params["weight"].dtype, copy=False)
        return linear(x, params["weight"], params.get("bias")), x

    def backward(
        self, params: Mapping[str, Array], cache: Array, error: Array, rule: Rule, learn: bool, pass_on: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        if len(cache) == 1 < len(error):  # a linear readout straight on a static input
            error = error.sum(axis=0, keepdims=True)
        grads: dict[str, Array] = {}
        if learn:
            grads["weight"] = linear_weight_gradient(cache, error)
            if self.bias:
                grads["bias"] = error.sum(axis=(0, 1))
        return (linear_input_error(error, params["weight"]) if pass_on else None), grads


@dataclass(frozen=True)
class Spiking:
    """A layer of neurons: currents in, spikes (bool) out. Its error is the learning rule's work."""

    neuron: Neuron = field(default_factory=LIF)
    kind = "spiking"

    def out_shape(self, shape: Shape) -> Shape:
        return shape

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        return {}

    def forward(self, params: Mapping[str, Array], x: Array, window: int) -> tuple[Array, tuple[Spike, bool]]:
        run = self.neuron.run(x, window)
        return run.fired, (run, len(x) == 1)

    def backward(
        self,
        params: Mapping[str, Array],
        cache: tuple[Spike, bool],
        error: Array,
        rule: Rule,
        learn: bool,
        pass_on: bool,
    ) -> tuple[Array | None, dict[str, Array]]:
        if not pass_on:
            return None, {}
        run, static = cache
        epsilon = rule(run, self.neuron.decay, error)
        return (epsilon.sum(axis=0, keepdims=True) if static else epsilon), {}
