"""How good predictions are: accuracy, balanced accuracy, the confusion matrix."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pyedge.errors import DataError


@dataclass(frozen=True, eq=False)
class Outcome:
    """Predictions beside the truth. Raises DataError for what is no class."""

    labels: NDArray[np.int64]  # (n,)
    predicted: NDArray[np.int64]  # (n,)
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.labels) == 0 or self.labels.shape != self.predicted.shape:
            raise DataError(
                f"{len(self.predicted)} predictions for {len(self.labels)} labels; one pair is the least"
            )
        for what, found in (("label", self.labels), ("prediction", self.predicted)):
            if found.min() < 0 or found.max() >= len(self.classes):
                wrong = found[(found < 0) | (found >= len(self.classes))][0]
                raise DataError(f"{what} {wrong} is none of the {len(self.classes)} classes")

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes): row, the true class; column, the predicted one."""
        count = len(self.classes)
        flat = np.bincount(self.labels * count + self.predicted, minlength=count * count)
        return flat.reshape(count, count)

    @property
    def accuracy(self) -> float:
        return float((self.labels == self.predicted).mean())

    @property
    def recall(self) -> list[float | None]:
        """Share of each class that was found; None for a class that does not occur."""
        totals = self.confusion.sum(1)
        return [float(self.confusion[c, c] / n) if n else None for c, n in enumerate(totals)]

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that occur."""
        return float(np.mean([r for r in self.recall if r is not None]))
