"""Boards: which there are, how their firmware is built, how they run under an emulator, what they cost."""

from pyedge.boards.build import build, firmware
from pyedge.boards.emulator import Board, start
from pyedge.boards.registry import BOARDS, BUILD_ONLY, BoardSpec, board
from pyedge.errors import (
    BatchError,
    BoardError,
    BuildError,
    EmulatorError,
    MissingSourcesError,
    MissingToolError,
    UnknownBoardError,
)

__all__ = [
    "BOARDS",
    "BUILD_ONLY",
    "BatchError",
    "Board",
    "BoardError",
    "BoardSpec",
    "BuildError",
    "EmulatorError",
    "MissingSourcesError",
    "MissingToolError",
    "UnknownBoardError",
    "board",
    "build",
    "firmware",
    "start",
]
