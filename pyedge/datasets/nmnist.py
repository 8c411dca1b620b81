"""N-MNIST: the published folders of .bin files, and recordings joined in an .npz file."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedFileError, LabelError, MissingDataError, TruncatedFileError
from .arrays import check_columns, read_npz
from .events import Events, Recordings, check_inside, cut_recordings, make_events

SIZE = (34, 34)
_BYTES = 5
# An event at this y is no event: the clock of the sensor's interface has wrapped around.
_OVERFLOW_Y = 240
_OVERFLOW_US = 1 << 13


def read_bin(path: Path) -> Events:
    """Events of one .bin file: 40 bits each, x, y, polarity (1 bit), microseconds (23 bits, high byte first).

    Raises DamagedFileError, TruncatedFileError, ValueRangeError.
    """
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise DamagedFileError(f"{path} cannot be read ({cause}); fetch it again") from cause
    if not data or len(data) % _BYTES:
        raise TruncatedFileError(
            f"{path}: {len(data)} bytes are no whole number of events of {_BYTES} bytes; "
            f"the last begins at byte {len(data) // _BYTES * _BYTES}"
        )
    raw = np.frombuffer(data, np.uint8).reshape(-1, _BYTES).astype(np.int64)
    x, y = raw[:, 0], raw[:, 1]
    t = (raw[:, 2] & 127) << 16 | raw[:, 3] << 8 | raw[:, 4]
    overflow = y == _OVERFLOW_Y
    t += np.cumsum(overflow) * _OVERFLOW_US
    real = np.flatnonzero(~overflow)
    check_inside(x[real], y[real], SIZE, path, lambda k: int(real[k]) * _BYTES)
    return make_events(x[real], y[real], t[real], raw[real, 2] >> 7)


def open_published(folder: Path, part: str) -> Recordings:
    """The recordings of Train/ or Test/: a folder a digit, read one by one when asked for.

    The order is by digit, then by file name. Raises MissingDataError.
    """
    base = folder / {"train": "Train", "test": "Test"}[part]
    paths: list[Path] = []
    labels: list[int] = []
    for digit in range(10):
        found = sorted((base / str(digit)).glob("*.bin"))
        if not found:
            raise MissingDataError(
                f"{base / str(digit)} holds no .bin files: unpack {base.name}.zip into {folder} again"
            )
        paths += found
        labels += [digit] * len(found)
    return Recordings(np.array(labels, np.int64), SIZE, partial(_read_nth, paths))


def open_joined(path: Path, size: tuple[int, int], classes: int) -> Recordings:
    """The recordings of an .npz file: columns x, y, t, p, seg_start, seg_len, label.

    Raises DamagedFileError, ShapeError, ValueRangeError, LabelError.
    """
    names = ("x", "y", "t", "p", "seg_start", "seg_len", "label")
    arrays = read_npz(path, names)
    check_columns(arrays, names, str(path))
    labels = check_labels(arrays["label"], classes, path)
    columns = {name: arrays[name] for name in "xytp"}
    return cut_recordings(columns, arrays["seg_start"], arrays["seg_len"], labels, size, str(path))


def check_labels(labels: NDArray[np.generic], classes: int, path: Path) -> NDArray[np.int64]:
    """Raises LabelError for the first label that is no class."""
    numbers = labels.astype(np.int64)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= classes))
    if len(wrong):
        raise LabelError(
            f"{path}, recording {wrong[0]}: label {numbers[wrong[0]]}; 0 .. {classes - 1} are possible"
        )
    return numbers


def _read_nth(paths: list[Path], k: int) -> Events:
    return read_bin(paths[k])
