"""The paper's two problems, measured while its methods train: reversed gradients, and silent neurons."""

import argparse
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np

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
    parser.add_argument("--out", default="docs/results/paper_problems.json")
    options = parser.parse_args()
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
            with open(options.out, "w") as file:
                json.dump({"options": vars(options), "results": results}, file, indent=1)
    for result in results:
        first, last = result["rows"][0], result["rows"][-1]
        silent = [np.round([v[0] for v in row["silent"].values()], 3).tolist() for row in (first, last)]
        print(
            f"{result['task'][:14]} {result['arm']:32} reversed {list(first['reversed'].values())} -> "
            f"{list(last['reversed'].values())}; silent {silent[0]} -> {silent[1]}; "
            f"accuracy {last.get('accuracy')}"
        )


if __name__ == "__main__":
    main()
