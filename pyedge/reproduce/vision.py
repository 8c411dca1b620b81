"""A stage that trains a recipe of images or events: curves on held-out training data, one test at the end."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from pyedge.model import Network
from pyedge.ops import Array, backend
from pyedge.reproduce.study import Stage, Tick
from pyedge.trainer import evaluate, fit, sample_axis
from pyedge.vision import VisionRecipe, config_of, initial, network_of, plain, samples_of


def confusion_of(scores: Array, labels: Array) -> list[list[int]]:
    """Row: the true class; column: the one with the highest score."""
    classes = scores.shape[1]
    flat = np.bincount(labels * classes + scores.argmax(axis=1), minlength=classes**2)
    found: list[list[int]] = flat.reshape(classes, classes).tolist()
    return found


def training(
    recipe: VisionRecipe, checkpoint: Path, tick: Tick, held: int = 0, tests: int = 0
) -> dict[str, Any]:
    """Trains from `checkpoint` on, and tests once.

    held, tests : use only the first so many samples of these parts; 0: all.
    """
    samples, network, config = samples_of(recipe), network_of(recipe), config_of(recipe)
    validation = samples.validation and first(network, samples.validation, held)
    x, y = first(network, samples.test, tests)

    def on_epoch(row: dict[str, Any]) -> None:
        accuracy = row.get("validation_accuracy", row["accuracy"])
        tick(row["epoch"] / config.epochs, f"loss {row['loss']:.3f}, accuracy {accuracy:.3f}")

    fitted = fit(
        network,
        config,
        cast(Any, samples.train),
        validation,
        params=initial(recipe, network, samples.train.x),
        path=checkpoint,
        on_epoch=on_epoch,
    )
    test = evaluate(network, fitted.params, x, y, ops=backend(recipe.training.backend))
    keys = ("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds")
    return {
        "history": [
            {k: row[k] for k in keys if k in row} | {"rates": row["rates"]} for row in fitted.history
        ],
        "confusion": confusion_of(test.scores, y),
        "samples": [len(samples.train.y), len(validation[1]) if validation else 0, len(y)],
        "classes": list(samples.classes),
    }


def first(network: Network, side: Any, count: int) -> tuple[Any, Array]:
    """The first `count` samples; 0: all."""
    x, y = side
    return (x.take(range(count), sample_axis(network)), y[:count]) if 0 < count < len(y) else (x, y)


def stages(
    recipes: Sequence[VisionRecipe], seeds: Sequence[int], held: int = 0, tests: int = 0
) -> list[Stage]:
    """One stage a recipe and seed, named after both; held, tests: see `training`."""
    listed = []
    for seed in seeds:
        for recipe in recipes:
            wanted = replace(recipe, seed=seed)

            def work(file: Path, tick: Tick, wanted: VisionRecipe = wanted) -> Any:
                return training(wanted, file, tick, held, tests)

            listed.append(
                Stage(f"{wanted.name}-{seed}", {**plain(wanted), "held": held, "tests": tests}, work)
            )
    return listed
