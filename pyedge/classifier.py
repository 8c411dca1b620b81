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

TEXT = "US"  # kinds of NumPy's types


class Classifier:
    """A scikit-learn-like estimator over `fit`: inputs as the network's `Input` says, labels of any kind.

    Inputs are time-first, (T, samples, ...), but for static ones; scikit-learn's splitters do not index them.
    Attributes after fitting: params_, history_, classes_ (the labels in class order); a call that raises
    leaves them as they were.
    """

    def __init__(self, network: Network, config: TrainConfig | None = None) -> None:
        self.network = network
        self.config = config or TrainConfig()
        self._run: Run | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, as scikit-learn's `clone` takes them."""
        return {"network": self.network, "config": self.config}

    def set_params(self, **params: Any) -> "Classifier":
        """Other arguments; what was fitted stays, for its network. Raises ConfigError for an unknown name."""
        for name, value in params.items():
            if name not in ("network", "config"):
                raise ConfigError(f"a Classifier has no parameter {name!r}; it has network and config")
            setattr(self, name, value)
            self._run = None  # its optimizer may not be this one
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
        classes = self._classes(y)
        held = None
        if validation is not None:
            held = _array(validation[0]), _indices(validation[1], classes)
        done = trainer_fit(self.network, self.config, (x, _indices(y, classes)), held, progress=progress)
        self.params_, self.history_, self.classes_ = done.params, done.history, classes
        self._fitted, self._run = self.network, None
        return self

    def partial_fit(self, x: Array, y: Any, classes: Any = None) -> "Classifier":
        """One pass over these samples, in random order, at the optimizer's own learning rate.

        classes : all labels that will ever come; the first call fixes them, by default to those in its y.
        Raises as `fit`, and DataError for other classes than those of before.
        """
        x = _array(x)
        check_data(self.network, x)
        fitted = hasattr(self, "params_")
        if fitted:
            self._check_network()
        given = y if classes is None else classes
        known = self.classes_ if fitted and classes is None else self._classes(given)
        if fitted and not np.array_equal(known, self.classes_):
            raise DataError(f"classes are {known.tolist()}; they were {self.classes_.tolist()} before")
        labels = _indices(y, known)
        check_config(self.network, self.config)
        check_data(self.network, x, labels)
        if self._run is None:
            self._run = start(self.network, self.config, getattr(self, "params_", None))
        config = replace(self.config, schedule=Constant(), patience=None, keep="last")
        row = train_epoch(self.network, config, self._run, (x, labels))
        self.history_ = [*getattr(self, "history_", []), row]
        self.params_, self.classes_, self._fitted = self._run.params, known, self.network
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
        said, labels = self.predict(x), _labels(y)
        if labels.shape != said.shape:
            raise DataError(f"labels have shape {labels.shape}; {len(said)} samples need ({len(said)},)")
        if (said.dtype.kind in TEXT) != (labels.dtype.kind in TEXT) and "O" not in (said.dtype, labels.dtype):
            raise DataError(f"labels are {labels.dtype}, those of fit were {said.dtype}: none could be right")
        return float((said == labels).mean())

    def firing_rates(self, x: Array) -> dict[str, float]:
        """Spikes a neuron and step, by layer."""
        return self._evaluate(x).firing_rates

    def _evaluate(self, x: Array) -> Evaluation:
        if not hasattr(self, "params_"):
            raise ConfigError("this Classifier has not been fitted; call fit or partial_fit first")
        self._check_network()
        x = _array(x)
        check_data(self.network, x)
        none = np.zeros(x.shape[sample_axis(self.network)], np.intp)
        return evaluate(self.network, self.params_, x, none)

    def _check_network(self) -> None:
        if self._fitted != self.network:
            raise ConfigError("what was fitted is of another network; call fit after set_params(network=...)")

    def _classes(self, y: Any) -> Array:
        """The labels in class order."""
        try:
            classes = np.unique(_labels(y))
        except TypeError as error:
            raise DataError(f"labels cannot be put in order ({error}); use one kind of them") from None
        if len(classes) > self.network.classes:
            raise DataError(
                f"{len(classes)} different labels, but the network has {self.network.classes} classes"
            )
        return classes


def _indices(y: Any, classes: Array) -> Array:
    labels = _labels(y)
    unknown = ~np.isin(labels, classes)
    if unknown.any():
        raise DataError(f"label {labels[unknown].tolist()[0]!r} is not among the classes {classes.tolist()}")
    return np.searchsorted(classes, labels)


def _labels(y: Any) -> Array:
    labels = np.asarray(y)
    missing = np.asarray(labels != labels)  # NaN and NaT, in an array of objects too
    if missing.any():
        raise DataError(f"the label of sample {int(missing.argmax())} is NaN")
    if labels.dtype.kind in TEXT and isinstance(y, list | tuple) and labels.ndim == 1:
        for n, label in enumerate(y):
            if not isinstance(label, str | bytes):
                raise DataError(f"the label of sample {n} is {label!r}, others are text; use one kind")
    return labels


def _array(x: Any) -> Any:
    """Lists as an array; arrays, and data sets that are not in memory as one, as they are."""
    return x if hasattr(x, "shape") else np.asarray(x)
