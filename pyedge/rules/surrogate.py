"""Surrogate derivatives ds/du of the spike function, as functions of the distance u - theta."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pyedge.errors import ConfigError
from pyedge.ops import Array


def _sigmoid_derivative(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    return e / (1 + e) ** 2


# Of z = (u - theta) / width; all but the constant integrate to 1.
_SHAPES: dict[str, Callable[[Array], Array]] = {
    "constant": np.ones_like,
    "rectangular": lambda z: 0.5 * (np.abs(z) < 1).astype(z.dtype),
    "linear": lambda z: np.maximum(1 - np.abs(z), 0),
    "exponential": lambda z: 0.5 * np.exp(-np.abs(z)),
    "sigmoid": _sigmoid_derivative,
}

# With these every shape peaks at 1.
DEFAULT_WIDTHS = {"constant": 1.0, "rectangular": 0.5, "linear": 1.0, "exponential": 0.5, "sigmoid": 0.25}


@dataclass(frozen=True)
class Surrogate:
    """g(u - theta) = scale * f(z) / width, with z = (u - theta) / width:

    constant     f = 1 everywhere
    rectangular  f = 1/2 for |z| < 1, else 0             (STBP; width 0.5 is its interval of length 1)
    linear       f = max(1 - |z|, 0), the triangle        (TET; its gamma is the width)
    exponential  f = exp(-|z|) / 2
    sigmoid      f = sigmoid(z) (1 - sigmoid(z))                    (a sigmoid of slope 1 / width)

    width : reach or decay length on either side of the threshold, in the unit of u; None is the shape's own
            (0.5, 1, 0.5, 0.25), at which the peak is 1.
    Below the threshold the same function holds; it is the rule that masks it (Eq. 19) or not.
    """

    shape: str = "linear"
    width: float | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.shape not in _SHAPES:
            raise ConfigError(f"surrogate shape {self.shape!r} is unknown; choose from {', '.join(_SHAPES)}")
        if self.width is not None and not self.width > 0:
            raise ConfigError(f"surrogate width is {self.width}; it must be positive")

    def __call__(self, distance: Array) -> Array:
        width = DEFAULT_WIDTHS[self.shape] if self.width is None else self.width
        factor = self.scale / width
        z = distance if width == 1 else distance * (1 / width)
        f = _SHAPES[self.shape](z)
        return f if factor == 1 else f * factor
