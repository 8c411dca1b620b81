"""Accuracy in float and in integers, cross-validated: python tools/cross_validate.py RECIPE [--folds 5].

For data sets of which only few samples are at hand: all of them, the test part among them, are dealt into
folds with as many of every class; each fold is tested once by a network trained on the others from fresh
parameters, and by its integers. Nothing is chosen by what a fold says: the parameters kept are the last.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from pyedge.quant.quantizer import QuantizeConfig
from pyedge.trainer import fit, sample_axis
from pyedge.vision import VisionRecipe, config_of, initial, network_of, read, samples_of
from pyedge.vision_integers import TrainedVision, compare, integers_of


def folds_of(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of every sample: of each class as many in each, but for one."""
    rng, found = np.random.default_rng(seed), np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        found[members] = (np.arange(len(members)) + rng.integers(folds)) % folds
    return found


def cross_validate(recipe: VisionRecipe, folds: int, config: QuantizeConfig) -> dict[str, Any]:
    """Every fold's figures and those of all."""
    samples, network = samples_of(recipe), network_of(recipe)
    axis = sample_axis(network)
    sides = [side for side in (samples.train, samples.validation, samples.test) if side is not None]
    x = np.concatenate([np.asarray(side.x) for side in sides], axis)
    y = np.concatenate([side.y for side in sides])
    fold = folds_of(y, folds, recipe.seed)
    rows = []
    for k in range(folds):
        began = time.monotonic()
        learn, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        mine = cast(Any, (x.take(learn, axis), y[learn]))
        fitted = fit(network, config_of(recipe), mine, params=initial(recipe, network, mine[0]))
        trained = TrainedVision(network, fitted.params, recipe, samples.classes)
        found, unit = integers_of(trained, config, *mine)
        tested = compare(trained, found.model, unit, x.take(test, axis), y[test])
        rows.append({"fold": k, **vars(tested), "seconds": round(time.monotonic() - began)})
        print(f"fold {k}: {tested}", file=sys.stderr, flush=True)
    sizes = np.array([row["samples"] for row in rows])
    pooled = {
        name: float(np.average([row[name] for row in rows], weights=sizes))
        for name in ("accuracy_float", "accuracy_integer", "agreement")
    }
    right = pooled["accuracy_integer"]
    return {
        "recipe": recipe.name,
        "set": recipe.samples.set,
        "network": recipe.network.layers,
        "epochs": recipe.training.epochs,
        "samples": int(sizes.sum()),
        **pooled,
        "half_width": 1.96 * (right * (1 - right) / int(sizes.sum())) ** 0.5,
        "folds": rows,
    }


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--set", default="", help="another data set than the recipe's, such as nmnist_1000")
    parser.add_argument("--epochs", type=int, default=0, help="instead of the recipe's")
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--json", type=Path, help="where the figures go; default: standard output")
    given = parser.parse_args()
    recipe = read(given.recipe)
    if given.set:
        recipe = replace(recipe, samples=replace(recipe.samples, set=given.set))
    if given.epochs:
        recipe = replace(recipe, training=replace(recipe.training, epochs=given.epochs))
    found = cross_validate(recipe, given.folds, QuantizeConfig(learn="last", bits=given.bits))
    text = json.dumps(found, indent=1) + "\n"
    if given.json:
        given.json.write_text(text)
    else:
        print(text, end="")
    print(
        f"{found['samples']} samples: float {found['accuracy_float']:.4f}, integer "
        f"{found['accuracy_integer']:.4f} ± {found['half_width']:.4f}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
