"""What the slope in STD-ED's Eq. 12 and its clamp are worth: held-out accuracy on part of Fashion-MNIST."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from pyedge.trainer import fit
from pyedge.vision import (
    NetworkTable,
    SampleTable,
    TrainingTable,
    VisionRecipe,
    config_of,
    network_of,
    samples_of,
)

CHOICES = (("potential", 4.0), ("increment", 4.0), ("potential", 1.0), ("increment", 1000.0))
RECIPE = VisionRecipe(
    samples=SampleTable("fashion_mnist", validation=0.2),
    network=NetworkTable("8C5-P2-16C5-P2-64", 5),
    training=TrainingTable("std_ed", teacher=True, lr=1e-3, weight_decay=5e-3, batch=50, clip_norm=0.02),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument(
        "--samples", type=int, default=2400, help="to train on, and as many again over 4 held out"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/results/std_ed_slopes.json"))
    options = parser.parse_args()
    rows = []
    for slope, clamp in CHOICES:
        for seed in range(options.seeds):
            training = replace(RECIPE.training, slope=slope, clamp=clamp, epochs=options.epochs)
            recipe = replace(RECIPE, seed=seed, training=training)
            samples = samples_of(recipe)
            train, held = (
                (side.x.take(range(count)), side.y[:count])
                for side, count in (
                    (samples.train, options.samples),
                    (samples.validation, options.samples // 4),
                )
            )
            history = fit(network_of(recipe), config_of(recipe), train, held).history
            last = history[-1]
            rows.append(
                {
                    "slope": slope,
                    "clamp": clamp,
                    "seed": seed,
                    "held_out": [round(row["validation_accuracy"], 4) for row in history],
                    "training": round(last["accuracy"], 4),
                    "rates": {k: round(v, 4) for k, v in last["rates"].items()},
                }
            )
            print(rows[-1], flush=True)
    stated = {"epochs": options.epochs, "samples": options.samples, "seeds": options.seeds}
    options.out.write_text(json.dumps({"options": stated, "rows": rows}, indent=1))
    for choice in CHOICES:
        found = [r["held_out"][-1] for r in rows if (r["slope"], r["clamp"]) == choice]
        print(f"{choice[0]}, clamp {choice[1]:g}: {np.mean(found):.3f}")


if __name__ == "__main__":
    main()
