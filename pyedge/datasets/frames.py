"""From events to frames: where recordings are cut, counting, resizing, and many recordings kept small."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..errors import ConfigError, ShapeError
from .events import Events, Recordings, Size, check_inside, crop, downsample

Rest = Literal["last", "drop"]
Resize = Literal["events", "bilinear", "nearest"]
Index = NDArray[np.int64]
_CHUNK = 1 << 24  # cells counted at once


class Cuts(NamedTuple):
    """Frame k of a recording is its events start[k] .. stop[k] - 1."""

    start: Index
    stop: Index


# Where recordings are cut. tonic's ToFrame has all four, SpikingJelly's split_by the first two, rest="last".


def event_bins(events: Events, bins: int, rest: Rest = "last") -> Cuts:
    """`bins` frames of floor(n / bins) events each.

    rest : the up to bins - 1 events left over go to the last frame (SpikingJelly's "number") or nowhere
        (tonic's n_event_bins).
    """
    _at_least_one(bins, "bins")
    start = np.arange(bins) * (len(events) // bins)
    stop = start + len(events) // bins
    if rest == "last":
        stop[-1] = len(events)
    return Cuts(start, stop)


def time_bins(events: Events, bins: int, rest: Rest = "last") -> Cuts:
    """`bins` frames of floor((t_last - t_first) / bins) microseconds each; a frame may be empty.

    rest : the events at the very end go to the last frame (SpikingJelly's "time") or nowhere
        (tonic's n_time_bins).
    Raises ShapeError where there are no events or time runs backwards.
    """
    _at_least_one(bins, "bins")
    t = _times(events)
    width = (t[-1] - t[0]) // bins
    edges = t[0] + width * np.arange(bins)
    start, stop = np.searchsorted(t, edges), np.searchsorted(t, edges + width)
    if rest == "last":
        stop[-1] = len(t)
    return Cuts(start, stop)


def time_windows(
    events: Events,
    width: int,
    count: int | None = None,
    overlap: int = 0,
    incomplete: bool = False,
) -> Cuts:
    """Frames of `width` microseconds from the first event on, every width - overlap.

    count : so many, however long the recording is; None: as many as fit (at least one), and with `incomplete`
        one more where something is left over (tonic's time_window).
    Raises ShapeError where there are no events or time runs backwards.
    """
    _at_least_one(width, "width")
    stride = _stride(width, overlap)
    t = _times(events)
    if count is None:
        count = _how_many(int(t[-1] - t[0]), width, stride, incomplete)
    begin = t[0] + stride * np.arange(count)
    return Cuts(np.searchsorted(t, begin), np.searchsorted(t, begin + width))


def event_windows(events: Events, width: int, overlap: int = 0, incomplete: bool = False) -> Cuts:
    """Frames of `width` events, every width - overlap (tonic's event_count)."""
    _at_least_one(width, "width")
    stride = _stride(width, overlap)
    length = min(width, len(events))
    start = stride * np.arange(_how_many(len(events), length, stride, incomplete))
    return Cuts(start, np.minimum(start + length, len(events)))


def to_frames(events: Events, size: Size, cuts: Cuts) -> NDArray[np.int64]:
    """(T, 2, height, width) numbers of events; channel 0 counts p False, channel 1 p True.

    Raises ValueRangeError for an event outside `size`.
    """
    one = EventFrames.of([(_cells(events, size), cuts)], size, np.int64)
    return np.asarray(one)[:, 0]


def bilinear(length: int, target: int, antialias: bool = True) -> NDArray[np.float32]:
    """(target, length) weights that resize one axis linearly; pixel centres are at halves.

    antialias : when shrinking, the triangle is as wide as a target pixel, so that every source pixel counts.
    Equal to torch's interpolate(mode="bilinear", align_corners=False) along one axis.
    """
    scale = length / target
    reach = max(scale, 1.0) if antialias else 1.0
    centre = (np.arange(target)[:, None] + 0.5) * scale - 0.5
    if not antialias:
        centre = np.clip(centre, 0, length - 1)
    weights = np.maximum(1 - np.abs(np.arange(length) - centre) / reach, 0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Binning:
    """How each recording becomes T frames of the same size.

    steps    : T.
    by       : "count", frames of equally many events; "time", of equally long a time;
               "window", of `width` microseconds each from the first event on, however long a recording is.
    rest     : what happens to what is left over; "last" is SpikingJelly's way, "drop" tonic's.
    size     : (width, height) of the frames; None: the sensor's.
    resize   : "bilinear" and "nearest" resize the frames of the whole sensor; "events" moves events to fewer
               pixels, so that values stay counts.
    saccade  : only events of the first so many microseconds; 0: all. N-MNIST's first saccade ends at 100,000.
    binary   : whether there was an event, instead of how many: spikes.
    """

    steps: int
    by: Literal["count", "time", "window"] = "count"
    rest: Rest = "last"
    width: int = 10_000
    size: Size | None = None
    resize: Resize = "bilinear"
    antialias: bool = True
    saccade: int = 0
    binary: bool = False

    def __post_init__(self) -> None:
        _at_least_one(self.steps, "steps")
        _at_least_one(self.width, "width")
        if self.by not in ("count", "time", "window") or self.rest not in ("last", "drop"):
            raise ConfigError(
                f"frames by {self.by!r}, rest {self.rest!r}: count, time or window; last or drop"
            )
        if self.resize not in ("events", "bilinear", "nearest"):
            raise ConfigError(f"resize is {self.resize!r}; choose events, bilinear or nearest")
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"frames of {self.size} pixels; each side must be at least 1")
        if self.binary and self.size is not None and self.resize == "bilinear":
            raise ConfigError("binary frames cannot be resized bilinearly; choose resize = events or nearest")

    def cuts(self, events: Events) -> Cuts:
        """Where a recording is cut; one without events gives T empty frames."""
        if not len(events):
            nothing = np.zeros(self.steps, np.int64)
            return Cuts(nothing, nothing)
        if self.by == "count":
            return event_bins(events, self.steps, self.rest)
        if self.by == "time":
            return time_bins(events, self.steps, self.rest)
        return time_windows(events, self.width, self.steps)

    def __call__(
        self, recordings: Recordings, tick: Callable[[int, int], None] | None = None
    ) -> "EventFrames":
        """Reads all recordings. tick : told how many are done, and of how many."""
        size, target = recordings.size, self.size or recordings.size
        scaled = target != size
        found = []
        for k in range(len(recordings)):
            events = recordings.events(k)
            if self.saccade:
                events = events[events["t"] < self.saccade]
            cuts = self.cuts(events)
            if scaled and self.resize == "events":
                events = downsample(events, size, target)
            found.append((_cells(events, target if self.resize == "events" else size), cuts))
            if tick is not None:
                tick(k + 1, len(recordings))
        weights = None
        if scaled and self.resize == "bilinear":
            weights = tuple(bilinear(a, b, self.antialias) for a, b in zip(size, target, strict=True))
        if scaled and self.resize == "nearest":
            weights = tuple(_nearest(a, b) for a, b in zip(size, target, strict=True))
        counted = target if self.resize == "events" else size
        return EventFrames.of(found, counted, np.bool_ if self.binary else None, weights)


class EventFrames:
    """Frames (T, N, 2, height, width) of N recordings, kept as events and counted when they are taken.

    An event takes two bytes (four on sensors of more than 32,768 pixels). `take`, indexing along N, and
    numpy.asarray give arrays; `dtype` is uint16 for counts, bool for binary frames, float32 for resized ones.
    """

    def __init__(
        self,
        cells: NDArray[Any],
        start: Index,
        stop: Index,
        size: Size,
        dtype: DTypeLike,
        weights: tuple[NDArray[np.float32], ...] | None,
    ) -> None:
        self._cells = cells  # of every event: (p * height + y) * width + x
        self._start, self._stop = start, stop  # (N, T)
        self._size = size
        self._weights = weights  # resize x, resize y
        self.dtype = np.dtype(dtype)
        width, height = (len(w) for w in weights) if weights else size
        self.shape = (start.shape[1], start.shape[0], 2, height, width)

    @classmethod
    def of(
        cls,
        recordings: list[tuple[NDArray[Any], Cuts]],
        size: Size,
        dtype: DTypeLike | None = None,
        weights: tuple[NDArray[np.float32], ...] | None = None,
    ) -> "EventFrames":
        """From the cells and cuts of each recording, which have equally many frames.

        dtype : of unresized frames; None: the smallest that holds every count.
        """
        if not recordings:
            raise ShapeError("there are no recordings")
        first = np.cumsum([0] + [len(cells) for cells, _ in recordings[:-1]])[:, None]
        start = np.stack([cuts.start for _, cuts in recordings]) + first
        stop = np.stack([cuts.stop for _, cuts in recordings]) + first
        if dtype is None:
            dtype = np.uint16 if (stop - start).max(initial=0) < 1 << 16 else np.uint32
        if weights is not None and np.dtype(dtype) != np.bool_:
            dtype = np.float32
        return cls(np.concatenate([cells for cells, _ in recordings]), start, stop, size, dtype, weights)

    @property
    def ndim(self) -> int:
        return 5

    @property
    def nbytes(self) -> int:
        """Memory this takes, not what the frames would take."""
        return self._cells.nbytes + self._start.nbytes + self._stop.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, which: ArrayLike | range, axis: SupportsIndex = 1) -> NDArray[Any]:
        """Frames of these recordings, (T, n, 2, height, width)."""
        if axis != 1:
            raise ShapeError(f"frames are taken along axis 1, the recordings; not along {axis}")
        chosen = np.asarray(which, np.int64)
        out = np.empty((self.shape[0], len(chosen), *self.shape[2:]), self.dtype)
        cells = self.shape[0] * 2 * self._size[0] * self._size[1]
        at_once = max(1, _CHUNK // cells)
        for begin in range(0, len(chosen), at_once):
            part = slice(begin, begin + at_once)
            out[:, part] = self._resized(self._counts(chosen[part]))
        return out

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """x[:, part] with a slice, a mask or numbers of recordings."""
        if not (isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None)):
            raise ShapeError("frames are indexed as x[:, recordings]; numpy.asarray(x) gives all of them")
        return self.take(np.atleast_1d(np.arange(self.shape[1])[index[1]]))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        frames = self.take(np.arange(self.shape[1]))
        return frames if dtype is None else frames.astype(dtype, copy=False)

    def _counts(self, which: Index) -> NDArray[np.int64]:
        start, stop = self._start[which].T, self._stop[which].T  # (T, n)
        lengths = (stop - start).ravel()
        first = np.cumsum(lengths) - lengths
        event = np.arange(lengths.sum()) + np.repeat(start.ravel() - first, lengths)
        pixels = 2 * self._size[0] * self._size[1]
        cell = np.repeat(np.arange(len(lengths)) * pixels, lengths) + self._cells[event]
        counts = np.bincount(cell, minlength=len(lengths) * pixels)
        return counts.reshape(*start.shape, 2, self._size[1], self._size[0])

    def _resized(self, counts: NDArray[np.int64]) -> NDArray[Any]:
        if self._weights is None:
            return counts
        x, y = self._weights
        return y @ counts.astype(np.float32) @ x.T


def cropped(recordings: Recordings, left: int, top: int, size: Size) -> Recordings:
    """The same recordings on a part of the sensor."""
    return Recordings(recordings.labels, size, lambda k: crop(recordings.events(k), left, top, size))


def _cells(events: Events, size: Size) -> NDArray[Any]:
    check_inside(events["x"], events["y"], size, "these events")
    cells = (events["p"].astype(np.int64) * size[1] + events["y"]) * size[0] + events["x"]
    return cells.astype(np.uint16 if 2 * size[0] * size[1] <= 1 << 16 else np.uint32)


def _nearest(length: int, target: int) -> NDArray[np.float32]:
    """Weights that take pixel floor(k * length / target) for pixel k, as torch's interpolate does."""
    weights = np.zeros((target, length), np.float32)
    weights[np.arange(target), np.arange(target) * length // target] = 1
    return weights


def _times(events: Events) -> Index:
    t = events["t"].astype(np.int64)
    if not len(t):
        raise ShapeError("a recording without events cannot be cut by time")
    back = np.flatnonzero(t[1:] < t[:-1])
    if len(back):
        k = int(back[0]) + 1
        raise ShapeError(
            f"time runs backwards at event {k}, from {t[k - 1]} to {t[k]}: cut it by count instead"
        )
    return t


def _at_least_one(number: int, name: str) -> None:
    if number < 1:
        raise ConfigError(f"{name} is {number}; it must be at least 1")


def _stride(width: int, overlap: int) -> int:
    if not 0 <= overlap < width:
        raise ConfigError(f"overlap is {overlap}; 0 .. {width - 1} are possible")
    return width - overlap


def _how_many(extent: int, width: int, stride: int, incomplete: bool) -> int:
    spare = extent - width
    return max((-(-spare // stride) if incomplete else spare // stride) + 1, 1)
