"""EMG: the paper's task on myo_fingers and every other set; beside LDA, SVM and published figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyedge import baselines, methods
from pyedge.augment import LogJitter
from pyedge.calibrate import calibrate
from pyedge.datasets import (
    EmgData,
    Recording,
    Windows,
    by_repetition,
    fixed_windows,
    live_windows,
    load,
    peak_windows,
    select,
    session_folds,
    whole_trials,
)
from pyedge.encode import EncoderConfig, encode, window_rows
from pyedge.losses import TET, Loss, ScoreCrossEntropy
from pyedge.model import Input, Network, Params, dense_network
from pyedge.neuron import IF
from pyedge.ops import backend
from pyedge.optim import AdamW
from pyedge.reproduce import pages
from pyedge.reproduce.study import Found, Page, Stage, Study, Tick
from pyedge.trainer import TrainConfig, fit, start, train_epoch

Side = tuple[Recording, ...]
Fold = tuple[Side, Side]
Labels = NDArray[np.int64]

EVENT_THRESHOLD = 16  # docs/decisions/0001-emg-events.md
MOST_FOR_SVM = 20000  # windows; a kernel machine's time grows with their square


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
class Training:
    """How networks learn; the same for every method.

    stride : "live" windows: samples between windows in training; 0: as in the test.
    """

    hidden: tuple[int, ...] = (256, 256)
    epochs: int = 40
    batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.01
    loss: str = "score"
    loss_scale: float = 4.0
    rotation: float = 0.05
    gain: float = 0.1
    noise: float = 0.05
    stride: int = 0
    own_epochs: int = 20  # on the wearer's own training windows, after training on everybody's
    own_lr: float = 1e-3


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

# Protocols

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

# Chosen on myo_fingers: trained on session 1, looked at on session 2 (docs/decisions/0012-emg-networks.md).
DEFAULT = Training()
TRAINING: dict[str, Training] = {
    "events": Training(rotation=0.0, gain=0.0, noise=0.0),
    "own-events": Training(rotation=0.0, gain=0.0, noise=0.0),
    "windows": Training(hidden=(256, 256, 256), epochs=30, batch=128, stride=10),
    "armband": Training(epochs=10, batch=128),
    "wrist": Training(epochs=6, batch=128),
    "rsp4": Training(epochs=20, batch=128),
}


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


# Classifiers


def network_for(arm: Arm, spikes: bool, t: Training, classes: int, steps: int) -> Network:
    """A dense network of the method's neurons with a linear readout, so that all methods share one loss."""
    source = Input("spikes", (16,)) if spikes else Input("frames", (16,), 32.0)
    neuron = IF() if arm.integrates else methods.method(arm.model).neuron
    return dense_network(source, t.hidden, classes, steps, neuron=neuron)


def config_for(arm: Arm, spikes: bool, t: Training, epochs: int, lr: float, seed: int) -> TrainConfig:
    loss: Loss = TET() if t.loss == "tet" else ScoreCrossEntropy(t.loss_scale)
    jitter = LogJitter(8, t.rotation, t.gain, t.noise)
    return TrainConfig(
        epochs=epochs,
        batch=t.batch,
        seed=seed,
        loss=loss,
        rule=methods.method(arm.model).rule,
        optimizer=AdamW(lr, weight_decay=t.weight_decay),
        augment=jitter if not spikes and any((t.rotation, t.gain, t.noise)) else None,
        backend="auto",
    )


def _trained(
    arm: Arm, t: Training, side: Encoded, classes: int, seed: int, tick: Callable[[float], None]
) -> tuple[Network, Params]:
    spikes = side.x.dtype == bool
    network = network_for(arm, spikes, t, classes, len(side.x))
    config = config_for(arm, spikes, t, t.epochs, t.lr, seed)
    params = fit(network, config, (side.x, side.y), on_epoch=lambda row: tick(row["epoch"] / t.epochs)).params
    return network, params


def _predicted(network: Network, params: Params, x: NDArray[np.generic]) -> Labels:
    ops, found = backend("auto"), []
    for first in range(0, x.shape[1], 256):
        outputs = network.forward(params, x[:, first : first + 256], ops=ops).outputs
        found.append(np.asarray(outputs).mean(axis=0).argmax(axis=1))
    return np.concatenate(found)


def _classical(model: str, features: NDArray[np.float64], y: Labels) -> baselines.Classifier:
    if model == "lda":
        return baselines.lda(features, y)
    if len(y) > MOST_FOR_SVM:
        pick = np.random.default_rng(0).permutation(len(y))[:MOST_FOR_SVM]
        features, y = features[pick], y[pick]
    return baselines.svm(features, y)


def predictions(
    arm: Arm,
    t: Training,
    train: Encoded,
    test: Encoded,
    classes: int,
    seed: int,
    tick: Callable[[float], None],
) -> Labels:
    """What the arm says of the test windows; people are told apart only where the arm is one a person."""
    classical = arm.model in ("lda", "svm")
    if not arm.own:
        if classical:
            return _classical(arm.model, train.features, train.y).predict(test.features)
        network, params = _trained(arm, t, train, classes, seed, tick)
        return _predicted(network, params, test.x)
    out = np.zeros(len(test.y), np.int64)
    people = np.unique(test.who)
    if not classical:
        network, params = _trained(arm, t, train, classes, seed, lambda share: tick(share / 2))
    for number, person in enumerate(people):
        own, asked = train.who == person, test.who == person
        if classical:
            out[asked] = _classical(arm.model, train.features[own], train.y[own]).predict(
                test.features[asked]
            )
            continue
        spikes = train.x.dtype == bool
        config = config_for(arm, spikes, replace(t, batch=32), t.own_epochs, t.own_lr, seed)
        state = start(network, config, params)
        for _ in range(t.own_epochs):
            train_epoch(network, config, state, (train.x[:, own], train.y[own]))
        out[asked] = _predicted(network, state.params, test.x[:, asked])
        tick(0.5 + 0.5 * (number + 1) / len(people))
    return out


# Stages


@lru_cache(maxsize=1)
def _data(name: str) -> EmgData:
    return load(name)


def outcome(protocol: Protocol, arm: Arm, t: Training, seed: int, few: bool, tick: Tick) -> dict[str, Any]:
    """Every fold: its confusion matrix, and right answers and windows of each person."""
    data = _data(protocol.set)
    if few:
        kept = tuple(r for r in data.recordings if r.subject in data.subjects[-2:])
        data = EmgData(data.info, kept)
    folds, classes, rows = folds_of(protocol, data), len(data.classes), []
    for number, (training, testing) in enumerate(folds):
        stride = 0 if arm.model in ("lda", "svm") else t.stride
        sides = (cut(protocol, training, stride), cut(protocol, testing))
        train, test = encoded(protocol, training, sides)

        def progress(share: float, number: int = number) -> None:
            tick((number + share) / len(folds), f"fold {number + 1} of {len(folds)}")

        said = predictions(arm, t, train, test, classes, seed, progress)
        hits = said == test.y
        rows.append(
            {
                "confusion": np.bincount(test.y * classes + said, minlength=classes**2)
                .reshape(classes, classes)
                .tolist(),
                "people": {
                    str(p): [int(hits[test.who == p].sum()), int((test.who == p).sum())]
                    for p in np.unique(test.who)
                },
                "training_windows": len(train.y),
            }
        )
    return {"classes": list(data.classes), "folds": rows}


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


def stages(quick: bool) -> Sequence[Stage]:
    listed = []
    for protocol in (*FINGERS, *OTHERS):
        for arm, seeds in arms_of(protocol):
            for seed in seeds[: 1 if quick else None]:
                t = TRAINING.get(protocol.name, DEFAULT)
                if quick:
                    t = replace(t, hidden=(32,), epochs=1, own_epochs=1)

                def work(
                    _: Path,
                    tick: Tick,
                    protocol: Protocol = protocol,
                    arm: Arm = arm,
                    t: Training = t,
                    seed: int = seed,
                ) -> Any:
                    return outcome(protocol, arm, t, seed, quick, tick)

                settings: Mapping[str, Any] = {
                    "protocol": {k: v for k, v in asdict(protocol).items() if k != "text"},
                    "arm": {"model": arm.model, "own": arm.own}
                    | ({"neuron": "IF"} if arm.integrates else {}),
                    "training": asdict(t) if arm.model not in ("lda", "svm") else {},
                    "seed": seed,
                    "quick": quick,
                }
                listed.append(Stage(f"{protocol.name}-{arm.name}-{seed}", settings, work))
    return listed


# Pages

PUBLISHED = {
    "windows": (
        ("MLP 16-128-128-5, embedded GPU (published)", 0.6807, "sd over the folds 2.85"),
        ("MLP 16-230-5 (published)", 0.6536, "sd over the folds 2.98"),
    ),
    "random": (("16-128-128-5 on Loihi, 2 s (published)", 0.785, "one split"),),
}
SOURCE = (
    "Published: Ceolini et al. 2020, EMG alone, as their code and notebook log them; the split is theirs, "
    "the preprocessing (mean absolute value and root mean square; events for Loihi) too."
)


def accuracies(result: Mapping[str, Any]) -> list[float]:
    """Of every fold."""
    return [float(np.trace(f["confusion"]) / np.sum(f["confusion"])) for f in result["folds"]]


def by_person(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Share of right windows of each person, over folds and seeds."""
    right: dict[str, int] = {}
    count: dict[str, int] = {}
    for fold in (f for r in results for f in r["folds"]):
        for person, (hits, n) in fold["people"].items():
            right[person], count[person] = right.get(person, 0) + hits, count.get(person, 0) + n
    return {person: right[person] / count[person] for person in right}


def _row(arm: Arm, results: Sequence[Mapping[str, Any]]) -> tuple[object, ...]:
    each = [accuracies(r) for r in results]
    people = by_person(results)
    total = np.sum([f["confusion"] for r in results for f in r["folds"]], axis=0)
    limits = pages.of_people(list(people.values()))[1] if len(people) > 1 else pages.of_confusion(total)[1]
    folds = np.mean(each, axis=0)
    return (
        arm.title,
        pages.percent(float(np.mean(each))),
        limits,
        ", ".join(f"{100 * a:.1f}" for a in folds),
        f"{100 * min(people.values()):.1f}",
        len(results),
    )


def summary(found: Found) -> list[str]:
    """Every protocol in a line: models for all people, and the best published figure."""
    rows = []
    for protocol in (*FINGERS, *OTHERS):
        cells = []
        for arm in (*CLASSICAL, *NETS, *OWN):
            results = _results(found, protocol, arm)
            cells.append(f"{100 * np.mean([accuracies(r) for r in results]):.1f}" if results else "")
        best = max((share for _, share, _ in PUBLISHED.get(protocol.name, ())), default=0.0)
        if any(cells):
            rows.append((f"{protocol.set}, {protocol.name}", *cells, f"{100 * best:.1f}" if best else ""))
    header = ("accuracy in %; empty: not run", *(arm.title for arm in (*CLASSICAL, *NETS, *OWN)), "published")
    return pages.table(header, rows)


def _results(found: Found, protocol: Protocol, arm: Arm) -> list[Any]:
    return [v for k, v in found.items() if k.rsplit("-", 1)[0] == f"{protocol.name}-{arm.name}"]


def page(found: Found, command: str) -> Page:
    """The page of every EMG set."""
    lines = ["# EMG", "", f"`{command}`", "", *_WHAT, "", *summary(found), ""]
    for protocol in (*FINGERS, *OTHERS):
        arms = [arm for arm, _ in arms_of(protocol)]
        results = {arm: _results(found, protocol, arm) for arm in arms}
        rows = [_row(arm, rs) for arm, rs in results.items() if rs]
        if not rows:
            continue
        rows += [
            (name, pages.percent(a), note, "", "", "") for name, a, note in PUBLISHED.get(protocol.name, ())
        ]
        some = next(rs for rs in results.values() if rs)[0]
        tested = sum(int(np.sum(f["confusion"])) for f in some["folds"])
        lines += [f"## {protocol.set}: {protocol.text}", ""]
        lines += pages.table(("", "accuracy", "95 %", "folds", "worst person", "seeds"), rows)
        lines += ["", f"{tested:,} windows tested, of {len(by_person([some]))} people."]
        shown = next(arm for arm in (*NETS, *arms) if results[arm])
        lines += ["", f"{shown.title}, all folds, first seed:", ""]
        total = np.sum([f["confusion"] for f in results[shown][0]["folds"]], axis=0)
        lines += [*pages.confusion_lines(total, results[shown][0]["classes"]), ""]
    lines += [SOURCE]
    return Page("\n".join(lines) + "\n")


_WHAT = (
    "One model for all people, unless it says one a person (networks: trained on everybody, then on the "
    "wearer's own training windows). Nothing of the test, labelled or not, is used in training "
    "or calibration. Networks: 16-256-256-classes, for windows of 200 ms 16-256-256-256-classes, linear "
    "readout, cross-entropy of the score; "
    "MPD-ED with AFT-IF and AFT-LIF, STD-ED with AFT-IF, STBP with LIF neurons; all else alike. LDA "
    "(shrinkage) and SVM (Gaussian, C = 10): on the log mean absolute value and difference of the same "
    "samples, or on the counts of the same events. *95 %*: bootstrap over people of their mean (one "
    "person: binomial). *Folds*: each split, mean over seeds. Settings were chosen on myo_fingers, "
    "training on session 1 and looking at session 2: of its folds the last, tested on session 3, is the "
    "one that this has not seen. Which kind of neuron is the better in a row is seen here, on all folds.",
)

STUDIES = {"emg": Study("emg", "EMG", stages, page)}
