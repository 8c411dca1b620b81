"""`pyedge describe`: what a model image holds and needs."""

from pathlib import Path
from typing import Annotated

import typer

from pyedge.cli.console import Json, emit, table


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
    from pyedge.files import is_image

    if is_image(model):
        from pyedge import image
        from pyedge.files import read_image

        integers = read_image(model)[0]
        if json:
            return emit(image.describe(integers, input_rate, hidden_rate))
        print(image.text(integers, input_rate, hidden_rate))
        return None
    from pyedge.checkpoint import describe as plain
    from pyedge.files import trained_file
    from pyedge.model import load_model

    file = trained_file(model)
    network, params, extra = load_model(file)
    parameters = sum(p.size for p in params.values())
    told = {k: extra[k] for k in ("encoder", "wearer") if k in extra}
    if json:
        return emit(
            {
                "network": plain(network),
                **told,
                "parameters": parameters,
                "class_names": extra.get("classes", []),
            }
        )
    sizes = (sum(p.size for n, p in params.items() if n.startswith(f"{name}.")) for name in network.names)
    rows = [
        (name, " x ".join(map(str, shape)), size)
        for name, shape, size in zip(network.names, network.shapes[1:], sizes, strict=True)
    ]
    name = extra.get("recipe", {}).get("name", file.stem)
    lines = [f"{name}: T = {network.window}, float, {parameters:,} parameters"]
    lines += [f"input      {network.input.kind}, {' x '.join(map(str, network.input.shape))}"]
    lines += [f"classes    {', '.join(extra['classes'])}"] if "classes" in extra else []
    lines += [f"wearer     {told['wearer']}"] if "wearer" in told else []
    if "encoder" in told:
        lines += ["encoder    {kind}, hop {hop}, {hops} hops".format(**told["encoder"])]
    lines += ["", table(("layer", "outputs", "parameters"), rows)]
    lines += ["", f"pyedge quantize {model} makes an image for a board of it."] if "recipe" in extra else []
    print("\n".join(lines))
    return None
