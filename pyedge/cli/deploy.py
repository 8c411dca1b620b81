"""`pyedge deploy`: a model image onto a board."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pyedge.cli.connect import BoardName, Port, connected
from pyedge.cli.console import Json, bar, emit, say


def register(app: typer.Typer) -> None:
    app.command("deploy")(deploy)


def deploy(
    model: Annotated[Path, typer.Argument(help="A model image (.edge).")],
    board: BoardName = None,
    port: Port = None,
    ring: Annotated[
        int, typer.Option(help="Raw samples that wait while it learns, a power of two; 0: its choice.")
    ] = 0,
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep an emulated board running until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> None:
    """Send a model to a board and open it there.

    A transfer that broke off goes on where it stopped. The board says what the model takes of its memory.
    An image that is too big, damaged or of a newer format is refused.

    Examples: `pyedge deploy runs/wrist/model.edge --port /dev/ttyACM0`,
    `pyedge deploy runs/wrist/model.edge --board mps2-an386 --stay`.
    """
    from dataclasses import asdict

    from pyedge.files import read_image

    blob = read_image(model)[1]
    with connected(board, port) as found:
        began = time.perf_counter()
        with bar("sending", len(blob)) as tick:
            memory = found.deploy(blob, ring, lambda done, _: tick(done))
        result = {
            "board": found.info.name,
            "port": found.link.transport.name if hasattr(found.link.transport, "name") else port,
            "image_bytes": len(blob),
            "image_crc": f"{found.info.image_crc:08x}",
            "seconds": round(time.perf_counter() - began, 3),
            "memory": asdict(memory),
        }
        commits = f"committed copy {memory.bank:,}" if memory.bank else commits_of(found)
        if json:
            emit(result)
        else:
            print(
                f"{model} is on {found.info.name}: {len(blob):,} bytes in {result['seconds']:.1f} s\n"
                f"work memory {memory.needed:,} of {memory.work:,} bytes: weights {memory.state:,}, arena "
                f"{memory.arena:,}, samples {memory.ring:,}; {commits}; "
                f"room for {memory.kept_capacity:,} kept windows",
                flush=True,
            )
        if port is None and not stay:
            say("the emulated board ends with this command; --stay keeps it, --port takes one that runs")
        if stay:
            say("Ctrl-C ends it")
            try:
                while True:
                    time.sleep(0.2)
                    found.status()
            except KeyboardInterrupt:
                say("ended")


def commits_of(board: Any) -> str:
    """Where the commits of a board go that keeps no copy in its work memory."""
    from pyedge.link import LinkStatusError

    try:
        flash = board.bank().flash
    except LinkStatusError:  # firmware of version 1 of the link does not say
        return "no copy of commits in it"
    return "commits go to flash" if flash else "no room for commits"
