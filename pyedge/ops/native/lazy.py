"""What the native backend hands on between its operations: arrays that need not exist.

Each stands for an array and becomes one (`array`) as soon as NumPy looks into it, so that foreign neurons,
rules and losses work; the backend's own operations take what it is made of instead, and fuse.
"""

from collections.abc import Callable
from copy import copy
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array

UNIT = 16


class Lazy(np.lib.mixins.NDArrayOperatorsMixin):
    """An array to be: its shape and type are known, its numbers are computed at the first look."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def _make(self) -> Array:
        raise NotImplementedError

    @cached_property
    def array(self) -> Array:
        return self._make()

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.array.astype(dtype, copy=bool(copy)) if dtype is not None else self.array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*(x.array if isinstance(x, Lazy) else x for x in inputs), **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return self.array[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.array, name)

    def astype(self, dtype: Any, **kwargs: Any) -> Any:
        return self if np.dtype(dtype) == self.dtype else self.array.astype(dtype, **kwargs)

    def reshape(self, *shape: Any) -> Any:
        full = self._full(shape)
        return self if full == self.shape else self.array.reshape(full)

    def _full(self, shape: tuple[Any, ...]) -> tuple[int, ...]:
        """The shape with its -1, if any, worked out."""
        wanted = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
        if wanted[:-1] == self.shape[:-1] and wanted[-1:] in ((-1,), self.shape[-1:]):
            return self.shape
        known = -int(prod(wanted))
        return tuple(self.size // known if n == -1 and known else int(n) for n in wanted)


class Later(Lazy):
    """Any array to be."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, make: Callable[[], Array]) -> None:
        self.shape, self.dtype, self._maker = shape, np.dtype(dtype), make

    def _make(self) -> Array:
        return self._maker()


class ErrorsBelow(Lazy):
    """An error, float32 (T, batch, ...), that the neurons below it work out themselves.

    bonus : a number added everywhere.
    """

    dtype = np.dtype(np.float32)
    bonus = 0.0

    @property
    def source(self) -> dict[str, Any]:
        """What train_backward takes."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        if np.ndim(other):
            return self.array + other
        raised = self._another()
        raised.bonus += float(other)
        return raised

    def _another(self) -> Any:
        """The same, to be changed before its first look."""
        other = copy(self)
        other.__dict__.pop("array", None)
        return other


def image(shape: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(("height", "width", "channels"), shape, strict=True))


def row_bytes(count: int) -> int:
    """Bytes of one step's spikes of that many neurons."""
    return -(-count // 64) * 8


class Bits:
    """A window's spikes as bits, (batch, T, row) uint8, and as lists of events."""

    def __init__(self, bits: Array, features: int) -> None:
        self.bits, self.features = bits, features

    @property
    def row(self) -> int:
        return self.bits.shape[2]

    @cached_property
    def start(self) -> Array:
        """Where the list of each sample and step begins, (batch * T + 1,)."""
        rows = self.bits.shape[0] * self.bits.shape[1]
        start = np.empty(rows + 1, np.int32)
        lib.train_count_events(pointer("uint8_t *", self.bits), pointer("int32_t *", start), rows, self.row)
        return start

    @cached_property
    def index(self) -> Array:
        """The events' neurons, uint16."""
        index = np.empty(max(self.count, 1), np.uint16)
        with POOL as pool:
            lib.train_list_events(
                pool,
                pointer("uint8_t *", self.bits),
                pointer("int32_t *", self.start),
                pointer("uint16_t *", index),
                len(self.start) - 1,
                self.row,
            )
        return index

    @property
    def count(self) -> int:
        """Spikes in all."""
        return int(self.start[-1])

    @property
    def events(self) -> dict[str, Any]:
        return {"start": pointer("int32_t *", self.start), "index": pointer("uint16_t *", self.index)}

    @property
    def source(self) -> dict[str, Any]:
        """Themselves, as the kernels take them."""
        return {"bits": pointer("uint8_t *", self.bits), "row": self.row}

    @property
    def merged(self) -> dict[str, Any]:
        """Events for the forward pass; in short windows, neurons by the steps at which they fire."""
        batch, window = self.bits.shape[:2]
        if not 3 <= window <= 8 or self.features < 256:
            return {"in": self.events}
        groups = 1 if window <= 5 else 2
        width = -(-window // groups)
        start = np.empty((batch * groups << width) + 1, np.int32)
        index = np.empty(batch * groups * 8 * self.row, np.uint16)
        patterns = {
            "start": pointer("int32_t *", start),
            "index": pointer("uint16_t *", index),
            "width": width,
        }
        with POOL as pool:
            job = ffi.new("train_patterns *", patterns)
            lib.train_list_patterns(pool, pointer("uint8_t *", self.bits), job, window, batch, self.row)
        self._merged = start, index  # alive as long as the bits
        return {"patterns": patterns}


class Counts:
    """A window's counts of spikes, (batch, T, row) uint8, and as lists of events of that many spikes each."""

    def __init__(self, counts: Array, features: int) -> None:
        self.counts, self.features = counts, features

    @property
    def row(self) -> int:
        return self.counts.shape[2]

    @property
    def source(self) -> dict[str, Any]:
        return {"counts": pointer("uint8_t *", self.counts), "row": self.row}

    @property
    def merged(self) -> dict[str, Any]:
        """Events for the forward pass; counts that most steps of a window share come once."""
        batch, window = self.counts.shape[:2]
        starts = [np.empty(n + 1, np.int32) for n in (batch, batch * window)]
        tally = ffi.new("train_tally *")
        tally.common_start, tally.rest_start = (pointer("int32_t *", start) for start in starts)
        counts = pointer("uint8_t *", self.counts)
        with POOL as pool:
            tally.scratch = POOL.memory("uint8_t *", pool.threads * self.row)
            lib.train_list_counts(pool, counts, tally, window, batch, self.row)
            index = [np.empty(int(start[-1]) + 1, np.uint16) for start in starts]
            value = [np.empty(int(start[-1]) + 1, np.float32) for start in starts]
            tally.common, tally.rest = (pointer("uint16_t *", x) for x in index)
            tally.common_value, tally.rest_value = (pointer("float *", x) for x in value)
            lib.train_list_counts(pool, counts, tally, window, batch, self.row)
        self._merged = starts, index, value  # alive as long as the counts
        common, rest = (
            {
                "start": pointer("int32_t *", s),
                "index": pointer("uint16_t *", i),
                "value": pointer("float *", v),
            }
            for s, i, v in zip(starts, index, value, strict=True)
        )
        return {"common": common, "in": rest}


class Multiples(Lazy):
    """Spikes or counts of them, each spike worth `unit`: float32 (T, batch, ...)."""

    dtype = np.dtype(np.float32)

    def __init__(self, bits: Bits | Counts, unit: float, shape: tuple[int, ...]) -> None:
        self.bits, self.unit, self.shape = bits, unit, shape

    def _make(self) -> Array:
        if isinstance(self.bits, Bits):
            return Spikes(self.bits, self.shape).array * np.float32(self.unit)
        counts = self.bits.counts[:, :, : self.bits.features].swapaxes(0, 1)
        return counts.reshape(self.shape) * np.float32(self.unit)

    def reshape(self, *shape: Any) -> Any:
        full = self._full(shape)
        same = full[:2] == self.shape[:2]
        return Multiples(self.bits, self.unit, full) if same else self.array.reshape(full)


class Spikes(Lazy):
    """Spikes as bits; stands for bool (T, batch, ...)."""

    dtype = np.dtype(bool)
    unit = 1.0  # what one spike is worth

    def __init__(self, bits: Bits, shape: tuple[int, ...], run: Any = None) -> None:
        self.bits = bits
        self.shape = shape
        self.run = run  # how neurons came to fire, if they did
        self._pooled: dict[int, Multiples] = {}

    def pooled(self, size: int) -> Multiples:
        """The means of size x size windows of images (T, batch, h, w, channels), as counts."""
        if size not in self._pooled:
            window, batch, h, w, c = self.shape
            shape = (window, batch, h // size, w // size, c)
            features = int(prod(shape[2:]))
            counts = np.empty((batch, window, -(-features // 64) * 64), np.uint8)
            with POOL as pool:
                lib.train_sum_pool(
                    pool,
                    pointer("uint8_t *", self.bits.bits),
                    pointer("uint8_t *", counts),
                    window * batch,
                    self.bits.row,
                    counts.shape[2],
                    image((h, w, c)),
                    size,
                )
            self._pooled[size] = Multiples(Counts(counts, features), 1 / size**2, shape)
        return self._pooled[size]

    @classmethod
    def pack(cls, x: Array) -> "Spikes":
        """From bool, (T, batch, ...)."""
        window, batch = x.shape[:2]
        count = int(prod(x.shape[2:]))
        x = np.ascontiguousarray(x)
        bits = np.empty((batch, window, row_bytes(count)), np.uint8)
        with POOL as pool:
            lib.train_pack(
                pool, pointer("uint8_t *", x), pointer("uint8_t *", bits), window, batch, count, bits.shape[2]
            )
        return cls(Bits(bits, count), x.shape)

    def _make(self) -> Array:
        window, batch = self.shape[:2]
        out = np.empty(self.shape, bool)
        bits = self.bits
        with POOL as pool:
            lib.train_unpack(
                pool,
                pointer("uint8_t *", bits.bits),
                pointer("uint8_t *", out),
                window,
                batch,
                bits.features,
                bits.row,
            )
        return out

    def mean(self, *args: Any, **kwargs: Any) -> Any:
        return self.array.mean(*args, **kwargs) if args or kwargs else np.float64(self.bits.count / self.size)

    def reshape(self, *shape: Any) -> Any:
        full = self._full(shape)
        if full == self.shape:
            return self
        return Spikes(self.bits, full, self.run) if full[:2] == self.shape[:2] else self.array.reshape(full)

    def take(self, indices: Any, axis: int | None = None, **kwargs: Any) -> Any:
        """Samples are taken as bits."""
        if axis != 1 or kwargs:
            return self.array.take(indices, axis, **kwargs)
        return self._samples(self.bits.bits[indices])

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple) and len(key) == 2 and key[0] == slice(None) and isinstance(key[1], slice):
            return self._samples(np.ascontiguousarray(self.bits.bits[key[1]]))
        return self.array[key]

    def _samples(self, bits: Array) -> "Spikes":
        return Spikes(Bits(bits, self.bits.features), (self.shape[0], len(bits), *self.shape[2:]))


def source_of(error: Any) -> dict[str, Any]:
    """An error of spikes, (T, batch, ...), as train_backward takes it; alive as long as what is returned.

    Errors of this backend say it themselves, in `source`; if that has a "run", it takes the whole job.
    """
    if hasattr(type(error), "source"):
        return dict(error.source)
    error = np.ascontiguousarray(error.array if isinstance(error, Lazy) else error, np.float32)
    step = error[0].size if len(error) > 1 else 0
    return {"error": pointer("float *", error), "error_step": step, "error_sample": error[0, 0].size}


_ARRAYS = {
    f"{kind} *": ffi.typeof(f"{kind}[]") for kind in ("float", "uint8_t", "uint16_t", "int32_t", "int64_t")
}


def pointer(kind: str, array: Array | None) -> Any:
    """A contiguous array as the kernels take it; what it is put into does not keep it alive."""
    return ffi.NULL if array is None else ffi.from_buffer(_ARRAYS[kind], array)
