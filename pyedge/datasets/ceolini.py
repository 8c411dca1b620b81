"""The five-gesture EMG set of Ceolini et al. 2020 in its published layout: two .npy files a session."""

import re
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedFileError, LabelError, MissingDataError, ShapeError
from .emg import SETS, EmgData, annotated_trials
from .rates import ceolini_rate_hz
from .recording import Recording, check_duration, check_trials, checked_samples

_SET = SETS["myo_fingers"]
_NAME = re.compile(r"subject(\d+)_session(\d+)_emg\.npy")
_PAUSE = "none"
GESTURE_S = 2.0
# Gestures end with the program's clock, so lengths scatter; only a rate that is plainly wrong is refused.
GESTURE_TOLERANCE = 0.15


def load_published(folder: Path | str) -> EmgData:
    """Load every subjectXX_sessionYY_emg.npy and its _ann.npy of a folder.

    The authors' loader delays the annotation by one sample and then cuts from the sample before the delayed
    annotation rises to the sample before it falls: together, just the samples that carry the gesture's name.
    Sampling rates are the authors' per-session corrections. Trials equal those of the set `myo_fingers`.
    Raises MissingDataError, DamagedFileError, ShapeError, ChannelError, ValueRangeError, LabelError,
    SamplingRateError.
    """
    base = Path(folder)
    found = sorted(
        (int(m[1]), int(m[2]), p) for p in base.glob("subject*_emg.npy") if (m := _NAME.fullmatch(p.name))
    )
    if not found:
        raise MissingDataError(
            f"{base} holds no subjectXX_sessionYY_emg.npy: get the EMG files of Zenodo record 3228846 "
            "and put them there, each with its _ann.npy"
        )
    recordings: list[Recording] = []
    for subject_number, session, emg_path in found:
        subject = f"s{subject_number:02d}"
        samples = checked_samples(_read(emg_path), str(emg_path))
        ann_path = emg_path.with_name(emg_path.name.replace("_emg.npy", "_ann.npy"))
        labels = _label_numbers(_read(ann_path), ann_path)
        if len(labels) != len(samples):
            raise ShapeError(
                f"{ann_path}: {len(labels)} labels for {len(samples)} samples; "
                "the two files do not belong together"
            )
        trials = annotated_trials(labels, len(_SET.classes))
        rate = ceolini_rate_hz(subject, session)
        check_trials(trials, len(samples), len(_SET.classes), str(ann_path))
        if trials:
            typical = int(np.median([t.length for t in trials]))
            check_duration(typical, rate, GESTURE_S, GESTURE_TOLERANCE, f"{emg_path}, the median gesture")
        index = sum(r.subject == subject for r in recordings)
        recordings.append(Recording(samples, rate, _SET.folder, subject, session, None, index, trials))
    return EmgData(_SET, tuple(recordings))


def _read(path: Path) -> NDArray[np.generic]:
    if not path.is_file():
        raise MissingDataError(f"{path} is missing: put it beside the other files of the same session")
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as cause:
        raise DamagedFileError(f"{path} cannot be read ({cause}); fetch it again") from cause
    if not isinstance(array, np.ndarray):
        raise DamagedFileError(f"{path} is not a .npy array")
    return array


def _label_numbers(names: NDArray[np.generic], path: Path) -> NDArray[np.int64]:
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ShapeError(
            f"{path}: labels are {names.dtype} of shape {names.shape}; one text per sample is needed"
        )
    numbers = {name: n for n, name in enumerate((*_SET.classes, _PAUSE))}
    unknown = sorted(set(np.unique(names).tolist()) - set(numbers))
    if unknown:
        raise LabelError(f"{path}: label {unknown[0]!r}; there are {', '.join(numbers)}")
    return np.array([numbers[str(name)] for name in names], dtype=np.int64)
