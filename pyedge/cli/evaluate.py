"""`pyedge eval`: accuracy of a model in float, in integers, in C, or on a board."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pyedge.cli.connect import BoardName, Port, connected, runs_on
from pyedge.cli.console import Json, bar, emit, table


class On(StrEnum):
    """Where a model runs."""

    float = "float"
    reference = "reference"
    host = "host"
    board = "board"


class Windows(StrEnum):
    """Which windows."""

    old = "old"
    new = "new"
    test = "test"


def register(app: typer.Typer) -> None:
    app.command("eval")(evaluate)


def evaluate(
    model: Annotated[Path, typer.Argument(help="A run's folder, model.npz, or an image (.edge).")],
    on: Annotated[
        On | None,
        typer.Option(
            help="Default: board where one is named, else float for a trained model, host for an image."
        ),
    ] = None,
    windows: Annotated[
        Windows,
        typer.Option(
            help="old: the old sessions; new: the new session's first repetitions; "
            "test: its unseen remainder."
        ),
    ] = Windows.test,
    board: BoardName = None,
    port: Port = None,
    limit: Annotated[int | None, typer.Option(help="At most so many windows, spread evenly.", min=1)] = None,
    json: Json = False,
) -> None:
    """Print accuracy, balanced accuracy and the confusion matrix.

    The data are those of the model's recipe: nothing it was trained on is in `test`.

    Models of images and events are tested on their test data; boards do not take those.

    Example: `pyedge eval runs/wrist`, `pyedge eval runs/wrist/model.edge --on reference --json`.
    """
    from pyedge.evaluation import Outcome
    from pyedge.files import is_image
    from pyedge.predict import c_predictor, open_any
    from pyedge.vision_integers import is_trained_vision

    otherwise = On.host if is_image(model) else On.float
    where = On(runs_on(on, board, port, otherwise))
    if is_trained_vision(model):
        return _evaluate_vision(model, where, windows, limit, json)
    opened = open_any(model)
    task = opened.task()
    side = task.old() if windows == Windows.old else task.new()[0 if windows == Windows.new else 1]
    side = spread(side, limit)
    with bar(f"{windows.value} windows", len(side.labels)) as tick:
        if where == On.board:
            integers, blob = opened.whole_image()
            with connected(board, port) as found:
                found.deploy(blob)
                assert integers.encoder is not None  # the task has it
                predicted = c_predictor(integers.encoder, found.infer)(side.rows, tick)
        else:
            predicted = opened.predictor(where.value)(side.rows, tick)
    outcome = Outcome(side.labels, predicted, task.classes)
    people = sorted({r.subject for r in side.windows.recordings})
    return _say(model, where, windows, outcome, people, json)


def _evaluate_vision(model: Path, where: On, windows: Windows, limit: int | None, json: bool) -> None:
    from pyedge.errors import ConfigError
    from pyedge.vision_integers import tested

    if windows != Windows.test:
        raise ConfigError(f"--windows {windows.value} is for recordings; images and events have `test`")
    with bar("test data", 1.0) as tick:
        outcome = tested(model, where.value, limit, tick)
    return _say(model, where, windows, outcome, [], json)


def _say(model: Path, where: On, windows: Windows, outcome: Any, people: list[str], json: bool) -> None:
    count = len(outcome.labels)
    result = {
        "model": str(model),
        "on": where.value,
        "windows": windows.value,
        "count": count,
        "people": people,
        "accuracy": outcome.accuracy,
        "balanced_accuracy": outcome.balanced_accuracy,
        "recall": outcome.recall,
        "classes": list(outcome.classes),
        "confusion": outcome.confusion,
    }
    if json:
        return emit(result)
    whose = f" of {', '.join(people)}" if people else ""
    print(f"{model}, {where.value}, {count:,} {windows.value} windows{whose}")
    print(f"accuracy {outcome.accuracy:.4f}   balanced accuracy {outcome.balanced_accuracy:.4f}\n")
    print(confusion_text(outcome))
    return None


def spread(side: Any, limit: int | None) -> Any:
    """At most `limit` of the windows, evenly spread."""
    import numpy as np

    if limit is None or limit >= len(side.labels):
        return side
    pick = np.linspace(0, len(side.labels) - 1, limit).round().astype(int)
    return side._replace(rows=side.rows[pick], labels=side.labels[pick], windows=side.windows.take(pick))


def confusion_text(outcome: Any) -> str:
    """The confusion matrix, one row a true class."""
    rows = [
        (f"{c} {name}", *(int(n) for n in outcome.confusion[c]), "-" if recall is None else f"{recall:.3f}")
        for c, (name, recall) in enumerate(zip(outcome.classes, outcome.recall, strict=True))
    ]
    return table(("true \\ predicted", *(str(c) for c in range(len(outcome.classes))), "recall"), rows)
