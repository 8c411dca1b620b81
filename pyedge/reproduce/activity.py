"""Table III and Fig. 7: spike activity, training complexity and gradients of 34x34x2-200-10 on N-MNIST."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pyedge.layers import Spiking
from pyedge.layers.layer import Backward, local
from pyedge.model import Input, Network, Params
from pyedge.ops import NUMPY, Array, backend
from pyedge.reproduce import pages, pictures
from pyedge.reproduce.study import Found, Page, Stage, Study, Tick
from pyedge.reproduce.vision import confusion_of
from pyedge.trainer import TrainConfig, evaluate, start, train_epoch
from pyedge.vision import (
    NetworkTable,
    SampleTable,
    TrainingTable,
    VisionRecipe,
    config_of,
    network_of,
    plain,
    samples_of,
)

METHODS = ("std_ed", "mpd_ed", "stbp")
NAMES = {"std_ed": "STD-ED", "mpd_ed": "MPD-ED", "stbp": "STBP"}
SEEDS = (0, 1, 2)
PROBE = 100  # training samples that operations are counted on
PAPER = {  # Table III: activity of the hidden and the output layer, reduction in per cent
    "std_ed": (0.0086, 0.0604, 99.14),
    "mpd_ed": (0.0527, 0.1287, 94.22),
}


def recipe(method: str, seed: int, epochs: int, limit: int = 0) -> VisionRecipe:
    """examples/recipes/paper/nmnist-dense-*.toml on the recordings there are, with binary frames: spikes."""
    if method == "std_ed":
        how = TrainingTable(
            method,
            loss="enhanced_spike_count",
            desired=15.0,
            undesired=2.0,
            teacher=True,
            lr=5e-4,
            weight_decay=2e-3,
            clip_norm=0.02,
            epochs=epochs,
            batch=50,
        )
    else:
        how = TrainingTable(
            method,
            loss="count_cross_entropy",
            teacher=method == "mpd_ed",
            lr=1e-3,
            weight_decay=0.01,
            epochs=epochs,
            batch=64,
        )
    return VisionRecipe(
        f"nmnist-dense-{method.replace('_', '-')}",
        seed,
        SampleTable("nmnist_1000", binary=True, limit=limit),
        NetworkTable("34x34x2-200-10", 30, norm="none", readout="spiking"),
        how,
    )


def errors(network: Network, params: Params, config: TrainConfig, x: Array, y: Array) -> dict[str, Any]:
    """One backward pass in NumPy: of every layer of neurons its run, inputs, dL/ds and dL/du; the gradients.

    dL/ds is what comes from above, without the reset's part; event-driven rules use it at spikes alone.
    """
    record = network.forward(params, x, training=True)
    seen = network.with_teacher(record, y) if config.teacher else record
    error = config.loss(seen.outputs, y)[1].astype(np.float32)
    found: dict[str, Any] = {}
    for i in range(len(network.layers) - 1, -1, -1):
        name, layer, cache = network.names[i], network.layers[i], seen.caches[i]
        if isinstance(layer, Spiking):
            run = cache[0]
            potential = NUMPY.dense(NUMPY.rule(config.rule, run, layer.neuron, error))
            found[name] = {"run": run, "spike_error": error, "potential_error": potential}
        else:
            above = found[network.names[i + 1]]
            above["inputs"] = cache.x.reshape(*cache.x.shape[:2], -1)
        error, gradients = layer.backward(
            local(params, name), cache, error, Backward(config.rule), True, i > 0
        )
        found |= {f"{name}.{key}": value for key, value in gradients.items()}
    return found


def operations(layer: dict[str, Any], method: str) -> dict[str, float]:
    """Multiplications of one layer's backward pass a sample, where neither factor is 0, by the paper's parts.

    layer : of `errors`. inter: weights that carry an error to the inputs (of event-driven rules, to input
    spikes); intra: errors carried one step back; induced: by the reset; update: input times error.
    """
    x, potential, fired = layer["inputs"] != 0, layer["potential_error"] != 0, layer["run"].fired
    batch = x.shape[1]
    per_step = potential.sum(axis=2, dtype=np.float64)
    pairs = float((x.sum(axis=2) * per_step).sum()) / batch
    later = potential[1:]
    counts = {
        "inter": float(per_step.sum()) * x.shape[2] / batch if method == "stbp" else pairs,
        "intra": 0.0 if method == "std_ed" else float((later & ~fired[:-1]).sum()) / batch,
        "induced": 0.0
        if method == "std_ed"
        else float((later if method == "stbp" else later & fired[:-1]).sum()) / batch,
        "update": pairs,
    }
    return counts | {"inputs": float(x.mean()), "outputs": float(fired.mean())}


def formula(method: str, inputs: float, outputs: float, m: int, n: int) -> float:
    """Table II, in units of T: operations of one dense layer, m inputs, n outputs, at these activities."""
    return {
        "stbp": m * n + 2 * n,
        "mpd_ed": inputs * m * n + n + outputs * n,
        "std_ed": inputs * m * n,
    }[method]


def training(found_recipe: VisionRecipe, method: str, tick: Tick) -> dict[str, Any]:
    """Trains; records activity by epoch, operations at some epochs, and the first sample's gradients."""
    samples = samples_of(found_recipe)
    config = config_of(found_recipe)
    network, arrays = in_memory(network_of(found_recipe), samples.train.x, samples.test.x)
    ops, y = backend(config.backend), samples.train.y
    state, x = start(network, config), ops.spikes(arrays[0])
    probe, probe_y = arrays[0][:, :PROBE], y[:PROBE]
    marks = sorted({0, 1, config.epochs // 10, config.epochs // 2, config.epochs})
    counted: dict[str, Any] = {}
    result: dict[str, Any] = {}
    for epoch in range(config.epochs + 1):
        if epoch in marks:
            layers = errors(network, state.params, config, probe, probe_y)
            counted[str(epoch)] = {n: operations(layers[n], method) for n in network.spiking}
        if epoch == 0:
            result |= first_gradients(network, state.params, config, probe[:, :1], probe_y[:1], method)
        if epoch == config.epochs:
            break
        row = train_epoch(network, config, state, (x, y))
        tick((epoch + 1) / config.epochs, f"loss {row['loss']:.3f}, accuracy {row['accuracy']:.3f}")
    test = evaluate(network, state.params, arrays[1], samples.test.y, ops=ops)
    return result | {
        "history": [
            {"loss": r["loss"], "accuracy": r["accuracy"], **{n: r["rates"][n] for n in network.spiking}}
            for r in state.history
        ],
        "counted": counted,
        "confusion": confusion_of(test.scores, samples.test.y),
        "samples": [len(y), len(samples.test.y)],
    }


def in_memory(network: Network, *sides: Any) -> tuple[Network, list[Array]]:
    """The network for inputs with channels last, and such inputs, (T, samples, ...), made once."""
    arrays = [np.moveaxis(x.take(range(x.shape[1]), 1), -3, -1).copy() for x in sides]
    taken = Input("spikes", network.input.inner)
    return replace(network, input=taken), arrays


def first_gradients(
    network: Network, params: Params, config: TrainConfig, x: Array, y: Array, method: str
) -> dict[str, Any]:
    """Fig. 7 d, e: dL/ds of the hidden layer where it is used, and the distribution of dL/dW of the first."""
    layers = errors(network, params, config, x, y)
    hidden = layers[network.hidden_spiking[0]]
    on_spikes = hidden["spike_error"][:, 0] * (1 if method == "stbp" else hidden["run"].fired[:, 0])
    gradient = layers[f"{network.names[0]}.weight"]
    spread = float(np.sqrt((gradient[gradient != 0] ** 2).mean())) if (gradient != 0).any() else 1.0
    edges = np.linspace(-5, 5, 41)
    where = np.argwhere(on_spikes != 0)
    peak = float(np.abs(on_spikes).max()) or 1.0
    return {
        "spike_gradient": {
            "shape": list(on_spikes.shape),
            "where": where.tolist() if method != "stbp" else None,
            "values": np.round(on_spikes[on_spikes != 0] / peak, 2).tolist()
            if method != "stbp"
            else np.round(on_spikes / peak, 2).tolist(),
            "share": float((on_spikes != 0).mean()),
        },
        "weight_gradient": {
            "nonzero": float((gradient != 0).mean()),
            "rms": spread,
            "edges": edges.tolist(),
            "counts": np.histogram(gradient[gradient != 0] / spread, edges)[0].tolist(),
        },
    }


def stages(quick: bool) -> Sequence[Stage]:
    epochs, seeds, limit = (2, (0,), 100) if quick else (150, SEEDS, 0)
    listed = []
    for seed in seeds:
        for method in ("mpd_ed", "std_ed", "stbp"):
            wanted = recipe(method, seed, epochs, limit)

            def work(_: Path, tick: Tick, wanted: VisionRecipe = wanted, method: str = method) -> Any:
                return training(wanted, method, tick)

            listed.append(Stage(f"activity-{method}-{seed}", plain(wanted), work))
    return listed


def _of(found: Found, method: str) -> list[dict[str, Any]]:
    return [v for k, v in found.items() if k.startswith(f"activity-{method}-")]


def mean_activity(run: dict[str, Any]) -> tuple[float, float]:
    """Of the hidden and the output layer, over the whole training."""
    rows = run["history"]
    return (
        float(np.mean([r["spiking1"] for r in rows])),
        float(np.mean([r["spiking2"] for r in rows])),
    )


INTRO = (
    "34x34x2-200-10, T = 30, N-MNIST (1,000/100): the first 1,000 training and 100 test recordings of the "
    "whole set's 60,000 and 10,000, so accuracies are not those of N-MNIST."
)


def table3(found: Found, command: str) -> Page:
    """The page of Table III."""
    lines = ["# Table III: training complexity", "", f"`{command}`", "", INTRO]
    seeds = sorted({k.rsplit("-", 1)[1] for k in found})
    epochs = max((len(v["history"]) for v in found.values()), default=0)
    lines += [f"{epochs} epochs; seeds {', '.join(seeds)}; means over seeds.", ""]
    rows = []
    for method in METHODS:
        runs = _of(found, method)
        if not runs:
            continue
        hidden, output = np.mean([mean_activity(r) for r in runs], axis=0)
        ours = 1 - formula(method, hidden, output, 200, 10) / formula("stbp", 1, 1, 200, 10)
        paper = PAPER.get(method)
        rows.append(
            (
                NAMES[method],
                f"{hidden:.4f}",
                f"{output:.4f}",
                "-" if method == "stbp" else f"{100 * ours:.2f} %",
                f"{paper[0]:.4f}, {paper[1]:.4f}" if paper else "-",
                f"{paper[2]:.2f} %" if paper else "-",
            )
        )
    lines += pages.table(
        (
            "second dense layer",
            "activity, hidden",
            "activity, output",
            "reduction",
            "paper: activities",
            "paper: reduction",
        ),
        rows,
    )
    lines += [
        "",
        "Activity: spikes a neuron and step, mean over the whole training. Reduction by Table II's "
        "formulas against STBP, M = 200, N = 10: MPD-ED (z_i M N + N + z_o N) / (M N + 2 N), STD-ED z_i M "
        "N / (M N + 2 N) (the paper's 99.14 % is 1 - z_i).",
        "",
        "## Counted",
        "",
        f"Multiplications of a backward pass with no factor 0, a sample, mean over {PROBE} training "
        "samples and seeds, after training (and, in brackets, before it). *Inter*: errors to the layer "
        "below (event-driven: to its spikes); *intra*: one step back in time; *induced*: by the reset; "
        "*update*: input times error, the weights' gradient, which the formulas leave out. *Reduction* of "
        "inter + intra + induced against STBP's count.",
        "",
    ]
    lines += _counted(found)
    lines += ["", "## Accuracy", ""]
    accuracies = []
    for method in METHODS:
        for seed, run in ((k.rsplit("-", 1)[1], v) for k, v in found.items() if f"-{method}-" in k):
            accuracy, limits = pages.of_confusion(run["confusion"])
            accuracies.append(
                (
                    NAMES[method],
                    seed,
                    f"{run['history'][-1]['accuracy']:.3f}",
                    pages.percent(accuracy),
                    limits,
                )
            )
    lines += pages.table(("method", "seed", "training", "test (100 recordings)", "95 %"), accuracies)
    for method in METHODS:
        runs = _of(found, method)
        if runs:
            lines += ["", f"{NAMES[method]}, all seeds together:", ""]
            total = np.sum([r["confusion"] for r in runs], axis=0)
            lines += pages.confusion_lines(total, [str(d) for d in range(10)])
    return Page("\n".join(lines) + "\n")


def _counted(found: Found) -> list[str]:
    def totals(method: str, layer: str, last: bool) -> dict[str, float]:
        runs = [
            r["counted"][(max if last else min)(r["counted"], key=int)][layer] for r in _of(found, method)
        ]
        return {key: float(np.mean([r[key] for r in runs])) for key in runs[0]} if runs else {}

    rows = []
    for layer, text in (("spiking1", "first (2312 -> 200)"), ("spiking2", "second (200 -> 10)")):
        base = totals("stbp", layer, True)
        for method in METHODS:
            after, before = totals(method, layer, True), totals(method, layer, False)
            if not after:
                continue
            row: list[str] = [text, NAMES[method]]
            row += [f"{after[k]:,.0f} ({before[k]:,.0f})" for k in ("inter", "intra", "induced", "update")]
            three = ("inter", "intra", "induced")
            share = 1 - sum(after[k] for k in three) / sum(base[k] for k in three) if base else float("nan")
            rows.append((*row, "-" if method == "stbp" else f"{100 * share:.2f} %"))
    return pages.table(("layer", "method", "inter", "intra", "induced", "update", "reduction"), rows)


def fig7(found: Found, command: str) -> Page:
    """The page and pictures of Fig. 7."""
    firsts = {m: runs[0] for m in METHODS if (runs := _of(found, m))}
    lines = ["# Fig. 7: activity and gradients", "", f"`{command}`", "", INTRO, ""]
    drawn: list[Any] = []
    if firsts:
        drawn = [
            ("-activity.svg", lambda path: pictures.activity(firsts, NAMES, path)),
            ("-gradients.png", lambda path: pictures.gradients(firsts, NAMES, path)),
        ]
        lines += ["![Activity by layer over the training](fig7-activity.svg)", ""]
        lines += [
            "Spikes a neuron and step over the training (Fig. 7 b, c), seed 0.",
            "",
            "![Gradients of the first sample](fig7-gradients.png)",
            "",
            "Before the first update, first training sample (Fig. 7 d, e): dL/dS of the hidden layer "
            "where the rule uses it (event-driven rules: at spikes), and the distribution of dL/dW of the "
            "first layer, over its root mean square.",
            "",
        ]
        rows = [
            (
                NAMES[m],
                f"{r['spike_gradient']['share']:.4f}",
                f"{r['weight_gradient']['nonzero']:.4f}",
                f"{r['weight_gradient']['rms']:.3g}",
                f"{r['history'][0]['spiking1']:.4f} -> {r['history'][-1]['spiking1']:.4f}",
                f"{r['history'][0]['spiking2']:.4f} -> {r['history'][-1]['spiking2']:.4f}",
            )
            for m, r in firsts.items()
        ]
        lines += pages.table(
            ("method", "dL/dS not 0", "dL/dW not 0", "dL/dW, rms", "hidden, first -> last epoch", "output"),
            rows,
        )
    return Page("\n".join(lines) + "\n", drawn)


STUDIES = {
    "table3": Study("table3", "Table III: training complexity", stages, table3),
    "fig7": Study("fig7", "Fig. 7: activity and gradients", stages, fig7),
}
