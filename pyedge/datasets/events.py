"""Event-camera recordings as NumPy structured arrays, and what is done to events before framing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, ShapeError, ValueRangeError

# x to the right, y downwards, from 0; t in microseconds; p True where it became brighter.
EVENT = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.bool_)])
Events = NDArray[Any]  # (n,) of EVENT
Size = tuple[int, int]  # width, height


def make_events(x: Any, y: Any, t: Any, p: Any) -> Events:
    """(n,) events from columns of equal length."""
    events = np.empty(len(x), EVENT)
    events["x"], events["y"], events["t"], events["p"] = x, y, t, p
    return events


def check_inside(
    x: NDArray[Any], y: NDArray[Any], size: Size, path: Path | str, byte: Callable[[int], int] | None = None
) -> None:
    """Raises ValueRangeError with the first event outside the sensor, and its byte."""
    wrong = np.flatnonzero((x < 0) | (x >= size[0]) | (y < 0) | (y >= size[1]))
    if len(wrong):
        k = int(wrong[0])
        at = f", byte {byte(k)}" if byte else ""
        raise ValueRangeError(
            f"{path}{at}: event {k} at x = {x[k]}, y = {y[k]}, outside the sensor's "
            f"{size[0]} x {size[1]} pixels"
        )


@dataclass(frozen=True, eq=False)
class Recordings:
    """Recordings that are read when they are asked for: `recordings.events(k)` with label `labels[k]`."""

    labels: NDArray[np.int64]
    size: Size
    events: Callable[[int], Events]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: NDArray[np.int64]) -> "Recordings":
        """Only these recordings, in this order, or where a mask is true."""
        which = np.arange(len(self))[which]
        return Recordings(self.labels[which], self.size, lambda k: self.events(int(which[k])))


def crop(events: Events, left: int, top: int, size: Size) -> Events:
    """Events inside a rectangle, counted from its corner."""
    x, y = events["x"].astype(np.int64) - left, events["y"].astype(np.int64) - top
    inside = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
    kept = events[inside].copy()
    kept["x"], kept["y"] = x[inside], y[inside]
    return kept


def center_crop(events: Events, size: Size, target: Size) -> Events:
    """Events of the middle of the sensor."""
    if target[0] > size[0] or target[1] > size[1]:
        raise ConfigError(f"a crop of {target} does not fit a sensor of {size}")
    return crop(events, (size[0] - target[0]) // 2, (size[1] - target[1]) // 2, target)


def downsample(events: Events, size: Size, target: Size) -> Events:
    """The same events on fewer pixels: x becomes floor(x * target / size). No event is dropped."""
    kept = events.copy()
    kept["x"] = events["x"].astype(np.int64) * target[0] // size[0]
    kept["y"] = events["y"].astype(np.int64) * target[1] // size[1]
    return kept


def between(events: Events, start: int, stop: int) -> Events:
    """Events with start <= t < stop, also where time does not always rise."""
    return events[(events["t"] >= start) & (events["t"] < stop)]


def cut_recordings(
    columns: dict[str, NDArray[Any]],
    starts: NDArray[Any],
    lengths: NDArray[Any],
    labels: NDArray[np.int64],
    size: Size,
    where: str,
) -> Recordings:
    """Recordings laid end to end in columns x, y, t, p. Raises ShapeError, ValueRangeError."""
    count = len(columns["x"])
    if any(len(column) != count for column in columns.values()) or len(starts) != len(lengths):
        raise ShapeError(f"{where}: columns x, y, t, p or the tables of recordings differ in length")
    if len(labels) != len(starts):
        raise ShapeError(f"{where}: {len(labels)} labels for {len(starts)} recordings")
    starts, lengths = starts.astype(np.int64), lengths.astype(np.int64)
    bad = np.flatnonzero((starts < 0) | (lengths < 1) | (starts + lengths > count))
    if len(bad):
        k = int(bad[0])
        raise ShapeError(
            f"{where}: recording {k} is events {starts[k]} .. {starts[k] + lengths[k] - 1} of {count}; "
            "the file is truncated"
        )
    check_inside(columns["x"], columns["y"], size, where)

    def events(k: int) -> Events:
        part = slice(int(starts[k]), int(starts[k] + lengths[k]))
        return make_events(*(columns[name][part] for name in "xytp"))

    return Recordings(labels, size, events)
