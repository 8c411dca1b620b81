"""The named errors of pyedge: one class for each cause a caller may want to handle."""


class PyEdgeError(Exception):
    """Base of every error pyedge raises on purpose; the text says what, where, and what to do."""


class ConfigError(PyEdgeError):
    """A description (network, training, encoder) holds a value that cannot work."""


class DataError(PyEdgeError):
    """Data is missing, unreadable, or of the wrong shape, range or kind."""


class StorageError(PyEdgeError):
    """A file could not be written whole (full disk, no permission); the previous file is untouched."""


class CheckpointError(PyEdgeError):
    """A checkpoint or model file is damaged, foreign, or does not belong to this run."""


class TrainingError(PyEdgeError):
    """Training cannot go on (a loss or weight became NaN or infinite)."""


class SilentLayerWarning(UserWarning):
    """A layer did not fire once in a whole epoch: it passes no error to the layers below."""
