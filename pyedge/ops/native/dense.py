"""Dense layers in the native backend."""

from math import prod
from typing import Any

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.lazy import ErrorsBelow, Lazy, Multiples, Spikes, pointer
from pyedge.ops.native.neurons import Epsilon, run_backward
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array


class DenseCurrents(Lazy):
    """x W + b of spikes, (T, batch, outputs): written only if something other than neurons wants it."""

    dtype = np.dtype(np.float32)

    def __init__(self, x: Spikes | Multiples, weight: Array, bias: Array | None) -> None:
        self.x = x
        self.weight = np.ascontiguousarray(weight)
        self.bias = None if bias is None else np.ascontiguousarray(bias)
        self.shape = (*x.shape[:2], weight.shape[1])

    def _make(self) -> Array:
        out = np.empty(self.shape, np.float32)
        self.run_into({"out": pointer("float *", out)}, self.shape[0])
        return out

    def run_into(self, to: dict[str, Any], window: int) -> None:
        inputs, outputs = self.weight.shape
        job = {
            "window": window,
            "batch": self.shape[1],
            "inputs": inputs,
            "outputs": outputs,
            **self.x.bits.merged,
            "weight": pointer("float *", self.weight),
            "bias": pointer("float *", self.bias),
            "scale": self.x.unit,
            **to,
        }
        with POOL as pool:
            size = 4 * pool.threads * lib.train_forward_scratch(inputs)
            job["scratch"] = POOL.memory("float *", size)
            lib.train_forward_run(pool, ffi.new("train_forward *", job))


class _Below(ErrorsBelow):
    """The error below a layer without places; reshaped, it stays one."""

    def _make(self) -> Array:
        window, batch = self.shape[:2]
        out = np.empty(self.shape, np.float32)
        features = int(prod(self.shape[2:]))
        job = {
            "window": window,
            "batch": batch,
            "outputs": features,
            "error_out": pointer("float *", out),
            **self.source,
        }
        run_backward(ffi.new("train_backward *", job))
        return out + np.float32(job["bonus"]) if job["bonus"] else out

    def reshape(self, *shape: Any) -> Any:
        full = self._full(shape)
        if full == self.shape:
            return self
        if full[:2] != self.shape[:2]:
            return self.array.reshape(full)
        other = self._another()
        other.shape = full
        return other


class DenseErrors(_Below):
    """dL/ds below a dense layer whose neurons' error is epsilon: epsilon W^T, (T, batch, inputs)."""

    def __init__(self, epsilon: Epsilon, weight: Array) -> None:
        self.epsilon, self.weight = epsilon, np.ascontiguousarray(weight)
        self.shape = (*epsilon.shape[:2], len(weight))

    @property
    def source(self) -> dict[str, Any]:
        return {
            "bonus": self.bonus,
            "above": self.weight.shape[1],
            "tau_above": self.epsilon.neuron.decay,
            "weight_above": pointer("float *", self.weight),
            "errors_above": self.epsilon.events.struct,
        }


class ReadoutErrors(_Below):
    """The same below a linear layer whose error is an array, (T, batch, outputs)."""

    def __init__(self, error: Array, weight: Array) -> None:
        self.error, self.weight = error, np.ascontiguousarray(weight)
        self.step, self.rows = _by_steps(error)
        self.shape = (*error.shape[:2], len(weight))

    @property
    def source(self) -> dict[str, Any]:
        return {
            "bonus": self.bonus,
            "above": self.weight.shape[1],
            "weight_above": pointer("float *", self.weight),
            "error_above": pointer("float *", self.rows),
            "error_step": self.step,
        }


def _by_steps(error: Array) -> tuple[int, Array]:
    """How far apart steps are, 0 if all are the same, and a contiguous array to count in."""
    if len(error) > 1 and error.strides[0] == 0:
        return 0, np.ascontiguousarray(error[0], np.float32)
    return error[0].size, np.ascontiguousarray(error, np.float32)


def readout_gradient(x: Spikes | Multiples, error: Array) -> Array:
    """dL/dW of a linear layer, (inputs, outputs), from its error (T, batch, outputs)."""
    window, batch, outputs = error.shape
    bits: Any = x.bits
    inputs = bits.features
    step, rows = _by_steps(error)
    out = np.empty((inputs, outputs), np.float32)
    job = {
        "window": window,
        "batch": batch,
        "inputs": inputs,
        "outputs": outputs,
        "in": bits.events,
        "error": pointer("float *", rows),
        "error_step": step,
        "gradient": pointer("float *", out),
    }
    with POOL as pool:
        job["scratch"] = POOL.memory("float *", 4 * lib.train_readout_scratch(inputs, outputs))
        lib.train_readout_run(pool, ffi.new("train_readout *", job))
    return out if x.unit == 1 else out * np.float32(x.unit)
