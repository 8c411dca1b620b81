"""Which variations a data set is usually trained with."""

from .events import NDA, dvs_gesture_augment
from .images import Augment, Chain, Cutout, Fill, RandomCrop, RandomFlip, RandomResizedCrop


def usual_augment(name: str, black: Fill = 0.0) -> Augment | None:
    """The augmentation of the paper, or of its lineage where the paper is silent; None where there is none.

    black : what a black pixel is after normalization (Images.black), to fill borders and holes with.
    """
    if name == "fashion_mnist":
        return RandomFlip()
    if name.startswith("cifar") and name != "cifar10_dvs":
        return Chain((RandomCrop(4, black), RandomFlip(), Cutout(16, black)))
    if name == "cifar10_dvs":
        return Chain((RandomResizedCrop((0.7, 1.0)), RandomFlip(), NDA()))
    if name == "dvs_gesture":
        return dvs_gesture_augment()
    return None
