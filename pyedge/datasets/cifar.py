"""CIFAR-10 and CIFAR-100: the published pickles and binary files, and two .npz forms of CIFAR-10."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DamagedFileError, FileKindError, LabelError, ShapeError, TruncatedFileError
from .arrays import check_columns

Images = NDArray[np.uint8]  # (N, 3, 32, 32), RGB
Labels = NDArray[np.int64]  # (N,)

PIXELS = 3 * 32 * 32

# What the pickle of an array refers to: the names of the NumPy that wrote the published files, or newer.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
}


class _ArraysOnly(pickle.Unpickler):
    """Unpickles dictionaries, lists, numbers, bytes and arrays; nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise FileKindError(f"asks for {module}.{name}")
        return _ALLOWED[module, name]


def read_pickle(path: Path, label_key: bytes, classes: int) -> tuple[Images, Labels]:
    """Images and labels of one published Python file (`data_batch_1`, `train`, ...); none of its code is run.

    label_key : b"labels" (CIFAR-10), b"fine_labels" or b"coarse_labels" (CIFAR-100).
    Raises DamagedFileError, and of these FileKindError and TruncatedFileError; ShapeError, LabelError.
    """
    data = _bytes(path)
    try:
        content = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
    except FileKindError as cause:
        raise FileKindError(f"{path}: the pickle {cause}, which image files have no use for") from None
    except EOFError as cause:
        raise TruncatedFileError(f"{path}: ends at byte {len(data)}, inside the pickle ({cause})") from cause
    except Exception as cause:  # a damaged pickle can raise nearly anything
        error = TruncatedFileError if "truncated" in str(cause) else FileKindError
        raise error(f"{path}, {len(data)} bytes, is no whole pickle ({cause}); fetch it again") from cause
    if not isinstance(content, dict) or b"data" not in content or label_key not in content:
        raise FileKindError(f"{path}: holds no {b'data'!r} and {label_key!r}: not a file of this data set")
    pixels, numbers = content[b"data"], content[label_key]
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (PIXELS,):
        raise ShapeError(f"{path}: images are not bytes of shape (N, {PIXELS})")
    if not isinstance(numbers, list) or not all(isinstance(n, int) for n in numbers):
        raise ShapeError(f"{path}: {label_key!r} is not a list of numbers")
    labels = np.array(numbers, np.int64)
    if len(labels) != len(pixels):
        raise ShapeError(f"{path}: {len(labels)} labels for {len(pixels)} images")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise LabelError(
            f"{path}, image {wrong[0]}: label {labels[wrong[0]]}; 0 .. {classes - 1} are possible"
        )
    return pixels.reshape(-1, 3, 32, 32), labels


def read_binary(path: Path, label_bytes: int, label_at: int, classes: int) -> tuple[Images, Labels]:
    """Images and labels of one published binary file: rows of label bytes and 3072 bytes of pixels.

    label_bytes : 1 (CIFAR-10) or 2 (CIFAR-100: coarse, then fine). label_at : which of them is read.
    Raises TruncatedFileError, LabelError, DamagedFileError.
    """
    data = _bytes(path)
    row = label_bytes + PIXELS
    if not data or len(data) % row:
        raise TruncatedFileError(
            f"{path}: {len(data)} bytes are no whole number of images of {row} bytes; "
            f"the last begins at byte {len(data) // row * row}"
        )
    rows = np.frombuffer(data, np.uint8).reshape(-1, row)
    labels = rows[:, label_at].astype(np.int64)
    wrong = np.flatnonzero(labels >= classes)
    if len(wrong):
        raise LabelError(
            f"{path}, byte {wrong[0] * row + label_at}: label {labels[wrong[0]]}; "
            f"0 .. {classes - 1} are possible"
        )
    return np.ascontiguousarray(rows[:, label_bytes:]).reshape(-1, 3, 32, 32), labels


def read_exact(arrays: Mapping[str, NDArray[Any]], part: str, where: str) -> tuple[Images, Labels]:
    """One part ("train" or "test") of the exact subset. Raises ShapeError, LabelError."""
    check_columns(arrays, (f"{part}_y",), where)
    pixels, labels = arrays[f"{part}_x"], arrays[f"{part}_y"]
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (32, 32, 3) or labels.shape != pixels.shape[:1]:
        raise ShapeError(
            f"{where}: {part}_x is {pixels.dtype} of shape {pixels.shape}, for {labels.shape} labels"
        )
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), _checked(labels, where)


def read_jpegs(
    arrays: Mapping[str, NDArray[Any]], where: str, which: slice = slice(None)
) -> tuple[Images, Labels]:
    """Decoded images (N, 3, 32, 32) and labels of a file of JPEG images laid end to end.

    which : the images to decode; about 0.1 ms each.
    Raises ShapeError, LabelError, DamagedFileError; ConfigError without Pillow.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ConfigError("JPEG images need Pillow: pip install 'pyedge[images]'") from None
    check_columns(arrays, ("data", "offset", "label"), where)
    data, offset, label = arrays["data"], arrays["offset"], arrays["label"]
    if data.dtype != np.uint8:
        raise ShapeError(f"{where}: array 'data' is {data.dtype}; bytes are needed")
    if len(offset) != len(label) + 1 or (np.diff(offset) <= 0).any() or offset[0] < 0:
        raise ShapeError(
            f"{where}: {len(offset)} offsets for {len(label)} images, or offsets that do not grow"
        )
    if offset[-1] > len(data):
        raise TruncatedFileError(f"{where}: images end at byte {offset[-1]}, the data at byte {len(data)}")
    labels = _checked(label, where)
    numbers = range(*which.indices(len(label)))
    images = np.empty((len(numbers), 3, 32, 32), np.uint8)
    for row, k in enumerate(numbers):
        begin, end = int(offset[k]), int(offset[k + 1])
        try:
            with Image.open(io.BytesIO(data[begin:end].tobytes()), formats=("JPEG",)) as image:
                pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as cause:
            raise DamagedFileError(f"{where}, image {k}, bytes {begin} .. {end - 1}: {cause}") from cause
        if pixels.shape != (32, 32, 3):
            raise ShapeError(f"{where}, image {k}: {pixels.shape[1]} x {pixels.shape[0]} pixels, not 32 x 32")
        images[row] = pixels.transpose(2, 0, 1)
    return images, labels[which]


def _checked(labels: NDArray[Any], where: str) -> Labels:
    wrong = np.flatnonzero((labels < 0) | (labels > 9))
    if len(wrong):
        raise LabelError(f"{where}, image {wrong[0]}: label {labels[wrong[0]]}; 0 .. 9 are possible")
    return labels.astype(np.int64)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise DamagedFileError(f"{path} cannot be read ({cause}); fetch it again") from cause
