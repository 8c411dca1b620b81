"""CIFAR10-DVS as published: a folder of AEDAT 2 files for each class; its division into training and test."""

import math
import re
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import MissingDataError
from .aedat import SIZE, read_aedat2
from .events import Events, Recordings, make_events

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_TENTHS = 9
_NUMBER = re.compile(r"(\d+)\.aedat$")


def read_recording(path: Path) -> Events:
    """Events of one file, turned as the authors' own conversion turns them.

    The sensor's addresses run against the picture's axes and its polarity bit is 1 for darker: x, y and p are
    127 - x, 127 - y and 1 - p of the addresses (as dat2mat and SpikingJelly have it).
    Raises what read_aedat2 raises.
    """
    raw = read_aedat2(path)
    return make_events(SIZE[0] - 1 - raw["x"], SIZE[1] - 1 - raw["y"], raw["t"], ~raw["p"])


def open_published(folder: Path, part: str) -> Recordings:
    """The training or the test recordings; the set itself has no division.

    Of each class, in the order of the files' numbers, the first nine tenths (rounded up) are training data
    and the rest is the test: of 1000, numbers 0 .. 899 and 900 .. 999. Raises MissingDataError.
    """
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(CLASSES):
        numbered = [(int(m[1]), p) for p in (folder / name).glob("*.aedat") if (m := _NUMBER.search(p.name))]
        if not numbered:
            raise MissingDataError(
                f"{folder / name} holds no .aedat files: unpack {name}.zip into {folder} again"
            )
        found = [path for _, path in sorted(numbered)]
        train = math.ceil(len(found) * TRAIN_TENTHS / 10)
        side = found[:train] if part == "train" else found[train:]
        paths += side
        labels += [label] * len(side)
    return Recordings(np.array(labels, np.int64), SIZE, partial(_read_nth, paths))


def _read_nth(paths: list[Path], k: int) -> Events:
    return read_recording(paths[k])
