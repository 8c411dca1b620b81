"""`pyedge train`: a recipe to a trained network, with checkpoints, logs and a picture."""

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
    from pyedge import plots, task, vision
    from pyedge.trainer import evaluate

    plot = plots.wanted(plot, "curve.png", say)
    if vision.is_vision(pyedge.recipe.read_table(recipe)):
        if wearer is not None:
            raise ConfigError(f"--wearer: {recipe} is a recipe for images or events, which nobody wears")
        return _vision(recipe, out, seed, device, resume, plot, json)
    wanted = pyedge.recipe.read(recipe)
    if seed is not None:
        wanted = replace(wanted, seed=seed)
    wanted = replace(wanted, training=_computed_on(device, wanted.training))
    if wearer is not None:
        wanted = replace(wanted, data=replace(wanted.data, wearer=wearer))
    folder = out or Path("runs") / wanted.name
    total = sum(stage.epochs for stage in wanted.stages)
    done: list[dict[str, Any]] = []
    with bar("training", total) as tick:

        def on_epoch(stage: Any, row: dict[str, Any]) -> None:
            done.append(row)
            before = sum(s.epochs for s in wanted.stages[: wanted.stages.index(stage)])
            note = f"{stage.name}: loss {row['loss']:.3f}, accuracy {row['accuracy']:.3f}"
            tick(before + row["epoch"], note)

        def on_side(stage: Any, side: Any) -> None:
            say(f"{stage.name}: {len(side.labels):,} windows, {stage.epochs} epochs of {stage.batch} a batch")

        try:
            trained = task.train(wanted, folder, resume, on_epoch, on_side)
        except RecipeError as error:
            raise RecipeError(f"{recipe}: {error}") from error
        except KeyboardInterrupt:
            say(f"interrupted after {len(done)} epochs; the same command with --resume goes on")
            raise SystemExit(130) from None
    history = task.read_log(folder)
    side = task.open_task(trained.recipe, trained.encoder).new()[1]
    test = evaluate(trained.network, trained.params, task.inputs_of(trained.encoder, side.rows), side.labels)
    report = {
        "run": str(folder),
        "model": str(folder / "model.npz"),
        "wearer": trained.wearer,
        "seed": wanted.seed,
        "epochs": len(history),
        "seconds": round(sum(row["seconds"] for row in history), 2),
        "train_accuracy": history[-1]["accuracy"],
        "firing_rates": history[-1]["rates"],
        "test_accuracy": test.accuracy,
    }
    write_json(folder / "report.json", report)
    if plot:
        from pyedge.plots import training_curve

        training_curve(history, folder / "curve.png")
    if json:
        return emit(report)
    print(
        f"{folder / 'model.npz'}: accuracy {report['train_accuracy']:.3f} in training, "
        f"{report['test_accuracy']:.3f} on the unseen session, without any learning on it\n"
        f"\npyedge quantize {folder} makes an image for a board of it."
    )
    return None


def _computed_on(device: str | None, training: Any) -> Any:
    """A recipe's training table, computed by torch on that device where one is named."""
    return training if device is None else replace(training, backend=f"torch:{device}")


def _vision(
    recipe: Path,
    out: Path | None,
    seed: int | None,
    device: str | None,
    resume: bool,
    plot: bool,
    json: bool,
) -> None:
    """Training on images or events; tested once, at the end, on the data set's own test part."""
    from pyedge import vision

    wanted = vision.read(recipe)
    if seed is not None:
        wanted = replace(wanted, seed=seed)
    wanted = replace(wanted, training=_computed_on(device, wanted.training))
    folder = out or Path("runs") / wanted.name
    with bar("training", wanted.training.epochs) as tick:

        def on_epoch(row: dict[str, Any]) -> None:
            tick(row["epoch"], f"loss {row['loss']:.3f}, accuracy {row['accuracy']:.3f}")

        try:
            trained = vision.train(wanted, folder, resume, on_epoch)
        except RecipeError as error:
            raise RecipeError(f"{recipe}: {error}") from error
        except KeyboardInterrupt:
            say("interrupted; the same command with --resume goes on")
            raise SystemExit(130) from None
    report = {
        "run": str(folder),
        "model": str(folder / "model.npz"),
        "seed": wanted.seed,
        "epochs": len(trained.history),
        "seconds": round(sum(row["seconds"] for row in trained.history), 2),
        "train_accuracy": trained.history[-1]["accuracy"],
        "firing_rates": trained.history[-1]["rates"],
        "test_accuracy": trained.test.accuracy,
        "test_samples": len(trained.test.scores),
    }
    write_json(folder / "report.json", report)
    if plot:
        from pyedge.plots import training_curve

        training_curve(trained.history, folder / "curve.png")
    if json:
        return emit(report)
    print(
        f"{folder / 'model.npz'}: accuracy {report['train_accuracy']:.4f} in the last epoch's training, "
        f"{report['test_accuracy']:.4f} on {report['test_samples']:,} test samples\n"
        f"\npyedge quantize {folder} makes an image for a board of it."
    )
    return None
