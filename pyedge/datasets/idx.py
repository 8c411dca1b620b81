"""The IDX format of MNIST and Fashion-MNIST: a big-endian header, then unsigned bytes."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedFileError, FileKindError, LabelError, ShapeError, TruncatedFileError

_UNSIGNED_BYTES = 0x08
_GZIP = b"\x1f\x8b"


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes, packed with gzip or not.

    The header is two zero bytes, the type, the number of dimensions, and each dimension as a 32-bit integer.
    Raises DamagedFileError, and of these FileKindError (another magic number) and TruncatedFileError.
    """
    data = _content(path)
    if len(data) < 4:
        raise TruncatedFileError(f"{path}: ends at byte {len(data)}, inside the magic number; fetch it again")
    zero, kind, found = struct.unpack_from(">HBB", data)
    if zero or kind != _UNSIGNED_BYTES or found != dimensions:
        raise FileKindError(
            f"{path}, byte 0: magic number {int.from_bytes(data[:4], 'big')}, where an IDX file of "
            f"{dimensions} dimension(s) of bytes has {_UNSIGNED_BYTES << 8 | dimensions}"
        )
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise TruncatedFileError(f"{path}: ends at byte {len(data)}, inside the header; fetch it again")
    shape = struct.unpack_from(f">{dimensions}I", data, 4)
    need = start + math.prod(shape)
    if len(data) != need:
        error = TruncatedFileError if len(data) < need else DamagedFileError
        raise error(f"{path}: ends at byte {len(data)}; {need} bytes hold {shape}; fetch it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read_idx_pair(images: Path, labels: Path, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(N, 1, H, W) images and (N,) labels. Raises what read_idx raises, ShapeError and LabelError."""
    pixels, numbers = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(numbers):
        raise ShapeError(f"{labels}: {len(numbers)} labels for the {len(pixels)} images of {images.name}")
    wrong = np.flatnonzero(numbers >= classes)
    if len(wrong):
        raise LabelError(
            f"{labels}, byte {8 + wrong[0]}: label {numbers[wrong[0]]}; 0 .. {classes - 1} are possible"
        )
    return pixels[:, None], numbers.astype(np.int64)


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == _GZIP else data
    except (OSError, EOFError, zlib.error) as cause:
        error = TruncatedFileError if isinstance(cause, EOFError) else DamagedFileError
        raise error(f"{path} cannot be read ({cause}); fetch it again") from cause
