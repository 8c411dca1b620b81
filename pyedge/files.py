"""Files a user names: read whole, or a named error."""

from pathlib import Path

from pyedge.errors import DataError


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises DataError, saying why it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
