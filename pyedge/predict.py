"""Predictions of a model wherever it runs: float, the integer reference, C on the host, a board."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyedge.encode import Alignment, EncoderConfig, Rows, encode
from pyedge.errors import ConfigError
from pyedge.files import is_image, read_image
from pyedge.quant import reference
from pyedge.quant.model import IntegerModel
from pyedge.recipe import Recipe, is_vision_recipe, parse
from pyedge.task import Task, Trained, inputs_of, open_task, open_trained

Tick = Callable[[float], None]
Predict = Callable[
    [Rows, Tick], NDArray[np.int64]
]  # rows before alignment, (n, rows, row_values) -> classes, (n,)

BATCH = 256


@dataclass(frozen=True, eq=False)
class Opened:
    """A model as a user named it: trained in float, or an image."""

    path: Path
    trained: Trained | None
    image: bytes | None
    integers: IntegerModel | None

    def recipe(self) -> Recipe:
        """The recipe it was trained by. Raises ConfigError for an image that does not carry one of EMG."""
        if self.trained is not None:
            return self.trained.recipe
        assert self.integers is not None
        metadata = self.integers.metadata or {}
        if "recipe" not in metadata:
            raise ConfigError(
                f"{self.path} does not say what it was trained on; `pyedge quantize` writes images that do"
            )
        if is_vision_recipe(metadata["recipe"]):
            raise ConfigError(f"{self.path} was trained on images or events, which nobody wears")
        return parse(metadata["recipe"], str(self.path))

    def task(self) -> Task:
        """Its data, encoded as it was in training. Raises DataError or ConfigError."""
        if self.trained is not None:
            return open_task(self.trained.recipe, self.trained.encoder)
        recipe = self.recipe()
        assert self.integers is not None
        if self.integers.encoder is None:
            raise ConfigError(f"{self.path} has no encoder: it takes encoded inputs, not recordings")
        return open_task(recipe, self.integers.encoder)

    def predictor(self, where: str) -> Predict:
        """Something that predicts on "float", "reference" or "host". Raises ConfigError where it cannot."""
        if where == "float":
            if self.trained is None:
                raise ConfigError(
                    f"{self.path} is an image: it holds integers; the model.npz of its run is float"
                )
            return float_predictor(self.trained)
        model, blob = self.whole_image()
        if where == "reference":
            return reference_predictor(model)
        from pyedge.runtime import Model, Net

        assert model.encoder is not None
        return c_predictor(model.encoder, Net(Model(blob)).run_window)

    def whole_image(self) -> tuple[IntegerModel, bytes]:
        """The image, as a model and as bytes. Raises ConfigError for a float model."""
        if self.integers is None or self.image is None:
            beside = (self.path if self.path.is_dir() else self.path.parent) / "model.edge"
            what = f"give {beside}" if beside.exists() else f"write one first: pyedge quantize {self.path}"
            raise ConfigError(f"{self.path} is not an image; {what}")
        return self.integers, self.image


def open_any(path: Path) -> Opened:
    """A run's folder, model.npz or image. Raises ImageError, CheckpointError, DataError or ConfigError."""
    if is_image(path):
        integers, blob = read_image(path)
        return Opened(path, None, blob, integers)
    return Opened(path, open_trained(path), None, None)


def float_predictor(trained: Trained) -> Predict:
    """Of the float network, without an alignment."""
    def predict(rows: Rows, tick: Tick) -> NDArray[np.int64]:
        found = []
        for start in range(0, len(rows), BATCH):
            x = inputs_of(trained.encoder, rows[start : start + BATCH])
            found.append(trained.network.predict(trained.params, x))
            tick(start + x.shape[1])
        return np.concatenate(found).astype(np.int64)

    return predict


def reference_predictor(
    model: IntegerModel,
    weights: tuple[NDArray[np.integer], ...] | None = None,
    alignment: Alignment | None = None,
) -> Predict:
    """Of the integer reference; weights (one array a layer) and alignment are the image's where not given."""
    held = weights if weights is not None else reference.fresh(model).weights

    def predict(rows: Rows, tick: Tick) -> NDArray[np.int64]:
        assert model.encoder is not None
        found = np.empty(len(rows), np.int64)
        for n, window in enumerate(encode(model.encoder, rows, alignment)):
            found[n] = reference.predict(model, reference.run_window(model, held, window).scores)[0]
            tick(n + 1)
        return found

    return predict


def c_predictor(
    encoder: EncoderConfig, run_window: Callable[[NDArray[Any]], Any], alignment: Alignment | None = None
) -> Predict:
    """Of a net of the C runtime, here or on a board; run_window gives the Prediction of a coded window."""

    def predict(rows: Rows, tick: Tick) -> NDArray[np.int64]:
        found = np.empty(len(rows), np.int64)
        for n, window in enumerate(encode(encoder, rows, alignment)):
            found[n] = run_window(window).label
            tick(n + 1)
        return found

    return predict
