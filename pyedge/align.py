"""Fitting the alignment of a wearer's armband from a few labelled windows, by forward passes alone."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .encode import Alignment, EncoderConfig, Integers, Rows, align, code, log2
from .errors import ConfigError, DataError

# Coded windows (n, steps, inputs) to log likelihoods (n, classes), in 1/64 bit.
LogLikelihood = Callable[[NDArray[np.generic]], Integers]

LEAST = -256  # 4 bits: a window the model finds absurd must not outvote the others


class Fit(NamedTuple):
    """A fitted alignment, its score, and the score of no rotation and no gains."""

    alignment: Alignment
    score: int
    score_before: int


def candidates(span: int) -> list[int]:
    """Rotations in the order they are tried: 0, -1, 1, -2, 2, ..."""
    return [0, *(sign * q for q in range(1, span + 1) for sign in (-1, 1))]


def levels(config: EncoderConfig, rows: Rows, rotation: int) -> Integers:
    """Mean level of each channel of each window, (n, channels), after rotation: section 4.5."""
    turned = align(config, rows, Alignment(rotation, (0,) * config.channels))
    y = turned.reshape(len(rows), -1, config.channels).astype(np.int64)
    n = y.shape[1]
    if config.log:
        return y.sum(1) // n
    return np.clip((log2(np.abs(y).sum(1) + n) - log2(np.array(n))) >> 3, -128, 127)


def fit_alignment(
    config: EncoderConfig,
    rows: Rows,
    labels: Sequence[int] | NDArray[np.integer],
    repetitions: int,
    log_likelihood: LogLikelihood,
) -> Fit:
    """The rotation, then the gains, under which labelled windows are most likely.

    rows : kept windows before alignment, (n, rows, row_values); labels : (n,);
    repetitions : labelled repetitions of each class, 1 .. 255.
    Gains are fitted only if the encoder has a profile. Source: docs/arithmetic.md, section 4.5.
    Raises DataError or ConfigError for windows, labels or repetitions that do not fit.
    """
    y = np.asarray(labels, dtype=np.int64)
    count, channels = len(rows), config.channels
    if rows.ndim != 3 or rows.shape[2] != config.row_values or y.shape != (count,) or not 1 <= count <= 65535:
        raise DataError(
            f"rows of shape {rows.shape} and labels of shape {y.shape}; "
            f"(n, rows, {config.row_values}) and (n,) are needed, n in 1 .. 65535"
        )
    if not 1 <= repetitions <= 255:
        raise ConfigError(f"{repetitions} repetitions; 1 .. 255 are possible")
    if y.min() < 0:
        raise DataError(f"label {y.min()}; labels are 0 or more")

    def score(alignment: Alignment) -> int:
        every = log_likelihood(code(config, align(config, rows, alignment)))
        if y.max() >= every.shape[1]:
            raise DataError(f"label {y.max()}; the model has {every.shape[1]} classes")
        likelihoods = every[np.arange(count), y]
        cost = count * config.penalty * abs(alignment.rotation) // (4 * repetitions)
        return int(np.maximum(likelihoods, LEAST).sum()) - cost

    tried = [Alignment(q, (0,) * channels) for q in candidates(config.span)]
    scores = [score(a) for a in tried]
    first = int(np.argmax(scores))  # of equal scores the first
    best, best_score = tried[first], scores[first]
    known = y < len(config.profile)  # a class that was added has no profile
    if known.any():
        level = levels(config, rows[known], best.rotation)
        delta = (np.array(config.profile)[y[known]] - level).sum(0) * repetitions
        size = np.abs(delta) // (int(known.sum()) * (repetitions + 1))
        gains = np.sign(delta) * np.minimum(size, config.gain_limit)
        tuned = Alignment(best.rotation, tuple(int(g) for g in gains))
        tuned_score = score(tuned)
        if tuned_score > best_score:
            best, best_score = tuned, tuned_score
    return Fit(best, best_score, scores[0])
