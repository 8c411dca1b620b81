"""The board's end of the link in this process: the very server that firmware runs, without a line between."""

from typing import Any

from pyedge._edge import ffi, lib
from pyedge.runtime import check, memory


class Loopback:
    """A transport to a board that is this computer.

    payload, image_bytes, work_bytes, ring, budget : as in edge_link_config_t.
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
    ) -> None:
        frames = 2 * (payload + 12)
        self.slices = slices
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
            },
        )
        self._config = config
        self.c = ffi.new("edge_link_t *")
        self.restart()

    def restart(self) -> None:
        """As a board that was reset: RAM that the server does not set up again is as it was."""
        check(lib.edge_link_init(self.c, self._config))

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
