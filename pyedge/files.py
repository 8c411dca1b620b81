"""Files a user names: read whole, or a named error."""

from pathlib import Path

from pyedge import image
from pyedge.errors import DataError, ImageError
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
    blob = read_bytes(path)
    try:
        return image.read(blob), blob
    except ImageError as error:
        error.args = (f"{path}: {error}",)
        raise
