"""Dropout: in training, some neurons are absent for a whole window."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyedge.errors import ConfigError
from pyedge.layers.layer import Backward, Forward, Shape
from pyedge.ops import Array


@dataclass(frozen=True)
class Dropout:
    """In training each value is 0 with probability `rate`, all window long, else larger by 1 / (1 - rate).

    In evaluation nothing happens.
    """

    rate: float = 0.1
    kind = "dropout"

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ConfigError(f"dropout rate is {self.rate}; it lies in [0, 1)")

    def out_shape(self, shape: Shape) -> Shape:
        return shape

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        return {}

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, Array | None]:
        if not how.training or self.rate == 0:
            return x, None
        if how.rng is None:
            raise ConfigError("dropout in training needs a generator: forward(..., training=True, rng=...)")
        kept = how.rng.random(x.shape[1:], np.float32) >= self.rate
        mask = how.ops.array((kept / (1 - self.rate)).astype(how.dtype))
        return how.ops.dropout(x, mask), mask

    def backward(
        self,
        params: Mapping[str, Array],
        cache: Array | None,
        error: Any,
        how: Backward,
        learn: bool,
        pass_on: bool,
    ) -> tuple[Any, dict[str, Array]]:
        if not pass_on:
            return None, {}
        return (error if cache is None else how.ops.dropout_error(how.ops.dense(error), cache)), {}
