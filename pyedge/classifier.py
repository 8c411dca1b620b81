"""A scikit-learn-like estimator over the trainer's pure functions."""

from dataclasses import replace
from typing import Any

import numpy as np

from pyedge.errors import ConfigError, DataError
from pyedge.model import Network
from pyedge.ops import Array
from pyedge.optim import Constant
from pyedge.trainer import (
    Evaluation,
    Run,
    TrainConfig,
    check_config,
    check_data,
    evaluate,
    sample_axis,
    start,
    train_epoch,
)
from pyedge.trainer import fit as trainer_fit


class Classifier:
    """A scikit-learn-like estimator over `fit`: inputs as the network's `Input` says, labels of any kind.

    Inputs are time-first, (T, samples, ...), but for static ones; scikit-learn's splitters do not index them.
    Attributes after fitting: params_, history_, classes_ (the labels in class order).
    """

    def __init__(self, network: Network, config: TrainConfig | None = None) -> None:
        self.network = network
        self.config = config or TrainConfig()
        self._run: Run | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, as scikit-learn's `clone` takes them."""
        return {"network": self.network, "config": self.config}

    def set_params(self, **params: Any) -> "Classifier":
        """Other arguments; what was fitted stays. Raises ConfigError for an unknown name."""
        for name, value in params.items():
            if name not in ("network", "config"):
                raise ConfigError(f"a Classifier has no parameter {name!r}; it has network and config")
            setattr(self, name, value)
        return self

    def fit(
        self, x: Array, y: Any, validation: tuple[Array, Any] | None = None, progress: bool = False
    ) -> "Classifier":
        """Trains from fresh parameters.

        x          : as `Input` says, (T, samples, ...), or (samples, ...) if static; real numbers.
        y          : labels of any kind that can be sorted, (samples,).
        validation : x and y of held-out samples, watched every epoch.
        Raises DataError, ConfigError or TrainingError.
        """
        x = _array(x)
        check_data(self.network, x)
        self._set_classes(np.unique(_labels(y)))
        held = None
        if validation is not None:
            held = _array(validation[0]), self._indices(validation[1])
        done = trainer_fit(self.network, self.config, (x, self._indices(y)), held, progress=progress)
        self.params_, self.history_ = done.params, done.history
        self._run = None
        return self

    def partial_fit(self, x: Array, y: Any, classes: Any = None) -> "Classifier":
        """One pass over these samples, in random order, at the optimizer's own learning rate.

        classes : all labels that will ever come; the first call fixes them, by default to those in its y.
        Raises as `fit`.
        """
        x = _array(x)
        check_data(self.network, x)
        if not hasattr(self, "classes_"):
            self._set_classes(np.unique(_labels(y if classes is None else classes)))
        labels = self._indices(y)
        check_config(self.network, self.config)
        check_data(self.network, x, labels)
        if self._run is None:
            self._run = start(self.network, self.config, getattr(self, "params_", None))
            self.history_ = getattr(self, "history_", [])
        config = replace(self.config, schedule=Constant(), patience=None, keep="last")
        self.history_.append(train_epoch(self.network, config, self._run, (x, labels)))
        self.params_ = self._run.params
        return self

    def decision_function(self, x: Array) -> Array:
        """Scores, (samples, classes of the network): the largest wins."""
        return self._evaluate(x).scores

    def predict(self, x: Array) -> Array:
        """Labels, (samples,), as `fit` was given them. Raises DataError."""
        winners = self.decision_function(x)[:, : len(self.classes_)].argmax(axis=1)
        return self.classes_[winners]

    def score(self, x: Array, y: Any) -> float:
        """Accuracy: the share of samples whose label is y's, (samples,). Raises DataError."""
        said, labels = self.predict(x), np.asarray(y)
        if labels.shape != said.shape:
            raise DataError(f"labels have shape {labels.shape}; {len(said)} samples need ({len(said)},)")
        return float((said == labels).mean())

    def firing_rates(self, x: Array) -> dict[str, float]:
        """Spikes a neuron and step, by layer."""
        return self._evaluate(x).firing_rates

    def _evaluate(self, x: Array) -> Evaluation:
        if not hasattr(self, "params_"):
            raise ConfigError("this Classifier has not been fitted; call fit or partial_fit first")
        x = _array(x)
        check_data(self.network, x)
        none = np.zeros(x.shape[sample_axis(self.network)], np.intp)
        return evaluate(self.network, self.params_, x, none)

    def _set_classes(self, classes: Array) -> None:
        if len(classes) > self.network.classes:
            raise DataError(
                f"{len(classes)} different labels, but the network has {self.network.classes} classes"
            )
        self.classes_ = classes

    def _indices(self, y: Any) -> Array:
        labels = _labels(y)
        unknown = ~np.isin(labels, self.classes_)
        if unknown.any():
            raise DataError(
                f"label {labels[unknown].tolist()[0]!r} is not among the classes {self.classes_.tolist()}"
            )
        return np.searchsorted(self.classes_, labels)


def _labels(y: Any) -> Array:
    labels = np.asarray(y)
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise DataError(f"the label of sample {int(np.isnan(labels).argmax())} is NaN")
    return labels


def _array(x: Any) -> Any:
    """Lists as an array; arrays, and data sets that are not in memory as one, as they are."""
    return x if hasattr(x, "shape") else np.asarray(x)
