"""The host's end of the serial link (docs/link.md): sessions over any transport, and a board as an object."""

from pyedge.link.board import BankInfo, Board, BoardInfo, BoardMemory, BoardStatus, Wear, Window
from pyedge.link.loopback import Loopback
from pyedge.link.session import Command, Link, LinkStatusError
from pyedge.link.transport import BAUD, SerialTransport, Transport

__all__ = [
    "BAUD",
    "BankInfo",
    "Board",
    "BoardInfo",
    "BoardMemory",
    "BoardStatus",
    "Command",
    "Link",
    "LinkStatusError",
    "Loopback",
    "SerialTransport",
    "Transport",
    "Wear",
    "Window",
]
