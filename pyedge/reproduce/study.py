"""Studies: experiments in stages whose results are kept; an interrupted study goes on where it stood."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyedge.checkpoint import write_atomically
from pyedge.errors import StorageError

Tick = Callable[[float, str], None]  # share of a stage done, in [0, 1], and a note
Found = dict[str, Any]  # results of stages by name
Picture = tuple[str, Callable[[Path], None]]  # a file's ending (".png"), and what draws it


@dataclass(frozen=True)
class Stage:
    """One piece of work, at most some minutes long.

    settings : all that decides the result, as JSON holds it; a kept result counts for equal settings only.
    work     : (checkpoint file, progress) to the result, which JSON can hold. It may keep a training in the
               file, and goes on from it.
    """

    name: str
    settings: Mapping[str, Any]
    work: Callable[[Path, Tick], Any]


@dataclass(frozen=True)
class Page:
    """What a study writes: a text in Markdown, and pictures, which the text calls NAME-ENDING."""

    text: str
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Study:
    """One of the paper's results.

    stages : whether quick (a short check that everything runs, not a result) to the stages, cheap ones first.
    page   : the results there are, and the command that made them, to the page. Stages may be missing.
    """

    name: str
    title: str
    stages: Callable[[bool], Sequence[Stage]]
    page: Callable[[Found, str], Page]


def run(stages: Sequence[Stage], folder: Path, tick: Callable[[int, float, str], None]) -> None:
    """Does every stage whose result is not kept in `folder`; `tick` is told stage, share done and a note."""
    for number, stage in enumerate(stages):
        tick(number, 0.0, stage.name)
        if kept(stage, folder) is not None:
            continue
        folder.mkdir(parents=True, exist_ok=True)

        def within(share: float, note: str, number: int = number, name: str = stage.name) -> None:
            tick(number, share, f"{name}: {note}")

        result = stage.work(folder / f"{stage.name}.npz", within)
        stated = json.dumps({"settings": plain(stage.settings), "result": plain(result)})
        write_text(_file(stage, folder), stated)
    tick(len(stages), 0.0, "")


def found(stages: Sequence[Stage], folder: Path) -> Found:
    """The results that are kept in `folder`, by stage."""
    pairs = ((stage.name, kept(stage, folder)) for stage in stages)
    return {name: value for name, value in pairs if value is not None}


def kept(stage: Stage, folder: Path) -> Any:
    """A stage's result in `folder`, or None where there is none for these settings. Raises StorageError."""
    file = _file(stage, folder)
    try:
        held = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError(f"{file} cannot be read ({error}); delete it, and the stage runs again") from error
    return held["result"] if held.get("settings") == plain(stage.settings) else None


def plain(value: Any) -> Any:
    """The value as it comes back from JSON; floats are kept to six significant digits."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def write_text(path: Path, text: str) -> None:
    """The text, whole or not at all. Raises StorageError."""
    write_atomically(path, lambda out: out.write(text.encode()))


def _file(stage: Stage, folder: Path) -> Path:
    return folder / f"{stage.name}.json"
