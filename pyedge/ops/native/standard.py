"""Weight standardization in the native backend."""

from typing import Any

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.lazy import pointer
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import EPS, Array, Standardized


def _run(kernel: Any, weight: Array, gain: Array, arrays: dict[str, Array]) -> None:
    columns = weight.shape[-1]
    weight, gain = np.ascontiguousarray(weight), np.ascontiguousarray(gain)
    given = arrays | {"weight": weight, "gain": gain}
    job = {"rows": weight.size // columns, "columns": columns, "eps": EPS}
    job |= {name: pointer("float *", x) for name, x in given.items()}
    with POOL as pool:
        job["scratch"] = POOL.memory("float *", 4 * lib.train_standard_scratch(columns))
        kernel(pool, ffi.new("train_standard *", job))


def standardize(weight: Array, gain: Array) -> Standardized:
    done = Standardized(np.empty_like(weight, order="C"), np.empty_like(gain), np.empty_like(gain))
    _run(lib.train_standardize_run, weight, gain, done._asdict())
    return done


def standardize_error(
    done: Standardized, weight: Array, gain: Array, error: Array
) -> tuple[Array, Array]:
    found = np.empty_like(weight, order="C"), np.empty_like(gain)
    given = dict(zip(("gradient", "gain_gradient"), found, strict=True))
    given |= {"error": np.ascontiguousarray(error), "mean": done.mean, "deviation": done.deviation}
    _run(lib.train_standardize_error_run, weight, gain, given)
    return found
