"""Variations of event frames: neuromorphic data augmentation, and steps left out."""

from dataclasses import dataclass

import numpy as np

from pyedge.errors import ConfigError, DataError
from pyedge.ops import Array

from .images import Augment, Chain, Cutout, RandomResizedCrop, RandomRoll, RandomRotation


@dataclass(frozen=True)
class NDA:
    """Neuromorphic data augmentation: `operations` (M) draws of roll, rotation or cutout, of strength N.

    Rolls reach 2 N + 1 pixels, rotations 15 N degrees, holes are squares of 8 N: 5, 30 and 16 where N = 2.
    Each sample draws its own operations. The flip that goes with it is RandomFlip.
    Source: Y. Li et al., ECCV 2022 (the paper's [71]), with the constants of the paper's lineage.
    """

    operations: int = 1
    magnitude: int = 2

    def __post_init__(self) -> None:
        if self.operations < 0 or self.magnitude < 1:
            raise ConfigError(
                f"NDA of {self.operations} operations, magnitude {self.magnitude}: 0 and 1 are the least"
            )

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        if x.ndim != 5:
            raise DataError(f"inputs have shape {x.shape}; NDA needs frames, (T, batch, 2, H, W)")
        n = self.magnitude
        choices: tuple[Augment, ...] = (RandomRoll(2 * n + 1), RandomRotation(15 * n), Cutout(8 * n))
        x = x.copy()
        for _ in range(self.operations):
            chosen = rng.integers(0, len(choices), x.shape[1])
            for number, operation in enumerate(choices):
                samples = np.flatnonzero(chosen == number)
                x[:, samples] = operation(x[:, samples], y[samples], rng)[0]
        return x, y


@dataclass(frozen=True)
class TemporalDelete:
    """Keeps `keep` steps, drawn once a minibatch, in their order: the window becomes that short."""

    keep: int

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ConfigError(f"keep is {self.keep}; it must be at least 1")

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        if x.ndim < 3 or len(x) < self.keep:
            raise DataError(f"inputs have shape {x.shape}; {self.keep} steps of (T, batch, ...) are needed")
        return x[np.sort(rng.choice(len(x), self.keep, replace=False))], y


def dvs_gesture_augment(keep: int | None = None) -> Chain:
    """What the paper's lineage does to DVS-Gesture.

    Resized crops of 0.6 to 1 of the area, rotations of 30 degrees and, if `keep` is given, steps left out (it
    keeps 14 of 20). There the crop is of 128 x 128 pixels, before resizing; here of the frames as they are.
    """
    steps: tuple[Augment, ...] = (RandomResizedCrop((0.6, 1.0)), RandomRotation(30.0))
    return Chain(steps if keep is None else (*steps, TemporalDelete(keep)))
