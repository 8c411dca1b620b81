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


class FieldError(ConfigError):
    """A field of an integer model is out of range or breaks a bound; `field` names it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


class ImageError(PyEdgeError):
    """A model image cannot be used; the subclasses say why."""


class ImageMagicError(ImageError):
    """Not a pyedge model image."""


class ImageVersionError(ImageError):
    """The image's format is newer than this version of pyedge reads."""


class ImageTruncatedError(ImageError):
    """The image is shorter (or longer) than it says, or not whole."""


class ImageChecksumError(ImageError):
    """The image's bytes are damaged."""


class ImageRangeError(ImageError):
    """A field of the image is out of range: `field` names it, `offset` is where it stands."""

    def __init__(self, field: str, offset: int, reason: str) -> None:
        super().__init__(f"{field} (byte {offset}) {reason}; write the image again with `pyedge quantize`")
        self.field = field
        self.offset = offset


class LabelError(PyEdgeError):
    """A label is not a class of the model."""


class ModeError(PyEdgeError):
    """Learning was asked of a model in which no layer learns."""


class CapacityError(PyEdgeError):
    """A window has more spikes than learning has room for; nothing was learned."""


class SilentLayerError(PyEdgeError):
    """Quantization would silence a layer that fires in float."""


class LinkError(PyEdgeError):
    """Base of what can go wrong between host and board."""


class PortUnavailableError(LinkError):
    """The port cannot be opened: it is not there, is in use, or is not permitted."""


class PortLostError(LinkError):
    """The port vanished while in use; what the board has stays there, and a transfer can be resumed."""


class BoardSilentError(LinkError):
    """The board did not answer in time."""


class BoardResetError(LinkError):
    """The board was reset (or another host took over): what it had only in RAM may be gone."""


class ProtocolVersionError(LinkError):
    """Board and host speak different versions of the link."""


class ImageTooLargeError(LinkError):
    """The image, or the memory it needs, does not fit the board."""
