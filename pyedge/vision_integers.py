"""Trained image and event networks in integers, and what that costs on their test data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from pyedge import image, runtime
from pyedge.errors import CheckpointError, ConfigError
from pyedge.evaluation import Outcome
from pyedge.files import is_image, read_image, trained_file
from pyedge.model import Network, Params, load_model
from pyedge.ops import Array, backend
from pyedge.quant import reference
from pyedge.quant.model import IntegerModel, Integers
from pyedge.quant.quantizer import QuantizeConfig, Quantized, flat, quantize
from pyedge.recipe import build, is_vision_recipe, plain
from pyedge.trainer import evaluate, sample_axis
from pyedge.vision import VisionRecipe, config_of, network_of, samples_of

BATCH = 50  # test windows at a time


class TrainedVision(NamedTuple):
    network: Network
    params: Params
    recipe: VisionRecipe
    classes: tuple[str, ...]


@dataclass(frozen=True)
class TestReport:
    """Accuracy on test data, float beside integer."""

    samples: int
    accuracy_float: float
    accuracy_integer: float
    agreement: float  # share of samples of which both say the same
    half_width: float  # of the integer accuracy's 95 % confidence interval (normal approximation)

    def __str__(self) -> str:
        return (
            f"test data, {self.samples} samples: float {self.accuracy_float:.4f}, integer "
            f"{self.accuracy_integer:.4f} ± {self.half_width:.4f}, same answer {self.agreement:.4f}"
        )


def is_trained_vision(path: Path) -> bool:
    """Whether a run's folder, model.npz or image is of a recipe for images or events."""
    if is_image(path):
        return is_vision_recipe((read_image(path)[0].metadata or {}).get("recipe"))
    _, _, extra = load_model(trained_file(path))
    return is_vision_recipe(extra.get("recipe"))


def open_trained(path: Path) -> TrainedVision:
    """What `pyedge.vision.train` wrote. Raises CheckpointError."""
    file = trained_file(path)
    network, params, extra = load_model(file)
    if "samples" not in extra.get("recipe", {}):
        raise CheckpointError(f"{file} was not written by `pyedge train` from a recipe with [samples]")
    recipe = build(VisionRecipe, extra["recipe"], str(file))
    return TrainedVision(network, params, recipe, tuple(extra["classes"]))


def input_unit(network: Network, x: Array) -> float:
    """How many integers make 1 of the data: 1 for spikes and for counts that fit int8, else what fills it."""
    x = np.asarray(x)
    largest = float(np.abs(x).max()) or 1.0
    if network.input.kind == "spikes" or (largest <= 127 and np.array_equal(x, np.rint(x))):
        return 1.0
    return 127 / largest


def in_integers(network: Network, x: Array, unit: float) -> Integers:
    """Data of the network in the unit of `input_unit`; values beyond int8 are clipped."""
    return np.clip(np.rint(np.asarray(x, np.float32) * np.float32(unit)), -128, 127).astype(np.int64)


def integers_of(
    trained: TrainedVision, config: QuantizeConfig, x: Array, y: Array, windows: int = 256
) -> tuple[Quantized, float]:
    """The integer model, calibrated on evenly spaced training samples, and the unit of its input.

    Raises what `pyedge.quant.quantizer.quantize` raises.
    """
    network, params, recipe, classes = trained
    axis = sample_axis(network)
    chosen = np.unique(np.linspace(0, len(y) - 1, min(len(y), windows)).astype(int))
    some = np.asarray(x.take(chosen, axis))
    unit = input_unit(network, some)
    scaled = replace(network.input, scale=network.input.scale * unit)
    training = config_of(recipe)
    found = quantize(
        replace(network, input=scaled),
        params,
        in_integers(network, some, unit),
        y[chosen],
        training.loss,
        training.rule,
        config,
        class_names=classes,
        name=recipe.name[:31],
        metadata={"recipe": plain(recipe), "input_unit": unit},
    )
    return found, unit


def integer_predictions(
    model: IntegerModel,
    network: Network,
    x: Array,
    unit: float,
    tick: Callable[[float], None] | None = None,
    where: str = "host",
) -> Integers:
    """What the integer model says of data of the network, (samples,); where : "host" (C) or "reference"."""
    axis, said = sample_axis(network), []
    net = runtime.Net(runtime.Model(image.write(model)))
    weights = reference.fresh(model).weights
    count = x.shape[axis]
    for start in range(0, count, BATCH):
        some = x[start : start + BATCH] if axis == 0 else x[:, start : start + BATCH]
        windows = flat(network, in_integers(network, some, unit))
        windows = windows if axis == 0 else windows.swapaxes(0, 1)
        if where == "host":
            said += [net.run_window(window).label for window in windows]
        else:
            scores = reference.run_windows(model, weights, windows)
            said += scores[:, : model.classes].argmax(axis=1).tolist()
        if tick:
            tick(min(start + BATCH, count) / count)
    return np.array(said)


def compare(
    trained: TrainedVision,
    model: IntegerModel,
    unit: float,
    x: Array,
    y: Array,
    tick: Callable[[float], None] | None = None,
) -> TestReport:
    """Both on the same test data."""
    ops = backend(trained.recipe.training.backend)
    in_float = evaluate(trained.network, trained.params, x, y, ops=ops).scores.argmax(axis=1)
    said = integer_predictions(model, trained.network, x, unit, tick)
    right = float(np.mean(said == y))
    half = 1.96 * (right * (1 - right) / len(y)) ** 0.5
    return TestReport(
        len(y), float(np.mean(in_float == y)), right, float(np.mean(said == in_float)), float(half)
    )


def tested(
    path: Path, where: str, limit: int | None = None, tick: Callable[[float], None] | None = None
) -> Outcome:
    """Predictions of a run (where "float") or an image ("reference", "host") on its recipe's test data.

    limit : at most so many samples, evenly spread. Raises ConfigError where it does not run, and data errors.
    """
    of_integers = is_image(path)
    if where not in (("reference", "host") if of_integers else ("float",)):
        raise ConfigError(f"{path} does not run on {where}: runs do on float, images on reference and host")
    model = read_image(path)[0] if of_integers else None
    if model is None:
        trained = open_trained(path)
        recipe, network = trained.recipe, trained.network
    else:
        metadata = model.metadata or {}
        unit: Any = metadata.get("input_unit")
        if not isinstance(unit, int | float):
            raise ConfigError(
                f"{path} does not say the unit of its inputs; `pyedge quantize` writes images that do"
            )
        recipe = build(VisionRecipe, metadata["recipe"], str(path))
        network = network_of(recipe)
    samples = samples_of(recipe)
    x, y = samples.test
    chosen = np.unique(np.linspace(0, len(y) - 1, min(len(y), limit or len(y))).astype(int))
    some = np.asarray(cast(Any, x).take(chosen, sample_axis(network)))
    if model is None:
        ops = backend(recipe.training.backend)
        said = evaluate(network, trained.params, some, y[chosen], ops=ops).scores.argmax(axis=1)
    else:
        said = integer_predictions(model, network, some, float(unit), tick, where)
    return Outcome(y[chosen], said, samples.classes)


def quantize_run(
    path: Path,
    changes: Mapping[str, Any],
    test: bool = True,
    tick: Callable[[float], None] | None = None,
) -> tuple[Quantized, TestReport | None]:
    """The integer model of a run's folder, and how it does on the recipe's test data. Raises data errors."""
    trained = open_trained(path)
    samples = samples_of(trained.recipe)
    config = QuantizeConfig(**{"learn": "last", "seed": trained.recipe.seed, **changes})
    found, unit = integers_of(trained, config, cast(Any, samples.train.x), samples.train.y)
    if not test:
        return found, None
    x, y = samples.test
    report = compare(trained, found.model, unit, cast(Any, x), y, tick)
    model = replace(found.model, metadata={**(found.model.metadata or {}), "test": vars(report)})
    return replace(found, model=model), report
