"""Normalization by the statistics of a layer's own currents, with errors that stay at spikes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from pyedge.layers.layer import Backward, Forward, Shape
from pyedge.layers.norm import affine
from pyedge.layers.weights import Conv, Dense
from pyedge.ops import Array

ENOUGH = 16384  # currents of a channel from which its mean and variance are taken


class NormedCache(NamedTuple):
    inner: Any
    moments: tuple[Array, Array, int] | None  # mean, variance and their number of currents; None in evaluation
    effective: dict[str, Array]  # the inner layer's parameters


@dataclass(frozen=True)
class Normed:
    """A layer with weights whose currents are normalized: gamma (x W - mean) / sqrt(variance + eps) + beta.

    In evaluation this is `BatchNorm`, and it folds as that does. In training, mean and variance are those of
    the minibatch's first samples (enough of them for `ENOUGH` currents a channel), and the backward pass
    takes them as constants: so the layer amounts to weights and biases of its own, x W' + b', and an error
    that enters at spikes alone stays there. `BatchNorm`'s reaches every position and step.
    weights  : a dense layer or convolution without bias and standardization.
    gamma, momentum, eps : as in `BatchNorm`.
    """

    weights: Dense | Conv
    gamma: float = 1.0
    momentum: float = 0.1
    eps: float = 1e-5

    @property
    def kind(self) -> str:
        return self.weights.kind

    def out_shape(self, shape: Shape) -> Shape:
        return self.weights.out_shape(shape)

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        params = self._plain.init(rng, shape, dtype)
        channels = params["weight"].shape[-1]
        return params | {
            "gamma": np.full(channels, self.gamma, dtype),
            "beta": np.zeros(channels, dtype),
            "mean": np.zeros(channels, dtype),
            "variance": np.ones(channels, dtype),
        }

    @property
    def _plain(self) -> Dense | Conv:
        return replace(self.weights, bias=False)

    @property
    def biased(self) -> Dense | Conv:
        """The layer that it amounts to."""
        return replace(self.weights, bias=True)

    def effective(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """Weights and bias of `biased`."""
        scale, shift = affine(params, self.eps)
        return {"weight": params["weight"] * scale, "bias": shift}

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, NormedCache]:
        moments = None
        if how.training:
            positions = int(np.prod(self.out_shape(x.shape[2:])[:-1])) * len(x)
            some = x[:, : -(-ENOUGH // positions)]
            current, _ = self._plain.forward({"weight": params["weight"]}, some, how)
            mean, variance = how.ops.moments(current)
            moments = mean, variance, int(np.prod(current.shape[:-1]))
            params = {**params, "mean": mean, "variance": variance}
        effective = self.effective(params)
        out, inner = self.biased.forward(effective, x, how)
        return out, NormedCache(inner, moments, effective)

    def backward(
        self,
        params: Mapping[str, Array],
        cache: NormedCache,
        error: Any,
        how: Backward,
        learn: bool,
        pass_on: bool,
    ) -> tuple[Any, dict[str, Array]]:
        below, found = self.biased.backward(cache.effective, cache.inner, error, how, learn, pass_on)
        if not learn:
            return below, {}
        mean, variance = cache.moments[:2] if cache.moments else (params["mean"], params["variance"])
        deviation = (variance + self.eps) ** 0.5
        weight, to_weight, to_bias = params["weight"], found["weight"], found["bias"]
        along = (to_weight * weight).sum(axis=tuple(range(weight.ndim - 1)))
        return below, {
            "weight": to_weight * (params["gamma"] / deviation),
            "gamma": (along - mean * to_bias) / deviation,
            "beta": to_bias,
        }

    def observed(self, params: Mapping[str, Array], cache: NormedCache) -> dict[str, Array]:
        """The running statistics after a training pass; the variance they take in is the unbiased one."""
        if cache.moments is None:
            return {}
        mean, variance, n = cache.moments
        keep = 1 - self.momentum
        return {
            "mean": params["mean"] * keep + mean * self.momentum,
            "variance": params["variance"] * keep + variance * (self.momentum * n / max(n - 1, 1)),
        }
