"""What a layer is, and layers in order.

A layer sees only its own parameters, by local names ("weight", "bias"). An array whose time axis has
length 1 is the same at every step (static inputs): linear layers then work once a window, and neurons spread
it over the window. Images are (height, width, channels); `pyedge.ops` says more about layouts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from pyedge.errors import ConfigError
from pyedge.neuron import Neuron, Spike
from pyedge.ops import NUMPY, Array, Ops, Split
from pyedge.rules import Rule

Shape = tuple[int, ...]


class Forward(NamedTuple):
    """What a forward pass needs beside parameters and inputs."""

    window: int  # T
    dtype: Any  # of everything but spikes
    ops: Ops = NUMPY
    training: bool = False  # batch norm takes the batch's own statistics, dropout drops
    rng: np.random.Generator | None = None  # dropout's, in training


class Backward(NamedTuple):
    """What a backward pass needs beside parameters, caches and errors."""

    rule: Rule
    ops: Ops = NUMPY
    penalty: Callable[[Array], float] | None = None  # of firing: error of every spike of a hidden layer


class Layer(Protocol):
    """What a network needs of a layer; a frozen dataclass with these members plugs in.

    A layer of layers has `parts` too (see `Residual`), a layer with running statistics `observed`
    (see `BatchNorm`).
    """

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


def numbered(layers: Sequence[Layer]) -> tuple[str, ...]:
    """A name for every layer: its kind and its number among its kind, from 1."""
    counts: dict[str, int] = {}
    names = []
    for layer in layers:
        counts[layer.kind] = counts.get(layer.kind, 0) + 1
        names.append(f"{layer.kind}{counts[layer.kind]}")
    return tuple(names)


@lru_cache(maxsize=1024)
def _within(keys: tuple[str, ...], name: str) -> tuple[tuple[str, str], ...]:
    """Keys of a layer's parameters, and their local names."""
    prefix = name + "."
    return tuple((key, key[len(prefix) :]) for key in keys if key.startswith(prefix))


def local(params: Mapping[str, Array], name: str) -> dict[str, Array]:
    """One layer's parameters by their local names."""
    return {short: params[key] for key, short in _within(tuple(params), name)}


def prefixed(name: str, params: Mapping[str, Array]) -> dict[str, Array]:
    """The inverse of `local`."""
    return {f"{name}.{key}": value for key, value in params.items()}


def shapes_through(layers: Sequence[Layer], shape: Shape) -> tuple[Shape, ...]:
    """Shape of one sample at one step, before each layer and after the last. Raises ConfigError."""
    shapes = [shape]
    for name, layer in zip(numbered(layers), layers, strict=True):
        try:
            shapes.append(layer.out_shape(shapes[-1]))
        except ConfigError as error:
            raise ConfigError(f"layer {name}: {error}") from None
    return tuple(shapes)


def init_all(
    layers: Sequence[Layer], rng: np.random.Generator, shape: Shape, dtype: np.dtype
) -> dict[str, Array]:
    """Fresh parameters of layers in a row, "<layer>.<parameter>"; shape : of one sample at one step."""
    params: dict[str, Array] = {}
    for name, layer, before in zip(numbered(layers), layers, shapes_through(layers, shape), strict=False):
        params |= prefixed(name, layer.init(rng, before, dtype))
    return params


def forward_all(
    layers: Sequence[Layer], params: Mapping[str, Array], x: Array, how: Forward
) -> tuple[Array, tuple[Any, ...]]:
    """The last layer's output, and every layer's cache for `backward_all`; x : (T, batch, ...)."""
    caches = []
    for name, layer in zip(numbered(layers), layers, strict=True):
        x, cache = layer.forward(local(params, name), x, how)
        caches.append(cache)
    return x, tuple(caches)


def backward_all(
    layers: Sequence[Layer],
    params: Mapping[str, Array],
    caches: Sequence[Any],
    error: Any,
    how: Backward,
    learn: bool,
    pass_on: bool,
) -> tuple[Any, dict[str, Array]]:
    grads: dict[str, Array] = {}
    names = numbered(layers)
    for i in range(len(layers) - 1, -1, -1):
        error, found = layers[i].backward(
            local(params, names[i]), caches[i], error, how, learn, pass_on or i > 0
        )
        grads |= prefixed(names[i], found)
    return error, grads


class Part(NamedTuple):
    """A layer within a layer of layers, with its cache if there was a forward pass."""

    name: str
    layer: Layer
    cache: Any


def leaves(name: str, layer: Layer, cache: Any = None) -> Iterator[Part]:
    """The layers that a layer is made of, itself if it is a plain one; names as those of parameters."""
    parts = getattr(layer, "parts", None)
    if parts is None:
        yield Part(name, layer, cache)
        return
    for part in cast(Callable[[Any], Iterator[Part]], parts)(cache):
        yield from leaves(f"{name}.{part.name}", part.layer, part.cache)


def runs(name: str, layer: Layer, cache: Any) -> Iterator[tuple[str, Spike]]:
    """The windows of the neurons in a layer, and their names."""
    return ((p.name, p.cache[0]) for p in leaves(name, layer, cache) if p.layer.kind == "spiking")


def neurons(name: str, layer: Layer) -> Iterator[tuple[str, Neuron]]:
    """The neurons in a layer, and their names."""
    return ((p.name, cast(Any, p.layer).neuron) for p in leaves(name, layer) if p.layer.kind == "spiking")


def as_before(error: Any, steps: int, ops: Ops) -> Any:
    """The error of something that had `steps` steps: the sum over time if it was static and spread."""
    found = len(error.weights if isinstance(error, Split) else error)
    return ops.over_time(error) if steps == 1 < found else error


def image_shape(shape: Shape, what: str) -> tuple[int, int, int]:
    """(height, width, channels). Raises ConfigError if a sample is no image."""
    if len(shape) != 3:
        raise ConfigError(f"{what} needs (height, width, channels), but a sample has shape {shape} there")
    return shape[0], shape[1], shape[2]


@dataclass(frozen=True)
class Flatten:
    """An image as a row of features: height, then width, then channels. `Dense` does it by itself."""

    kind = "flatten"

    def out_shape(self, shape: Shape) -> Shape:
        return (int(np.prod(shape)),)

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        return {}

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, Shape]:
        return x.reshape(*x.shape[:2], -1), x.shape

    def backward(
        self, params: Mapping[str, Array], cache: Shape, error: Any, how: Backward, learn: bool, pass_on: bool
    ) -> tuple[Any, dict[str, Array]]:
        if not pass_on:
            return None, {}
        return as_before(how.ops.dense(error), cache[0], how.ops).reshape(cache), {}
