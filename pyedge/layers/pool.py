"""Pooling layers; both take windows side by side and drop the rows and columns left over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyedge.errors import ConfigError
from pyedge.layers.layer import Backward, Forward, Shape, image_shape
from pyedge.ops import Array, Pooled


def _pooled_shape(size: int, shape: Shape) -> Shape:
    h, w, channels = image_shape(shape, "pooling")
    if size < 1 or min(h, w) < size:
        raise ConfigError(f"pooling {size}x{size} does not fit into {h}x{w}")
    return h // size, w // size, channels


@dataclass(frozen=True)
class MaxPool:
    """The largest of every window: OR where spikes come in. The error goes to the first of equals."""

    size: int = 2
    kind = "max_pool"

    def out_shape(self, shape: Shape) -> Shape:
        return _pooled_shape(self.size, shape)

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        return {}

    def forward(
        self, params: Mapping[str, Array], x: Array, how: Forward
    ) -> tuple[Array, tuple[Pooled, Shape]]:
        pooled = how.ops.max_pool(x, self.size)
        return pooled.out, (pooled, x.shape[2:])

    def backward(
        self,
        params: Mapping[str, Array],
        cache: tuple[Pooled, Shape],
        error: Any,
        how: Backward,
        learn: bool,
        pass_on: bool,
    ) -> tuple[Any, dict[str, Array]]:
        if not pass_on:
            return None, {}
        return how.ops.max_pool_error(cache[0], how.ops.dense(error), cache[1], self.size), {}


@dataclass(frozen=True)
class MeanPool:
    """The mean of every window, in floats.

    adjusted : the lineage's adjusted average pooling, for rules of spike times: a spike gets its window's
               error over the window's number of spikes rather than over its size, and silence gets none.
               Source: Zhu et al., NeurIPS 2022.
    """

    size: int = 2
    adjusted: bool = False
    kind = "mean_pool"

    def out_shape(self, shape: Shape) -> Shape:
        return _pooled_shape(self.size, shape)

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        return {}

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, Array]:
        return how.ops.mean_pool(x, self.size, how.dtype), x

    def backward(
        self, params: Mapping[str, Array], cache: Array, error: Any, how: Backward, learn: bool, pass_on: bool
    ) -> tuple[Any, dict[str, Array]]:
        if not pass_on:
            return None, {}
        error = how.ops.dense(error)
        if self.adjusted:
            return how.ops.adjusted_pool_error(cache, error, self.size), {}
        return how.ops.mean_pool_error(error, cache.shape[2:], self.size), {}
