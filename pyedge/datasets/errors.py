"""Why data was refused: one named error for each cause."""

from ..errors import DataError


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
    """A label is not one of the data set's classes."""


class SamplingRateError(DataError):
    """A recording was not sampled at the rate it claims."""


class SamplingGapError(DataError):
    """Samples are missing inside a recording, or its clock runs backwards."""


class SplitError(DataError):
    """A split cannot be made as asked, or one trial would be on two sides."""
