"""`pyedge profile`: where a model's instructions go on a board."""

from pathlib import Path
from typing import Annotated

import typer

from pyedge.cli.console import Json, emit, say


def register(app: typer.Typer) -> None:
    app.command("profile")(profile)


def profile(
    model: Annotated[Path, typer.Argument(help="A model image (.edge).")],
    board: Annotated[str, typer.Option("--board", help="An emulated board (pyedge boards).")],
    windows: Annotated[int, typer.Option(help="Windows of random inputs.", min=1)] = 4,
    input_rate: Annotated[
        float, typer.Option(help="Share of inputs that fire, or are not zero, a step.", min=0, max=1)
    ] = 0.05,
    learn: Annotated[bool, typer.Option("--learn/--no-learn", help="Learn every window, too.")] = True,
    clock: Annotated[float | None, typer.Option(help="MHz, for the estimate of time.", min=0.001)] = None,
    wait_states: Annotated[int, typer.Option(help="Of the flash, a fetch.", min=0)] = 0,
    fetch_bytes: Annotated[int, typer.Option(help="Bytes that one fetch brings.", min=1)] = 16,
    plot: Annotated[Path | None, typer.Option(help="Picture to draw (.png, .svg, .pdf).")] = None,
    seed: Annotated[int, typer.Option(help="Of the random inputs.", min=0)] = 0,
    json: Json = False,
) -> None:
    """Count a model's instructions, synaptic operations and bytes on a board, by layer and phase.

    Counts are exact and the same in every run; cycles and microseconds are an estimate and labelled so.

    Example: `pyedge profile runs/wrist/model.edge --board mps2-an386 --clock 64 --wait-states 2`.
    """
    from pyedge import plots
    from pyedge.boards import profile as profiles
    from pyedge.checkpoint import check_writable
    from pyedge.files import read_image

    if plot:  # before a minute's work that could not be drawn
        plots.check(plot)
        check_writable(plot)
    integers, blob = read_image(model)
    inputs = profiles.random_windows(integers, windows, input_rate, seed)
    learns = learn and any(layer.learns for layer in integers.layers)
    if learn and not learns:
        say("no layer of this model learns: only inference is profiled")
    labels = [k % integers.classes for k in range(windows)] if learns else None
    hertz = round(clock * 1e6) if clock else None
    found = profiles.profile(blob, board, inputs, labels, hertz, wait_states, fetch_bytes)
    if plot:
        profiles.plot(found, plot)
    if json:
        return emit(found.json())
    print(profiles.text(found))
    return None
