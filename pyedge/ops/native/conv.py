"""Convolutions in the native backend; images are (height, width, channels)."""

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.lazy import ErrorsBelow, Lazy, Multiples, Spikes, image, pointer
from pyedge.ops.native.memory import weights
from pyedge.ops.native.neurons import Epsilon
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array

if TYPE_CHECKING:
    from pyedge.ops import Geometry

FLOAT = np.dtype(np.float32)


def fits(x_shape: tuple[int, ...], weight: Array, g: "Geometry") -> bool:
    """Whether the kernels take this convolution."""
    out = (g.out(x_shape[2]), g.out(x_shape[3]), weight.shape[3])
    spread = (out[1] - 1) * g.stride + 1
    widest = max(x_shape[3] * x_shape[4], spread * out[2])
    return g.padding < g.size and weight.dtype == FLOAT and widest < 1 << 16


def _input(x: Any) -> tuple[dict[str, Any], Any]:
    """x as the kernels take it, and what to keep alive meanwhile."""
    if isinstance(x, Spikes | Multiples):
        return {**x.bits.source, "scale": x.unit}, x
    x = np.ascontiguousarray(x, np.float32)
    return {"values": pointer("float *", x), "steps": len(x), "scale": 1.0}, x


def _run(job: dict[str, Any]) -> None:
    struct = ffi.new("train_conv *", job)
    packed = 4 * lib.train_conv_packed(struct)
    with POOL as pool:
        memory = POOL.memory("uint8_t *", packed + pool.threads * lib.train_conv_scratch(struct))
        struct.packed, struct.scratch = ffi.cast("float *", memory), memory + packed
        lib.train_conv_run(pool, struct)


class ConvCurrents(Lazy):
    """A convolution of spikes or floats, (T or 1, batch, h, w, out); neurons take it unwritten."""

    dtype = FLOAT

    def __init__(self, x: Any, weight: Array, bias: Array | None, g: "Geometry") -> None:
        self.x, self.g = x, g
        self.weight = np.ascontiguousarray(weight)
        self.bias = None if bias is None else np.ascontiguousarray(bias)
        self.shape = (*x.shape[:2], g.out(x.shape[2]), g.out(x.shape[3]), weight.shape[3])

    def _make(self) -> Array:
        out = np.empty(self.shape, np.float32)
        self._run({"result": pointer("float *", out)})
        return out

    def run_into(self, to: dict[str, Any], window: int) -> None:
        _, batch, *rest = self.shape
        neurons = ffi.new(
            "train_forward *", {"window": window, "batch": batch, "outputs": int(prod(rest)), **to}
        )
        self._run({"neurons": neurons})

    def _run(self, to: dict[str, Any]) -> None:
        given, alive = _input(self.x)
        _run(
            {
                "window": self.shape[0],
                "batch": self.shape[1],
                "size": self.g.size,
                "padding": self.g.padding,
                "stride": self.g.stride,
                "spread": 1,
                "in": image(self.x.shape[2:]),
                "out": image(self.shape[2:]),
                "weight": pointer("float *", self.weight),
                "bias": pointer("float *", self.bias),
                **given,
                **to,
            }
        )
        del alive


def input_error(error: Any, weight: Array, shape: tuple[int, ...], g: "Geometry") -> Any:
    """dL/dx of a convolution, (T, batch, *shape), from an `Epsilon` by its error differences, or an array."""
    return ConvErrors(error, weight, shape, g)


class ConvErrors(ErrorsBelow):
    """dL/dx of a convolution; the neurons below take it unwritten, sample by sample."""

    def __init__(self, error: Any, weight: Array, shape: tuple[int, ...], g: "Geometry") -> None:
        self.error, self.weight, self.g = error, np.ascontiguousarray(weight), g
        self.shape = (*error.shape[:2], *shape)

    def _make(self) -> Array:
        out = np.empty(self.shape, np.float32)
        self._run({"result": pointer("float *", out)})
        return out + np.float32(self.bonus) if self.bonus else out

    @property
    def source(self) -> dict[str, Any]:
        return {"bonus": self.bonus, "run": self.run_backward}

    def run_backward(self, struct: Any) -> None:
        """The backward pass of the neurons below, whose error this is."""
        self._run({"backward": struct})

    def _run(self, to: dict[str, Any]) -> None:
        if isinstance(self.error, Epsilon):
            given: dict[str, Any] = {
                "errors": self.error.events.struct,
                "leak": self.error.neuron.decay,
                "scale": 1.0,
            }
            alive: Any = self.error
        else:
            given, alive = _input(self.error)
        spread = tuple((n - 1) * self.g.stride + 1 for n in self.error.shape[2:4])
        _run(
            {
                "window": self.shape[0],
                "batch": self.shape[1],
                "size": self.g.size,
                "padding": self.g.size - 1 - self.g.padding,
                "stride": 1,
                "spread": self.g.stride,
                "in": image((*spread, self.error.shape[4])),
                "out": image(self.shape[2:]),
                "weight": pointer("float *", self.weight),
                "flipped": 1,
                **given,
                **to,
            }
        )
        del alive


def weight_gradient(x: Any, error: Any, g: "Geometry") -> Array:
    """(size, size, in, out), from spikes and an `Epsilon` (and its bias gradient), or from arrays."""
    out = weights((g.size, g.size, x.shape[-1], error.shape[-1]))
    by_events = isinstance(x, Spikes | Multiples) and isinstance(error, Epsilon)
    job: dict[str, Any] = {
        "window": error.shape[0],
        "batch": error.shape[1],
        "size": g.size,
        "padding": g.padding,
        "stride": g.stride,
        "in": image(x.shape[2:]),
        "out": image(error.shape[2:]),
        "gradient": pointer("float *", out),
    }
    if by_events:
        bias = np.empty(error.shape[-1], np.float32)
        job |= {
            **x.bits.source,
            "scale": x.unit,
            "tau": error.neuron.decay,
            "errors": error.events.struct,
            "bias_gradient": pointer("float *", bias),
        }
    else:
        x = np.ascontiguousarray(x, np.float32)
        dense = np.ascontiguousarray(error, np.float32)
        job |= {"values": pointer("float *", x), "epsilon": pointer("float *", dense), "steps": len(x)}
    struct = ffi.new("train_conv_gradient *", job)
    sums, places = 4 * lib.train_conv_sums(struct), 8 * int(prod(error.shape[2:]))
    with POOL as pool:
        size = pool.threads * lib.train_conv_gradient_scratch(struct)
        memory = POOL.memory("uint8_t *", size + sums + places)
        struct.scratch, struct.sums = memory, ffi.cast("float *", memory + size)
        struct.places = ffi.cast("train_place *", memory + size + sums)
        lib.train_conv_gradient_run(pool, struct)
    if by_events:
        error.bias = bias
    return out


def column_sums(x: Array) -> Array:
    """The sum over all but the last axis."""
    x = np.ascontiguousarray(x)
    columns = x.shape[-1]
    out = np.empty(columns, np.float32)
    with POOL as pool:
        lib.train_column_sums(
            pool,
            pointer("float *", x),
            pointer("float *", out),
            POOL.memory("float *", 4 * 64 * columns),
            x.size // columns,
            columns,
        )
    return out
