"""`pyedge train`: a recipe to a trained network, with checkpoints, logs and a picture."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from pyedge.cli.console import Json, bar, emit, say, write_json
from pyedge.errors import ConfigError, RecipeError


def register(app: typer.Typer) -> None:
    app.command("train")(train)


def train(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe, such as examples/recipes/wrist.toml (docs/recipes.md).")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default runs/NAME.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.", min=0, max=2**32 - 1)] = None,
    wearer: Annotated[str | None, typer.Option(help="Instead of the recipe's.")] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Compute with torch there: cpu, cuda, cuda:1. Without it, the recipe's backend."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run's checkpoints, to the same bits.")
    ] = False,
    plot: Annotated[
        bool | None,
        typer.Option(help="Draw loss and accuracy (curve.png). Default: where matplotlib is installed."),
    ] = None,
    json: Json = False,
) -> None:
    """Train a network as a recipe says: EMG of people, or (with a [samples] table) images and events.

    The run's folder gets `model.npz`, `log.csv`, `log.json`, `curve.png`, `report.json` and a checkpoint of
    every stage. An interrupted run goes on with `--resume`, and ends as if it had never stopped.

    Example: `pyedge train examples/recipes/wrist.toml --out runs/wrist --seed 1`.
    """
    import pyedge.recipe
    from pyedge import plots, vision

    plot = plots.wanted(plot, "curve.png", say)
    pictured = pyedge.recipe.is_vision_recipe(pyedge.recipe.read_table(recipe))
    if pictured and wearer is not None:
        raise ConfigError(f"--wearer: {recipe} is a recipe for images or events, which nobody wears")
    wanted: Any = vision.read(recipe) if pictured else pyedge.recipe.read(recipe)
    if seed is not None:
        wanted = replace(wanted, seed=seed)
    if device is not None:
        wanted = replace(wanted, training=replace(wanted.training, backend=f"torch:{device}"))
    if wearer is not None:
        wanted = replace(wanted, data=replace(wanted.data, wearer=wearer))
    folder = out or Path("runs") / wanted.name
    trained = 0
    with bar("training", 1) as tick:

        def on_epoch(share: float, note: str) -> None:
            nonlocal trained
            trained += 1
            tick(share, note)

        try:
            learn = _from_samples if pictured else _from_people
            history, found, said = learn(wanted, folder, resume, on_epoch)
        except RecipeError as error:
            raise RecipeError(f"{recipe}: {error}") from error
        except KeyboardInterrupt:
            say(f"interrupted after {trained} epochs; the same command with --resume goes on")
            raise SystemExit(130) from None
    report = {
        "run": str(folder),
        "model": str(folder / "model.npz"),
        "seed": wanted.seed,
        "epochs": len(history),
        "seconds": round(sum(row["seconds"] for row in history), 2),
        "train_accuracy": history[-1]["accuracy"],
        "firing_rates": history[-1]["rates"],
        **found,
    }
    write_json(folder / "report.json", report)
    if plot:
        plots.training_curve(history, folder / "curve.png")
    if json:
        return emit(report)
    print(f"{folder / 'model.npz'}: {said}\n\npyedge quantize {folder} makes an image for a board of it.")
    return None


Learned = tuple[list[dict[str, Any]], dict[str, Any], str]  # epochs, what the report has besides, in words


def _from_people(wanted: Any, folder: Path, resume: bool, on_epoch: Callable[[float, str], None]) -> Learned:
    """Training on EMG, tested on the new session."""
    from pyedge import task
    from pyedge.trainer import evaluate

    total = sum(stage.epochs for stage in wanted.stages)
    begun: list[Any] = []

    def on_side(stage: Any, side: Any) -> None:
        begun.append(stage)
        say(f"{stage.name}: {len(side.labels):,} windows, {stage.epochs} epochs of {stage.batch} a batch")

    def on_row(stage: Any, row: dict[str, Any]) -> None:
        before = sum(s.epochs for s in begun[:-1])
        note = f"{stage.name}: loss {row['loss']:.3f}, accuracy {row['accuracy']:.3f}"
        on_epoch((before + row["epoch"]) / total, note)

    trained = task.train(wanted, folder, resume, on_row, on_side)
    history = task.read_log(folder)
    side = task.open_task(trained.recipe, trained.encoder).new()[1]
    test = evaluate(trained.network, trained.params, task.inputs_of(trained.encoder, side.rows), side.labels)
    said = (
        f"accuracy {history[-1]['accuracy']:.3f} in training, {test.accuracy:.3f} on the unseen session, "
        "without any learning on it"
    )
    return history, {"wearer": trained.wearer, "test_accuracy": test.accuracy}, said


def _from_samples(wanted: Any, folder: Path, resume: bool, on_epoch: Callable[[float, str], None]) -> Learned:
    """Training on images or events; tested once, at the end, on the data set's own test part."""
    from pyedge import vision

    def on_row(row: dict[str, Any]) -> None:
        note = f"loss {row['loss']:.3f}, accuracy {row['accuracy']:.3f}"
        on_epoch(row["epoch"] / wanted.training.epochs, note)

    trained = vision.train(wanted, folder, resume, on_row)
    test, samples = trained.test.accuracy, len(trained.test.scores)
    said = (
        f"accuracy {trained.history[-1]['accuracy']:.4f} in the last epoch's training, "
        f"{test:.4f} on {samples:,} test samples"
    )
    return trained.history, {"test_accuracy": test, "test_samples": samples}, said
