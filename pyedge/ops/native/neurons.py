"""Layers of neurons in the native backend: a window forward, and the error of MPD-ED or STD-ED backward."""

from functools import cached_property, lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.lazy import (
    UNIT,
    Bits,
    Counts,
    Later,
    Lazy,
    Multiples,
    Spikes,
    pointer,
    row_bytes,
    source_of,
)
from pyedge.ops.native.memory import Loan, pages, weights
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array, NumpyOps

if TYPE_CHECKING:
    from pyedge.neuron import IF, LIF, Neuron, Spike
    from pyedge.rules import MPDED, STDED

SHAPES = {"constant": 0, "rectangular": 1, "linear": 2, "exponential": 3, "sigmoid": 4}
TIMING = 5
RESETS = {"on": 0, "off": 1, "threshold": 2}


class Saved:
    """u and theta of the neurons that fired, tile by tile; see train.h."""

    def __init__(self, window: int, batch: int, features: int) -> None:
        units = -(-features // UNIT)
        floats = 4 * batch * units * (UNIT * window + UNIT)
        self.arrays = {
            "u": ffi.from_buffer("float[]", pages(floats)),
            "theta": ffi.from_buffer("float[]", pages(floats)),
            "begin": ffi.new("int64_t[]", batch * units),
            "count": ffi.new("int32_t[]", batch * units),
        }
        self.struct = ffi.new("train_saved *", self.arrays)[0]


class Deltas:
    """Errors a tile at a time; see train.h."""

    def __init__(self, window: int, batch: int, features: int) -> None:
        units = -(-features // UNIT)
        count = batch * units * (UNIT * window + UNIT)
        self.arrays = {
            "count": ffi.new("uint16_t[]", batch * units * window),
            "index": ffi.from_buffer("uint16_t[]", pages(2 * count)),
            "value": ffi.from_buffer("float[]", pages(4 * count)),
            "begin": ffi.new("int64_t[]", batch * units),
        }
        self.struct = ffi.new("train_deltas *", self.arrays)


class Run:
    """What is kept of a window: enough for the backward pass, and to repeat it in NumPy."""

    def __init__(self, neuron: "LIF | IF", current: Any, window: int, saved: Loan) -> None:
        self.neuron, self.current, self.window, self.saved = neuron, current, window, saved

    @cached_property
    def repeated(self) -> "Spike":
        return self.neuron.run(
            self.current.array if isinstance(self.current, Lazy) else self.current, self.window
        )


@lru_cache(maxsize=64)
def _thresholds(neuron: "LIF | IF", window: int) -> dict[str, Any]:
    """train_neuron."""
    table = neuron.params(window, np.dtype(np.float32))
    theta = np.zeros(max(64, window + 1), np.float32)
    theta[: window + 1] = table.theta
    return {"tau": table.tau, "theta": pointer("float *", theta)}


def run_neurons(neuron: Any, current: Any, window: int) -> "Spike":
    """A window from rest, from lazy currents of this backend or from an array (T or 1, batch, ...)."""
    from pyedge.neuron import Spike

    shape = (window, *current.shape[1:])
    batch, features = shape[1], int(prod(shape[2:]))
    whole = features % 64 == 0  # else the kernels leave a row's last bytes
    bits = (np.empty if whole else np.zeros)((batch, window, row_bytes(features)), np.uint8)
    saved = Loan(Saved, window, batch, features)
    to = {
        "neuron": _thresholds(neuron, window),
        "bits": pointer("uint8_t *", bits),
        "row": bits.shape[2],
        "saved": saved.what.struct,
    }
    if hasattr(current, "run_into"):
        current.run_into(to, window)
    else:
        current = np.ascontiguousarray(current.array if isinstance(current, Lazy) else current)
        job = {
            "window": window,
            "batch": batch,
            "outputs": features,
            "currents": pointer("float *", current),
            "current_step": batch * features if len(current) > 1 else 0,
            "current_sample": features,
            **to,
        }
        with POOL as pool:
            lib.train_forward_run(pool, ffi.new("train_forward *", job))
    run = Run(neuron, current, window, saved)
    fired: Any = Spikes(Bits(bits, features), shape, run)
    u: Any = Later(shape, np.float32, lambda: run.repeated.u)
    return Spike(fired, u, Later(shape, np.float32, lambda: run.repeated.theta))  # type: ignore[arg-type]


class Events:
    """Errors at spikes as lists, like events; see train_errors."""

    def __init__(self, start: Array, index: Array, value: Array) -> None:
        self.start, self.index, self.value = start, index, value

    @property
    def struct(self) -> dict[str, Any]:
        return {
            "start": pointer("int32_t *", self.start),
            "index": pointer("uint16_t *", self.index),
            "value": pointer("float *", self.value),
        }


class Epsilon(Lazy):
    """The error of a layer's currents, (T, batch, ...), in whichever form it is wanted.

    error : dL/ds, an array or an error of this backend that has `source`.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, fired: Spikes, rule: "MPDED | STDED", neuron: "Neuron", error: Any) -> None:
        self.fired, self.rule, self.neuron, self.error = fired, rule, neuron, error
        self.shape = fired.shape
        self.features = fired.bits.features
        self._events: Events | None = None
        self.bias: Array | None = None

    def _make(self) -> Array:
        out = np.empty(self.shape, np.float32)
        self._run(epsilon=pointer("float *", out))
        return out

    @cached_property
    def over_time(self) -> Array:
        """The sum over the window, (1, batch, ...)."""
        out = np.empty((1, *self.shape[1:]), np.float32)
        self._run(epsilon_sum=pointer("float *", out))
        return out

    @property
    def bias_gradient(self) -> Array:
        """The sum over all but the last axis."""
        if self.bias is None:
            _ = self.events if len(self.shape) == 3 else self.array
        if self.bias is None:
            self.bias = NumpyOps().bias_gradient(self.array)
        return self.bias

    @property
    def events(self) -> Events:
        """The error differences."""
        if self._events is None:
            self._run(wanted=True)
        assert self._events is not None
        return self._events

    def weight_gradient(self, x: Spikes | Multiples) -> Array:
        """By input events or by error events, whichever are fewer."""
        bits, spikes = x.bits, self.fired.bits.count
        width = -(-bits.features // 64) * 64
        by_errors = (
            isinstance(bits, Counts) or spikes * (width / UNIT + 20) < 1.5 * bits.count * self.features / UNIT
        )
        out = weights((bits.features, self.features))
        if self._events is None and not by_errors and isinstance(bits, Bits):
            self._run(
                wanted=not (isinstance(x, Spikes) and x.run is None),  # not of the network's own inputs
                in_scale=x.unit,
                inputs=bits.features,
                gradient=pointer("float *", out),
                **{"in": bits.events},
            )
            return out
        window, batch = self.shape[:2]
        events = self.events
        count = int(events.start[-1])
        begin, at = np.empty(self.features + 1, np.int32), np.empty(count + 1, np.int32)
        value = np.empty(count + 1, np.float32)
        with POOL as pool:
            scratch = 4 * pool.threads * lib.train_gradient_scratch(batch, window)
            job = {
                "window": window,
                "batch": batch,
                "inputs": bits.features,
                "outputs": self.features,
                **bits.source,
                "scale": x.unit,
                "tau": self.neuron.decay,
                "errors": events.struct,
                "gradient": pointer("float *", out),
                "begin": pointer("int32_t *", begin),
                "at": pointer("int32_t *", at),
                "value": pointer("float *", value),
                "scratch": POOL.memory("float *", scratch),
            }
            lib.train_gradient_run(pool, ffi.new("train_gradient *", job))
        return out

    def _run(self, wanted: bool = False, **outputs: Any) -> None:
        """One backward pass through the neurons; `wanted`: the events too."""
        window, batch = self.shape[:2]
        bits = self.fired.bits
        bias = np.empty(self.features, np.float32)
        job = {
            "window": window,
            "batch": batch,
            "outputs": self.features,
            "row": bits.row,
            "bits": pointer("uint8_t *", bits.bits),
            "saved": self.fired.run.saved.what.struct,
            "rule": constants(self.rule, self.neuron.decay),
            "error_scale": 1.0,
            **outputs,
        }
        if len(self.shape) == 3:
            job["bias_gradient"] = pointer("float *", bias)
        job |= source_of(self.error)
        run = job.pop("run", None)
        if wanted:
            deltas = Loan(Deltas, window, batch, self.features)
            job["deltas"] = deltas.what.struct[0]
        struct = ffi.new("train_backward *", job)
        if run is not None:
            run(struct)
        else:
            run_backward(struct)
        if wanted:
            with POOL as pool:
                self._events = listed(pool, deltas.what.struct, window, batch, self.features)
        if len(self.shape) == 3:
            self.bias = bias


@lru_cache(maxsize=64)
def constants(rule: "MPDED | STDED", tau: float) -> dict[str, Any]:
    """train_rule."""
    from pyedge.rules import STDED
    from pyedge.rules.surrogate import DEFAULT_WIDTHS

    if isinstance(rule, STDED):
        width = 1 / rule.clamp
        return {"shape": TIMING, "reset": RESETS["off"], "tau": tau, "width": width, "factor": 1.0}
    surrogate: Any = rule.surrogate
    width = DEFAULT_WIDTHS[surrogate.shape] if surrogate.width is None else surrogate.width
    return {
        "shape": SHAPES[surrogate.shape],
        "reset": RESETS[rule.reset],
        "tau": tau,
        "width": width,
        "factor": surrogate.scale / width,
    }


def run_backward(struct: Any) -> None:
    """train_backward_run, with scratch memory."""
    size = lib.train_backward_scratch(struct.inputs if struct.gradient else 0, struct.above, struct.window)
    with POOL as pool:
        struct.scratch = POOL.memory("float *", 4 * pool.threads * size)
        lib.train_backward_run(pool, struct)


def listed(pool: Any, deltas: Any, window: int, batch: int, outputs: int) -> Events:
    """The errors a tile at a time as lists."""
    start = np.empty(batch * window + 1, np.int32)
    count = lib.train_count_errors(deltas, pointer("int32_t *", start), window, batch, outputs)
    events = Events(start, np.empty(count + 1, np.uint16), np.empty(count + 1, np.float32))
    lib.train_list_errors(
        pool,
        deltas,
        pointer("int32_t *", start),
        pointer("uint16_t *", events.index),
        pointer("float *", events.value),
        window,
        batch,
        outputs,
    )
    return events
