"""A board for a command: an emulated one that runs as long as the command, or one at a port."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from pyedge.cli.console import say
from pyedge.errors import ConfigError

BoardName = Annotated[
    str | None,
    typer.Option("--board", help="An emulated board (pyedge boards); it runs as long as this command."),
]
Port = Annotated[
    str | None,
    typer.Option("--port", help="Serial port or URL of a running board: /dev/ttyACM0, socket://host:5000."),
]


def key_of_environment() -> bytes | None:
    """The key of a board that asks for one (docs/security.md), from $PYEDGE_KEY. Raises ConfigError."""
    digits = os.environ.get("PYEDGE_KEY")
    if not digits:
        return None
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError("$PYEDGE_KEY is not 64 hexadecimal digits; give the key of the firmware")
    return key


def runs_on(on: str | None, board: str | None, port: str | None, otherwise: str) -> str:
    """Where a model runs: on the board that is named, else as asked. Raises ConfigError where both are."""
    if board is None and port is None:
        return on or otherwise
    if on not in (None, "board"):
        raise ConfigError(f"--on {on} uses no board; leave {'--board' if port is None else '--port'} out")
    return "board"


@contextmanager
def connected(board: str | None, port: str | None) -> Iterator[Any]:
    """A board (pyedge.link.Board). Without a name and a port: the first board there is, emulated.

    Raises ConfigError, BoardError or LinkError.
    """
    from pyedge.boards import BOARDS, start
    from pyedge.link import Board

    if board is not None and port is not None:
        raise ConfigError("--board starts an emulated board, --port takes a running one; give one of them")
    if port is not None:
        with Board.open(port, key=key_of_environment()) as found:
            say(f"{found.info.name} at {port}")
            yield found
        return
    name = board or next(iter(BOARDS))
    with start(name) as running, Board.open(running.port) as found:
        say(f"{name}, emulated, at {running.port}")
        yield found
