"""Dropout of spikes in the native backend: they stay events, each worth more."""

from typing import Any

import numpy as np

from pyedge.ops.native.lazy import Bits, Counts, ErrorsBelow, Multiples, Spikes, pointer, row_bytes, source_of
from pyedge.ops.numpy_ops import Array


def _kept(mask: Array) -> tuple[Array, float]:
    """The neurons that mask (batch, ...) keeps, as bits (batch, row), and its other number."""
    flat = mask.reshape(len(mask), -1)
    kept = np.zeros((len(flat), row_bytes(flat.shape[1])), np.uint8)
    packed = np.packbits(flat != 0, axis=1, bitorder="little")
    kept[:, : packed.shape[1]] = packed
    return kept, float(flat.max(initial=0))


def dropout(x: Spikes | Multiples, mask: Array) -> Multiples:
    kept, worth = _kept(mask)
    old = x.bits
    new: Bits | Counts
    if isinstance(old, Bits):
        new = Bits(old.bits & kept[:, None], old.features)
    else:
        stay = np.zeros((len(mask), old.row), np.uint8)
        stay[:, : old.features] = mask.reshape(len(mask), -1) != 0
        new = Counts(old.counts * stay[:, None], old.features)
    return Multiples(new, x.unit * worth, x.shape)


class DroppedErrors(ErrorsBelow):
    """dL/dx of a dropout, (T, batch, ...)."""

    def __init__(self, error: Any, mask: Array) -> None:
        self.error, self.mask = error, mask
        self.shape = error.shape

    def _make(self) -> Array:
        return np.asarray(self.error) * self.mask + np.float32(self.bonus)

    @property
    def way(self) -> dict[str, Any]:
        """What train_backward takes to find this from `error`."""
        kept, worth = _kept(self.mask)
        return {"kept": pointer("uint8_t *", kept), "kept_row": kept.shape[1], "error_scale": worth}

    @property
    def source(self) -> dict[str, Any]:
        return {**source_of(self.error), **self.way, "bonus": self.bonus}
