"""The paper's two problems, measured while its methods train: reversed gradients, and silent neurons."""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyedge.diagnostics import reversal, silence
from pyedge.model import Network, Params
from pyedge.trainer import start, train_epoch
from pyedge.vision import (
    NetworkTable,
    SampleTable,
    TrainingTable,
    VisionRecipe,
    config_of,
    initial,
    network_of,
    samples_of,
)

# Method, and whether initial weights are scaled to a firing rate first, as references [23], [24] need.
ARMS = (
    ("alpha_exact", False),
    ("alpha_exact", True),
    ("alpha", False),
    ("alpha", True),
    ("if_fixed", False),
    ("if_fixed", True),
    ("std_ed", False),
    ("lif_fixed", False),
    ("mpd_ed", False),
)
TASKS = {
    "nmnist_1000, 34x34x2-200-10, T = 30": (
        SampleTable("nmnist_1000"),
        NetworkTable("34x34x2-200-10", 30, kernel=(8.0, 4.0, 3.0), initial_spikes=2.0),
        TrainingTable(desired=15.0, undesired=2.0, lr=5e-4, weight_decay=2e-3, batch=50),
    ),
    "fashion_mnist, 16C3-16C3-P2-32C3-32C3-P2-128, T = 5": (
        SampleTable("fashion_mnist"),
        NetworkTable("16C3-16C3-P2-32C3-32C3-P2-128", 5, kernel=(5.0, 3.0, 2.5), initial_spikes=0.6),
        TrainingTable(desired=5.0, undesired=1.0, lr=5e-4, weight_decay=5e-3, batch=50),
    ),
}


def measured(network: Network, params: Params, x: Any) -> dict[str, Any]:
    """Both problems by layer, on inputs that are the same at every measurement."""
    record = network.forward(params, x, training=True)
    return {
        "silent": {k: [round(v, 4) for v in found] for k, found in silence(network, record).items()},
        "reversed": {k: round(found.share, 4) for k, found in reversal(network, params, record).items()},
    }


def run(recipe: VisionRecipe, probe: int) -> list[dict[str, Any]]:
    """One row at initialization and one after each epoch."""
    samples = samples_of(recipe)
    network, config = network_of(recipe), config_of(recipe)
    x, y = samples.train
    seen = x.take(range(probe), 0 if network.input.kind == "static" else 1)
    state = start(network, config, initial(recipe, network, x))
    rows = [{"epoch": 0, **measured(network, state.params, seen)}]
    for _ in range(config.epochs):
        began = time.perf_counter()
        row = train_epoch(network, config, state, (x, y))  # type: ignore[arg-type]
        kept = {key: round(row[key], 4) for key in ("loss", "accuracy")}
        rows.append({"epoch": row["epoch"], **kept, **measured(network, state.params, seen)})
        print(f"  epoch {row['epoch']}: {kept}, {time.perf_counter() - began:.0f} s", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=1000, help="of the training part")
    parser.add_argument("--probe", type=int, default=100, help="samples measured on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--out", type=Path, default=Path("docs/results/paper_problems.json"))
    parser.add_argument("--page", action="store_true", help="only write the page of the results there are")
    options = parser.parse_args()
    if not options.page:
        measure(options)
    options.out.with_suffix(".md").write_text(page(json.loads(options.out.read_text())))


def measure(options: argparse.Namespace) -> None:
    """Trains every arm on every task; the results so far are on disk after each."""
    results = []
    for task, (samples, network, training) in TASKS.items():
        for arm, by_rate in ARMS:
            name = f"{arm}, initial rates set" if by_rate else arm
            print(f"{task}: {name}", flush=True)
            teacher = not arm.startswith(("lif", "mpd"))
            recipe = VisionRecipe(
                arm,
                options.seed,
                replace(samples, limit=options.samples),
                network if by_rate else replace(network, initial_spikes=0.0),
                replace(
                    training,
                    method=arm,
                    teacher=teacher,
                    lr=training.lr if teacher else 1e-3,
                    epochs=options.epochs,
                    backend=options.backend,
                ),
            )
            results.append({"task": task, "arm": name, "rows": run(recipe, options.probe)})
            stated = {key: getattr(options, key) for key in ("epochs", "samples", "probe", "seed", "backend")}
            options.out.write_text(json.dumps({"options": stated, "results": results}, indent=1))


def page(found: dict[str, Any]) -> str:
    """The results as a page: initialization and the last epoch of every arm."""
    o = found["options"]
    lines = [
        "# Reversed gradients and silent neurons",
        "",
        f"`tools/paper_problems.py --epochs {o['epochs']} --samples {o['samples']} --probe {o['probe']} "
        f"--seed {o['seed']} --backend {o['backend']}`",
        "",
        "Small trainings, meant to show the two problems, not the accuracy that a method can reach.",
        "",
        "*Reversed*: of the input spikes on positive weights that lead to an output spike, the share whose "
        "time has the wrong sign (earlier input, later output), by layer that spikes enter. A kernel "
        "that does not descend has none; rules of potentials take no derivative in time.",
        "",
        "*Silent*: share of neurons without a spike in a sample's window, by layer.",
        "",
        "Both at initialization -> after the last epoch, on training samples that are the same throughout.",
    ]
    for task in dict.fromkeys(r["task"] for r in found["results"]):
        lines += [
            "",
            f"## {task}",
            "",
            "| method | reversed | silent | accuracy in training |",
            "|---|---|---|---|",
        ]
        for result in found["results"]:
            if result["task"] == task:
                first, last = result["rows"][0], result["rows"][-1]
                turned = " -> ".join(_list(row["reversed"].values()) for row in (first, last))
                silent = " -> ".join(_list(v[0] for v in row["silent"].values()) for row in (first, last))
                turned = turned if result["arm"].startswith(("alpha", "if", "std")) else "none"
                lines.append(f"| {result['arm']} | {turned} | {silent} | {last['accuracy']:.3f} |")
    return "\n".join(lines) + "\n"


def _list(values: Iterable[float]) -> str:
    return ", ".join(f"{v:.2f}" for v in values)


if __name__ == "__main__":
    main()
