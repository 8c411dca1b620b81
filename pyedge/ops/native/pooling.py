"""Pooling of spikes in the native backend; images are (height, width, channels)."""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from pyedge._train import lib
from pyedge.ops.native.conv import ConvErrors
from pyedge.ops.native.dropout import DroppedErrors
from pyedge.ops.native.lazy import UNIT, Bits, ErrorsBelow, Lazy, Spikes, image, pointer, row_bytes, source_of
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array, NumpyOps, Pooled

NUMPY = NumpyOps()


class Winners(Lazy):
    """Where a max pooling's windows found their first spike: bits like the input's; stands for its index."""

    dtype = np.dtype(np.intp)

    def __init__(self, bits: Array, x: Spikes, size: int) -> None:
        self.bits, self.x, self.size_ = bits, x, size
        window, batch, h, w, c = x.shape
        self.shape = (window, batch, h // size, w // size, c)

    def _make(self) -> Array:
        return NUMPY.max_pool(self.x.array, self.size_).winner


def max_pool(x: Spikes, size: int) -> Pooled:
    window, batch, h, w, c = x.shape
    shape = (window, batch, h // size, w // size, c)
    features = int(prod(shape[2:]))
    out = np.empty((batch, window, row_bytes(features)), np.uint8)
    winners = np.empty_like(x.bits.bits)
    with POOL as pool:
        lib.train_max_pool(
            pool,
            pointer("uint8_t *", x.bits.bits),
            pointer("uint8_t *", out),
            pointer("uint8_t *", winners),
            window * batch,
            x.bits.row,
            out.shape[2],
            image(x.shape[2:]),
            size,
        )
    pooled: Any = Spikes(Bits(out, features), shape, x.run)
    won: Any = Winners(winners, x, size)
    return Pooled(pooled, won)


@lru_cache(maxsize=64)
def _places(shape: tuple[int, int, int], size: int) -> Array:
    """Where each unit of 16 neurons finds its error in the pooled image; channels are a multiple of 16."""
    h, w, c = shape
    n = np.arange(0, h * w * c, UNIT)
    y, x, channel = n // (w * c) // size, n // c % w // size, n % c
    inside = (y < h // size) & (x < w // size)
    return np.where(inside, (y * (w // size) + x) * c + channel, 0).astype(np.int32)


class PooledErrors(ErrorsBelow):
    """dL/dx below a pooling of spikes, (T, batch, h, w, channels).

    shape, size : of x, and of the windows.
    error       : that above the pooling.
    way         : what train_backward takes to find the error of its neurons there.
    make        : the same by the reference, from an array.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        size: int,
        error: Any,
        way: dict[str, Any],
        make: Callable[[Array], Array],
    ) -> None:
        self.shape, self.window_size, self.error, self.way, self.make = shape, size, error, way, make

    def _make(self) -> Array:
        return self.make(self._above) + np.float32(self.bonus)

    @property
    def _above(self) -> Array:
        return np.ascontiguousarray(self.error, np.float32)

    @property
    def source(self) -> dict[str, Any]:
        h, w, c = self.shape[2:]
        everywhere = "winners" in self.way or not (h % self.window_size or w % self.window_size)
        if c % UNIT or not everywhere:
            return source_of(self.array)
        places = _places((h, w, c), self.window_size)
        job, error = {"error_place": pointer("int32_t *", places), **self.way}, self.error
        if isinstance(error, DroppedErrors) and not error.bonus:
            scale = job.get("error_scale", 1.0)
            job |= error.way
            job["error_scale"] *= scale
            error = error.error
        if isinstance(error, ConvErrors) and not error.bonus:
            return {**job, "run": error.run_backward, "bonus": self.bonus}
        return {**source_of(np.asarray(error)), **job, "bonus": self.bonus}


def max_pool_error(winners: Winners, error: Any) -> PooledErrors:
    """To the first spike of every window."""
    x, size = winners.x, winners.size_

    def make(above: Array) -> Array:
        return NUMPY.max_pool_error(Pooled(above, winners.array), above, x.shape[2:], size)

    return PooledErrors(x.shape, size, error, {"winners": pointer("uint8_t *", winners.bits)}, make)


def mean_pool_error(error: Any, shape: tuple[int, ...], size: int) -> PooledErrors:
    """To all inputs (T, batch, *shape) alike."""
    way = {"error_scale": 1 / size**2}
    full = (*error.shape[:2], *shape)
    return PooledErrors(full, size, error, way, lambda above: NUMPY.mean_pool_error(above, shape, size))


def adjusted_pool_error(x: Spikes, error: Any, size: int) -> PooledErrors:
    """To the spikes of every window, in equal shares."""
    counts: Any = x.pooled(size).bits
    way = {"shares": pointer("uint8_t *", counts.counts), "share_row": counts.row}
    return PooledErrors(
        x.shape, size, error, way, lambda above: NUMPY.adjusted_pool_error(x.array, above, size)
    )
