"""Batch normalization over time and batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pyedge.layers.layer import Backward, Forward, Shape, as_before
from pyedge.ops import Array, Normalized


class BatchNormCache(NamedTuple):
    done: Normalized | None  # None in evaluation
    x: Array


@dataclass(frozen=True)
class BatchNorm:
    """gamma (x - mean) / sqrt(variance + eps) + beta of every channel, over time, batch and positions.

    In training the statistics are the batch's; in evaluation the running ones, which are parameters
    without a gradient ("mean", "variance"): `observed` moves them by `momentum` after each update.
    gamma : initial gamma (tdBN: the threshold). Source: Zheng et al., AAAI 2021.
    """

    gamma: float = 1.0
    momentum: float = 0.1
    eps: float = 1e-5
    kind = "batch_norm"

    def out_shape(self, shape: Shape) -> Shape:
        return shape

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        channels = shape[-1]
        return {
            "gamma": np.full(channels, self.gamma, dtype),
            "beta": np.zeros(channels, dtype),
            "mean": np.zeros(channels, dtype),
            "variance": np.ones(channels, dtype),
        }

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, BatchNormCache]:
        if not how.training:
            scale, shift = affine(params, self.eps)
            return x * scale + shift, BatchNormCache(None, x)
        done = how.ops.batch_norm(x, params["gamma"], params["beta"], self.eps)
        return done.out, BatchNormCache(done, x)

    def backward(
        self,
        params: Mapping[str, Array],
        cache: BatchNormCache,
        error: Any,
        how: Backward,
        learn: bool,
        pass_on: bool,
    ) -> tuple[Any, dict[str, Array]]:
        done, x = cache
        error = as_before(how.ops.dense(error), len(x), how.ops)
        scale, _ = affine(params, self.eps)
        grads: dict[str, Array] = {}
        if learn:
            x_hat = (
                (x - params["mean"]) / (params["variance"] + self.eps) ** 0.5 if done is None else done.x_hat
            )
            grads["gamma"] = how.ops.bias_gradient(error * x_hat)
            grads["beta"] = how.ops.bias_gradient(error)
        if not pass_on:
            return None, grads
        if done is None:
            return error * scale, grads
        return how.ops.batch_norm_error(done, error, params["gamma"], self.eps), grads

    def observed(self, params: Mapping[str, Array], cache: BatchNormCache) -> dict[str, Array]:
        """The running statistics after a training pass; the variance they take in is the unbiased one."""
        done = cache.done
        if done is None:
            return {}
        n = int(np.prod(done.x_hat.shape[:-1]))
        keep = 1 - self.momentum
        return {
            "mean": params["mean"] * keep + done.mean * self.momentum,
            "variance": params["variance"] * keep + done.variance * (self.momentum * n / max(n - 1, 1)),
        }


def affine(params: Mapping[str, Array], eps: float) -> tuple[Array, Array]:
    """(scale, shift) of a channel that evaluation amounts to: x scale + shift."""
    scale = params["gamma"] / (params["variance"] + eps) ** 0.5
    return scale, params["beta"] - params["mean"] * scale
