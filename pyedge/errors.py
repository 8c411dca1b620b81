"""The named errors of pyedge: one class for each cause a caller may want to handle."""


class PyEdgeError(Exception):
    """Base of every error pyedge raises on purpose; the text says what, where, and what to do."""


class ConfigError(PyEdgeError):
    """A description (network, training, encoder) holds a value that cannot work."""


class RecipeError(ConfigError):
    """A recipe cannot be read, or has an unknown key or a wrong value; the text names table and key."""


class DataError(PyEdgeError):
    """Data is missing, unreadable, or of the wrong shape, range or kind."""


class MissingDataError(DataError):
    """A data folder or file is not there; the text says which file to get and where it goes."""


class DamagedFileError(DataError):
    """A file cannot be opened, is truncated, or lacks an array."""


class TruncatedFileError(DamagedFileError):
    """A file ends before what it announces; the text gives the byte."""


class FileKindError(DamagedFileError):
    """A file is of another kind than its name or place says (wrong magic number, version or content)."""


class ShapeError(DataError):
    """An array has the wrong number of dimensions, the wrong length, or a wrong type."""


class ChannelError(DataError):
    """A recording has another number of channels than expected."""


class ValueRangeError(DataError):
    """A sample is not a number, not an integer, or outside the sensor's range."""


class LabelError(DataError):
    """A label is not a class of the data set, or of the model."""


class SamplingRateError(DataError):
    """A recording was not sampled at the rate it claims."""


class SamplingGapError(DataError):
    """Samples are missing inside a recording, or its clock runs backwards."""


class SplitError(DataError):
    """A split cannot be made as asked, or one trial would be on two sides."""


class StorageError(PyEdgeError):
    """A file could not be written whole (full disk, no permission); the previous file is untouched."""


class CheckpointError(PyEdgeError):
    """A checkpoint or model file is damaged, foreign, or does not belong to this run."""


class TrainingError(PyEdgeError):
    """Training cannot go on (a loss or weight became NaN or infinite)."""


class SilentLayerWarning(UserWarning):
    """A layer did not fire once in a whole epoch: it passes no error to the layers below."""


class FieldError(ConfigError):
    """A field of an integer model or an encoder is out of range or breaks a bound; `field` names it."""

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


class ModeError(PyEdgeError):
    """Learning was asked of a model in which no layer learns."""


class CapacityError(PyEdgeError):
    """A window has more spikes than learning has room for; nothing was learned."""


class SilentLayerError(PyEdgeError):
    """Quantization would silence a layer that fires in float."""


class OnnxError(PyEdgeError):
    """An ONNX file is damaged, or holds what pyedge does not understand."""


class EdgeError(PyEdgeError):
    """An error of the C runtime: `name` and `code` are those of edge/error.h.

    `pyedge.runtime.ERRORS` has a subclass for each code, which is also the error here that means the same.
    """

    code: int = 0
    name: str = ""
    meaning: str = "an error that this version of pyedge does not know"

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"{detail}: {self.meaning}" if detail else self.meaning)


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


class LinkStatusError(LinkError):
    """The board refused a request. `code` and `name` are those of link.h, `payload` what it said besides."""

    def __init__(self, code: int, name: str, text: str, payload: bytes = b"") -> None:
        super().__init__(text)
        self.code = code
        self.name = name
        self.payload = payload


class BoardError(PyEdgeError):
    """Base of the errors of boards."""


class UnknownBoardError(BoardError):
    """No board of that name."""


class MissingToolError(BoardError):
    """A compiler, an emulator or another tool is missing; the text has the one command that installs it."""


class MissingSourcesError(BoardError):
    """The firmware's sources are not on this machine, as with an installed wheel."""


class BuildError(BoardError):
    """The firmware did not build; the text ends with the compiler's last lines."""


class EmulatorError(BoardError):
    """The emulator ended, or never came up."""


class BatchError(BoardError):
    """The test firmware could not carry out a batch."""
