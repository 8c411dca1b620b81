"""The page of the EMG study: every protocol beside LDA, SVM and published figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pyedge.reproduce import pages
from pyedge.reproduce.emg_protocols import CLASSICAL, FINGERS, NETS, OTHERS, OWN, Arm, Protocol, arms_of
from pyedge.reproduce.study import Found, Page

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
WHAT = (
    "One model for all people, unless it says one a person (networks: trained on everybody, then on the "
    "wearer's own training windows). Nothing of the test, labelled or not, is used in training "
    "or calibration. Networks: 16-256-256-classes, for windows of 200 ms 16-256-256-256-classes, linear "
    "readout, cross-entropy of the score; "
    "MPD-ED with AFT-IF and AFT-LIF, STD-ED with AFT-IF, STBP with LIF neurons; all else alike. LDA "
    "(shrinkage) and SVM (Gaussian, C = 10): on the log mean absolute value and difference of the same "
    "samples, or on the counts of the same events. *95 %*: bootstrap over people of their mean (one "
    "person: binomial). *Folds*: each split, mean over seeds. Settings were chosen on myo_fingers, "
    "training on session 1 and looking at session 2: of its folds the last, tested on session 3, is the "
    "one that this has not seen. Which kind of neuron is the better in a row is seen here, on all folds."
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
    lines = ["# EMG", "", f"`{command}`", "", WHAT, "", *summary(found), ""]
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
