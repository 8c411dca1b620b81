"""Losses: pure functions from the output layer's window and the labels to a value and its error.

Each is a frozen dataclass called as loss(outputs, labels), outputs (T, batch, classes) being spikes or a
linear readout, labels (batch,) integers; cross-entropies also take (batch, classes) shares of the classes,
which add up to 1, and say so in `takes_shares`. The value is the mean over the batch; the error is its
derivative with respect to outputs, of their shape. `readouts` says which outputs the loss is meant for.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from pyedge.errors import ConfigError
from pyedge.ops import Array, distribute, log_softmax


class LossResult(NamedTuple):
    value: float
    error: Array  # dL/d(outputs), (T, batch, classes); may be a read-only view


class Loss(Protocol):
    @property
    def readouts(self) -> tuple[str, ...]:
        """Which of "spiking" and "linear" the loss can be used with."""

    def __call__(self, outputs: Array, labels: Array) -> LossResult: ...


def _cross_entropy(logits: Array, labels: Array) -> tuple[float, Array]:
    """Sum of the cross-entropies, and dL/dlogits = softmax - shares; logits (..., batch, classes)."""
    log_p = log_softmax(logits)
    error = np.exp(log_p)
    if labels.ndim == 2:
        shares = labels.astype(error.dtype, copy=False)
        return float(-(log_p * shares).sum()), error - shares
    index = np.arange(logits.shape[-2])
    error[..., index, labels] -= 1
    return float(-log_p[..., index, labels].sum()), error


@dataclass(frozen=True)
class CountCrossEntropy:
    """Cross-entropy of scale times the output spike counts; the error is the same at every step."""

    scale: float = 1.0
    readouts = ("spiking",)
    takes_shares = True

    def __call__(self, outputs: Array, labels: Array) -> LossResult:
        dtype = _float(outputs)
        value, error = _cross_entropy(outputs.sum(axis=0, dtype=dtype) * dtype.type(self.scale), labels)
        error *= self.scale / len(labels)
        return LossResult(value / len(labels), distribute(error, len(outputs)))


@dataclass(frozen=True)
class ScoreCrossEntropy:
    """Cross-entropy of the window's score, scale times the outputs' mean over time: the boards' loss."""

    scale: float = 1.0
    readouts = ("linear", "spiking")
    takes_shares = True

    def __call__(self, outputs: Array, labels: Array) -> LossResult:
        dtype = _float(outputs)
        value, error = _cross_entropy(outputs.mean(axis=0, dtype=dtype) * dtype.type(self.scale), labels)
        error *= self.scale / (len(labels) * len(outputs))
        return LossResult(value / len(labels), distribute(error, len(outputs)))


@dataclass(frozen=True)
class TET:
    """(1 - lam) times the mean of the steps' cross-entropies, plus lam times the mean square of o - mean.

    Source: Deng et al., ICLR 2022; `mean` is theirs (the threshold, 1), lam their lambda.
    """

    lam: float = 0.0
    mean: float = 1.0
    readouts = ("linear", "spiking")
    takes_shares = True

    def __post_init__(self) -> None:
        if not 0 <= self.lam <= 1:
            raise ConfigError(f"TET's lam is {self.lam}; it is a share, in [0, 1]")

    def __call__(self, outputs: Array, labels: Array) -> LossResult:
        o = outputs.astype(_float(outputs), copy=False)
        value, error = _cross_entropy(o, labels)
        each = (1 - self.lam) / (len(labels) * len(o))
        value, error = value * each, error * o.dtype.type(each)
        if self.lam:
            distance = o - o.dtype.type(self.mean)
            value += self.lam * float(np.mean(distance**2))
            error += distance * o.dtype.type(2 * self.lam / o.size)
        return LossResult(value, error)


@dataclass(frozen=True)
class SpikeCount:
    """T/2 times the sum over classes of ((n - wanted) / T)^2: output spike counts n against wanted ones.

    desired, undesired : wanted count of the target class and of the others.
    overshoot_is_free  : counts beyond the wanted side (target above, others below) cost nothing.
    The lineage (Zhu et al., NeurIPS 2022) sums over the batch; here it is the mean, as in every loss.
    """

    desired: float = 10.0
    undesired: float = 1.0
    overshoot_is_free: bool = True
    readouts = ("spiking",)

    def __call__(self, outputs: Array, labels: Array) -> LossResult:
        _, delta = _count_error(self, outputs, labels, self.overshoot_is_free)
        value = 0.5 * len(outputs) * float((delta**2).sum()) / len(labels)
        return LossResult(value, distribute(delta / delta.dtype.type(len(labels)), len(outputs)))


@dataclass(frozen=True)
class EnhancedSpikeCount:
    """The lineage's enhanced spike count loss: the value of `SpikeCount`, its authors' backward pass.

    Not the derivative of its value: a class's count error is divided by its number of spikes and placed on
    those spikes alone, and the targets' errors grow by max(ratio / 10, 1), ratio being the batch's spikes of
    non-target classes over those of target classes (clamped counts).
    Source: Zhu et al., NeurIPS 2023, loss_count_plus; their sign is that of dL/dt, ours that of dL/ds.
    """

    desired: float = 10.0
    undesired: float = 1.0
    readouts = ("spiking",)

    def __call__(self, outputs: Array, labels: Array) -> LossResult:
        counts, delta = _count_error(self, outputs, labels, overshoot_is_free=True)
        value = 0.5 * len(outputs) * float((delta**2).sum()) / len(labels)
        target = _one_hot(labels, counts)
        ratio = (counts[~target].sum() + 1e-5) / (counts[target].sum() + 1e-5)
        delta[target] *= max(float(ratio) / 10, 1.0)
        share = delta / np.maximum(counts, 1) / delta.dtype.type(len(labels))
        return LossResult(value, outputs * share)


def _count_error(
    loss: SpikeCount | EnhancedSpikeCount, outputs: Array, labels: Array, overshoot_is_free: bool
) -> tuple[Array, Array]:
    """(clamped) counts and (counts - wanted) / T, both (batch, classes)."""
    counts = outputs.sum(axis=0, dtype=_float(outputs))
    target = _one_hot(labels, counts)
    if overshoot_is_free:
        counts = np.where(
            target, np.minimum(counts, loss.desired), np.maximum(counts, loss.undesired)
        ).astype(counts.dtype)
    wanted = np.where(target, loss.desired, loss.undesired).astype(counts.dtype)
    return counts, (counts - wanted) / counts.dtype.type(len(outputs))


def _one_hot(labels: Array, like: Array) -> Array:
    return labels[:, None] == np.arange(like.shape[1])


def _float(outputs: Array) -> np.dtype:
    """The outputs' own type, or float64 for spikes: a loss never rounds more than the network does."""
    return outputs.dtype if outputs.dtype.kind == "f" else np.dtype(np.float64)


def scores(outputs: Array, readout: str) -> Array:
    """What is predicted from, (batch, classes): spike counts, or a linear readout's mean over the window."""
    if readout == "spiking":
        return outputs.sum(axis=0, dtype=_float(outputs))
    return outputs.mean(axis=0)
