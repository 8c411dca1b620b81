"""Mixup: every sample and its label mixed with another's."""

from dataclasses import dataclass

import numpy as np

from pyedge.errors import ConfigError
from pyedge.ops import Array


@dataclass(frozen=True)
class Mixup:
    """A sample becomes lam times itself and 1 - lam times another of its minibatch, and so does its label.

    alpha : each sample's lam is drawn from Beta(alpha, alpha); of lam and 1 - lam the larger is its own.
    until : share of the epochs that mix; those after them see samples as they are.
    Source: Zhang et al., ICLR 2018; one draw a sample is ours.
    """

    alpha: float = 0.2
    until: float = 0.9

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ConfigError(f"mixup's alpha is {self.alpha}; it must be positive")
        if not 0 <= self.until <= 1:
            raise ConfigError(f"mixup's until is {self.until}; it is a share of the epochs, in [0, 1]")

    def __call__(
        self, x: Array, y: Array, classes: int, axis: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """(mixed samples, (batch, classes) shares); samples stand along `axis` of x, y are their labels."""
        lam = rng.beta(self.alpha, self.alpha, len(y)).astype(np.float32)
        lam = np.maximum(lam, 1 - lam)
        other = rng.permutation(len(y))
        own = lam.reshape(-1, *(1,) * (x.ndim - axis - 1))
        shares = np.eye(classes, dtype=np.float32)[y]
        mixed = own * x + (1 - own) * x.take(other, axis)
        return mixed, lam[:, None] * shares + (1 - lam)[:, None] * shares[other]
