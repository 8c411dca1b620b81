"""`pyedge data`: which data sets there are, whether their files are whole, and where missing ones go."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pyedge.cli.console import Json, bar, emit, table

PARTS: tuple[Literal["train", "test"], ...] = ("train", "test")


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
    where a file is missing, its origin and its place are told. --check ends with status 1 where one
    is missing or damaged.

    Examples: `pyedge data`, `pyedge data myo_fingers`, `pyedge data nmnist_1000 --check`.
    """
    from pyedge.datasets import catalog, names

    if name is None:
        sets = [_summary(n, root) for n in names()]
        samples = [_samples(n, root) for n in catalog.names()]
        if json:
            return emit({"sets": sets, "sample_sets": samples})
        heads = ("classes", "files here", "licence")
        print(table(("EMG", "people", *heads), [_row(s, len(s["people"])) for s in sets]))
        print()
        print(
            table(
                ("images, events, touch", "samples", *heads),
                [_row(s, f"{s['train']} + {s['test']}") for s in samples],
            )
        )
        print("\npyedge data NAME tells more about one.")
        return None
    if name in names():
        summary, checked, key, text = _summary, _check, "recordings", _text
    elif name in catalog.names():
        summary, checked, key, text = _samples, _checked, "checked", _samples_text
    else:
        from pyedge.errors import DataError

        raise DataError(f"no data set {name!r}; there are {', '.join((*names(), *catalog.names()))}")
    info = summary(name, root)
    if check:
        info[key] = checked(name, root)
    if json:
        emit(info)
    else:
        print(text(info))
    if any("error" in row for row in info.get(key, ())):
        raise typer.Exit(1)
    return None


def _row(info: dict[str, Any], size: Any) -> tuple[Any, ...]:
    here = f"{info['files_here']} of {info['files']}"
    return info["name"], size, len(info["classes"]), here, info["licence"]


def _samples(name: str, root: Path | None) -> dict[str, Any]:
    """A set of images, events or touch."""
    from pyedge.datasets.catalog import describe
    from pyedge.datasets.published import missing_text

    info = describe(name)
    files, missing = info.files(root), info.missing(root)
    return {
        "name": name,
        "title": info.title,
        "kind": info.kind,
        "train": info.counts[0],
        "test": info.counts[1],
        "shape": list(info.shape),
        "classes": list(info.classes),
        "licence": info.licence,
        "cite": info.cite,
        "origin": info.origin,
        "note": info.note,
        "folder": str(info.path(root)),
        "files": len(files),
        "files_here": len(files) - len(missing),
        "missing": list(missing),
        "get": missing_text(files, info.path(root), info.origin) if missing else "",
    }


def _checked(name: str, root: Path | None) -> list[dict[str, Any]]:
    """Each file's state, and each part as its reader finds it."""
    from pyedge.datasets.catalog import describe, read
    from pyedge.errors import DataError

    found: list[dict[str, Any]] = []
    with bar("reading", 3) as tick:
        for path, state in describe(name).check(root):
            found.append({"file": path, "state": state})
        for number, part in enumerate(PARTS, 1):
            tick(number, part)
            try:
                read_part = read(name, part, root)
            except DataError as error:
                found.append({"part": part, "error": type(error).__name__, "message": str(error)})
            else:
                labels = read_part[1] if isinstance(read_part, tuple) else read_part.labels
                found.append({"part": part, "samples": len(labels)})
    return found


def _lines(info: dict[str, Any]) -> list[str]:
    """What is said of every set."""
    return [
        f"classes    {len(info['classes'])}: {', '.join(info['classes'])}",
        f"licence    {info['licence']}",
        f"cite       {info['cite']}",
        f"origin     {info['origin']}",
        f"folder     {info['folder']}",
        f"files      {info['files_here']} of {info['files']} are here",
    ]


def _samples_text(info: dict[str, Any]) -> str:
    lines = [
        f"{info['name']}: {info['title']}",
        f"samples    {info['train']:,} to train, {info['test']:,} to test, "
        f"{' x '.join(map(str, info['shape']))} each ({info['kind']})",
        *_lines(info),
    ]
    lines += [f"note       {info['note']}"] if info["note"] else []
    lines += ["", info["get"]] if info["missing"] else []
    lines += [""] if "checked" in info else []
    for row in info.get("checked", ()):
        if "file" in row:
            lines.append(f"{row['file']}: {row['state']}")
        else:
            what = f"{row['samples']:,} samples" if "samples" in row else f"{row['error']}: {row['message']}"
            lines.append(f"{row['part']}: {what}")
    return "\n".join(lines)


def _summary(name: str, root: Path | None) -> dict[str, Any]:
    from pyedge.datasets import EMBEDDED_NAME, describe
    from pyedge.datasets.paths import EMBEDDED
    from pyedge.datasets.published import set_folder

    info = describe(name)
    folder = EMBEDDED / info.folder if name == EMBEDDED_NAME else set_folder(info.folder, root)
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
        *_lines(info),
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
