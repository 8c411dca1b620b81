"""Layers with weights: dense and convolution, with weight standardization as an option."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from pyedge.errors import ConfigError
from pyedge.layers.layer import Backward, Forward, Shape, as_before, image_shape
from pyedge.ops import NUMPY, Array, Geometry, Ops, Standardized
from pyedge.rules import is_event_driven

INIT_SCHEMES = ("he_uniform", "he_normal", "lecun_uniform", "lecun_normal")
InitScheme = Literal["he_uniform", "he_normal", "lecun_uniform", "lecun_normal"]


def _init(
    rng: np.random.Generator,
    size: Shape,
    dtype: np.dtype,
    scheme: str,
    gain: float,
    bias: bool,
    standardize: bool,
) -> dict[str, Array]:
    """Weights of variance gain^2 2 / fan_in (he) or gain^2 / fan_in (lecun), outputs last; biases of 0."""
    deviation = gain * ((2 if scheme.startswith("he") else 1) / int(np.prod(size[:-1]))) ** 0.5
    draw = rng.uniform(-(3**0.5), 3**0.5, size) if scheme.endswith("uniform") else rng.standard_normal(size)
    params = {"weight": (draw * deviation).astype(dtype)}
    if standardize:
        params["gain"] = np.full(size[-1], deviation, dtype)
    if bias:
        params["bias"] = np.zeros(size[-1], dtype)
    return params


def _check_scheme(scheme: str) -> None:
    if scheme not in INIT_SCHEMES:
        raise ConfigError(f"init_scheme is {scheme!r}; choose he_ or lecun_, uniform or normal")


class WeightsCache(NamedTuple):
    x: Array
    weight: Array  # what the layer multiplied with
    done: Standardized | None


def _standardized(params: Mapping[str, Array], ops: Ops) -> Standardized | None:
    if "gain" not in params:
        return None
    return ops.standardize(params["weight"], params["gain"])


def effective_weight(params: Mapping[str, Array]) -> Array:
    """What the layer multiplies with: gain * standardized weight where it has a gain."""
    done = _standardized(params, NUMPY)
    return params["weight"] if done is None else done.out


def _cache(params: Mapping[str, Array], x: Array, ops: Ops) -> WeightsCache:
    done = _standardized(params, ops)
    return WeightsCache(x, params["weight"] if done is None else done.out, done)


def _through_standardization(
    params: Mapping[str, Array], cache: WeightsCache, error: Array, learn_gain: bool, ops: Ops
) -> dict[str, Array]:
    """Gradients of weight and, if it learns, gain from that of the effective weight."""
    if cache.done is None:
        return {"weight": error}
    weight, gain = ops.standardize_error(cache.done, params["weight"], params["gain"], error)
    return {"weight": weight, "gain": gain} if learn_gain else {"weight": weight}


def _spikes(x: Array, how: Backward) -> Array | None:
    """Where errors of x are needed, if that is not everywhere."""
    kind = getattr(x.dtype, "kind", None)  # of NumPy's types
    spikes = kind == "b" if kind else str(x.dtype).endswith("bool")
    return x if spikes and is_event_driven(how.rule) else None


@dataclass(frozen=True)
class Dense:
    """Linear map x W + b at every step; W is (inputs, outputs), one row an input.

    init_scheme : "he_uniform", "he_normal" (variance 2 / fan_in), "lecun_uniform", "lecun_normal"
                  (1 / fan_in); biases start at 0.
    gain        : factor on the initial weights.
    standardize : weight standardization: the weights used are gain (W - mean) / deviation, a channel.
    learn_gain  : whether those gains learn, or stay the deviation of the initial weights.
    """

    outputs: int
    bias: bool = True
    init_scheme: InitScheme = "he_uniform"
    gain: float = 1.0
    standardize: bool = False
    learn_gain: bool = True
    kind = "dense"

    def __post_init__(self) -> None:
        if self.outputs < 1:
            raise ConfigError(f"a dense layer has {self.outputs} outputs; it needs at least 1")
        _check_scheme(self.init_scheme)

    def out_shape(self, shape: Shape) -> Shape:
        return (self.outputs,)

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        size = (int(np.prod(shape)), self.outputs)
        return _init(rng, size, dtype, self.init_scheme, self.gain, self.bias, self.standardize)

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, WeightsCache]:
        cache = _cache(params, x, how.ops)
        flat = x.reshape(*x.shape[:2], -1)
        return how.ops.linear(flat, cache.weight, params.get("bias")), cache

    def backward(
        self,
        params: Mapping[str, Array],
        cache: WeightsCache,
        error: Any,
        how: Backward,
        learn: bool,
        pass_on: bool,
    ) -> tuple[Array | None, dict[str, Array]]:
        x = cache.x
        flat = x.reshape(*x.shape[:2], -1)
        error = as_before(error, len(x), how.ops)
        grads: dict[str, Array] = {}
        if learn:
            found = how.ops.linear_weight_gradient(flat, error)
            grads = _through_standardization(params, cache, found, self.learn_gain, how.ops)
            if self.bias:
                grads["bias"] = how.ops.bias_gradient(error)
        if not pass_on:
            return None, grads
        below = how.ops.linear_input_error(error, cache.weight, _spikes(flat, how))
        return below.reshape(x.shape), grads


@dataclass(frozen=True)
class Conv:
    """Square convolution (cross-correlation) at every step; W is (size, size, channels in, channels out).

    padding : zeros on every side; None is size // 2, which keeps an image's size (stride 1, odd size).
    init_scheme, gain, standardize, learn_gain : as for `Dense`.
    """

    channels: int
    size: int
    stride: int = 1
    padding: int | None = None
    bias: bool = True
    init_scheme: InitScheme = "he_uniform"
    gain: float = 1.0
    standardize: bool = False
    learn_gain: bool = True
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
        return _init(rng, size, dtype, self.init_scheme, self.gain, self.bias, self.standardize)

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, WeightsCache]:
        cache = _cache(params, x, how.ops)
        return how.ops.conv(x, cache.weight, params.get("bias"), self.geometry), cache

    def backward(
        self,
        params: Mapping[str, Array],
        cache: WeightsCache,
        error: Any,
        how: Backward,
        learn: bool,
        pass_on: bool,
    ) -> tuple[Array | None, dict[str, Array]]:
        x = cache.x
        error = as_before(error, len(x), how.ops)
        grads: dict[str, Array] = {}
        if learn:
            found = how.ops.conv_weight_gradient(x, error, self.geometry)
            grads = _through_standardization(params, cache, found, self.learn_gain, how.ops)
            if self.bias:
                grads["bias"] = how.ops.bias_gradient(error)
        if not pass_on:
            return None, grads
        spikes = _spikes(x, how)
        return how.ops.conv_input_error(error, cache.weight, x.shape[2:], self.geometry, spikes), grads
