"""How certain an accuracy is: binomial intervals, and the bootstrap over people."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from pyedge.errors import DataError

Z95 = 1.959964  # two-sided 95 % of a normal distribution


def binomial(correct: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of independent samples. Raises DataError."""
    if not 0 <= correct <= count or count < 1:
        raise DataError(f"{correct} of {count} is no share")
    share, spread = correct / count, Z95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def over_people(shares: Sequence[float], draws: int = 4000, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over people: windows of one person are not independent.

    Raises DataError for fewer than two people.
    """
    values: NDArray[np.float64] = np.asarray(shares, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise DataError(f"{values.size} people; an interval over people needs at least 2")
    means = values[np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
