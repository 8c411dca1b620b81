"""`pyedge describe`: what a model image holds and needs."""

from pathlib import Path
from typing import Annotated

import typer

from pyedge.cli.console import Json, emit


def register(app: typer.Typer) -> None:
    app.command("describe")(describe)


def describe(
    model: Annotated[Path, typer.Argument(help="A model image (.edge), or a trained model or run (float).")],
    input_rate: Annotated[
        float, typer.Option(help="Share of spike inputs that fire a step, for SOPs.", min=0, max=1)
    ] = 0.05,
    hidden_rate: Annotated[
        float, typer.Option(help="Share of hidden neurons that fire a step.", min=0, max=1)
    ] = 0.1,
    json: Json = False,
) -> None:
    """Print a model's layers, bytes of flash and RAM, and synaptic operations.

    A damaged, foreign or newer image is refused, and the field that is wrong is named.

    Example: `pyedge describe runs/wrist/model.edge --hidden-rate 0.08`.
    """
    if model.suffix == ".edge":
        from pyedge import image
        from pyedge.files import read_image

        integers = read_image(model)[0]
        if json:
            return emit(image.describe(integers, input_rate, hidden_rate))
        print(image.text(integers, input_rate, hidden_rate))
        return None
    from pyedge.checkpoint import describe as plain
    from pyedge.task import open_trained

    trained = open_trained(model)
    weights = sum(p.size for p in trained.params.values())
    if json:
        return emit(
            {
                "network": plain(trained.network),
                "encoder": plain(trained.encoder),
                "parameters": weights,
                "wearer": trained.wearer,
                "class_names": list(trained.classes),
            }
        )
    sizes = [
        trained.network.shapes[0],
        *(
            s
            for n, s in zip(trained.network.names, trained.network.shapes[1:], strict=True)
            if n.startswith("dense")
        ),
    ]
    print(
        f"{trained.recipe.name}: {'-'.join(str(s[0]) for s in sizes)}, T = {trained.network.window}, float, "
        f"{weights:,} parameters\nclasses    {', '.join(trained.classes)}\nwearer     {trained.wearer}\n"
        f"encoder    {trained.encoder.kind}, hop {trained.encoder.hop}, {trained.encoder.hops} hops\n"
        f"\npyedge quantize {model} makes an image for a board of it."
    )
    return None
