"""Files a user names: read whole, or a named error."""

from collections.abc import Iterable
from pathlib import Path

from pyedge import image
from pyedge.errors import CheckpointError, ConfigError, DataError, ImageError
from pyedge.quant.model import IntegerModel


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises DataError, saying why it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def read_image(path: Path) -> tuple[IntegerModel, bytes]:
    """A model image as a model and as bytes. Raises DataError, or an ImageError that names the file."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the image in it: {path / 'model.edge'}")
    blob = read_bytes(path)
    try:
        return image.read(blob), blob
    except ImageError as error:
        error.args = (f"{path}: {error}",)
        raise


def is_image(path: Path) -> bool:
    """Whether a path names a model image: by its ending, or by its first bytes."""
    if path.suffix == ".edge" or not path.is_file():
        return path.suffix == ".edge"
    try:
        with path.open("rb") as file:
            return file.read(len(image.MAGIC)) == image.MAGIC
    except OSError:  # whoever reads it says why it cannot be read
        return False


def trained_file(path: Path) -> Path:
    """The float model a user named: a file, or the model.npz of a run's folder.

    Raises ConfigError for an image, and CheckpointError, saying why, for a folder without one.
    """
    if is_image(path):
        raise ConfigError(f"{path} is an image: it holds integers; the model.npz of its run is float")
    if not path.is_dir():
        return path
    file = path / "model.npz"
    if file.exists():
        return file
    if (path / "recipe.json").exists():
        raise CheckpointError(
            f"{path} has no model.npz: its training has not ended; "
            f"pyedge train RECIPE --out {path} --resume goes on"
        )
    raise CheckpointError(f"{path} holds no run: there is no model.npz; pyedge train writes one")


def run_files(folder: Path) -> list[Path]:
    """What training left in a run's folder."""
    named = ("recipe.json", "log.csv", "log.json", "report.json", "curve.png")
    return [*folder.glob("*.npz"), *(folder / name for name in named)]


def check_apart(written: Iterable[Path | None], kept: Iterable[Path]) -> None:
    """Raises ConfigError where a file would be written over one that is kept, or two to one place."""
    taken = {path.resolve() for path in kept}
    for path in written:
        if path is None:
            continue
        if path.resolve() in taken:
            raise ConfigError(f"{path} would be written over, and holds what is needed; name another file")
        taken.add(path.resolve())
