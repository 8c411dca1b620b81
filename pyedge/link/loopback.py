"""The board's end of the link in this process: the very server that firmware runs, without a line between."""

import hashlib
import secrets
from typing import Any

from pyedge._edge import ffi, lib
from pyedge.runtime import check, memory


class _Guard:
    """Tags as firmware makes them, by the library that Python brings along."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._calls = (
            ffi.callback("void(void *, uint8_t *)", self._challenge),
            ffi.callback(
                "void(void *, uint8_t *, const uint8_t *, size_t, const uint8_t *, size_t)", self._tag
            ),
        )
        self.c = ffi.new(
            "edge_link_guard_t *", {"challenge": self._calls[0], "tag": self._calls[1], "context": ffi.NULL}
        )

    def _challenge(self, _: Any, challenge: Any) -> None:
        ffi.memmove(challenge, secrets.token_bytes(lib.EDGE_LINK_TAG), lib.EDGE_LINK_TAG)

    def _tag(self, _: Any, tag: Any, first: Any, first_size: int, second: Any, second_size: int) -> None:
        message = bytes(ffi.buffer(first, first_size)) + bytes(ffi.buffer(second, second_size))
        found = hashlib.blake2b(message, digest_size=lib.EDGE_LINK_TAG, key=self.key).digest()
        ffi.memmove(tag, found, lib.EDGE_LINK_TAG)


class Loopback:
    """A transport to a board that is this computer.

    payload, image_bytes, work_bytes, ring, budget : as in edge_link_config_t.
    bank   : an edge_bank_port_t for commits; None: a copy in work memory.
    key    : 32 bytes; requests then need tags under it (docs/security.md).
    slices : calls of edge_link_run a read, so that a host can ask between two slices of learning.
    """

    def __init__(
        self,
        payload: int = 512,
        image_bytes: int = 1 << 20,
        work_bytes: int = 4 << 20,
        ring: int = 1024,
        budget: int = 4096,
        slices: int = 64,
        name: str = "host",
        bank: Any = None,
        key: bytes | None = None,
    ) -> None:
        frames = 2 * (payload + 12)
        self.slices = slices
        self._guard = None if key is None else _Guard(key)
        self._memory: tuple[Any, ...] = (
            ffi.new("char[]", name.encode()),
            memory(frames),
            memory(image_bytes),
            memory(work_bytes),
        )
        board, frames_at, image, work = self._memory
        config = ffi.new(
            "edge_link_config_t *",
            {
                "board": board,
                "frames": ffi.cast("uint8_t *", frames_at),
                "frames_size": frames,
                "image": ffi.cast("uint8_t *", image),
                "image_size": image_bytes,
                "work": ffi.cast("uint8_t *", work),
                "work_size": work_bytes,
                "ring": ring,
                "budget": budget,
                "bank": ffi.NULL if bank is None else bank,
                "guard": ffi.NULL if self._guard is None else self._guard.c,
            },
        )
        self._config = config
        self.c = ffi.new("edge_link_t *")
        self.restart()

    def restart(self, bank: Any = None, image: bool = False) -> None:
        """As a board that was reset: RAM that the server does not set up again is as it was.

        bank  : the bank port of now on.
        image : the firmware opens the image that was there, with what was committed for it.
        """
        size = int.from_bytes(bytes(ffi.buffer(self._config.image, 12))[8:], "little") if image else 0
        if bank is not None:
            self._config.bank = bank
        check(lib.edge_link_init(self.c, self._config))
        if size:
            check(lib.edge_link_open(self.c, self._config.image, size))

    def write(self, data: bytes) -> None:
        """Bytes arrive at the board, which works as they come."""
        for byte in data:
            lib.edge_link_receive(self.c, byte)
            if byte == 0:
                lib.edge_link_run(self.c)

    def read(self, timeout: float) -> bytes:
        """What the board has to say; b"" at once if that is nothing."""
        sent = bytearray()
        for _ in range(self.slices):
            more = lib.edge_link_run(self.c)
            while (byte := lib.edge_link_send(self.c)) >= 0:
                sent.append(byte)
            if not more:
                break
        return bytes(sent)

    def close(self) -> None:
        """Nothing to let go of."""
