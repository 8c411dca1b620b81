"""Memory sized for the worst case and mostly never touched: kept and used again, so that it costs no more."""

import mmap
import weakref
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from pyedge.ops.numpy_ops import Array

KEPT = 4  # buffers of one size
LARGE = 1 << 16  # weights from this number on are not left to malloc, which keeps holes of that size

_free: dict[int, list[mmap.mmap]] = {}
_watched: dict[int, "_Watch"] = {}
_lent: dict[tuple[Any, ...], list[Any]] = {}


def pages(size: int, filled: bool = False) -> mmap.mmap:
    """Memory from the border of a page on; a forked process has its own. filled : all will be written."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    found = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if filled and hasattr(mmap, "MADV_HUGEPAGE"):  # rows of weights are read all over it
        found.madvise(mmap.MADV_HUGEPAGE)
    return found


class _Watch(weakref.ref[Array]):
    """Gives an array's buffer back when the array is gone."""

    __slots__ = ("buffer",)
    buffer: mmap.mmap


class Loan:
    """What make(*size) gives, lent: when the loan is gone, `what` waits for the next loan of its kind.

    So arrays of the worst-case size, and the structs that point to them, are made once.
    """

    __slots__ = ("_waiting", "what")

    def __init__(self, make: Callable[..., Any], *size: int) -> None:
        self._waiting = _lent.setdefault((make, *size), [])
        self.what = self._waiting.pop() if self._waiting else make(*size)

    def __del__(self) -> None:
        if len(self._waiting) < KEPT:
            self._waiting.append(self.what)


def roomy(count: int, dtype: Any, filled: bool = False) -> Array:
    """An array of arbitrary content. The pages of it that are never written never become memory.

    When it is no longer used its buffer waits for the next array of that size, which finds the same pages
    there: a step of training writes where the step before wrote.
    """
    kind = np.dtype(dtype)
    size = max(count * kind.itemsize, 1)
    waiting = _free.get(size)
    buffer = waiting.pop() if waiting else pages(size, filled)
    array = np.frombuffer(buffer, kind, count)
    watch = _Watch(array, _give_back)
    watch.buffer = buffer
    _watched[id(watch)] = watch
    return array


def weights(shape: tuple[int, ...]) -> Array:
    """An array for weights, or for their gradient, which becomes weights."""
    count = prod(shape)
    if count < LARGE:
        return np.empty(shape, np.float32)
    return roomy(count, np.float32, filled=True).reshape(shape)


def _give_back(watch: Any) -> None:
    del _watched[id(watch)]
    waiting = _free.setdefault(len(watch.buffer), [])
    if len(waiting) < KEPT:
        waiting.append(watch.buffer)
