"""EMG: what is classified, from what windows, by which classifiers, and what is kept for the test."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyedge import baselines
from pyedge.calibrate import calibrate
from pyedge.datasets import (
    EmgData,
    Recording,
    Windows,
    by_repetition,
    fixed_windows,
    live_windows,
    peak_windows,
    select,
    session_folds,
    whole_trials,
)
from pyedge.encode import EncoderConfig, encode, window_rows

Side = tuple[Recording, ...]
Fold = tuple[Side, Side]
Labels = NDArray[np.int64]

EVENT_THRESHOLD = 16  # docs/decisions/0001-emg-events.md


@dataclass(frozen=True)
class Protocol:
    """What is classified, from what, and what is kept for the test.

    split   : "sessions", each once the test; "last session"; "first session" to all later ones; "days" (1 to
              2); "second half" (of six sessions); "last quarter" (repetition 3); or "random" trials.
    cut     : "whole" trials (as they are), "fixed" (`steps * hop` samples from a trial's start), "live"
              (overlapping), or "peak" (the strongest stretch).
    encoder : "events" as the paper makes them, "own events" (any of ten differences, a threshold a person),
              or "envelopes" (log_frames; each window on its own).
    """

    name: str
    text: str
    set: str
    split: str
    cut: Literal["whole", "fixed", "live", "peak"]
    encoder: Literal["events", "own events", "envelopes"]
    steps: int
    hop: int
    hops: int = 1
    stride: int = 0  # live: samples between windows
    skip: int = 0  # live: samples cut off a trial's start
    people: str = ""  # whose names begin so


@dataclass(frozen=True)
class Arm:
    """A classifier: a learning method's network, or a classical one; for all people, or one a person."""

    model: str  # of pyedge.methods, or "lda", "svm"
    own: bool = False
    integrates: bool = False  # MPD-ED: AFT-IF neurons, which do not leak, in place of AFT-LIF

    @property
    def title(self) -> str:
        names = {"mpd_ed": "MPD-ED", "std_ed": "STD-ED", "stbp": "STBP", "lda": "LDA", "svm": "SVM"}
        name = names[self.model] + (", AFT-IF" if self.integrates else "")
        return name + (", one a person" if self.own else "")

    @property
    def name(self) -> str:
        return self.model + ("-if" if self.integrates else "") + ("-own" if self.own else "")


NETS = (Arm("mpd_ed", integrates=True), Arm("mpd_ed"), Arm("std_ed"), Arm("stbp"))
CLASSICAL = (Arm("lda"), Arm("svm"))
OWN = (Arm("lda", True), Arm("svm", True), Arm("mpd_ed", True, True))

WHOLE, WINDOW = "2 s trials, one decision each", "windows of 200 ms every 100 ms"
FINGERS = (
    Protocol(
        "events",
        "the paper's events (difference, every 10th of 391 steps, threshold 16), whole trials, by session",
        *("myo_fingers", "sessions", "whole", "events", 39, 10),
    ),
    Protocol(
        "own-events",
        "events in any of ten steps, each person's threshold from the training sessions, whole trials, by "
        "session",
        *("myo_fingers", "sessions", "whole", "own events", 39, 10),
    ),
    Protocol(
        "trials",
        f"log envelopes, {WHOLE}, by session",
        *("myo_fingers", "sessions", "fixed", "envelopes", 39, 10, 4),
    ),
    Protocol(
        "windows",
        f"log envelopes, {WINDOW}, by session",
        *("myo_fingers", "sessions", "live", "envelopes", 8, 5, 8, 20),
    ),
    Protocol(
        "random",
        f"log envelopes, {WHOLE}, 158 of 1,575 at random",
        *("myo_fingers", "random", "fixed", "envelopes", 39, 10, 4),
    ),
)
OTHERS = (
    Protocol(
        "armband",
        "session 1 to sessions 2 and 3, 15 people, 7 gestures, windows of 250 ms every 125 ms",
        *("myo_armband_2019", "first session", "live", "envelopes", 10, 5, 10, 25),
        people="eval",
    ),
    Protocol(
        "disco",
        "day 1 to day 2, 10 people, 10 gestures, the strongest 0.5 s of each",
        *("myo_disco", "days", "peak", "envelopes", 20, 5, 5),
    ),
    Protocol(
        "rps",
        "iterations 1-3 to 4-6 (armband put on again), 8 people, 3 gestures, the strongest 0.5 s of each",
        *("myo_rps", "second half", "peak", "envelopes", 20, 5, 5),
    ),
    Protocol(
        "wrist",
        "sessions 1 and 2 to 3, 18 people, 8 gestures, windows of 250 ms every 125 ms, first 0.5 s of "
        "holds left out",
        *("myo_wrist", "last session", "live", "envelopes", 10, 5, 10, 25, 100),
    ),
    Protocol(
        "pinch",
        "by session, 22 people, 4 pinches, 1.5 s from the start of each",
        *("myo_pinch", "sessions", "fixed", "envelopes", 30, 10, 4),
    ),
    Protocol(
        "roshambo",
        "by session, 10 people, 3 gestures, 1.75 s from the start of each",
        *("myo_roshambo", "sessions", "fixed", "envelopes", 35, 10, 4),
    ),
    Protocol(
        "rsp4",
        "first three quarters of each stretch to the last, 1 person, 4 gestures, windows of 250 ms every "
        "125 ms",
        *("myo_rsp4", "last quarter", "live", "envelopes", 10, 5, 10, 25),
    ),
)


def arms_of(protocol: Protocol) -> list[tuple[Arm, tuple[int, ...]]]:
    """Classifiers and their seeds."""
    if protocol in FINGERS:
        nets: list[tuple[Arm, tuple[int, ...]]] = [(arm, (0, 1, 2)) for arm in NETS]
        classical = [(arm, (0,)) for arm in CLASSICAL]
        own = [(arm, (0,)) for arm in OWN] if protocol.name in ("trials", "windows", "own-events") else []
        return [*classical, *nets, *own]
    if protocol.set == "myo_rsp4":
        return [(arm, (0,)) for arm in (*CLASSICAL, *NETS)]
    return [(arm, (0,)) for arm in (*CLASSICAL, *NETS, *OWN)]


# Sides of a fold


def folds_of(protocol: Protocol, data: EmgData) -> list[Fold]:
    """(training, test) recordings; no trial is on both sides."""
    found = tuple(r for r in data.recordings if r.subject.startswith(protocol.people))
    if protocol.split == "sessions":
        return session_folds(found)
    if protocol.split == "random":
        return [random_split(found, seed) for seed in range(3)]
    if protocol.split == "last quarter":
        return [by_repetition(found, {3})]
    tests = {
        "last session": lambda r: r.session == 3,
        "first session": lambda r: r.session > 1,
        "days": lambda r: r.session == 2,
        "second half": lambda r: r.session > 3,
    }[protocol.split]
    sides = select(found, lambda r, _: not tests(r)), select(found, lambda r, _: tests(r))
    if protocol.split == "days":  # limb positions follow on the second day
        sides = select(found, lambda r, _: r.session == 1), sides[1]
    people = {r.subject for r in sides[0]} & {r.subject for r in sides[1]}
    return [tuple(tuple(r for r in side if r.subject in people) for side in sides)]  # type: ignore[list-item]


def random_split(recordings: Sequence[Recording], seed: int, share: float = 0.1) -> Fold:
    """Trials dealt at random, whoever made them and when: easier than any split by session."""
    trials = [(r.key, t.start) for r in recordings for t in r.trials]
    order = np.random.default_rng(seed).permutation(len(trials))
    test = {trials[n] for n in order[: round(share * len(trials))]}
    sides = tuple(
        select(recordings, lambda r, t, held=held: ((r.key, t.start) in test) == held)  # type: ignore[misc]
        for held in (False, True)
    )
    return sides[0], sides[1]


def cut(protocol: Protocol, recordings: Side, stride: int = 0) -> Windows:
    """The protocol's windows; "live" ones every `stride` samples where that is not 0."""
    length = protocol.steps * protocol.hop
    if protocol.cut == "whole":
        return whole_trials(recordings, length + 1)
    if protocol.cut == "fixed":
        return fixed_windows(recordings, length)
    if protocol.cut == "peak":
        return peak_windows(recordings, length)
    return live_windows(recordings, length, stride or protocol.stride, protocol.skip)


class Encoded(NamedTuple):
    """One side of a fold, ready to learn or to test."""

    x: NDArray[np.generic]  # (steps, n, inputs)
    features: NDArray[np.float64]  # (n, features), of the same samples, for classical models
    y: Labels
    who: NDArray[np.str_]


def encoded(protocol: Protocol, training: Side, sides: Sequence[Windows]) -> list[Encoded]:
    """Windows as networks and classical models take them; nothing but `training` decides how."""
    kind = EncoderConfig("difference", hop=protocol.hop, mode="last", threshold=EVENT_THRESHOLD)
    if protocol.encoder == "envelopes":
        kind = calibrate(EncoderConfig("log_frames", hop=protocol.hop, hops=protocol.hops), training)
    found = []
    for windows in sides:
        who = np.array([windows.recordings[r].subject for r in windows.recording])
        if protocol.encoder == "own events":
            x = np.zeros((len(windows), protocol.steps, 16), bool)
            for person in np.unique(who):
                own = tuple(r for r in training if r.subject == person)
                config = calibrate(replace(kind, mode="any"), own, 0.3)
                x[who == person] = _coded(config, windows.take(who == person), protocol.steps)
        else:
            x = _coded(kind, windows, protocol.steps)
        features = (
            baselines.log_features(windows)
            if protocol.encoder == "envelopes"
            else x.sum(axis=1, dtype=np.float64)
        )
        found.append(Encoded(np.ascontiguousarray(x.swapaxes(0, 1)), features, windows.label, who))
    return found


def _coded(config: EncoderConfig, windows: Windows, steps: int) -> Any:
    return encode(config, window_rows(config, windows, steps, fresh=True))
