"""Any number at any key of a recipe is refused by the key's name, or trains (about a minute)."""

from dataclasses import fields, is_dataclass, replace
from functools import cache
from math import inf, nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args, get_type_hints
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyedge import datasets, task, trainer, vision
from pyedge.datasets.catalog import Samples, Side, describe
from pyedge.datasets.images import Images
from pyedge.errors import PyEdgeError, RecipeError, TrainingError
from pyedge.recipe import MOST, Recipe, Stage, build
from pyedge.vision import VisionRecipe

VALUES = (0, -1, 1, 255, 1e-30, 0.5, MOST, float(MOST), 10**30, 1e30, nan, inf, -inf, "3", True, [0], [nan])

EMG: tuple[dict[str, Any], ...] = (
    {"encoder": {"hop": 5}},
    {
        "encoder": {"kind": "delta"},
        "network": {"neuron": "IF", "readout": "spiking"},
        "training": {"rule": "std_ed", "loss": "enhanced_spike_count", "optimizer": "sgd"},
    },
    {"cut": {"trials": "whole"}, "encoder": {"kind": "log_spikes", "levels": 4}},
)
VISION: tuple[dict[str, Any], ...] = (
    {"samples": {"augment": "crop_flip_cutout"}},
    {"network": {"initial_spikes": 1.0}, "training": {"method": "alpha", "optimizer": "sgd"}},
    {"samples": {"validation": 0.2}, "training": {"keep": "best", "activity": 0.1}},
)


def numbers(kind: Any) -> list[tuple[str, str, bool]]:
    """(table, key, whether it is a list) of every key with numbers."""
    found = []
    for table in fields(kind):
        inner = Stage if table.name == "stages" else type(table.default)
        for name, hint in get_type_hints(inner).items() if is_dataclass(inner) else ():
            if {int, float} & {hint, *get_args(hint)}:
                found.append((table.name, name, tuple in (hint, getattr(hint, "__origin__", None))))
    return found


def changed(base: dict[str, Any], table: str, values: dict[str, Any]) -> dict[str, Any]:
    return {**base, table: {**base.get(table, {}), **values}}


def few(network: Any, config: Any, train: Any, validation: Any = None, **how: Any) -> Any:
    """`fit`, on few samples and for one epoch."""
    x, y = train
    axis = trainer.sample_axis(network)
    some = x.take(range(min(20, len(y))), axis), y[:20]
    return trainer.fit(network, replace(config, epochs=1, patience=None), some, validation, **how)


@cache
def emg() -> datasets.EmgData:
    data = datasets.load("myo_wrist_embedded", [datasets.describe("myo_wrist_embedded").subjects[0]])
    return replace(data, recordings=tuple(replace(r, trials=r.trials[::2]) for r in data.recordings))


def images() -> Samples:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 10
    sides = [Side(Images(rng.integers(0, 255, (40, 1, 28, 28)).astype(np.uint8), (0.2,), (0.3,)), y)] * 3
    return Samples(describe("fashion_mnist"), *sides)


def outcome(recipe: Any) -> None:
    with (
        TemporaryDirectory() as folder,
        patch("pyedge.task.load", lambda *_: emg()),
        patch("pyedge.vision.load", lambda *_, **__: images()),
        patch("pyedge.task.fit", few),
        patch("pyedge.vision.fit", few),
    ):
        (task if isinstance(recipe, Recipe) else vision).train(recipe, Path(folder))


def named_or_trains(kind: Any, table: dict[str, Any], key: str, value: Any) -> None:
    try:
        outcome(build(kind, table, "file.toml"))
    except TrainingError as error:  # diverged
        assert value in (MOST, 255), error
    except PyEdgeError as error:
        shown = {str(v) for v in (value, *(value if isinstance(value, list) else ()))}
        shown |= {str(float(v)) for v in shown if v.lstrip("-").isdigit()}
        shown.add("initial_spikes: not with")  # whichever of those keys it was
        assert key in str(error) and any(v in str(error) for v in shown), error


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None)
@given(st.sampled_from(EMG), st.sampled_from(numbers(Recipe)), st.sampled_from(VALUES))
def test_a_number_of_an_emg_recipe(base: dict[str, Any], at: tuple[str, str, bool], value: Any) -> None:
    table, key, many = at
    wanted = {"cut": {"stride": 100}, "network": {"hidden": [3]}, **base}
    stage = {"people": "wearer", "sessions": [1], "batch": 8}
    value = [value] if many and not isinstance(value, list) else value
    if table == "stages":
        stage[key] = value
    else:
        wanted = changed(wanted, table, {key: value})
    named_or_trains(Recipe, {**wanted, "stages": [stage]}, key, value)


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None)
@given(st.sampled_from(VISION), st.sampled_from(numbers(VisionRecipe)), st.sampled_from(VALUES))
def test_a_number_of_an_image_recipe(base: dict[str, Any], at: tuple[str, str, bool], value: Any) -> None:
    table, key, many = at
    network = {"layers": "2C5s4-P2", "steps": 2, **base.get("network", {})}
    wanted = {"samples": {}, **base, "network": network}
    value = [value] if many and not isinstance(value, list) else value
    named_or_trains(VisionRecipe, changed(wanted, table, {key: value}), key, value)


def test_every_key_with_numbers_says_what_is_allowed() -> None:
    for kind in (Recipe, VisionRecipe):
        tables = {f.name: Stage if f.name == "stages" else type(f.default) for f in fields(kind)}
        for table, key, _ in numbers(kind):
            allowed = next(f for f in fields(tables[table]) if f.name == key).metadata
            assert (allowed["low"] is None) != (allowed["above"] is None), (table, key)


def test_the_network_s_constants_are_named_as_the_recipe_has_them() -> None:
    """They were refused in the network's words, "input scale is 0"."""
    for key in ("input_scale", "theta0", "tau"):
        with pytest.raises(RecipeError, match=rf"^file: network\.{key}: 0\.0; above 0"):
            build(Recipe, {"network": {key: 0}}, "file")
