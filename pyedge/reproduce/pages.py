"""Markdown of results: tables, shares with their certainty, confusion matrices."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pyedge.reproduce.certainty import binomial, over_people


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(c) for c in line) + " |" for line in lines]


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def interval(limits: tuple[float, float]) -> str:
    return f"{100 * limits[0]:.1f} .. {100 * limits[1]:.1f}"


def of_confusion(confusion: Any) -> tuple[float, str]:
    """Accuracy of a confusion matrix, and its binomial 95 % interval."""
    matrix = np.asarray(confusion)
    right, count = int(matrix.trace()), int(matrix.sum())
    return right / count, interval(binomial(right, count))


def of_people(shares: Sequence[float]) -> tuple[float, str]:
    """Mean over people, and its bootstrap 95 % interval."""
    return float(np.mean(shares)), interval(over_people(shares))


def confusion_lines(confusion: Any, classes: Sequence[str]) -> list[str]:
    """A confusion matrix: a row a true class, a column a predicted one."""
    matrix = np.asarray(confusion)
    recall = matrix.diagonal() / np.maximum(matrix.sum(1), 1)
    rows = [
        (name, *(int(n) for n in row), f"{share:.3f}")
        for name, row, share in zip(classes, matrix, recall, strict=True)
    ]
    return table(("true \\ predicted", *classes, "recall"), rows)
