"""Convolutions and pooling in the native backend; images are (height, width, channels)."""

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.lazy import UNIT, Bits, Lazy, Spikes, pointer, row_bytes
from pyedge.ops.native.neurons import Epsilon
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array, Pooled

if TYPE_CHECKING:
    from pyedge.ops import Geometry

FLOAT = np.dtype(np.float32)


def image(shape: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(("height", "width", "channels"), shape, strict=True))


def fits(x_shape: tuple[int, ...], weight: Array, g: "Geometry") -> bool:
    """Whether the kernels take this convolution."""
    out = (g.out(x_shape[2]), g.out(x_shape[3]), weight.shape[3])
    widest = max(x_shape[3] * x_shape[4], out[1] * out[2])
    return g.stride == 1 and g.padding < g.size and weight.dtype == FLOAT and widest < 1 << 16


def _input(x: Any) -> tuple[dict[str, Any], Any]:
    """x as the kernels take it, and what to keep alive meanwhile."""
    if isinstance(x, Spikes):
        return {"bits": pointer("uint8_t *", x.bits.bits), "row": x.bits.row}, x
    x = np.ascontiguousarray(x, np.float32)
    return {"values": pointer("float *", x), "steps": len(x)}, x


def _run(job: dict[str, Any]) -> None:
    struct = ffi.new("train_conv *", job)
    packed = np.empty(lib.train_conv_packed(struct), np.float32)
    with POOL as pool:
        scratch = np.empty(pool.threads * lib.train_conv_scratch(struct), np.uint8)
        struct.packed, struct.scratch = pointer("float *", packed), pointer("uint8_t *", scratch)
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
                "in": image(self.x.shape[2:]),
                "out": image(self.shape[2:]),
                "weight": pointer("float *", self.weight),
                "bias": pointer("float *", self.bias),
                "scale": 1.0,
                **given,
                **to,
            }
        )
        del alive


def input_error(error: Any, weight: Array, shape: tuple[int, ...], g: "Geometry") -> Any:
    """dL/dx of a convolution, (T, batch, *shape), from an `Epsilon` by its error differences, or an array."""
    return ConvErrors(error, weight, shape, g)


class ConvErrors(Lazy):
    """dL/dx of a convolution; the neurons below take it unwritten, sample by sample. bonus : added to all."""

    dtype = FLOAT

    def __init__(
        self, error: Any, weight: Array, shape: tuple[int, ...], g: "Geometry", bonus: float = 0.0
    ) -> None:
        self.error, self.weight, self.g, self.bonus = error, np.ascontiguousarray(weight), g, bonus
        self.shape = (*error.shape[:2], *shape)

    def _make(self) -> Array:
        out = np.empty(self.shape, np.float32)
        self._run({"result": pointer("float *", out)})
        return out + np.float32(self.bonus) if self.bonus else out

    def __add__(self, other: Any) -> Any:
        if np.ndim(other) == 0:
            return ConvErrors(self.error, self.weight, self.shape[2:], self.g, self.bonus + float(other))
        return self.array + other

    @property
    def source(self) -> dict[str, Any]:
        return {"bonus": self.bonus, "run": self.run_backward}

    def run_backward(self, struct: Any) -> None:
        """The backward pass of the neurons below, whose error this is."""
        self._run({"backward": struct})

    def _run(self, to: dict[str, Any]) -> None:
        if isinstance(self.error, Epsilon):
            given: dict[str, Any] = {"errors": self.error.events.struct, "leak": self.error.neuron.decay}
            alive: Any = self.error
        else:
            given, alive = _input(self.error)
        _run(
            {
                "window": self.shape[0],
                "batch": self.shape[1],
                "size": self.g.size,
                "padding": self.g.size - 1 - self.g.padding,
                "in": image(self.error.shape[2:]),
                "out": image(self.shape[2:]),
                "weight": pointer("float *", self.weight),
                "flipped": 1,
                "scale": 1.0,
                **given,
                **to,
            }
        )
        del alive


def weight_gradient(x: Any, error: Any, g: "Geometry") -> Array:
    """(size, size, in, out), from spikes and an `Epsilon` (and its bias gradient), or from arrays."""
    out = np.empty((g.size, g.size, x.shape[-1], error.shape[-1]), np.float32)
    by_events = isinstance(x, Spikes) and isinstance(error, Epsilon)
    job: dict[str, Any] = {
        "window": error.shape[0],
        "batch": error.shape[1],
        "size": g.size,
        "padding": g.padding,
        "in": image(x.shape[2:]),
        "out": image(error.shape[2:]),
        "gradient": pointer("float *", out),
    }
    if by_events:
        bias = np.empty(error.shape[-1], np.float32)
        job |= {
            "bits": pointer("uint8_t *", x.bits.bits),
            "row": x.bits.row,
            "tau": error.neuron.decay,
            "errors": error.events.struct,
            "bias_gradient": pointer("float *", bias),
        }
    else:
        x = np.ascontiguousarray(x, np.float32)
        dense = np.ascontiguousarray(error, np.float32)
        job |= {"values": pointer("float *", x), "epsilon": pointer("float *", dense), "steps": len(x)}
    struct = ffi.new("train_conv_gradient *", job)
    sums = np.empty(lib.train_conv_sums(struct), np.float32)
    with POOL as pool:
        scratch = np.empty(pool.threads * lib.train_conv_gradient_scratch(struct), np.uint8)
        struct.sums, struct.scratch = pointer("float *", sums), pointer("uint8_t *", scratch)
        lib.train_conv_gradient_run(pool, struct)
    if by_events:
        error.bias = bias
    return out


def column_sums(x: Array) -> Array:
    """The sum over all but the last axis."""
    x = np.ascontiguousarray(x)
    columns = x.shape[-1]
    out, scratch = np.empty(columns, np.float32), np.empty(64 * columns, np.float32)
    with POOL as pool:
        lib.train_column_sums(
            pool,
            pointer("float *", x),
            pointer("float *", out),
            pointer("float *", scratch),
            x.size // columns,
            columns,
        )
    return out


class Winners(Lazy):
    """Where a max pooling's windows found their first spike: bits like the input's; stands for its index."""

    dtype = np.dtype(np.intp)

    def __init__(self, bits: Array, x: Spikes, size: int) -> None:
        self.bits, self.x, self.size_ = bits, x, size
        window, batch, h, w, c = x.shape
        self.shape = (window, batch, h // size, w // size, c)

    def _make(self) -> Array:
        from pyedge.ops import NUMPY

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


class PooledErrors(Lazy):
    """dL/dx below a max pooling of spikes, (T, batch, h, w, channels).

    error : that above it. bonus : a number added everywhere.
    """

    dtype = FLOAT

    def __init__(self, winners: Winners, error: Any, bonus: float = 0.0) -> None:
        self.winners, self.error, self.bonus = winners, error, bonus
        self.shape = winners.x.shape

    def _make(self) -> Array:
        from pyedge.ops import NUMPY

        pooled = Pooled(self.winners.array, self.winners.array)
        below = NUMPY.max_pool_error(pooled, self._above, self.shape[2:], self.winners.size_)
        return below + np.float32(self.bonus)

    @property
    def _above(self) -> Array:
        return np.ascontiguousarray(self.error, np.float32)

    def __add__(self, other: Any) -> Any:
        if np.ndim(other) == 0:
            return PooledErrors(self.winners, self.error, self.bonus + float(other))
        return self.array + other

    @property
    def source(self) -> dict[str, Any]:
        """What train_backward takes, and what to keep alive meanwhile."""
        if self.shape[-1] % UNIT:
            found = self.array
            return {"error": pointer("float *", found), **_strides(found)}
        places = _places(self.shape[2:], self.winners.size_)
        job: dict[str, Any] = {
            "bonus": self.bonus,
            "error_place": pointer("int32_t *", places),
            "winners": pointer("uint8_t *", self.winners.bits),
        }
        if isinstance(self.error, ConvErrors) and not self.error.bonus:
            return job | {"run": self.error.run_backward}
        self._alive = self._above
        return job | {"error": pointer("float *", self._alive), **_strides(self._alive)}


def _strides(error: Array) -> dict[str, int]:
    return {"error_step": error[0].size, "error_sample": error[0, 0].size}
