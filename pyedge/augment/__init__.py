"""Training-time variations: pure functions (x, y, rng) -> (x, y) of a minibatch, as frozen dataclasses.

`Mixup` is another kind: its labels are shares of the classes (TrainConfig.mixup).
"""

from .emg import LogJitter
from .events import NDA, TemporalDelete, dvs_gesture_augment
from .images import (
    Chain,
    Cutout,
    Fill,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
    RandomRoll,
    RandomRotation,
    rotated,
)
from .mixup import Mixup
from .usual import usual_augment

__all__ = [
    "NDA",
    "Chain",
    "Cutout",
    "Fill",
    "LogJitter",
    "Mixup",
    "RandomCrop",
    "RandomFlip",
    "RandomResizedCrop",
    "RandomRoll",
    "RandomRotation",
    "TemporalDelete",
    "dvs_gesture_augment",
    "rotated",
    "usual_augment",
]
