"""Models and checkpoints on disk: descriptions and arrays in one .npz file, written whole or not at all."""

import errno
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from pyedge.errors import CheckpointError, StorageError
from pyedge.ops import Array

FORMAT = "pyedge-1"
ZIP = b"PK"  # how an .npz begins


def describe(value: Any) -> Any:
    """A frozen description as plain dicts, lists, numbers and strings; a dataclass also tells its class."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__name__} | {
            f.name: describe(getattr(value, f.name)) for f in fields(value)
        }
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(describe(v) for v in value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, partial):
        return (
            {"class": "partial"} | {k: describe(getattr(value, k)) for k in ("func", "args")} | value.keywords
        )
    return getattr(value, "__qualname__", type(value).__qualname__)


def rebuild(description: Any, classes: Mapping[str, type]) -> Any:
    """The inverse of `describe` for the classes given; lists become tuples.

    Raises CheckpointError if a class is not among them, or has other fields here.
    """
    if isinstance(description, list):
        return tuple(rebuild(v, classes) for v in description)
    if not isinstance(description, dict):
        return description
    name = description.get("class", "")
    if name not in classes:
        raise CheckpointError(f"the file uses a class {name!r} that is not known here; pass it in `classes`")
    values = {k: rebuild(v, classes) for k, v in description.items() if k != "class"}
    try:
        return classes[name](**values)
    except TypeError as error:
        raise CheckpointError(f"{name} is of another version of pyedge ({error}); update it") from error


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """'key: old -> new' for every place where two descriptions differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            d
            for i, (a, b) in enumerate(zip(old, new, strict=True))
            for d in differences(a, b, f"{path}[{i}]")
        ]
    return [] if old == new else [f"{path}: {old!r} -> {new!r}"]


def check_writable(path: Path) -> None:
    """Raises StorageError if a file cannot be written there; makes its folder."""
    if path.is_dir():
        raise StorageError(f"could not write {path}: it is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _not_written(path, error) from error


def write_atomically(path: Path, save: Any) -> None:
    """Calls save(file) on a file beside `path`, then puts it in its place; on failure `path` is as before.

    Raises StorageError.
    """
    check_writable(path)
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=path.name + ".", delete=False) as file:
            try:
                save(file)
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o644)  # temporary files are for their owner alone
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> StorageError:
    if isinstance(error, FileExistsError | NotADirectoryError):
        cause = f"{next(p for p in path.parents if p.exists())} is not a folder; choose another place"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        cause = "the disk is full; free some space"
    else:
        cause = f"{error.strerror or error}; choose another place"
    kept = ", and the file that was there is untouched" if path.is_file() else ""
    return StorageError(f"could not write {path}: {cause}{kept}")


def write(path: str | os.PathLike[str], meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """One file of a JSON-able description and named arrays. Raises StorageError."""
    named: dict[str, Any] = {"meta": np.array(json.dumps({"format": FORMAT, **meta}, default=json_form))}
    named |= {name: np.asarray(a) for name, a in arrays.items()}
    write_atomically(Path(path), lambda file: np.savez(file, **named))


def json_form(value: Any) -> Any:
    """Numbers and arrays of NumPy, as JSON has them. Raises TypeError for anything else."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """The description and arrays that `write` wrote. Raises CheckpointError."""
    foreign = CheckpointError(f"{path} is not a pyedge model or checkpoint; `pyedge train` writes them")
    try:
        with open(path, "rb") as file:
            if file.read(len(ZIP)) != ZIP:
                raise foreign
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"checksum of {damaged}")
        with np.load(path, allow_pickle=False) as named:
            arrays = {name: named[name] for name in named.files}
        if "meta" not in arrays:
            raise foreign
        meta = json.loads(str(arrays.pop("meta")))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist") from error
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.strerror:
            raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
        raise CheckpointError(
            f"{path} is not a whole pyedge model or checkpoint ({error}); train or copy it again"
        ) from error
    if meta.get("format") != FORMAT:
        raise CheckpointError(f"{path} has format {meta.get('format')!r}, this version reads {FORMAT!r}")
    return meta, arrays


def group(arrays: Mapping[str, Array], name: str) -> dict[str, Array]:
    """The arrays called "<name>:<key>", by key."""
    return {key[len(name) + 1 :]: value for key, value in arrays.items() if key.startswith(name + ":")}


def grouped(name: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The inverse of `group`."""
    return {f"{name}:{key}": value for key, value in arrays.items()}
