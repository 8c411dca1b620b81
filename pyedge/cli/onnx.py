"""`pyedge onnx`: models to and from ONNX files."""

from pathlib import Path
from typing import Annotated

import typer

from pyedge.cli.console import Json, emit

app = typer.Typer(no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="onnx", help="Models to and from ONNX files.")


@app.command("export")
def export(
    model: Annotated[Path, typer.Argument(help="A run or model.npz (float), or a model.edge (integers).")],
    out: Annotated[Path | None, typer.Option(help="The file; default MODEL.onnx beside the model.")] = None,
    form: Annotated[
        str, typer.Option(help="window: a whole window; step: one step, its state as inputs and outputs.")
    ] = "window",
    spikes: Annotated[bool, typer.Option("--spikes", help="Also give the spikes of every layer.")] = False,
    json: Json = False,
) -> None:
    """Write a model in standard ONNX operators: floats, or integers to the last bit.

    Example: `pyedge onnx export runs/wrist/model.edge --form step`.
    """
    import pyedge.interop.onnx
    from pyedge.checkpoint import write_atomically
    from pyedge.files import check_apart, is_image, read_image, trained_file
    from pyedge.model import load_model

    kind = "integer" if is_image(model) else "float"
    if kind == "float":
        model = trained_file(model)
        network, params, _ = load_model(model)
        proto = pyedge.interop.onnx.export(network, params, form=form, spikes=spikes, name=model.stem)
    else:
        proto = pyedge.interop.onnx.export(read_image(model)[0], form=form, spikes=spikes)
    file = out or model.with_suffix(".onnx")
    check_apart([file], [model])
    blob = proto.SerializeToString()
    write_atomically(file, lambda f: f.write(blob))
    if json:
        return emit({"file": str(file), "kind": kind, "form": form, "bytes": len(blob)})
    print(f"{file}: {kind} model, {form} form, {len(blob):,} bytes")
    return None


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="An ONNX file.")],
    out: Annotated[
        Path | None, typer.Option(help="The model; default FILE.npz, or FILE.edge of an integer export.")
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="T of another program's graph, which is one step.", min=1)
    ] = None,
    json: Json = False,
) -> None:
    """Read an export of pyedge, or a plain network of LIF-like cells; say what was not understood.

    Example: `pyedge onnx import net.onnx --window 39`.
    """
    import pyedge.interop.onnx
    from pyedge import image
    from pyedge.checkpoint import write_atomically
    from pyedge.files import check_apart
    from pyedge.model import save_model

    found = pyedge.interop.onnx.load(file, window)
    target = out or file.with_suffix(".npz" if found.model is None else ".edge")
    check_apart([target], [file])
    if found.model is not None:
        blob = image.write(found.model)
        write_atomically(target, lambda f: f.write(blob))
        what = f"{len(found.model.layers)} integer layers"
    else:
        assert found.network is not None and found.params is not None
        save_model(target, found.network, found.params)
        what = f"{len(found.network.layers)} layers"
    if json:
        return emit({"file": str(target), "layers": what, "notes": list(found.notes)})
    print("\n".join([f"{target}: {what}", *found.notes]))
    return None
