"""Memory sized for the worst case and mostly never touched: kept and used again, so that it costs no more."""

import weakref
from mmap import mmap
from typing import Any

import numpy as np

from pyedge.ops.numpy_ops import Array

KEPT = 4  # buffers of one size

_free: dict[int, list[mmap]] = {}


def roomy(count: int, dtype: Any) -> Array:
    """An array of arbitrary content. The pages of it that are never written never become memory.

    When it is no longer used its buffer waits for the next array of that size, which finds the same pages
    there: a step of training writes where the step before wrote.
    """
    kind = np.dtype(dtype)
    size = max(count * kind.itemsize, 1)
    waiting = _free.setdefault(size, [])
    buffer = waiting.pop() if waiting else mmap(-1, size)
    array = np.frombuffer(buffer, kind, count)
    weakref.finalize(array, _give_back, size, buffer)
    return array


def _give_back(size: int, buffer: mmap) -> None:
    waiting = _free[size]
    if len(waiting) < KEPT:
        waiting.append(buffer)
