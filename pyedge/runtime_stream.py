"""Raw samples into a net of the C runtime: its encoders, live windows, and the alignment to a wearer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyedge._edge import ffi, lib
from pyedge.encode import Alignment
from pyedge.errors import DataError
from pyedge.image import read
from pyedge.runtime import ERRORS, Net, Prediction, check, memory


def raw_samples(samples: ArrayLike, channels: int) -> NDArray[np.int16]:
    """Samples as the runtime takes them, (n, channels). Raises DataError for another shape, type or range."""
    x = np.asarray(samples)
    if x.ndim != 2 or x.shape[1] != channels:
        raise DataError(f"samples have shape {x.shape}; (n, {channels}) is needed, one row a sample")
    if x.dtype.kind not in "iu":
        raise DataError(f"samples are {x.dtype}; integers are needed, in the sensor's units")
    if len(x) and (x.min() < -32768 or x.max() > 32767):
        raise DataError(f"samples from {x.min()} to {x.max()}; 16 bits are -32768 .. 32767")
    return np.ascontiguousarray(x, np.int16)


class Stream:
    """A ring of samples and an encoder in front of a net, as on a board.

    ring : raw samples that can wait, a power of two, 2 .. 32768.
    """

    def __init__(self, net: Net, ring: int = 1024) -> None:
        """Raises EdgeError: no encoder in the image, or a ring out of range."""
        encoder = read(net.model.blob).encoder
        if encoder is None:
            raise ERRORS[lib.EDGE_ERR_ENCODER]()
        size = int(lib.edge_stream_size(net.model.c, ring))
        if size == 0:
            raise ERRORS[lib.EDGE_ERR_ARGUMENT](f"a ring of {ring} samples")
        self.net, self.encoder = net, encoder
        self.window_size = int(lib.edge_stream_window_size(net.model.c))
        self._memory = memory(size)
        self.c = ffi.new("edge_stream_t *")
        check(lib.edge_stream_init(self.c, net.c, self._memory, size, ring))

    def push(self, samples: ArrayLike) -> int:
        """Raw samples into the ring, int16 (n, channels). Returns how many it took; the rest is lost."""
        raw = raw_samples(samples, self.encoder.channels)
        at = ffi.from_buffer("int16_t[]", raw)
        return sum(lib.edge_stream_push(self.c, at + n * raw.shape[1]) == 0 for n in range(len(raw)))

    def poll(self) -> Prediction | None:
        """Encode what is in the ring, up to the next window that it completes; None if there is none."""
        return self.net.predict() if check(lib.edge_stream_poll(self.c)) else None

    def reset(self) -> None:
        """Forget samples and encoder state; keep the alignment."""
        lib.edge_stream_reset(self.c)

    @property
    def waiting(self) -> int:
        """Samples in the ring."""
        return int(lib.edge_stream_waiting(self.c))

    @property
    def lost(self) -> int:
        """Samples that found the ring full."""
        return int(lib.edge_stream_lost(self.c))

    # Kept windows

    def keep(self) -> NDArray[np.int8]:
        """The rows, before alignment, of the window that poll just completed: (rows, row_values)."""
        rows = np.zeros(self.window_size, np.int8)
        check(lib.edge_stream_keep(self.c, ffi.from_buffer(rows), rows.size))
        return rows.reshape(-1, self.encoder.row_values)

    def replay(self, rows: NDArray[np.int8]) -> Prediction:
        """Run a kept window again, under the alignment of now. Raises DataError for what is none."""
        kept = self._rows(rows)
        if kept.size != self.window_size:
            raise DataError(f"rows of shape {kept.shape}; one window has {self.window_size} values")
        check(lib.edge_stream_replay(self.c, ffi.from_buffer(kept), kept.size))
        return self.net.predict()

    def _rows(self, rows: ArrayLike) -> NDArray[np.int8]:
        kept = np.asarray(rows)
        if kept.size == 0 or kept.size % self.window_size:
            raise DataError(f"rows of shape {kept.shape}; a window has {self.window_size} values")
        if kept.dtype.kind not in "iu" or kept.min() < -128 or kept.max() > 127:
            raise DataError(f"rows of type {kept.dtype}; integers in -128 .. 127 are needed, as `keep` gives")
        return np.ascontiguousarray(kept, np.int8)

    # Alignment

    @property
    def alignment(self) -> Alignment:
        """The alignment in use."""
        a = lib.edge_stream_alignment(self.c)
        return Alignment(a.rotation, tuple(a.gain)[: self.encoder.channels])

    def align(self, alignment: Alignment | None) -> None:
        """Use an alignment from the next window on; None: the image's own. Raises DataError."""
        if alignment is None:
            lib.edge_stream_align(self.c, ffi.NULL)
            return
        value = ffi.new("edge_alignment_t *")
        ffi.buffer(value)[:] = alignment.packed()
        lib.edge_stream_align(self.c, value)

    def fit(
        self, rows: NDArray[np.int8], labels: Sequence[int] | NDArray[np.integer], repetitions: int
    ) -> Alignment:
        """Fit the alignment to kept windows (n, rows, row_values) with labels (n,), and use it.

        Raises DataError, and EdgeError for repetitions or a label that cannot be.
        """
        fit = self.fit_begin(rows, labels, repetitions)
        while check(lib.edge_fit_run(fit[0])):
            pass
        return self.alignment

    def fit_begin(
        self, rows: NDArray[np.int8], labels: Sequence[int] | NDArray[np.integer], repetitions: int
    ) -> tuple[Any, ...]:
        """Start a fit for edge_fit_run: the fit, then what it looks at."""
        kept = self._rows(rows)
        classes = np.asarray(labels)
        windows = kept.size // self.window_size
        if classes.shape != (windows,) or classes.dtype.kind not in "iu":
            raise DataError(
                f"labels are {classes.dtype} of shape {classes.shape}; {windows} integers are needed"
            )
        if not 0 <= classes.min() <= classes.max() <= 255:
            raise DataError(f"labels from {classes.min()} to {classes.max()}; 0 .. 255 is possible")
        tags = np.ascontiguousarray(classes, np.uint8)
        fit = ffi.new("edge_fit_t *")
        held = (fit, kept, tags, ffi.from_buffer(kept), ffi.from_buffer("uint8_t[]", tags))
        check(lib.edge_fit_begin(fit, self.c, held[3], held[4], len(tags), repetitions))
        return held
