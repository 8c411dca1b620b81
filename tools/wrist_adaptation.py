"""What learning on the wrist is worth: everybody of myo_wrist, before and after, beside classical baselines.

Each person in turn is the wearer: a network pretrained on others and trained on the wearer's old sessions is
quantized, and the C runtime adapts it with k labelled repetitions of a new session; the rest of that session
is the test.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from pyedge import baselines
from pyedge.adapt import HostLearner, Policy, adapt, remembered
from pyedge.calibrate import calibrate
from pyedge.checkpoint import write_atomically
from pyedge.datasets import describe as describe_set
from pyedge.datasets import load
from pyedge.encode import encode
from pyedge.image import write
from pyedge.model import Params
from pyedge.plots import ACCENT, INK, PALE, figure_of, save
from pyedge.recipe import Recipe, parse, plain, read
from pyedge.task import Side, Task, Trained, config_of, encoder_of, inputs_of, integers_of, network_of
from pyedge.trainer import fit

GROUPS = 3
ARMS = {"all layers": ("128", "all"), "last layer": ("128", "last"), "linear readout": ("none", "all")}


def recipe_for(base: Recipe, person: str, seed: int, hidden: str, new_session: int) -> Recipe:
    """The recipe with this wearer; old sessions are those before the new one."""
    stated = plain(base)
    stated["seed"] = seed
    stated["data"] |= {
        "wearer": person,
        "old_sessions": list(range(1, new_session)),
        "new_session": new_session,
    }
    if hidden == "none":
        stated["network"]["hidden"] = []
        stated["training"]["activity"] = 0.0
    return parse(stated, "wrist_adaptation")


def trained_for(
    base: Recipe, person: str, seed: int, hidden: str, options: argparse.Namespace
) -> tuple[Trained, Task]:
    """The wearer's network before the new session, trained once and then read.

    The people are dealt to three groups in order; a wearer's network is pretrained on the other two
    groups, so three pretrainings serve everybody and none has seen its wearer.
    """
    recipe = recipe_for(base, person, seed, hidden, options.new_session)
    people = list(describe_set(recipe.data.set).subjects)
    group = people.index(person) % GROUPS
    data = load(recipe.data.set)
    others = tuple(r for r in data.recordings if people.index(r.subject) % GROUPS != group)
    _, wearer = recipe.stages
    encoder = calibrate(encoder_of(recipe.encoder, recipe, data), others, recipe.encoder.event_rate)
    task = Task(recipe, person, data.classes, encoder, data)
    network = network_of(recipe, encoder, len(data.classes))

    def fitted(number: int, side: Side, file: Path, params: Params | None) -> Params:
        x = inputs_of(encoder, side.rows)
        return fit(
            network, config_of(recipe, encoder, number), (x, side.labels), params=params, path=file
        ).params

    options.runs.mkdir(parents=True, exist_ok=True)
    shared = options.runs / f"group{group}-{seed}-{hidden}.npz"
    params = fitted(0, task.side(others), shared, None)
    own = options.runs / f"{person}-{seed}-{hidden}-{options.new_session}.npz"
    params = fitted(1, task.stage(wearer), own, params)
    return Trained(network, params, encoder, recipe, person, data.classes), task


def accuracy(learner: HostLearner, side: Side) -> float:
    return float(
        np.mean([learner.stream.replay(r).label == y for r, y in zip(side.rows, side.labels, strict=True)])
    )


def network_rows(
    trained: Trained, task: Task, learn: str, ks: Sequence[int], policy: Policy
) -> Iterator[dict[str, Any]]:
    """Accuracy before and after learning, for each k."""
    model = integers_of(trained, task, {"learn": learn}).model
    image = write(model)
    old = task.old()
    for k in ks:
        new, test = task.new(k)
        learner = HostLearner(image)
        before = learner.net.weights()
        row: dict[str, Any] = {"k": k, "before": accuracy(learner, test)}
        keep = remembered(old.labels, model.classes, policy)
        row["updates"] = adapt(learner, (new.rows, new.labels), (old.rows[keep], old.labels[keep]), k, policy)
        row["after"] = accuracy(learner, test)
        row["rotation"] = learner.stream.alignment.rotation
        row["moved"] = [float(np.mean(a != b)) for a, b in zip(before, learner.net.weights(), strict=True)]
        yield row


def baseline_rows(task: Task, ks: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Shrinkage LDA and SVM on the same windows; "rows": on the encoder's means, which look back as far."""

    def features(side: Side) -> dict[str, np.ndarray]:
        means = encode(task.encoder, side.rows).astype(np.float64).mean(1)
        return {"": baselines.log_features(side.windows), ", rows": means}

    old = task.old()
    old_x, y = features(old), old.labels
    for k in ks:
        new, test = task.new(k)
        new_x, test_x, new_y = features(new), features(test), new.labels
        both = np.concatenate([y, new_y])
        for kind in old_x:
            o, n, t = old_x[kind], new_x[kind], test_x[kind]
            turn = baselines.fit_rotation(baselines.lda(o, y), n, new_y, k)
            turned = np.concatenate([o, baselines.rotate(n, turn)])
            for name, fitted in (("LDA", baselines.lda), ("SVM", baselines.svm)):
                if name == "SVM" and kind:
                    continue
                found = {
                    "old days": fitted(o, y).predict(t),
                    "old and new": fitted(np.concatenate([o, n]), both).predict(t),
                    "new alone": fitted(n, new_y).predict(t),
                    "old and new, turned": fitted(turned, both).predict(baselines.rotate(t, turn)),
                }
                for what, predicted in found.items():
                    yield {
                        "k": k,
                        "model": f"{name}{kind}: {what}",
                        "after": float((predicted == test.labels).mean()),
                    }


def person_rows(
    base: Recipe, person: str, seed: int, options: argparse.Namespace, policy: Policy
) -> list[dict[str, Any]]:
    rows = []
    for arm in options.arms:
        hidden, learn = ARMS[arm]
        trained, task = trained_for(base, person, seed, hidden, options)
        for row in network_rows(trained, task, learn, options.k, replace(policy, seed=seed)):
            rows.append({"person": person, "seed": seed, "model": arm, **row})
    if seed == options.seeds[0] and not options.no_baselines:
        rows += [{"person": person, "seed": seed, **row} for row in baseline_rows(task, options.k)]
    return rows


def once(
    file: Path, settings: dict[str, Any], rows: Callable[[], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Rows computed under these settings before, or now: an interrupted measurement goes on."""
    if file.exists():
        kept = json.loads(file.read_text())
        if kept["settings"] == settings:
            return kept["rows"]
    found = rows()
    body = json.dumps({"settings": settings, "rows": found})
    write_atomically(file, lambda out: out.write(body.encode()))
    return found


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each k and model: mean over people of their means over seeds, worst, largest loss."""
    lines = []
    for k in sorted({r["k"] for r in rows}):
        for model in dict.fromkeys(r["model"] for r in rows):
            mine = [r for r in rows if r["k"] == k and r["model"] == model]
            after = by_person(mine, "after")
            line = {"k": k, "model": model, "after": after.mean(), "worst": after.min()}
            if "before" in mine[0]:
                before = by_person(mine, "before")
                line |= {"before": before.mean(), "largest_loss": max(0.0, float((before - after).max()))}
            lines.append({key: round(float(v), 4) if isinstance(v, float) else v for key, v in line.items()})
    return lines


def by_person(rows: Sequence[dict[str, Any]], what: str) -> np.ndarray:
    """Each person's mean over seeds, people sorted."""
    people = sorted({r["person"] for r in rows})
    return np.array([np.mean([r[what] for r in rows if r["person"] == p]) for p in people])


PAGE = """# Learning on the wrist

`{command}`

{set}, {count} people, seeds {seeds}. Sessions before {new_session} are old; k labelled repetitions of each
gesture of session {new_session} teach, its unseen remainder is the test: windows of 250 ms every 125 ms.
Share of right windows (plain; classes are balanced), mean over people of their means over seeds. Networks run
and learn in the C runtime, 8-bit integers, one window at a time. Settings were chosen on session 2
([decision 6](../decisions/0006-adaptation.md)).

{means}

Largest loss: by how much the person who lost most ended below where they started. "rows": on the means of the
encoder's rows, which look 100 ms further back than the 250 ms, as the network does.

## Everybody

![Every person's accuracy before and after learning, beside the best classical baseline]({picture})

Network, all layers learn, mean over seeds; beside it each person's best classical baseline, in hindsight.

{everybody}
"""


class Person(NamedTuple):
    """What learning (all layers, mean over seeds) brought; `best`: of the classical ones, in hindsight."""

    name: str
    before: float
    after: float
    best: float


def everybody(what: dict[str, Any], rows: Sequence[dict[str, Any]], k: int) -> list[Person]:
    found = []
    for person in what["people"]:
        mine = [r for r in rows if r["person"] == person and r["k"] == k]
        network = [r for r in mine if r["model"] == "all layers"]
        before, after = (float(np.mean([r[key] for r in network])) for key in ("before", "after"))
        best = max((r["after"] for r in mine if "before" not in r), default=float("nan"))
        found.append(Person(person, before, after, best))
    return found


def draw(what: dict[str, Any], rows: Sequence[dict[str, Any]], path: Path) -> None:
    """A line a person from before to after, a panel a k; people in the order of where they started."""
    figure, axes = figure_of(1, 4.2 * len(what["k"]), 5.2, len(what["k"]))
    plots = axes[0] if len(what["k"]) > 1 else axes
    for plot, k in zip(plots, what["k"], strict=True):
        people = sorted(everybody(what, rows, k), key=lambda p: p.before)
        height = np.arange(len(people))
        plot.hlines(height, [p.before for p in people], [p.after for p in people], color=PALE, linewidth=2)
        plot.plot(
            [p.best for p in people],
            height,
            "|",
            color=INK,
            markersize=11,
            label="best classical, in hindsight",
        )
        plot.plot([p.before for p in people], height, "o", color=PALE, label="before")
        plot.plot([p.after for p in people], height, "o", color=ACCENT, label="after learning")
        plot.set_yticks(height, [p.name for p in people])
        plot.set(xlabel="share of unseen windows that are right", xlim=(0.3, 1.01))
        plot.set_title(f"k = {k} labelled repetition{'s' * (k > 1)}", loc="left", fontsize="medium")
        plot.spines[["top", "right"]].set_visible(False)
        plot.tick_params(axis="y", length=0)
    plots[0].legend(frameon=False, loc="upper left")
    save(figure, path)


def page(what: dict[str, Any], lines: list[dict[str, Any]], rows: list[dict[str, Any]], picture: str) -> str:
    """The results as a page of docs/results."""
    ks, keys = what["k"], ("before", "after", "worst", "largest_loss")
    means = []
    for model in dict.fromkeys(line["model"] for line in lines):
        mine = [line for k in ks for line in lines if line["model"] == model and line["k"] == k]
        means.append([model, *(f"{x[key]:.3f}" if key in x else "" for x in mine for key in keys)])
    people = [
        [of_all_k[0].name, *(f"{share:.3f}" for person in of_all_k for share in person[1:])]
        for of_all_k in zip(*(everybody(what, rows, k) for k in ks), strict=True)
    ]
    return PAGE.format(
        picture=picture,
        count=len(what["people"]),
        means=table(["", *(f"k = {k}: {key.replace('_', ' ')}" for k in ks for key in keys)], means),
        everybody=table(
            ["person", *(f"k = {k}: {key}" for k in ks for key in ("before", "after", "best baseline"))],
            people,
        ),
        **{key: what[key] for key in ("command", "set", "seeds", "new_session")},
    )


def write_page(
    to: Path, what: dict[str, Any], lines: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> None:
    """The page, and its picture beside it."""
    picture = to.with_suffix(".svg")
    draw(what, rows, picture)
    text = page(what, lines, rows, picture.name)
    write_atomically(to, lambda file: file.write(text.encode()))


def table(head: list[str], cells: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", type=Path, default=Path("examples/recipes/wrist.toml"))
    parser.add_argument("--set", default="myo_wrist")
    parser.add_argument("--people", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--k", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument(
        "--new-session", type=int, default=3, help="2 chooses settings without looking at session 3"
    )
    parser.add_argument("--policy", default="{}", help="JSON of pyedge.adapt.Policy fields")
    parser.add_argument("--quantize", default="{}", help="JSON of the recipe's [quantize] keys")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--runs", type=Path, default=Path("runs/wrist_adaptation"))
    parser.add_argument("--json", type=Path, help="write every figure there")
    parser.add_argument("--page", type=Path, help="write the tables there, as Markdown, and a picture")
    parser.add_argument("--measured", type=Path, help="run nothing: the page of what --json wrote once")
    options = parser.parse_args()
    if options.measured:
        if not options.page:
            parser.error("--measured needs --page")
        found = json.loads(options.measured.read_text(encoding="utf-8"))
        write_page(options.page, found["what"], found["summary"], found["rows"])
        return

    stated = plain(read(options.recipe))
    stated["data"]["set"] = options.set
    stated["quantize"] |= json.loads(options.quantize)
    base, policy = parse(stated, str(options.recipe)), Policy(**json.loads(options.policy))
    people = options.people or list(describe_set(options.set).subjects)
    settings = json.loads(
        json.dumps(
            {
                "recipe": plain(base),
                "policy": vars(policy),
                "k": options.k,
                "arms": options.arms,
                "new_session": options.new_session,
                "baselines": not options.no_baselines,
            }
        )
    )
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        for person in track(people, f"seed {seed}", transient=True):
            rows += once(
                options.runs / f"{person}-{seed}.json",
                settings,
                partial(person_rows, base, person, seed, options, policy),
            )
    lines = summary(rows)
    for line in lines:
        print(*(f"{key} {value}" for key, value in line.items()), sep="  ")
    what = {
        "command": f"python tools/wrist_adaptation.py {' '.join(sys.argv[1:])}",
        "set": options.set,
        "people": people,
        "seeds": options.seeds,
        "k": options.k,
        "new_session": options.new_session,
        "policy": vars(policy),
        "recipe": plain(base),
    }
    if options.json:
        body = json.dumps({"what": what, "summary": lines, "rows": rows}, indent=1)
        write_atomically(options.json, lambda file: file.write(body.encode()))
    if options.page:
        write_page(options.page, what, lines, rows)


if __name__ == "__main__":
    main()
