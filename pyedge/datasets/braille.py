"""Braille letters under a robot's fingertip: taxel readings, and the spikes that send-on-delta makes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, ShapeError
from .arrays import check_columns, read_npz
from .nmnist import check_labels

CLASSES = ("space", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
STEPS = 76  # the shortest recording; every one is cut to it
TEST_REPETITIONS = 10  # the last of 50


class Taxels(NamedTuple):
    """Recordings of equal length."""

    readings: NDArray[np.uint8]  # (N, steps, 12); a touch lowers the reading
    labels: NDArray[np.int64]  # (N,)
    repetition: NDArray[np.int64]  # (N,), 0 .. 49


def read_taxels(path: Path, steps: int = STEPS) -> Taxels:
    """The first `steps` samples (1/40 s each) of every recording.

    Raises DamagedFileError, ShapeError, LabelError.
    """
    columns = ("seg_start", "seg_len", "label", "rep")
    arrays = read_npz(path, ("taxel", *columns))
    check_columns(arrays, columns, str(path))
    taxel, starts, lengths = arrays["taxel"], arrays["seg_start"], arrays["seg_len"]
    if taxel.dtype != np.uint8 or taxel.ndim != 2:
        raise ShapeError(
            f"{path}: taxel is {taxel.dtype} of shape {taxel.shape}; bytes of (samples, taxels) are needed"
        )
    if not len(starts) == len(lengths) == len(arrays["label"]) == len(arrays["rep"]):
        raise ShapeError(f"{path}: the tables of recordings differ in length")
    for k, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        if start < 0 or length < steps or start + length > len(taxel):
            raise ShapeError(
                f"{path}: recording {k} is samples {start} .. {start + length - 1} of {len(taxel)}; "
                f"{steps} are needed"
            )
    rows = starts.astype(np.int64)[:, None] + np.arange(steps)
    labels = check_labels(arrays["label"], len(CLASSES), path)
    return Taxels(taxel[rows], labels, arrays["rep"].astype(np.int64))


def delta_spikes(readings: NDArray[np.uint8], threshold: int) -> NDArray[np.bool_]:
    """Send-on-delta: (T, N, 2 * taxels) spikes, first where readings rose by the threshold, then the falls.

    A spike moves the reference by one threshold; at most one spike a step and direction. The first sample is
    the reference.
    """
    if threshold < 1:
        raise ConfigError(f"threshold is {threshold}; it must be at least 1")
    values = readings.astype(np.int64).swapaxes(0, 1)  # (T, N, taxels)
    reference = values[0].copy()
    spikes = np.zeros((len(values), values.shape[1], 2, values.shape[2]), np.bool_)
    for step, now in enumerate(values):
        change = now - reference
        spikes[step, :, 0], spikes[step, :, 1] = change >= threshold, change <= -threshold
        reference += threshold * (spikes[step, :, 0].astype(np.int64) - spikes[step, :, 1])
    return spikes.reshape(len(values), values.shape[1], -1)
