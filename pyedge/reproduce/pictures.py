"""Pictures of the studies (needs matplotlib)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyedge.plots import ACCENT, INK, PALE, figure_of, save

COLORS = (ACCENT, INK, "#0f766e", PALE, "#7c3aed", "#b45309")


def activity(runs: Mapping[str, Any], names: Mapping[str, str], path: Path) -> None:
    """Fig. 7 b, c: spikes a neuron and step of both layers, by epoch, one panel a method."""
    figure, axes = figure_of(len(runs), 6, 1.9 * len(runs))
    for plot, (method, run) in zip(axes, runs.items(), strict=True):
        epochs = np.arange(1, len(run["history"]) + 1)
        for layer, text, color in (("spiking1", "hidden", INK), ("spiking2", "output", ACCENT)):
            plot.plot(epochs, [row[layer] for row in run["history"]], color=color, label=text)
        plot.set(ylabel="activity", ylim=(0, None))
        plot.set_title(names[method], loc="left", fontsize="medium")
        plot.legend(frameon=False, loc="upper right")
        plot.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("epoch")
    save(figure, path)


def gradients(runs: Mapping[str, Any], names: Mapping[str, str], path: Path) -> None:
    """Fig. 7 d, e: which spikes of the hidden layer get a gradient, and how weight gradients are spread."""
    figure, axes = figure_of(len(runs), 9, 2.2 * len(runs), 2)
    for (left, right), (method, run) in zip(axes, runs.items(), strict=True):
        kept = run["spike_gradient"]
        if kept["where"] is None:
            image = np.array(kept["values"])
        else:
            image = np.zeros(kept["shape"])
            where = np.array(kept["where"]).reshape(-1, 2)
            image[where[:, 0], where[:, 1]] = kept["values"]
        left.imshow(image, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        left.set(ylabel="time step")
        left.set_title(f"{names[method]}: dL/dS, {kept['share']:.1%} not 0", loc="left", fontsize="medium")
        found = run["weight_gradient"]
        right.stairs(np.array(found["counts"]) / max(sum(found["counts"]), 1), found["edges"], color=INK)
        right.set_yscale("log")
        right.set_title("dL/dW over its rms", loc="left", fontsize="medium")
        right.spines[["top", "right"]].set_visible(False)
    axes[-1][0].set_xlabel("hidden neuron")
    save(figure, path)


def curves(title: str, lines: Mapping[str, Sequence[Sequence[float]]], path: Path, ylabel: str) -> None:
    """A line an arm, the mean over its runs by epoch, with the range of the runs behind it."""
    figure, (plot,) = figure_of(1, 6.5, 4)
    for (name, runs), color in zip(lines.items(), COLORS, strict=False):
        values = np.array(runs)
        epochs = np.arange(1, values.shape[1] + 1)
        plot.plot(epochs, values.mean(0), color=color, label=name)
        plot.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)
    plot.set(xlabel="epoch", ylabel=ylabel)
    plot.set_title(title, loc="left", fontsize="medium")
    plot.legend(frameon=False)
    plot.spines[["top", "right"]].set_visible(False)
    save(figure, path)
