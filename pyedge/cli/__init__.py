"""The `pyedge` command: one module a subcommand, one message an error."""

import json
import os
import sys
import traceback
import warnings
from typing import Annotated

import typer

from pyedge.cli import (
    adapt,
    boards,
    data,
    deploy,
    describe,
    evaluate,
    monitor,
    onnx,
    profile,
    quantize,
    reproduce,
    store,
    train,
)
from pyedge.errors import PyEdgeError

# NumPy's products here are small: more threads only wait for each other. Read when NumPy is first imported.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

app = typer.Typer(
    name="pyedge",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from pyedge import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (also after a command).")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Spiking networks that keep learning on a microcontroller.

    The usual way: `pyedge train examples/recipes/wrist.toml`, `pyedge quantize runs/wrist`,
    `pyedge deploy runs/wrist/model.edge --board mps2-an386`, `pyedge adapt runs/wrist/model.edge --on board`.

    Every command takes `--json` for one JSON object on standard output; progress goes to standard error.
    Exit status: 0, 1 for an error that is named, 2 for a wrong command line, 70 for a defect of pyedge.
    """


COMMANDS = (
    data, train, quantize, describe, evaluate, deploy, adapt, monitor, profile, store, boards, reproduce,
    onnx,
)  # fmt: skip
for module in COMMANDS:
    module.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; every named error becomes one message and exit status 1."""
    for variable in THREADS:
        os.environ.setdefault(variable, "1")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        app(arguments)
    except PyEdgeError as error:
        _fail(error, str(error), 1, debug, "--json" in arguments)
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # the reader has enough; nothing is wrong
        raise SystemExit(0) from None
    except Exception as error:
        text = f"{type(error).__name__}: {error} (a defect of pyedge; run again with --debug and report it)"
        _fail(error, text, 70, debug, "--json" in arguments)


def _fail(error: Exception, text: str, status: int, debug: bool, as_json: bool) -> None:
    if debug:
        traceback.print_exception(error)
    if as_json:
        print(json.dumps({"error": type(error).__name__, "message": text}))
    print(f"error: {text}", file=sys.stderr)
    raise SystemExit(status) from None
