"""Residual blocks: a branch and a shortcut, added."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pyedge.errors import ConfigError
from pyedge.layers.layer import (
    Backward,
    Forward,
    Layer,
    Part,
    Shape,
    as_before,
    backward_all,
    forward_all,
    init_all,
    local,
    numbered,
    prefixed,
    shapes_through,
)
from pyedge.ops import Array


class ResidualCache(NamedTuple):
    branch: tuple[Any, ...]
    shortcut: tuple[Any, ...]
    a: Array  # the branch's output
    b: Array  # the shortcut's
    steps: int  # of the input


@dataclass(frozen=True)
class Residual:
    """branch(x) + shortcut(x), in floats; an empty shortcut is x itself.

    Branches that end in neurons give SEW-ResNet's ADD (the sum is a number of spikes), branches that begin
    with them MS-ResNet's membrane shortcut (currents are added, before the neurons).
    adjusted : for rules of spike times, the error of a sum of spikes is shared out by a / (a + b) and
               b / (a + b), 0 where both are 0. Source: Zhu et al., NeurIPS 2022.
    """

    branch: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()
    adjusted: bool = False
    kind = "residual"

    def out_shape(self, shape: Shape) -> Shape:
        a = shapes_through(self.branch, shape)[-1]
        b = shapes_through(self.shortcut, shape)[-1]
        if a != b:
            raise ConfigError(f"the branch gives {a}, the shortcut {b}; they cannot be added")
        return a

    def init(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype) -> dict[str, Array]:
        return prefixed("branch", init_all(self.branch, rng, shape, dtype)) | prefixed(
            "shortcut", init_all(self.shortcut, rng, shape, dtype)
        )

    def forward(self, params: Mapping[str, Array], x: Array, how: Forward) -> tuple[Array, ResidualCache]:
        a, branch = forward_all(self.branch, local(params, "branch"), x, how)
        b, shortcut = forward_all(self.shortcut, local(params, "shortcut"), x, how)
        out = how.ops.array(a, how.dtype) + how.ops.array(b, how.dtype)
        return out, ResidualCache(branch, shortcut, a, b, len(x))

    def backward(
        self,
        params: Mapping[str, Array],
        cache: ResidualCache,
        error: Any,
        how: Backward,
        learn: bool,
        pass_on: bool,
    ) -> tuple[Any, dict[str, Array]]:
        ops = how.ops
        to_a = to_b = ops.dense(error)
        if self.adjusted:
            a, b = ops.array(cache.a, to_a.dtype), ops.array(cache.b, to_a.dtype)
            share = to_a / (a + b + (a + b == 0))
            to_a, to_b = share * a, share * b
        to_a, to_b = as_before(to_a, len(cache.a), ops), as_before(to_b, len(cache.b), ops)
        below_a, of_a = backward_all(
            self.branch, local(params, "branch"), cache.branch, to_a, how, learn, pass_on
        )
        below_b, of_b = backward_all(
            self.shortcut, local(params, "shortcut"), cache.shortcut, to_b, how, learn, pass_on
        )
        grads = prefixed("branch", of_a) | prefixed("shortcut", of_b)
        if not pass_on:
            return None, grads
        return ops.dense(below_a) + ops.dense(below_b), grads

    def parts(self, cache: ResidualCache | None) -> Iterator[Part]:
        for side, layers in (("branch", self.branch), ("shortcut", self.shortcut)):
            caches = getattr(cache, side) if cache is not None else (None,) * len(layers)
            for name, layer, found in zip(numbered(layers), layers, caches, strict=True):
                yield Part(f"{side}.{name}", layer, found)
