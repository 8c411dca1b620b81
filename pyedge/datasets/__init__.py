"""Data sets: EMG recordings, their windows and splits; image, event and touch sets are in `catalog`."""

from .ceolini import load_published
from .emg import EMBEDDED_NAME, EmgData, EmgSet, describe, load, names
from .errors import (
    ChannelError,
    DamagedFileError,
    FileKindError,
    LabelError,
    MissingDataError,
    SamplingGapError,
    SamplingRateError,
    ShapeError,
    SplitError,
    TruncatedFileError,
    ValueRangeError,
)
from .paths import data_root
from .recording import Recording, Trial, recording_from_samples
from .splits import (
    Side,
    by_day,
    by_repetition,
    by_session,
    by_subject,
    check_disjoint,
    select,
    session_and_k,
    session_folds,
    subject_folds,
)
from .windows import REACTION_S, Windows, in_samples, live_windows, whole_trials

__all__ = [
    "EMBEDDED_NAME",
    "REACTION_S",
    "ChannelError",
    "DamagedFileError",
    "EmgData",
    "EmgSet",
    "FileKindError",
    "LabelError",
    "MissingDataError",
    "Recording",
    "SamplingGapError",
    "SamplingRateError",
    "ShapeError",
    "Side",
    "SplitError",
    "Trial",
    "TruncatedFileError",
    "ValueRangeError",
    "Windows",
    "by_day",
    "by_repetition",
    "by_session",
    "by_subject",
    "check_disjoint",
    "data_root",
    "describe",
    "in_samples",
    "live_windows",
    "load",
    "load_published",
    "names",
    "recording_from_samples",
    "select",
    "session_and_k",
    "session_folds",
    "subject_folds",
    "whole_trials",
]
