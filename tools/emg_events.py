"""What the paper's EMG events leave open, measured: event rate and accuracy of each choice on myo_fingers."""

import argparse
import json
import time
import warnings
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pyedge import baselines
from pyedge.calibrate import calibrate
from pyedge.datasets import EmgData, Windows, load, session_folds, whole_trials
from pyedge.encode import EncoderConfig, code, encode, measure_all, window_rows

STEPS, KEPT_EVERY, PIECE = 39, 10, 391
SHORT = ("keep", "drop", "extend")
TREATMENTS = {
    "any": "a step fires if any of its ten differences does",
    "last": "every tenth difference",
    "kept": "differences of every tenth sample",
}


class Choice(NamedTuple):
    """One reading of the paper."""

    treatment: str = "any"
    threshold: int | None = 32  # device units; None: per person, from the training sessions, for `rate`
    rate: float | None = None
    short: str = "keep"

    @property
    def name(self) -> str:
        threshold = f"threshold {self.threshold}" if self.rate is None else f"rate {self.rate:g} a person"
        return f"{self.treatment}, {threshold}, short: {self.short}"


def encoder(choice: Choice, threshold: int) -> EncoderConfig:
    hop, mode = (1, "any") if choice.treatment == "kept" else (KEPT_EVERY, choice.treatment)
    return EncoderConfig("difference", hop=hop, mode=mode, threshold=threshold)  # type: ignore[arg-type]


def events(choice: Choice, config: EncoderConfig, windows: Windows) -> np.ndarray:
    """(n, steps, 16) spikes of whole trials."""
    if choice.treatment != "kept":
        return np.asarray(encode(config, window_rows(config, windows, STEPS, fresh=True)))
    out = np.zeros((len(windows), STEPS, config.inputs), bool)
    for n in range(len(windows)):
        rows = measure_all(config, windows.samples(n)[::KEPT_EVERY])[:STEPS]
        out[n, : len(rows)] = code(config, rows)
    return out


def sides(data: EmgData, choice: Choice) -> list[tuple[np.ndarray, ...]]:
    """For each session fold: training and test events, labels, people."""
    folds = []
    for split in session_folds(data.recordings):
        parts: tuple[list[list[np.ndarray]], ...] = ([[], [], []], [[], [], []])
        for person in data.subjects:
            config = encoder(choice, choice.threshold or 1)
            own = [[r for r in side if r.subject == person] for side in split]
            if choice.rate is not None:
                training = own[0]
                if choice.treatment == "kept":
                    training = [_thinned(r) for r in training]
                config = calibrate(config, training, choice.rate)
            for part, recordings in zip(parts, own, strict=True):
                windows = whole_trials(recordings, PIECE, 0, choice.short)  # type: ignore[arg-type]
                part[0].append(events(choice, config, windows))
                part[1].append(windows.label)
                part[2].append(np.full(len(windows), person))
        folds.append(tuple(np.concatenate(p) for part in parts for p in part))
    return folds


def _thinned(recording: Any) -> Any:
    trials = [
        replace(t, start=t.start // KEPT_EVERY, length=max(1, t.length // KEPT_EVERY))
        for t in recording.trials
    ]
    return replace(recording, emg=recording.emg[::KEPT_EVERY], trials=tuple(trials))


def linear(folds: list[tuple[np.ndarray, ...]]) -> dict[str, float]:
    """Event rates, and shrinkage LDA on event counts: one model for all people, and one a person."""
    pooled, alone = [], []
    for x, y, who, test_x, test_y, test_who in folds:
        counts, test_counts = x.sum(1).astype(float), test_x.sum(1).astype(float)
        pooled.append(np.mean(baselines.lda(counts, y).predict(test_counts) == test_y))
        for person in np.unique(who):
            own, test_own = who == person, test_who == person
            if own.sum() < 25 or not test_own.any():
                continue  # dropping short trials leaves nothing of the people who were sampled slowly
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a line that never fires has no variance
                model = baselines.lda(counts[own], y[own])
            alone.append(np.mean(model.predict(test_counts[test_own]) == test_y[test_own]))
    x, who = np.concatenate([f[3] for f in folds]), np.concatenate([f[5] for f in folds])
    rates = [float(x[who == person].mean()) for person in np.unique(who)]
    return {
        "trials": len(x),
        "rate": float(x.mean()),
        "rate_least": min(rates),
        "rate_most": max(rates),
        "lda_all": float(np.mean(pooled)),
        "lda_person": float(np.mean(alone)),
    }


def envelopes(data: EmgData) -> dict[str, float]:
    """The same readout on the baselines' log features of the same trials, for comparison."""
    pooled, alone = [], []
    for split in session_folds(data.recordings):
        sides = []
        for recordings in split:
            windows = whole_trials(recordings, PIECE)
            who = np.array([windows.recordings[r].subject for r in windows.recording])
            sides.append((baselines.log_features(windows), windows.label, who))
        (x, y, who), (test_x, test_y, test_who) = sides
        pooled.append(np.mean(baselines.lda(x, y).predict(test_x) == test_y))
        for person in data.subjects:
            own, test_own = who == person, test_who == person
            model = baselines.lda(x[own], y[own])
            alone.append(np.mean(model.predict(test_x[test_own]) == test_y[test_own]))
    return {"lda_all": float(np.mean(pooled)), "lda_person": float(np.mean(alone))}


def network(folds: list[tuple[np.ndarray, ...]], epochs: int, seed: int) -> dict[str, float]:
    """16-512-5 AFT-LIF with a linear readout, MPD-ED, one model for all people."""
    from pyedge.model import Input, dense_network
    from pyedge.trainer import TrainConfig, evaluate, fit

    found, hidden = [], []
    for x, y, _, test_x, test_y, _ in folds:
        net = dense_network(Input("spikes", (16,)), (512,), 5, STEPS)
        result = fit(net, TrainConfig(epochs=epochs, seed=seed), (x.transpose(1, 0, 2), y))
        test = evaluate(net, result.params, test_x.transpose(1, 0, 2), test_y)
        found.append(test.accuracy)
        hidden.append(float(np.mean(list(test.firing_rates.values()))))
    return {"network": float(np.mean(found)), "network_rate": float(np.mean(hidden))}


def choices() -> list[Choice]:
    listed = [Choice(t, threshold) for t in TREATMENTS for threshold in (4, 8, 16, 32, 64)]
    listed += [Choice(t, None, rate) for t in TREATMENTS for rate in (0.05, 0.1, 0.2, 0.3)]
    listed += [Choice(short=short) for short in SHORT[1:]]
    return listed


NETWORK_CHOICES = (
    *(Choice("any", threshold) for threshold in (16, 32, 64)),
    *(Choice(treatment, 16) for treatment in ("last", "kept")),
    *(Choice("any", None, rate) for rate in (0.1, 0.3)),
    Choice("last", None, 0.1),
    *(Choice(short=short) for short in SHORT[1:]),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--network", action="store_true", help="also train 16-512-5 on the choices in question"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="write the rows to this file")
    options = parser.parse_args()
    data, rows = load("myo_fingers"), []
    wanted = list(dict.fromkeys([*choices(), *(NETWORK_CHOICES if options.network else ())]))
    for choice in wanted:
        begun = time.monotonic()
        folds = sides(data, choice)
        row: dict[str, Any] = {"choice": choice.name, **linear(folds)}
        if options.network and choice in NETWORK_CHOICES:
            row |= network(folds, options.epochs, options.seed)
        rows.append(row)
        print(
            f"{row['choice']:48s} trials {row['trials']}  rate {row['rate']:.3f} "
            f"({row['rate_least']:.3f}..{row['rate_most']:.3f})  LDA all {row['lda_all']:.3f}  "
            f"person {row['lda_person']:.3f}"
            + (
                f"  network {row['network']:.3f} (rate {row['network_rate']:.2f})" if "network" in row else ""
            ),
            f" {time.monotonic() - begun:.0f} s",
            flush=True,
        )
    row = {"choice": "no events: log envelopes", **envelopes(data)}
    rows.append(row)
    print(f"{row['choice']:48s} LDA all {row['lda_all']:.3f}  person {row['lda_person']:.3f}")
    path = options.__dict__.pop("json")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"options": vars(options), "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
