"""`pyedge data`: which data sets there are, whether their files are whole, and where missing ones go."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pyedge.cli.console import Json, bar, emit, table


def register(app: typer.Typer) -> None:
    app.command("data")(data)


def data(
    name: Annotated[str | None, typer.Argument(help="A data set; without it all are listed.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Read every file and say what is in it.")] = False,
    root: Annotated[
        Path | None, typer.Option(help="Folder that holds one folder a set; default $PYEDGE_DATA.")
    ] = None,
    json: Json = False,
) -> None:
    """List the data sets, describe one, or check its files.

    The embedded set needs no files. The others lie in the folder that `$PYEDGE_DATA` names, one folder a set;
    where a file is missing, its origin and its place are told.

    Examples: `pyedge data`, `pyedge data myo_fingers`, `pyedge data myo_wrist_embedded --check`.
    """
    from pyedge.datasets import describe, names

    if name is None:
        sets = [_summary(describe(n).name, root) for n in names()]
        if json:
            return emit({"sets": sets})
        print(
            table(
                ("set", "people", "classes", "files here", "licence"),
                [
                    (
                        s["name"],
                        len(s["people"]),
                        len(s["classes"]),
                        f"{s['files_here']} of {s['files']}",
                        s["licence"],
                    )
                    for s in sets
                ],
            )
        )
        print("\npyedge data NAME tells more about one.")
        return None
    info = _summary(name, root)
    if check:
        info["recordings"] = _check(name, root)
    if json:
        return emit(info)
    print(_text(info))
    return None


def _summary(name: str, root: Path | None) -> dict[str, Any]:
    from pyedge.datasets import EMBEDDED_NAME, MissingDataError, data_root, describe
    from pyedge.datasets.paths import EMBEDDED

    info = describe(name)
    try:
        folder = (EMBEDDED if name == EMBEDDED_NAME else root or data_root()) / info.folder
    except MissingDataError:
        folder = Path("$PYEDGE_DATA") / info.folder
    missing = [f"{s}.npz" for s in info.subjects if not (folder / f"{s}.npz").is_file()]
    return {
        "name": info.name,
        "people": list(info.subjects),
        "classes": list(info.classes),
        "licence": info.licence,
        "cite": info.cite,
        "origin": info.origin,
        "folder": str(folder),
        "files": len(info.subjects),
        "files_here": len(info.subjects) - len(missing),
        "missing": missing,
    }


def _check(name: str, root: Path | None) -> list[dict[str, Any]]:
    from pyedge.datasets import describe, load
    from pyedge.errors import DataError

    found: list[dict[str, Any]] = []
    people = describe(name).subjects
    with bar("reading", len(people)) as tick:
        for number, person in enumerate(people, 1):
            try:
                recordings = load(name, [person], root).recordings
            except DataError as error:
                found.append({"person": person, "error": type(error).__name__, "message": str(error)})
            else:
                found.append(
                    {
                        "person": person,
                        "sessions": len({r.session for r in recordings}),
                        "recordings": len(recordings),
                        "trials": sum(len(r.trials) for r in recordings),
                        "seconds": round(sum(len(r.emg) / r.rate_hz for r in recordings), 1),
                    }
                )
            tick(number, person)
    return found


def _text(info: dict[str, Any]) -> str:
    lines = [
        info["name"],
        f"people     {len(info['people'])}: {', '.join(info['people'])}",
        f"classes    {len(info['classes'])}: {', '.join(info['classes'])}",
        f"licence    {info['licence']}",
        f"cite       {info['cite']}",
        f"origin     {info['origin']}",
        f"folder     {info['folder']}",
        f"files      {info['files_here']} of {info['files']} are here",
    ]
    if info["missing"]:
        shown = ", ".join(info["missing"][:6]) + (", ..." if len(info["missing"]) > 6 else "")
        lines += [
            f"missing    {shown}",
            f"           get them from {info['origin']} and put them into {info['folder']}",
        ]
    rows = info.get("recordings")
    if rows:
        good = [r for r in rows if "error" not in r]
        lines += [
            "",
            table(
                ("person", "sessions", "recordings", "trials", "seconds"),
                [(r["person"], r["sessions"], r["recordings"], r["trials"], r["seconds"]) for r in good],
            ),
        ]
        lines += [f"{r['person']}: {r['error']}: {r['message']}" for r in rows if "error" in r]
    return "\n".join(lines)
