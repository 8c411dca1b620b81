"""Opening .npz files whose arrays are known by name."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedFileError, FileKindError, ShapeError


def read_npz(path: Path, names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
    """The named arrays of an .npz file. Raises DamagedFileError, FileKindError where one is missing."""
    try:
        with np.load(path, allow_pickle=False) as file:
            absent = [name for name in names if name not in file.files]
            if absent:
                raise FileKindError(f"{path}: array {absent[0]!r} is missing; not a file of this data set")
            return {name: file[name] for name in names}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, AttributeError) as cause:
        raise DamagedFileError(f"{path} cannot be read ({cause}); fetch it again") from cause


def check_columns(arrays: Mapping[str, NDArray[Any]], names: Sequence[str], where: str) -> None:
    """Raises ShapeError for an array that is no column of whole numbers."""
    for name in names:
        if arrays[name].ndim != 1 or arrays[name].dtype.kind not in "iub":
            raise ShapeError(
                f"{where}: array {name!r} is {arrays[name].dtype} of shape {arrays[name].shape}; "
                "integers in one dimension are needed"
            )
