"""`pyedge quantize`: a trained network to a model image, and what that cost."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pyedge.cli.console import Json, bar, emit, say, write_json


def register(app: typer.Typer) -> None:
    app.command("quantize")(quantize)


def quantize(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a model.npz.")],
    out: Annotated[Path | None, typer.Option(help="The image; default model.edge beside the model.")] = None,
    learn: Annotated[str | None, typer.Option(help="all, last or none, instead of the recipe's.")] = None,
    bits: Annotated[int | None, typer.Option(help="8 or 10, instead of the recipe's.")] = None,
    carry: Annotated[bool | None, typer.Option(help="Instead of the recipe's.")] = None,
    spare: Annotated[int, typer.Option(help="Rows of the readout for classes to come.")] = 0,
    c_array: Annotated[
        Path | None, typer.Option(help="Also write the image as a C header, for firmware.")
    ] = None,
    json: Json = False,
) -> None:
    """Turn a trained network into integers and write a model image.

    Scales, thresholds, shifts and learning rates are chosen from the wearer's old sessions, or from training
    samples of images and events (of those the readout alone learns, unless --learn says more, and both are
    tested on the test data). The report tells accuracy before and after, firing rates, and how large errors
    are; a layer that falls silent is refused.

    Example: `pyedge quantize runs/wrist --learn last --out runs/wrist/readout.edge`.
    """
    import pyedge.c_array
    from pyedge import image
    from pyedge.checkpoint import write_atomically
    from pyedge.errors import ConfigError
    from pyedge.files import check_apart, is_image, read_image, run_files
    from pyedge.task import integers_of, open_trained
    from pyedge.vision_integers import is_trained_vision, quantize_run

    if is_image(run):
        read_image(run)  # missing or damaged comes first
        raise ConfigError(f"{run} is an image already; give the run's folder or its model.npz")
    folder = run if run.is_dir() else run.parent
    file = out or folder / "model.edge"
    if file.suffix == ".json":
        raise ConfigError(f"--out {file} is where the report goes; end the image's name in .edge")
    check_apart((file, file.with_suffix(".json"), c_array), (run, *run_files(folder)))
    wanted: dict[str, Any] = {
        k: v for k, v in (("learn", learn), ("bits", bits), ("carry", carry)) if v is not None
    }
    if spare:
        wanted["spare"] = spare
    tested = None
    if is_trained_vision(run):
        say(f"quantizing {run}")
        with bar("testing", 1.0) as tick:
            found, tested = quantize_run(run, wanted, tick=tick)
    else:
        trained = open_trained(run)
        say(f"quantizing {trained.recipe.name} of {trained.wearer}")
        found = integers_of(trained, changes=wanted)
    blob = image.write(found.model)
    write_atomically(file, lambda f: f.write(blob))
    if c_array is not None:
        header = pyedge.c_array.c_array(blob, "model_image").encode()
        write_atomically(c_array, lambda f: f.write(header))
    result: dict[str, Any] = {
        "image": str(file),
        "image_bytes": len(blob),
        "report": found.report.as_dict(),
    }
    if tested is not None:
        result["test"] = vars(tested)
    write_json(file.with_suffix(".json"), result)
    if json:
        return emit(result)
    print(found.report)
    if tested is not None:
        print(f"\n{tested}")
    print(f"\n{file}: {len(blob):,} bytes; pyedge describe {file} tells more")
    return None
