"""DVS128-Gesture as published: AEDAT 3.1 files, a table of trials beside each, and two lists of files."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import FileKindError, LabelError, MissingDataError, ShapeError
from .aedat import SIZE, read_aedat3
from .events import Events, Recordings, between

CLASSES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter-clockwise",
    "left arm clockwise",
    "left arm counter-clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
_COLUMNS = "class,startTime_usec,endTime_usec"


def open_published(folder: Path, part: str) -> Recordings:
    """The trials of the files listed in trials_to_train.txt or trials_to_test.txt, in their order.

    A trial is the events with startTime <= t < endTime. Published classes are 1 to 11, labels 0 to 10.
    A recording is read when the first of its trials is asked for, and kept until another one is.
    Raises MissingDataError, FileKindError, LabelError, ShapeError.
    """
    listed = folder / f"trials_to_{part}.txt"
    trials: list[tuple[Path, int, int]] = []
    labels: list[int] = []
    for name in filter(None, map(str.strip, _text(listed, folder).splitlines())):
        recording = folder / name
        if not recording.is_file():
            raise MissingDataError(
                f"{recording}, listed in {listed.name}, is missing: "
                f"unpack DvsGesture.tar.gz into {folder.parent} again"
            )
        for label, start, stop in read_trials(recording.with_name(f"{recording.stem}_labels.csv")):
            trials.append((recording, start, stop))
            labels.append(label)
    whole = lru_cache(maxsize=1)(read_aedat3)

    def events(k: int) -> Events:
        path, start, stop = trials[k]
        return between(whole(path), start, stop)

    return Recordings(np.array(labels, np.int64), SIZE, events)


def read_trials(path: Path) -> list[tuple[int, int, int]]:
    """(label from 0, start, stop) of each line of a table of trials, in microseconds.

    Raises MissingDataError, FileKindError, ShapeError, LabelError.
    """
    lines = _text(path, path.parent).splitlines()
    if not lines or lines[0].strip() != _COLUMNS:
        raise FileKindError(f"{path}, line 1: {lines[0] if lines else ''!r} is not {_COLUMNS!r}")
    trials = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            label, start, stop = map(int, line.split(","))
        except ValueError:
            raise ShapeError(f"{path}, line {number}: {line!r} is not three whole numbers") from None
        if not 1 <= label <= len(CLASSES):
            raise LabelError(f"{path}, line {number}: class {label}; 1 .. {len(CLASSES)} are possible")
        if not 0 <= start < stop:
            raise ShapeError(f"{path}, line {number}: a trial from {start} to {stop} microseconds")
        trials.append((label - 1, start, stop))
    return trials


def _text(path: Path, folder: Path) -> str:
    if not path.is_file():
        raise MissingDataError(f"{path} is missing: unpack DvsGesture.tar.gz into {folder.parent} again")
    try:
        return path.read_text(encoding="ascii")
    except UnicodeDecodeError as cause:
        raise FileKindError(f"{path}, byte {cause.start}: not a text file; fetch it again") from cause
