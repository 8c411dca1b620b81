"""Frames of the serial link as bytes on the line (docs/link.md, section 1)."""

import struct
import zlib
from typing import NamedTuple

from cobs import cobs

HEADER = struct.Struct("<IHBb")
OVERHEAD = HEADER.size + 4
RESPONSE = 0x80  # in the command byte of a response
MOST_UNREAD = 1 << 16  # bytes without a zero that a line can give before they count as noise


class Frame(NamedTuple):
    session: int  # 1 .. 2^32 - 1
    sequence: int  # 0 .. 2^16 - 1
    command: int  # bit 7: a response
    status: int  # 0, or a negative error code
    payload: bytes


def encode(frame: Frame) -> bytes:
    """The frame between two zero bytes."""
    head = HEADER.pack(frame.session, frame.sequence, frame.command, frame.status)
    body = head + frame.payload
    return b"\0" + cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


def decode(line: bytes) -> Frame | None:
    """What stands between two zero bytes, or None if it is damaged, torn or no frame."""
    try:
        body = cobs.decode(line)
    except cobs.DecodeError:
        return None
    if len(body) < OVERHEAD or zlib.crc32(body[:-4]) != struct.unpack("<I", body[-4:])[0]:
        return None
    session, sequence, command, status = HEADER.unpack_from(body)
    return Frame(session, sequence, command, status, bytes(body[HEADER.size : -4]))


class Reader:
    """Cuts a stream of bytes, split anywhere, into frames. Counts what it drops."""

    def __init__(self) -> None:
        self.dropped = 0
        self._unread = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The whole frames that these bytes complete."""
        *lines, self._unread = (self._unread + data).split(b"\0")
        if len(self._unread) > MOST_UNREAD:
            self._unread = b""
            self.dropped += 1
        decoded = [decode(line) for line in lines if line]
        frames = [frame for frame in decoded if frame is not None]
        self.dropped += len(decoded) - len(frames)
        return frames

    def clear(self) -> None:
        """Forget an unfinished frame."""
        self._unread = b""
