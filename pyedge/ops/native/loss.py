"""Cross-entropy at every step (TET) in the native backend."""

from typing import TYPE_CHECKING

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.lazy import pointer
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array

if TYPE_CHECKING:
    from pyedge.losses import LossResult


def tet(logits: Array, labels: Array) -> "LossResult":
    """`pyedge.losses.TET()` of float32 logits (T, batch, classes), at most 64 classes."""
    from pyedge.losses import LossResult

    logits, numbers = np.ascontiguousarray(logits), np.ascontiguousarray(labels, np.int32)
    steps, batch, classes = logits.shape
    error = np.empty_like(logits)
    sums, distances = both = np.empty((2, steps * batch), np.float32)
    to = pointer("float *", both)
    given = pointer("float *", logits), pointer("int32_t *", numbers), 1 / (batch * steps)
    # In the order of train_cross_entropy.
    job = (steps * batch, batch, classes, *given, pointer("float *", error), to, to + steps * batch)
    with POOL as pool:
        lib.train_cross_entropy_run(pool, ffi.new("train_cross_entropy *", job))
    value = np.log(sums).sum(dtype=float) + distances.sum(dtype=float)
    return LossResult(float(value) / (steps * batch), error)
