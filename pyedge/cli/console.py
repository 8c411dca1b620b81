"""What every subcommand shares: options, JSON on standard output, tables and progress on standard error."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]

QUIET_S = 10.0  # between lines of progress where standard error is no terminal

errors = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line of progress, on standard error."""
    errors.print(text, markup=False)


def emit(value: Any) -> None:
    """One JSON object on standard output."""
    print(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    from pyedge.checkpoint import json_form

    return str(value) if isinstance(value, Path) else json_form(value)


def write_json(path: Path, value: Any) -> None:
    """The JSON object, to a file. Raises StorageError."""
    from pyedge.checkpoint import write_atomically

    text = json.dumps(value, default=_plain, indent=1) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns aligned with spaces: the first and other texts to the left, numbers to the right."""
    lines = [list(map(str, header)), *([cell(c) for c in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    right = [i > 0 and all(_number(line[i]) for line in lines[1:]) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def cell(value: Any) -> str:
    """A value as people read it."""
    return (
        f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )


def _number(text: str) -> bool:
    return (
        text in ("", "-") or text.replace(",", "").replace(".", "").lstrip("-+").removesuffix("%").isdigit()
    )


class Bar:
    """One line of progress."""

    def __init__(self, progress: Progress, task: Any, title: str) -> None:
        self._progress, self._task, self._title = progress, task, title
        self._said = time.monotonic()

    def __call__(self, done: float, note: str = "") -> None:
        self._progress.update(self._task, completed=done, note=note)
        if not errors.is_terminal and time.monotonic() - self._said > QUIET_S:
            self._said = time.monotonic()
            share = done / (self._progress.tasks[self._task].total or 1)
            say(f"{self._title}: {share:.0%} {note}".rstrip())


@contextmanager
def bar(title: str, total: float) -> Iterator[Bar]:
    """A progress bar on standard error that disappears at its end; where that is no terminal, some lines."""
    columns = (
        TextColumn(title),
        TaskProgressColumn(),
        BarColumn(24),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        yield Bar(progress, progress.add_task(title, total=total, note=""), title)
