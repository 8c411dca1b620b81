"""AEDAT files, version 2 and 3.1: text lines that begin with #, then addresses and times of events."""

import re
import struct
from pathlib import Path

import numpy as np

from ..errors import DamagedFileError, FileKindError, TruncatedFileError
from .events import Events, check_inside, make_events

SIZE = (128, 128)
_MAGIC = re.compile(rb"#!AER-DAT(\d+\.\d+)\r?\n")
_END = re.compile(rb"#!END-HEADER\r?\n")
_EVENT_BYTES = 8
# Of a packet: type, source, bytes an event, time offset, time overflows, capacity, number, valid.
_PACKET_HEADER = struct.Struct("<HHIIIIII")
_POLARITY = 1


def read_aedat2(path: Path) -> Events:
    """Events of a DVS128 in an AEDAT 2 file, as the addresses say: x is bits 8 to 14, y bits 1 to 7, p bit 0.

    Raises DamagedFileError, FileKindError, TruncatedFileError.
    """
    data, start = _open(path, "2.")
    if (len(data) - start) % _EVENT_BYTES:
        raise TruncatedFileError(
            f"{path}: ends at byte {len(data)}, inside an event of {_EVENT_BYTES} bytes; fetch it again"
        )
    raw = np.frombuffer(data, ">u4", offset=start).reshape(-1, 2)
    address = raw[:, 0].astype(np.int64)
    return make_events(address >> 8 & 0x7F, address >> 1 & 0x7F, raw[:, 1], address & 1)


def read_aedat3(path: Path) -> Events:
    """Polarity events of an AEDAT 3.1 file of a 128 x 128 sensor: x is bits 17 to 31, y 2 to 16, p bit 1.

    Packets of other events are passed over. Times are 31 bits and the packet's count of overflows.
    Raises DamagedFileError, FileKindError, TruncatedFileError, ValueRangeError.
    """
    data, at = _open(path, "3.")
    addresses, times, bytes_of = [], [], []
    while at < len(data):
        if at + _PACKET_HEADER.size > len(data):
            raise TruncatedFileError(
                f"{path}: ends at byte {len(data)}, inside the packet header at byte {at}"
            )
        kind, _, size, offset, overflow, capacity, _, _ = _PACKET_HEADER.unpack_from(data, at)
        body = at + _PACKET_HEADER.size
        end = body + capacity * size
        if kind == _POLARITY and (size, offset) != (_EVENT_BYTES, 4):
            raise FileKindError(
                f"{path}, byte {at}: polarity events of {size} bytes with the time at {offset}, not 8 and 4"
            )
        if end > len(data):
            raise TruncatedFileError(
                f"{path}: ends at byte {len(data)}; the packet at byte {at} reaches to {end}; fetch it again"
            )
        if kind == _POLARITY:
            raw = np.frombuffer(data, "<u4", 2 * capacity, body).reshape(-1, 2).astype(np.int64)
            addresses.append(raw[:, 0])
            times.append(raw[:, 1] | overflow << 31)
            bytes_of.append(body + _EVENT_BYTES * np.arange(capacity))
        at = end
    if not addresses:
        return make_events([], [], [], [])
    address = np.concatenate(addresses)
    x, y = address >> 17 & 0x7FFF, address >> 2 & 0x7FFF
    check_inside(x, y, SIZE, path, lambda k: int(np.concatenate(bytes_of)[k]))
    return make_events(x, y, np.concatenate(times), address >> 1 & 1)


def _open(path: Path, version: str) -> tuple[bytes, int]:
    """The file's bytes, and where its events begin."""
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise DamagedFileError(f"{path} cannot be read ({cause}); fetch it again") from cause
    magic = _MAGIC.match(data)
    if magic is None:
        raise FileKindError(f"{path}, byte 0: {data[:16]!r} is not '#!AER-DAT{version}': not an AEDAT file")
    if not magic[1].startswith(version.encode()):
        raise FileKindError(f"{path}, byte 0: AEDAT {magic[1].decode()}; version {version}x is read here")
    at = 0
    while data[at : at + 1] == b"#":
        line_end = data.find(b"\n", at) + 1
        if line_end == 0:
            raise TruncatedFileError(f"{path}: ends at byte {len(data)}, inside the header; fetch it again")
        last = _END.match(data, at) is not None
        at = line_end
        if last:
            break
    return data, at
