"""`pyedge adapt`: a model learns from the wearer's new session, and is judged on the rest of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pyedge.cli.connect import BoardName, Port, connected, runs_on
from pyedge.cli.console import Json, bar, emit, table


class On(StrEnum):
    """Where the model learns."""

    reference = "reference"
    host = "host"
    board = "board"


class Align(StrEnum):
    """Whether the armband's turn is fitted first."""

    fit = "fit"
    none = "none"


def register(app: typer.Typer) -> None:
    app.command("adapt")(adapt)


def adapt(
    model: Annotated[Path, typer.Argument(help="A model image (.edge) that `pyedge quantize` wrote.")],
    on: Annotated[
        On | None,
        typer.Option(
            help="Where it learns: the same bits everywhere. Default: board where one is named, else host."
        ),
    ] = None,
    board: BoardName = None,
    port: Port = None,
    repetitions: Annotated[
        int | None, typer.Option(help="Labelled repetitions of each gesture; default: the recipe's.", min=1)
    ] = None,
    passes: Annotated[int | None, typer.Option(help="Times that each new window is learned.", min=0)] = None,
    remembered: Annotated[
        float | None, typer.Option(help="Windows of old sessions learned for each new one.", min=0)
    ] = None,
    align: Annotated[
        Align | None, typer.Option(help="Fit the armband's turn to the new windows first.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order in which windows are learned.", min=0)] = 0,
    state: Annotated[
        Path | None,
        typer.Option(help="Write what was learned (docs/image.md, section 6); not with reference."),
    ] = None,
    floats: Annotated[
        Path | None,
        typer.Option(help="Write the float model with what was learned; model.npz lies beside the image."),
    ] = None,
    commit: Annotated[bool, typer.Option("--commit", help="With --on board: keep it there.")] = False,
    json: Json = False,
) -> None:
    """Let a model learn from a few labelled gestures of the wearer's new session.

    A board gets the raw EMG of the first repetitions with their labels, and some windows of old sessions to
    remember; it encodes, keeps and learns by itself. Accuracy is that on the rest of the new session, which
    nothing was trained on. The hash is that of the learned weights: equal on host and board.

    Example: `pyedge adapt runs/wrist/model.edge --on board --board mps2-an386 --passes 5`.
    """
    from pyedge import task
    from pyedge.adapt import Policy
    from pyedge.checkpoint import check_writable, write_atomically
    from pyedge.errors import ConfigError
    from pyedge.files import check_apart, run_files
    from pyedge.predict import open_any
    from pyedge.quant.quantizer import dequantize
    from pyedge.wearer import lessons_of, study

    on = On(runs_on(on, board, port, On.host))
    if state is not None and on == On.reference:
        raise ConfigError("--state is written on host or board; the reference keeps arrays only")
    if commit and on != On.board:
        raise ConfigError("--commit keeps what a board has learned; it needs --on board")
    given: dict[str, Any] = {
        "passes": passes,
        "remembered": remembered,
        "align": align and align.value,
        "seed": seed,
    }
    policy = Policy(**{k: v for k, v in given.items() if v is not None})
    opened = open_any(model)
    integers, blob = opened.whole_image()
    trained = None if floats is None else task.open_trained(model.absolute().parent)
    check_apart((state, floats), (model, *run_files(model.absolute().parent)))
    for file in (state, floats):  # before minutes of learning that could not be written
        if file is not None:
            check_writable(file)
    lessons = lessons_of(opened.task(), policy, repetitions)
    with student(on, integers, blob, board, port) as learner, bar(learner.name, 1) as tick:
        found = study(learner, lessons, policy, lambda what, share: tick(share, what))
        result = {"model": str(model), "on": on.value, **_figures(learner, lessons, found)}
        if on != On.reference:
            result["weights_hash"] = learner.hash()
        if state is not None:
            saved = learner.board.state() if on == On.board else learner.learner.net.save()
            write_atomically(state, lambda file: file.write(saved))
            result["state"] = str(state)
        if floats is not None:
            assert trained is not None
            params = dequantize(trained.network, trained.params, integers, learner.weights())
            task.save(floats, trained._replace(params=params))
            result["floats"] = str(floats)
        if commit:
            result["committed"] = learner.board.commit()
    if json:
        return emit(result)
    print(_text(result, lessons.classes))
    return None


def _figures(learner: Any, lessons: Any, found: Any) -> dict[str, Any]:
    """What learning did."""
    alignment = learner.alignment()
    return {
        "name": learner.name,
        "repetitions": lessons.repetitions,
        "windows_new": len(lessons.new.labels),
        "windows_remembered": len(lessons.old.labels),
        "windows_test": len(lessons.test.labels),
        "updates": found.updates,
        "accuracy_before": found.before.accuracy,
        "accuracy_after": found.after.accuracy,
        "recall_before": found.before.recall,
        "recall_after": found.after.recall,
        "weights_changed": found.changed,
        "rotation": alignment.rotation,
        "gains": list(alignment.gains),
    }


def _text(result: dict[str, Any], classes: Sequence[str]) -> str:
    """The result, to read."""
    rows = zip(classes, result["recall_before"], result["recall_after"], strict=True)
    shown = [(c, before, after) for c, before, after in rows if before is not None and after is not None]
    lines = [
        table(("gesture", "before", "after"), shown),
        "",
        f"accuracy {result['accuracy_before']:.3f} before, {result['accuracy_after']:.3f} after "
        f"{result['updates']:,} updates on {result['name']}; "
        f"{result['weights_changed']:.1%} of the weights changed",
    ]
    if "weights_hash" in result:
        lines.append(f"learned weights {result['weights_hash']}")
    return "\n".join(lines)


@contextmanager
def student(on: On, integers: Any, blob: bytes, board: str | None, port: str | None) -> Iterator[Any]:
    """The model where it learns."""
    from pyedge.errors import ConfigError
    from pyedge.wearer import BoardStudent, HostStudent, ReferenceStudent

    if integers.lowest_learning is None:
        raise ConfigError("no layer of this image learns; write one with `pyedge quantize RUN --learn all`")
    if on == On.reference:
        yield ReferenceStudent(integers)
    elif on == On.host:
        yield HostStudent(blob)
    else:
        with connected(board, port) as found:
            yield BoardStudent(found, blob, integers.encoder)
