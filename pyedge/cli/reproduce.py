"""`pyedge reproduce`: the paper's tables and figures, measured again on the data there are."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pyedge.cli.console import Json, bar, emit, say
from pyedge.errors import ConfigError


class What(StrEnum):
    """What can be measured again."""

    table1 = "table1"
    table3 = "table3"
    fig4 = "fig4"
    fig5 = "fig5"
    fig7 = "fig7"
    emg = "emg"


def register(app: typer.Typer) -> None:
    app.command("reproduce")(reproduce)


def reproduce(
    what: Annotated[What, typer.Argument(help="A table or figure of the paper, or its EMG task.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Minutes instead of hours: everything runs, nothing is a result.")
    ] = False,
    only: Annotated[
        str, typer.Option(help="Only stages whose name begins so; the page has what there is.")
    ] = "",
    page: Annotated[
        bool, typer.Option("--page", help="Run nothing: write the page of what there is.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of page, figures and pictures; default docs/results.")
    ] = None,
    work: Annotated[
        Path, typer.Option(help="Folder that keeps the results of stages.", show_default=True)
    ] = Path("runs/reproduce"),
    plot: Annotated[
        bool | None, typer.Option(help="Draw the pictures. Default: where matplotlib is installed.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure a table or figure of the paper again, and write a page of it.

    Stages that are done are kept in the work folder: an interrupted study goes on where it stopped. The page
    (NAME.md), all figures (NAME.json) and pictures go to the out folder; `--quick` writes to the work folder.

    Example: `pyedge reproduce table3 --quick`, `pyedge reproduce emg --only events`.
    """
    from pyedge import plots
    from pyedge import reproduce as studies
    from pyedge.reproduce.study import found, run
    from pyedge.reproduce.writing import write

    plot = plots.wanted(plot, "pictures", say)
    study = studies.study(what.value)
    kept = work / "quick" if quick else work
    listed = study.stages(quick)
    wanted = [s for s in listed if s.name.startswith(only)]
    if not wanted:
        some = ", ".join(s.name for s in listed[:5])
        raise ConfigError(f"--only {only}: none of the {len(listed)} stages begins so; they are {some}, ...")
    if not page:
        with bar(what.value, len(wanted)) as tick:

            def on_stage(number: int, share: float, note: str) -> None:
                tick(number + share, note)

            try:
                run(wanted, kept, on_stage)
            except KeyboardInterrupt:
                say("interrupted; the same command goes on")
                raise SystemExit(130) from None
    results = found(listed, kept)
    command = f"pyedge reproduce {what.value}" + (" --quick" if quick else "")
    folder = out or (kept if quick else Path("docs/results"))
    files = write(study, listed, results, command, folder, plot)
    report: dict[str, Any] = {
        "study": what.value,
        "stages": len(listed),
        "done": len(results),
        "files": [str(f) for f in files],
    }
    if json:
        return emit(report)
    print(f"{what.value}: {len(results)} of {len(listed)} stages done; {', '.join(map(str, files))}")
    return None
