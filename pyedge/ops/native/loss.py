"""Cross-entropy at every step (TET) in the native backend."""

from math import log, nan
from typing import TYPE_CHECKING

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.lazy import pointer
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array

if TYPE_CHECKING:
    from pyedge.losses import LossResult


LOG_2 = log(2)


def tet(logits: Array, labels: Array) -> "LossResult":
    """`pyedge.losses.TET()` of float32 logits (T, batch, classes), at most 64 classes."""
    from pyedge.losses import LossResult

    logits, numbers = np.ascontiguousarray(logits), np.ascontiguousarray(labels, np.int32)
    steps, batch, classes = logits.shape
    error = np.empty_like(logits)
    rows = steps * batch
    # In the order of train_cross_entropy.
    given = rows, batch, classes, pointer("float *", logits), pointer("int32_t *", numbers), 1 / rows
    job = ffi.new("train_cross_entropy *", (*given, pointer("float *", error)))
    with POOL as pool:
        job.scratch = POOL.memory("float *", 4 * lib.train_cross_entropy_scratch(rows))
        lib.train_cross_entropy_run(pool, job)
    product = log(job.product) if job.product > 0 else nan  # 0 where logits are not finite
    return LossResult((product + job.power * LOG_2 + job.distance) / rows, error)
