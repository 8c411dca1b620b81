"""The files of a data set: where they lie, which to get, and whether they are the published ones."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import MissingDataError
from .paths import ENVIRONMENT_VARIABLE, data_root

State = Literal["as published", "unchecked", "differs", "missing"]
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """What must be downloaded where files are published packed together."""

    name: str
    size: int | None = None  # bytes
    md5: str = ""

    def __str__(self) -> str:
        known = [f"{self.size} bytes"] if self.size else []
        known += [f"MD5 {self.md5}"] if self.md5 else []
        return f"{self.name} ({', '.join(known)})" if known else self.name


@dataclass(frozen=True)
class File:
    """A file of a data set; a path that ends with / is a folder.

    path        : below the data set's folder.
    content_md5 : of what a .gz file holds, where copies were compressed anew.
    archive     : where the file comes from, if it is not published alone.
    """

    path: str
    size: int | None = None
    md5: str = ""
    content_md5: str = ""
    archive: Archive | None = None

    def present(self, folder: Path) -> bool:
        path = folder / self.path
        return path.is_dir() if self.path.endswith("/") else path.is_file()

    def state(self, folder: Path) -> State:
        """Whether the file is there and is the published one; reads all of it where an MD5 is known."""
        if not self.present(folder):
            return "missing"
        if not (self.md5 or self.content_md5):
            return "unchecked"
        path = folder / self.path
        if self.md5 and _md5(_blocks(path)) == self.md5:
            return "as published"
        if self.content_md5 and path.suffix == ".gz":
            try:
                same = _md5(_unpacked(path)) == self.content_md5
            except (OSError, EOFError, zlib.error):
                same = False
            return "as published" if same else "differs"
        return "differs"


Layout = tuple[File, ...]  # files that together make a data set, or one part of it


def set_folder(folder: str, root: Path | str | None = None) -> Path:
    """Where a set's files belong; without a data folder, its place below $PYEDGE_DATA, or that by name."""
    if root is not None:
        return Path(root) / folder
    try:
        return data_root() / folder
    except MissingDataError:
        return Path(os.environ.get(ENVIRONMENT_VARIABLE) or f"${ENVIRONMENT_VARIABLE}") / folder


def choose(layouts: Sequence[Layout], folder: Path, origin: str) -> Layout:
    """The first layout whose files are all there.

    Raises MissingDataError that names the files of the most complete layout, what to get, and where it goes.
    """
    for layout in layouts:
        if all(file.present(folder) for file in layout):
            return layout
    best = max(layouts, key=lambda layout: sum(file.present(folder) for file in layout))
    raise MissingDataError(missing_text(best, folder, origin))


def missing_text(layout: Layout, folder: Path, origin: str) -> str:
    """Which files are missing, which to get, and where to put them."""
    absent = [file for file in layout if not file.present(folder)]
    first = absent[0]
    names = f"{folder / first.path}{'/' if first.path.endswith('/') else ''}"
    if len(absent) > 1:
        names += f" (and {', '.join(f.path for f in absent[1:])})"
    archives = list(dict.fromkeys(file.archive for file in absent if file.archive))
    if archives:
        what = f"get {', '.join(map(str, archives))} from {origin} and unpack into {folder}"
    else:
        single = Archive(Path(first.path).name, first.size, first.md5)
        # Nobody publishes .npz files: they are conversions, whose arrays docs/data.md lists.
        source = (
            f"converted from {origin} (docs/data.md)" if first.path.endswith(".npz") else f"from {origin}"
        )
        what = f"get {single}, {source}, and put it into {(folder / first.path).parent}"
    return f"{names} is missing: {what}; ${ENVIRONMENT_VARIABLE} names the folder above {folder.name}/"


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _unpacked(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        while block := file.read(_BLOCK):
            yield block


def _md5(blocks: Iterator[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
