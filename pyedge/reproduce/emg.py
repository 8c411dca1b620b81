"""EMG: the paper's task on myo_fingers and every other set, by networks and classical classifiers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyedge import baselines, methods
from pyedge.augment import LogJitter
from pyedge.datasets import EmgData, load
from pyedge.losses import TET, Loss, ScoreCrossEntropy
from pyedge.model import Input, Network, Params, dense_network
from pyedge.neuron import IF
from pyedge.ops import backend
from pyedge.optim import AdamW
from pyedge.reproduce.emg_page import page
from pyedge.reproduce.emg_protocols import (
    FINGERS,
    OTHERS,
    Arm,
    Encoded,
    Labels,
    Protocol,
    arms_of,
    cut,
    encoded,
    folds_of,
)
from pyedge.reproduce.study import Stage, Study, Tick
from pyedge.trainer import TrainConfig, fit, start, train_epoch

MOST_FOR_SVM = 20000  # windows; a kernel machine's time grows with their square


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


STUDIES = {"emg": Study("emg", "EMG", stages, page)}
