"""`pyedge boards`: which boards there are, their firmware, and an emulated one to talk to."""

import shutil
import time
from typing import Annotated, Any

import typer

from pyedge.cli.console import Json, cell, emit, say, table
from pyedge.errors import ConfigError


def register(app: typer.Typer) -> None:
    app.command("boards")(boards)


def boards(
    name: Annotated[str | None, typer.Argument(help="A board; without it all are listed.")] = None,
    build: Annotated[bool, typer.Option("--build", help="Build its firmware.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Run it under its emulator until Ctrl-C.")] = False,
    seconds: Annotated[
        float | None, typer.Option(help="With --run: stop after so many seconds.", min=0)
    ] = None,
    json: Json = False,
) -> None:
    """List the boards, build a board's firmware, or run it under its emulator.

    A running board has a serial port like one on the desk: give its name to `pyedge deploy --port` in another
    terminal. What is not installed is named with the one command that installs it.

    Example: `pyedge boards mps2-an386 --run`.
    """
    from pyedge.boards import BOARDS, BUILD_ONLY, board, firmware, start

    if name is None:
        if build or run or seconds is not None:
            raise ConfigError("--build and --run are for one board; name it (pyedge boards lists them)")
        specs = [_facts(spec) for spec in (BOARDS | BUILD_ONLY).values()]
        if json:
            return emit({"boards": specs})
        print(
            table(
                ("board", "core", "flash", "RAM", "infers", "learns", "compiler", "emulator"),
                [
                    (
                        s["name"],
                        s["core"],
                        s["flash_bytes"],
                        s["ram_bytes"],
                        s["infers"],
                        s["learns"],
                        _here(s["compiler"]),
                        _here(s["emulator"]),
                    )
                    for s in specs
                ],
            )
        )
        print("\ninfers, learns: the largest network 16-H-5 over windows of 39 steps that fits\n")
        for spec in specs:
            print(f"{spec['name']}: {spec['title']}")
        return None
    facts: dict[str, Any] = _facts(board(name))
    if build:
        say(f"building the firmware of {name}")
        facts["firmware"] = str(firmware(name))
    if run:
        with start(name) as running:
            facts["port"] = running.port
            _report(facts, json)
            say(f"{name} runs on {running.port}; Ctrl-C ends it")
            _wait(running, seconds)
        return None
    _report(facts, json)
    return None


def _report(facts: dict[str, Any], json: bool) -> None:
    if json:
        emit(facts)
    else:
        shown = {k: _here(v) if isinstance(v, dict) else cell(v) for k, v in facts.items()}
        print("\n".join(f"{key:<12} {value}" for key, value in shown.items()), flush=True)


def _wait(running: Any, seconds: float | None) -> None:
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while running.running and (end is None or time.monotonic() < end):
            time.sleep(0.1)
    except KeyboardInterrupt:
        say("ended")


def _facts(spec: Any) -> dict[str, Any]:
    from pyedge.boards.capacity import capacity

    largest = capacity(spec)
    return {
        "name": spec.name,
        "title": spec.title,
        "core": spec.core,
        "flash_bytes": spec.flash,
        "image_bytes": spec.bank,
        "ram_bytes": spec.ram,
        "infers": f"16-{largest.infers}-5",
        "learns": f"16-{largest.learns}-5",
        "clock_hz": spec.clock_hz,
        "compiler": _program(spec.prefix + "gcc"),
        "emulator": _program(spec.emulator) if spec.emulator else {"program": "", "here": False},
    }


def _program(name: str) -> dict[str, Any]:
    return {"program": name, "here": shutil.which(name) is not None}


def _here(program: dict[str, Any]) -> str:
    if not program["program"]:
        return "none: build-only, never run"
    return program["program"] if program["here"] else f"{program['program']} (not installed)"
