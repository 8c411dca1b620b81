"""Holding samples back from training data: as many of every class, the same ones for the same seed."""

import numpy as np
from numpy.typing import NDArray

from ..errors import SplitError

Index = NDArray[np.int64]


def stratified(labels: NDArray[np.int64], share: float, seed: int) -> tuple[Index, Index]:
    """(kept, held): positions in rising order; of each class round(share * size) are held, drawn by the seed.

    Carve validation data from the training data with this; the test data is never used to choose anything.
    Raises SplitError where a class would be left without a sample on either side.
    """
    if not 0 < share < 1:
        raise SplitError(f"a share of {share} held back; between 0 and 1 is possible")
    rng = np.random.default_rng(seed)
    held = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        number = round(share * len(members))
        if not 0 < number < len(members):
            raise SplitError(
                f"class {label} has {len(members)} samples, of which {number} would be held back: "
                "each side needs one"
            )
        held[rng.permutation(members)[:number]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
