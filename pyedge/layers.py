"""Layers: frozen descriptions with pure forward and backward functions over time-first arrays.

A layer sees only its own parameters, by local names ("weight", "bias"). An array whose time axis has
length 1 is the same at every step (static inputs): linear layers then work once a window, and neurons spread
it over the window. Images are (height, width, channels); `pyedge.ops` says more about layouts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from pyedge.errors import ConfigError
from pyedge.neuron import LIF, Neuron, Spike
from pyedge.ops import NUMPY, Array, Geometry, Ops
from pyedge.rules import Rule, is_event_driven

Shape = tuple[int, ...]


class Forward(NamedTuple):
    """What a forward pass needs beside parameters and inputs."""

    window: int  # T
    ops: Ops = NUMPY
    training: bool = False  # batch norm takes the batch's own statistics, dropout drops
    rng: np.random.Generator | None = None  # dropout's, in training


class Backward(NamedTuple):
    """What a backward pass needs beside parameters, caches and errors."""

    rule: Rule
    ops: Ops = NUMPY
    penalty: Callable[[Array], float] | None = None  # of firing: error of every spike of a hidden layer


class Layer(Protocol):
    """What a network needs of a layer; a frozen dataclass with these members plugs in."""

    @property
    def kind(self) -> str:
        """The layer's name without its number."""

    def out_shape(self, shape: Shape) -> Shape:
        """Shape of one sample at one step after this layer. Raises ConfigError if it does not fit."""

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        """Fresh parameters for inputs of this shape."""

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, Any]:
        """The output, and what `backward` will need."""

    def backward(
        self, params: Mapping[str, Array], cache: Any, error: Any, how: Backward, learn: bool, pass_on: bool
    ) -> tuple[Any, dict[str, Array]]:
        """dL/dx (None unless pass_on) and the gradients (empty unless learn) from dL/d(output)."""


def runs(layer: Layer, cache: Any, name: str) -> Iterator[tuple[str, Spike]]:
    """The windows of the neurons in a layer, and their names."""
    if isinstance(layer, Spiking):
        yield name, cache[0]


def neurons(layer: Layer, name: str) -> Iterator[tuple[str, Neuron]]:
    """The neurons in a layer, and their names."""
    if isinstance(layer, Spiking):
        yield name, layer.neuron


INIT_SCHEMES = ("he_uniform", "he_normal", "lecun_uniform", "lecun_normal")
InitScheme = Literal["he_uniform", "he_normal", "lecun_uniform", "lecun_normal"]


def _weight(rng: np.random.Generator, size: Shape, scheme: str, gain: float, dtype: np.dtype) -> Array:
    """Random weights of variance gain^2 2 / fan_in (he) or gain^2 / fan_in (lecun); outputs are last."""
    deviation = gain * ((2 if scheme.startswith("he") else 1) / int(np.prod(size[:-1]))) ** 0.5
    if scheme.endswith("uniform"):
        return (rng.uniform(-(3**0.5), 3**0.5, size) * deviation).astype(dtype)
    return (rng.standard_normal(size) * deviation).astype(dtype)


def _check_scheme(scheme: str) -> None:
    if scheme not in INIT_SCHEMES:
        raise ConfigError(f"init_scheme is {scheme!r}; choose he_ or lecun_, uniform or normal")


def _like(error: Any, x: Array, ops: Ops) -> Any:
    """The error of something static (one step in the cache) that was spread over the window."""
    steps = (error.weights if hasattr(error, "weights") else error).shape[0]
    return ops.over_time(error) if len(x) == 1 < steps else error


def _spikes(x: Array, how: Backward) -> Array | None:
    """Where errors of x are needed, if that is not everywhere."""
    return x if str(x.dtype).endswith("bool") and is_event_driven(how.rule) else None


@dataclass(frozen=True)
class Dense:
    """Linear map x W + b at every step; W is (inputs, outputs), one row an input.

    init : "he_uniform", "he_normal" (variance 2 / fan_in), "lecun_uniform", "lecun_normal" (1 / fan_in);
           biases start at 0.
    gain : factor on the initial weights.
    """

    outputs: int
    bias: bool = True
    init_scheme: InitScheme = "he_uniform"
    gain: float = 1.0
    kind = "dense"

    def __post_init__(self) -> None:
        if self.outputs < 1:
            raise ConfigError(f"a dense layer has {self.outputs} outputs; it needs at least 1")
        _check_scheme(self.init_scheme)

    def out_shape(self, shape: Shape) -> Shape:
        return (self.outputs,)

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        size = (int(np.prod(shape)), self.outputs)
        params = {"weight": _weight(rng, size, self.init_scheme, self.gain, dtype)}
        if self.bias:
            params["bias"] = np.zeros(self.outputs, dtype)
        return params

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, Array]:
        flat = x.reshape(*x.shape[:2], -1)
        return how.ops.linear(flat, params["weight"], params.get("bias")), x

    def backward(
        self, params: Mapping[str, Array], cache: Array, error: Any, how: Backward, learn: bool, pass_on: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        flat = cache.reshape(*cache.shape[:2], -1)
        error = _like(error, cache, how.ops)
        grads: dict[str, Array] = {}
        if learn:
            grads["weight"] = how.ops.linear_weight_gradient(flat, error)
            if self.bias:
                grads["bias"] = how.ops.bias_gradient(error)
        if not pass_on:
            return None, grads
        below = how.ops.linear_input_error(error, params["weight"], _spikes(flat, how))
        return below.reshape(cache.shape), grads


@dataclass(frozen=True)
class Conv:
    """Square convolution (cross-correlation) at every step; W is (size, size, channels in, channels out).

    padding : zeros on every side; None is size // 2, which keeps an image's size (stride 1, odd size).
    init_scheme, gain : as for `Dense`.
    """

    channels: int
    size: int
    stride: int = 1
    padding: int | None = None
    bias: bool = True
    init_scheme: InitScheme = "he_uniform"
    gain: float = 1.0
    kind = "conv"

    def __post_init__(self) -> None:
        if min(self.channels, self.size, self.stride) < 1 or (self.padding or 0) < 0:
            raise ConfigError(f"{self}: channels, size and stride must be at least 1, padding not negative")
        _check_scheme(self.init_scheme)

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.size, self.stride, self.size // 2 if self.padding is None else self.padding)

    def out_shape(self, shape: Shape) -> Shape:
        h, w, _ = image_shape(shape, f"a {self.size}x{self.size} convolution")
        g = self.geometry
        if min(g.out(h), g.out(w)) < 1:
            raise ConfigError(
                f"a {self.size}x{self.size} convolution with padding {g.padding} does not fit into {h}x{w}"
            )
        return g.out(h), g.out(w), self.channels

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        size = (self.size, self.size, shape[2], self.channels)
        params = {"weight": _weight(rng, size, self.init_scheme, self.gain, dtype)}
        if self.bias:
            params["bias"] = np.zeros(self.channels, dtype)
        return params

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, Array]:
        return how.ops.conv(x, params["weight"], params.get("bias"), self.geometry), x

    def backward(
        self, params: Mapping[str, Array], cache: Array, error: Any, how: Backward, learn: bool, pass_on: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        error = _like(error, cache, how.ops)
        grads: dict[str, Array] = {}
        if learn:
            grads["weight"] = how.ops.conv_weight_gradient(cache, error, self.geometry)
            if self.bias:
                grads["bias"] = how.ops.bias_gradient(error)
        if not pass_on:
            return None, grads
        below = how.ops.conv_input_error(
            error, params["weight"], cache.shape[2:], self.geometry, _spikes(cache, how)
        )
        return below, grads


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
        run = how.ops.neuron(self.neuron, x, how.window)
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


def image_shape(shape: Shape, what: str) -> tuple[int, int, int]:
    """(height, width, channels). Raises ConfigError if a sample is no image."""
    if len(shape) != 3:
        raise ConfigError(f"{what} needs (height, width, channels), but a sample has shape {shape} there")
    return shape[0], shape[1], shape[2]
