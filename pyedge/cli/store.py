"""`pyedge store`: what a board keeps of its learning over a restart, and how worn its flash is."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from pyedge.cli.connect import Port, connected
from pyedge.cli.console import Json, emit


def register(app: typer.Typer) -> None:
    app.command("store")(store)


def store(
    port: Port = None,
    commit: Annotated[bool, typer.Option("--commit", help="Keep what was learned.")] = False,
    try_: Annotated[
        bool,
        typer.Option("--try", help="Keep it unless it sees fewer kept windows right than the last commit."),
    ] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the last commit.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back the last label.")] = False,
    json: Json = False,
) -> None:
    """Show what a board has committed, and the erases of its flash; commit, try, roll back or undo.

    Example: `pyedge store --port /dev/ttyACM0 --try`.
    """
    from pyedge.errors import ConfigError

    if commit + try_ + rollback + undo > 1:
        raise ConfigError("--commit, --try, --rollback and --undo are one at a time")
    if port is None:
        raise ConfigError("--port says which board; pyedge boards NAME --run starts an emulated one")
    with connected(None, port) as found:
        undone = found.undo() if undo else None
        if commit:
            found.commit()
        if try_:
            found.try_out()
        if rollback:
            found.rollback()
        result = facts(found) | ({"undone": undone} if undo else {})
        if rollback and not json:
            print("gone back to the " + ("image" if result["committed"] is None else "last commit"))
    if json:
        return emit(result)
    print(text(result))
    return None


def facts(board: Any) -> dict[str, Any]:
    """What the board says of its store."""
    status, bank = board.status(), board.bank()
    return {
        "board": board.info.name,
        "updates": status.updates,
        "committed": status.committed,
        "kept": status.kept,
        "kept_capacity": status.kept_capacity,
        **asdict(bank),
        "erases": list(board.wear().erases) if bank.flash else [],
    }


def text(f: dict[str, Any]) -> str:
    """The same as lines."""
    committed = "nothing" if f["committed"] is None else f"{f['committed']:,} updates"
    lines = [
        f"{f['board']}: {f['updates']:,} updates, {committed} committed, "
        f"{f['kept']} of {f['kept_capacity']:,} windows kept"
    ]
    if f.get("undone"):
        lines.append(f"taken back: {f['undone']}")
    if f["verdict"] != "none":
        lines.append(
            f"last trial {f['verdict']}: of {f['judged']} kept windows {f['right_learned']} right with what "
            f"was learned, {f['right_before']} with the commit before"
        )
    erased = [n for n in f["erases"] if n is not None]
    if not f["flash"]:
        lines.append("commits are a copy in RAM, which a restart forgets")
    elif erased:
        lines.append(
            f"flash of {f['sectors']} sectors of {f['sector_size']:,} bytes: {len(erased)} used, "
            f"erased {min(erased):,} to {max(erased):,} times, {sum(erased):,} in all"
        )
    else:
        lines.append(f"flash of {f['sectors']} sectors of {f['sector_size']:,} bytes: never used")
    return "\n".join(lines)
