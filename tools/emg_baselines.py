"""Classical baselines on myo_wrist: sessions 1 and 2, k repetitions of session 3, tested on its remainder."""

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from pyedge import baselines
from pyedge.datasets import REACTION_S, in_samples, live_windows, load, names, session_and_k
from pyedge.datasets.splits import Side

RATE_HZ = 200.0


def person(recordings: Side, k: int, cut: Callable[[Side], Any]) -> dict[str, baselines.Scores | int]:
    """Scores of every baseline for one person, and the turn that was fitted."""
    old, new, test = session_and_k(recordings, k=k)
    (x, y), (test_x, test_y) = cut(old), cut(test)
    model = baselines.lda(x, y)
    found: dict[str, baselines.Scores | int] = {
        "old days, LDA": baselines.scores(model.predict(test_x), test_y),
        "old days, SVM": baselines.scores(baselines.svm(x, y).predict(test_x), test_y),
    }
    if not k:
        return found
    new_x, new_y = cut(new)
    turn = baselines.fit_rotation(model, new_x, new_y, k)
    both, labels = np.concatenate([x, new_x]), np.concatenate([y, new_y])
    turned = np.concatenate([x, baselines.rotate(new_x, turn)])
    for name, fit in (("LDA", baselines.lda), ("SVM", baselines.svm)):
        found[f"old and new, {name}"] = baselines.scores(fit(both, labels).predict(test_x), test_y)
        found[f"new alone, {name}"] = baselines.scores(fit(new_x, new_y).predict(test_x), test_y)
        found[f"old and new, turned, {name}"] = baselines.scores(
            fit(turned, labels).predict(baselines.rotate(test_x, turn)), test_y
        )
    found["turn"] = turn
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--set", default="myo_wrist", choices=[n for n in names() if n.startswith("myo_wrist")]
    )
    parser.add_argument("--k", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--window", type=float, default=0.25, help="seconds")
    parser.add_argument("--stride", type=float, default=0.125, help="seconds")
    parser.add_argument("--reaction", type=float, default=REACTION_S, help="seconds cut from each hold")
    parser.add_argument("--json", help="write the figures of every person to this file")
    options = parser.parse_args()
    length, stride, skip = (
        in_samples(s, RATE_HZ) for s in (options.window, options.stride, options.reaction)
    )

    def cut(side: Side) -> tuple[np.ndarray, np.ndarray]:
        windows = live_windows(side, length, stride, skip)
        return baselines.log_features(windows), windows.label

    data = load(options.set)
    rows = []
    for k in options.k:
        each = {subject: person(data.of(subject), k, cut) for subject in data.subjects}
        for name in next(iter(each.values())):
            if name == "turn":
                continue
            plain, balanced = np.array([scores[name] for scores in each.values()]).T
            figures = {"plain": plain.mean(), "balanced": balanced.mean(), "worst": plain.min()}
            rows.append({"k": k, "model": name, **figures})
            print(f"k = {k}  {name:26s}", *(f"{what} {figure:.3f} " for what, figure in figures.items()))
        rows[-1]["people"] = each
    path = options.__dict__.pop("json")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"options": vars(options), "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
