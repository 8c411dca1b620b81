"""What can be wrong with a board, its firmware or the tools around it."""

from pyedge.errors import PyEdgeError


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
