"""Pictures of runs: training curves, spikes of a window, accuracy while a board learns (needs matplotlib)."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyedge.checkpoint import write_atomically
from pyedge.errors import ConfigError

INK, ACCENT, PALE = "#1f2933", "#c2410c", "#9aa5b1"


def check(path: Path | None = None) -> None:
    """Raises ConfigError if pictures cannot be drawn here, or not in the format of the path's ending."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        raise ConfigError(
            "pictures need matplotlib: pip install 'pyedge[plot]', or leave them out (--no-plot)"
        ) from None
    if path is not None and _format(path) not in FigureCanvasBase.get_supported_filetypes():
        raise ConfigError(f"{path}: pictures cannot be {_format(path)}; choose .png, .svg or .pdf")


def wanted(plot: bool | None, what: str, say: Callable[[str], None]) -> bool:
    """Whether to draw: as asked, or else where it can be, and said where not. Raises ConfigError."""
    if plot is None:
        try:
            check()
        except ConfigError:
            say(f"without {what}: pip install 'pyedge[plot]' draws it")
            return False
        return True
    if plot:
        check()
    return plot


def _format(path: Path) -> str:
    return path.suffix.lstrip(".").lower() or "png"


def figure_of(rows: int, width: float, height: float, columns: int = 1) -> tuple[Any, Sequence[Any]]:
    """A figure without a window system, and its axes: a list of rows, each a list where there are columns.

    Raises ConfigError without matplotlib.
    """
    check()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, axes.tolist() if columns > 1 else axes[:, 0].tolist()


def save(figure: Any, path: Path) -> None:
    """Writes the picture in the format of the path's ending. Raises StorageError or ConfigError."""
    check(path)
    data = io.BytesIO()
    figure.savefig(data, format=_format(path), dpi=130)
    write_atomically(path, lambda file: file.write(data.getvalue()))


def training_curve(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Loss and accuracy over the epochs of all stages, one after the other."""
    figure, (top, bottom) = figure_of(2, 7, 5)
    epochs = np.arange(1, len(history) + 1)
    for axes, name in ((top, "loss"), (bottom, "accuracy")):
        axes.plot(epochs, [row[name] for row in history], color=INK, label="training")
        held = [row.get(f"validation_{name}") for row in history]
        if any(v is not None for v in held):
            axes.plot(epochs, [np.nan if v is None else v for v in held], color=ACCENT, label="held out")
        axes.set_ylabel(name)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        for n in range(1, len(history)):
            if history[n].get("stage") != history[n - 1].get("stage"):
                axes.axvline(n + 0.5, color=PALE, linewidth=0.8)
    bottom.set_xlabel("epoch")
    save(figure, path)


def spikes_and_accuracy(
    spikes: Sequence[NDArray[np.bool_]],
    inputs: NDArray[np.generic],
    window: str,
    updates: Sequence[int],
    accuracy: Mapping[str, Sequence[float]],
    path: Path,
) -> None:
    """A window as the network saw it, and accuracy while it learned.

    spikes : of each hidden layer, (T, neurons). inputs : (T, inputs), spikes or frames.
    accuracy : curves by name, one value for each entry of `updates`.
    """
    figure, axes = figure_of(2 + len(spikes), 7, 3 + 2 * len(spikes) + 2.5)
    axes[0].imshow(
        inputs.T,
        aspect="auto",
        interpolation="nearest",
        cmap="magma",
        origin="lower",
        extent=(0.5, len(inputs) + 0.5, -0.5, inputs.shape[1] - 0.5),
    )
    axes[0].set_ylabel("input line")
    axes[0].yaxis.get_major_locator().set_params(integer=True)
    axes[0].set_title(window, loc="left", fontsize="medium")
    for number, (fired, plot) in enumerate(zip(spikes, axes[1:], strict=False), 1):
        step, neuron = np.nonzero(fired)
        plot.scatter(step + 1, neuron, s=9, marker="|", color=INK)
        plot.set(xlim=(0.5, len(fired) + 0.5), ylim=(-1, fired.shape[1]), ylabel=f"neuron, layer {number}")
        plot.text(
            1,
            1.01,
            f"{fired.mean():.1%} of neurons a step",
            transform=plot.transAxes,
            ha="right",
            fontsize="small",
        )
    axes[-2].set_xlabel("time step")
    axes[-2].yaxis.get_major_locator().set_params(integer=True)
    for (name, values), color in zip(accuracy.items(), (ACCENT, INK, PALE), strict=False):
        axes[-1].plot(updates, values, color=color, label=name, marker="." if len(updates) < 40 else None)
    axes[-1].set(xlabel="updates on the board", ylabel="accuracy, unseen windows")
    axes[-1].legend(frameon=False)
    axes[-1].spines[["top", "right"]].set_visible(False)
    save(figure, path)
