"""What a study leaves behind: its page, all figures as JSON, and pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

from pyedge.errors import ConfigError
from pyedge.reproduce.study import Found, Stage, Study, plain, write_text


def write(
    study: Study, stages: Sequence[Stage], found: Found, command: str, folder: Path, plot: bool
) -> list[Path]:
    """Writes NAME.md, NAME.json and NAME-*.png of what was found into `folder`; the files.

    Raises ConfigError where nothing was found, StorageError.
    """
    if not found:
        raise ConfigError(f"{study.name}: no stage is done, so there is nothing to write")
    folder.mkdir(parents=True, exist_ok=True)
    page = study.page(found, command)
    settings = {s.name: plain(s.settings) for s in stages if s.name in found}
    stated = {"command": command, "stages": settings, "results": found}
    texts = {".md": page.text, ".json": json.dumps(stated, separators=(",", ":")) + "\n"}
    files = []
    for ending, text in texts.items():
        files.append(folder / f"{study.name}{ending}")
        write_text(files[-1], text)
    for ending, draw in page.pictures if plot else ():
        files.append(folder / f"{study.name}{ending}")
        draw(files[-1])
    return files
