"""The EMG data sets: what each is, and how its files become recordings."""

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedFileError, DataError, LabelError, MissingDataError, ShapeError
from .paths import EMBEDDED, data_root
from .rates import ceolini_rate_hz
from .recording import (
    Recording,
    Trial,
    check_duration,
    check_trials,
    checked_samples,
    numbered,
    runs,
)

Arrays = Mapping[str, NDArray[np.generic]]

RATE_HZ = 200.0
WRIST_SECONDS = 60.0
WRIST_HOLD_SECONDS = 5.0
WRIST_SHORTEST_HOLD_SECONDS = 2.5
WRIST_DURATION_TOLERANCE = 0.02
RSP4_PARTS = 4
RPS_SECOND_DAY = frozenset({"s01", "s02", "s03", "s04", "s08", "s13"})


@dataclass(frozen=True)
class EmgSet:
    """One data set: names, terms, people, and the reader of one person's arrays."""

    name: str
    folder: str
    classes: tuple[str, ...]
    subjects: tuple[str, ...]
    licence: str
    cite: str
    origin: str
    read: Callable[["EmgSet", str, Arrays, str], list[Recording]]


@dataclass(frozen=True, eq=False)
class EmgData:
    """Loaded recordings of one data set, in the order subject, then file."""

    info: EmgSet
    recordings: tuple[Recording, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(r.subject for r in self.recordings))

    def of(self, subject: str) -> tuple[Recording, ...]:
        """Recordings of one person. Raises DataError where none of theirs are loaded."""
        found = tuple(r for r in self.recordings if r.subject == subject)
        if not found:
            raise DataError(f"nothing of {subject!r} is loaded; there are {', '.join(self.subjects)}")
        return found


def names() -> tuple[str, ...]:
    """Names that load() knows."""
    return tuple(SETS)


def describe(name: str) -> EmgSet:
    """What a data set is, without reading it. Raises DataError for an unknown name."""
    if name not in SETS:
        from . import catalog  # where it is of another kind

        if name in catalog.SETS:
            raise DataError(
                f"{name} has images, events or touch: pyedge.datasets.catalog loads it, and its recipes have "
                "[samples], not [data]"
            )
        raise DataError(f"no EMG set {name!r}; there are {', '.join(SETS)}")
    return SETS[name]


def load(name: str, subjects: str | Sequence[str] | None = None, root: Path | str | None = None) -> EmgData:
    """Load a data set, or some of its people.

    subjects : names of people, or one name; default all.
    root : folder with one folder per data set; default data_root(). The embedded set ignores it.
    Raises MissingDataError, DamagedFileError, ShapeError, ChannelError, ValueRangeError, LabelError,
    SamplingRateError, all DataError.
    """
    info = describe(name)
    named = (subjects,) if isinstance(subjects, str) else subjects
    wanted = info.subjects if named is None else tuple(named)
    unknown = [s for s in wanted if s not in info.subjects]
    if unknown:
        raise DataError(f"{name} has no person {unknown[0]!r}; there are {', '.join(info.subjects)}")
    base = EMBEDDED if name == EMBEDDED_NAME else Path(root) if root is not None else data_root()
    recordings: list[Recording] = []
    for subject in wanted:
        path = base / info.folder / f"{subject}.npz"
        recordings += info.read(info, subject, read_arrays(path, info), str(path))
    return EmgData(info, tuple(recordings))


def read_arrays(path: Path, info: EmgSet) -> Arrays:
    """All arrays of an .npz file. Raises MissingDataError or DamagedFileError."""
    if not path.is_file():
        raise MissingDataError(
            f"{path} is missing: get {path.name} of the set {info.name} (origin: {info.origin}) "
            f"and put it into {path.parent}; $PYEDGE_DATA names the folder above that"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, AttributeError) as cause:
        raise DamagedFileError(
            f"{path} cannot be read ({cause}); fetch it again from {info.origin}"
        ) from cause


def _column(arrays: Arrays, key: str, rows: int | None, where: str) -> NDArray[np.int64]:
    if key not in arrays:
        raise DamagedFileError(f"{where}: array {key!r} is missing; this is not a file of this data set")
    column = arrays[key]
    if column.ndim != 1 or column.dtype.kind not in "iu" or (rows is not None and len(column) != rows):
        raise ShapeError(
            f"{where}: array {key!r} is {column.dtype} of shape {column.shape}; "
            f"{'integers, one dimension' if rows is None else f'{rows} integers'} are needed"
        )
    return column.astype(np.int64)


def _emg(arrays: Arrays, where: str) -> NDArray[np.int8]:
    if "emg" not in arrays:
        raise DamagedFileError(f"{where}: array 'emg' is missing; this is not an EMG file")
    return checked_samples(arrays["emg"], where)


def _cut(emg: NDArray[np.int8], start: int, length: int, where: str) -> NDArray[np.int8]:
    if start < 0 or length < 1 or start + length > len(emg):
        raise ShapeError(
            f"{where}: samples {start} .. {start + length - 1} of {len(emg)} do not exist; "
            "the file is truncated"
        )
    return emg[start : start + length]


def _check_labels(labels: NDArray[np.int64], highest: int, where: str) -> None:
    if len(labels) and (labels.min() < 0 or labels.max() > highest):
        raise LabelError(
            f"{where}: labels from {labels.min()} to {labels.max()}; 0 .. {highest} are possible"
        )


def _segments(
    info: EmgSet,
    subject: str,
    arrays: Arrays,
    where: str,
    session_key: str,
    rep_key: str,
    first_session: int,
    day_of: Callable[[str, int], int | None],
) -> list[Recording]:
    # Each segment was cut out by the origin: what preceded it is unknown, so it is a recording of its own.
    emg = _emg(arrays, where)
    starts = _column(arrays, "seg_start", None, where)
    rows = len(starts)
    lengths, labels, sessions, reps = (
        _column(arrays, key, rows, where) for key in ("seg_len", "label", session_key, rep_key)
    )
    _check_labels(labels, len(info.classes) - 1, where)
    recordings = []
    for index, (start, length, label, stated, rep) in enumerate(
        zip(starts, lengths, labels, sessions, reps, strict=True)
    ):
        session = int(stated) + 1 - first_session
        samples = _cut(emg, int(start), int(length), where)
        trial = Trial(0, len(samples), int(label), int(rep))
        recordings.append(
            Recording(
                samples, RATE_HZ, info.folder, subject, session, day_of(subject, session), index, (trial,)
            )
        )
    return recordings


def _read_armband(info: EmgSet, subject: str, arrays: Arrays, where: str) -> list[Recording]:
    return _segments(info, subject, arrays, where, "session", "cycle", 0, lambda *_: None)


def _read_disco(info: EmgSet, subject: str, arrays: Arrays, where: str) -> list[Recording]:
    # Session 1 is day 1; 2 is day 2; 3 .. 6 are the limb positions of day 2.
    return _segments(
        info, subject, arrays, where, "session", "rep", 0, lambda _, session: 1 if session == 1 else 2
    )


def _rps_day(subject: str, session: int) -> int:
    return 2 if session > 3 and subject in RPS_SECOND_DAY else 1


def _read_rps(info: EmgSet, subject: str, arrays: Arrays, where: str) -> list[Recording]:
    return _segments(info, subject, arrays, where, "iteration", "rep", 1, _rps_day)


def _read_rsp4(info: EmgSet, subject: str, arrays: Arrays, where: str) -> list[Recording]:
    # One stretch of about 116 s per gesture; quarters stand for repetitions, so that a split is by time.
    emg = _emg(arrays, where)
    starts = _column(arrays, "seg_start", None, where)
    lengths, labels = (_column(arrays, key, len(starts), where) for key in ("seg_len", "label"))
    _check_labels(labels, len(info.classes) - 1, where)
    recordings = []
    for index, (start, length, label) in enumerate(zip(starts, lengths, labels, strict=True)):
        part = int(length) // RSP4_PARTS
        trials = tuple(Trial(rep * part, part, int(label), rep) for rep in range(RSP4_PARTS))
        samples = _cut(emg, int(start), int(length), where)
        recordings.append(Recording(samples, RATE_HZ, info.folder, subject, 1, None, index, trials))
    return recordings


def annotated_trials(labels: NDArray[np.int64], classes: int) -> tuple[Trial, ...]:
    """Trials of a recording with a label per sample: each run of one class; `classes` itself is the pause."""
    return numbered(
        [(start, length, int(labels[start])) for start, length in runs(labels) if labels[start] < classes]
    )


def _read_annotated(info: EmgSet, subject: str, arrays: Arrays, where: str) -> list[Recording]:
    emg = _emg(arrays, where)
    labels = _column(arrays, "label", len(emg), where)
    starts = _column(arrays, "rec_start", None, where)
    lengths, sessions = (_column(arrays, key, len(starts), where) for key in ("rec_len", "rec_session"))
    _check_labels(labels, len(info.classes), where)
    recordings = []
    for index, (start, length, session) in enumerate(zip(starts, lengths, sessions, strict=True)):
        samples = _cut(emg, int(start), int(length), where)
        trials = annotated_trials(labels[start : start + length], len(info.classes))
        check_trials(trials, len(samples), len(info.classes), where)
        rate = ceolini_rate_hz(subject, int(session)) if info.name == "myo_fingers" else RATE_HZ
        recordings.append(Recording(samples, rate, info.folder, subject, int(session), None, index, trials))
    return recordings


def _wrist_trials(labels: NDArray[np.int64], gesture: int) -> tuple[Trial, ...]:
    # A hold is one prompted stretch of about 5 s. Rest holds come from the rest recording, from the slots in
    # which the other recordings hold their gesture, so that every class has as many holds at the same times.
    if gesture:
        shortest = WRIST_SHORTEST_HOLD_SECONDS * RATE_HZ
        return numbered([(a, n, gesture) for a, n in runs(labels) if labels[a] == gesture and n >= shortest])
    slot = int(len(labels) * WRIST_HOLD_SECONDS / WRIST_SECONDS)
    return numbered([(a, slot, 0) for a in range(slot, len(labels) - slot + 1, 2 * slot)])


def _read_wrist(info: EmgSet, subject: str, arrays: Arrays, where: str) -> list[Recording]:
    emg = _emg(arrays, where)
    labels = _column(arrays, "label", len(emg), where)
    starts = _column(arrays, "rec_start", None, where)
    lengths, gestures, sessions = (
        _column(arrays, key, len(starts), where) for key in ("rec_len", "rec_gesture", "rec_session")
    )
    _check_labels(labels, len(info.classes) - 1, where)
    _check_labels(gestures, len(info.classes) - 1, where)
    recordings = []
    for index, (start, length, gesture, session) in enumerate(
        zip(starts, lengths, gestures, sessions, strict=True)
    ):
        samples = _cut(emg, int(start), int(length), where)
        check_duration(
            len(samples), RATE_HZ, WRIST_SECONDS, WRIST_DURATION_TOLERANCE, f"{where} recording {index}"
        )
        trials = _wrist_trials(labels[start : start + length], int(gesture))
        recordings.append(
            Recording(samples, RATE_HZ, info.folder, subject, int(session), None, index, trials)
        )
    return recordings


def _numbers(*numbers: int) -> tuple[str, ...]:
    return tuple(f"s{n:02d}" for n in numbers)


EMBEDDED_NAME = "myo_wrist_embedded"
_WRIST_CLASSES = (
    "rest",
    "flexion",
    "extension",
    "radial deviation",
    "ulnar deviation",
    "pronation",
    "supination",
    "fist",
)
_WRIST_PEOPLE = tuple(
    f"p{n}"
    for n in (
        10000,
        10101,
        12345,
        14478,
        22222,
        35622,
        45677,
        45678,
        45744,
        51425,
        54321,
        65842,
        75489,
        78549,
        78945,
        95142,
        95462,
        99999,
    )
)
_WRIST_ORIGIN = "github.com/aljazfrancic/myo-readings-dataset"
_WRIST_CITE = "A. Francic, myo-readings-dataset, 2021"
_GARG = "github.com/nikhil-garg/EMG_exp"

SETS: dict[str, EmgSet] = {
    s.name: s
    for s in (
        EmgSet(
            EMBEDDED_NAME,
            "myo_wrist",
            _WRIST_CLASSES,
            _WRIST_PEOPLE[:5],
            "MIT, copyright 2021 Aljaž",
            _WRIST_CITE,
            _WRIST_ORIGIN,
            _read_wrist,
        ),
        EmgSet(
            "myo_wrist",
            "myo_wrist",
            _WRIST_CLASSES,
            _WRIST_PEOPLE,
            "MIT, copyright 2021 Aljaž",
            _WRIST_CITE,
            _WRIST_ORIGIN,
            _read_wrist,
        ),
        EmgSet(
            "myo_fingers",
            "myo_fingers",
            ("pinky", "elle", "yo", "index", "thumb"),
            _numbers(*range(1, 22)),
            "see Zenodo record 3228846",
            "E. Ceolini et al., Frontiers in Neuroscience 14:637, 2020",
            _GARG,
            _read_annotated,
        ),
        EmgSet(
            "myo_disco",
            "myo_disco",
            (
                "double tap",
                "wrist extension",
                "finger gun",
                "wrist flexion",
                "hand close",
                "hand open",
                "point",
                "snap",
                "thumbs up",
                "rest",
            ),
            _numbers(1, 2, 3, 5, 6, 7, 9, 10, 11, 13),
            "none stated; cite",
            "MyoDisCo, J. Neural Eng. 2024, doi 10.1088/1741-2552/ad4915",
            "github.com/LibEMG/MyoDisCo",
            _read_disco,
        ),
        EmgSet(
            "myo_armband_2019",
            "myo_armband_2019",
            (
                "neutral",
                "radial deviation",
                "wrist flexion",
                "ulnar deviation",
                "wrist extension",
                "hand close",
                "hand open",
            ),
            (
                "eval_female0",
                *(f"eval_male{n}" for n in (0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15)),
                *(f"pre_female{n}" for n in range(7)),
                *(f"pre_male{n}" for n in range(12)),
            ),
            "GPL-3.0",
            "U. Cote-Allard et al., IEEE TNSRE 27(4), 760-771, 2019",
            "github.com/UlysseCoteAllard/MyoArmbandDataset",
            _read_armband,
        ),
        EmgSet(
            "myo_rps",
            "myo_rps",
            ("rock", "paper", "scissors"),
            _numbers(*range(1, 14)),
            "none stated; cite",
            "Technical University of Munich, Person-Independent sEMG Gesture Recognition, 2019/20",
            "github.com/michidk/myo-dataset",
            _read_rps,
        ),
        EmgSet(
            "myo_pinch",
            "myo_pinch",
            ("pinch 1", "pinch 2", "pinch 3", "pinch 4"),
            _numbers(*range(1, 23)),
            "none stated; cite",
            "N. Garg et al., ICONS 2021",
            _GARG,
            _read_annotated,
        ),
        EmgSet(
            "myo_roshambo",
            "myo_roshambo",
            ("rock", "paper", "scissors"),
            _numbers(*range(1, 11)),
            "see Zenodo record 3194792",
            "E. Donati, doi 10.5281/zenodo.3194792, 2019",
            _GARG,
            _read_annotated,
        ),
        EmgSet(
            "myo_rsp4",
            "myo_rsp4",
            ("rock", "scissors", "paper", "ok"),
            ("one_person",),
            "Apache-2.0",
            "the origin repository, also known as the Kaggle set emg-4",
            "github.com/cyber-punk-me/emg-nn",
            _read_rsp4,
        ),
    )
}
