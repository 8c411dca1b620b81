"""Classical baselines: log features, electrode rotation, shrinkage LDA and SVM (scikit-learn, only here)."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from .datasets import Windows

Features = NDArray[np.float64]
Labels = NDArray[np.int64]

SPAN_QUARTERS = 8
PENALTY = 0.15  # log-likelihood a window must gain per electrode of shift, at one repetition
LEAST_LOG_LIKELIHOOD = -4.0  # a window the model finds absurd must not outvote the others


class Classifier(Protocol):
    """What a baseline can do, in scikit-learn's words."""

    classes_: NDArray[np.generic]

    def fit(self, x: Features, y: Labels) -> "Classifier": ...
    def predict(self, x: Features) -> Labels: ...


class Scores(NamedTuple):
    """Shares of correct windows: over all windows, and as the mean over classes."""

    plain: float
    balanced: float


def log_features(windows: Windows) -> Features:
    """(n, 2 channels): log2 of 1 + mean absolute value, then of 1 + mean absolute difference, per channel."""
    rows = []
    for n in range(len(windows)):
        x = windows.samples(n).astype(np.float64)
        slope = np.abs(np.diff(x, axis=0)).mean(0) if len(x) > 1 else np.zeros(x.shape[1])
        rows.append(np.concatenate([np.abs(x).mean(0), slope]))
    return np.log2(1 + np.array(rows))


def rotate(features: Features, quarters: int, channels: int = 8) -> Features:
    """Features as if the armband had been turned by `quarters` quarter electrodes.

    Each block of `channels` columns is shifted circularly; fractions interpolate between neighbours, in the
    features' logarithms (docs/arithmetic.md, 4.3, in real numbers).
    """
    whole, quarter = divmod(quarters, 4)
    blocks = features.reshape(len(features), -1, channels)
    near, far = np.roll(blocks, -whole, 2), np.roll(blocks, -whole - 1, 2)
    return (near * (4 - quarter) + far * quarter).reshape(features.shape) / 4


def lda(features: Features, labels: Labels) -> Classifier:
    """Shrinkage LDA (Ledoit-Wolf) with equal class priors, fitted."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    classes = len(np.unique(labels))
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=np.full(classes, 1 / classes))
    return cast(Classifier, model.fit(features, labels))


def svm(features: Features, labels: Labels, c: float = 10.0) -> Classifier:
    """SVM with Gaussian kernel on standardized features, fitted."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return cast(Classifier, make_pipeline(StandardScaler(), SVC(C=c)).fit(features, labels))


def scores(predicted: Labels, labels: Labels) -> Scores:
    """Plain and balanced accuracy."""
    hit = predicted == labels
    return Scores(float(hit.mean()), float(np.mean([hit[labels == c].mean() for c in np.unique(labels)])))


def fit_rotation(
    model: Classifier,
    features: Features,
    labels: Labels,
    k: int,
    span: int = SPAN_QUARTERS,
    penalty: float = PENALTY,
) -> int:
    """The turn, in quarter electrodes, at which labelled windows are most likely under a model.

    features : (n, 2 channels) windows of k repetitions a gesture; the model's log probabilities are clipped
    below and averaged. Each electrode of turn costs penalty / k: with little evidence the armband is
    believed to be where it was.
    """
    column = np.searchsorted(model.classes_, labels)

    def worth(quarters: int) -> float:
        log_p = cast(Any, model).predict_log_proba(rotate(features, quarters))[np.arange(len(labels)), column]
        return float(np.maximum(log_p, LEAST_LOG_LIKELIHOOD).mean()) - penalty * abs(quarters) / 4 / k

    candidates: Sequence[int] = sorted(range(-span, span + 1), key=abs)
    return max(candidates, key=worth)
