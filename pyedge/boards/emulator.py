"""Runs a board's firmware under QEMU, its UART on a pseudo terminal that any program can open."""

import json
import os
import re
import select
import subprocess
import time
import tty
import weakref
from pathlib import Path
from types import TracebackType

from pyedge.boards.build import firmware, tool
from pyedge.boards.registry import BoardSpec, board
from pyedge.errors import EmulatorError, UnknownBoardError

START_SECONDS = 20.0


class Board:
    """An emulated board that runs until it is stopped. Use it as a context manager.

    port : path of its serial port, as of a real board's USB adapter.
    """

    def __init__(self, spec: BoardSpec, elf: Path) -> None:
        self.spec = spec
        self.elf = elf
        self.port = ""
        self._line = -1
        self._process = subprocess.Popen(
            # Without a machine yet: QEMU looks for an open terminal when it makes one, later once a second.
            [*command(spec, elf), "-preconfig", "-qmp", "stdio", "-serial", "pty"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
        )  # fmt: skip
        weakref.finalize(self, self._process.kill)
        self._unread = b""
        self._complaints: list[str] = []
        try:
            # QEMU's greeting and the terminal's name come in either order.
            while not (found := re.search(r"/dev/\S+", self._read_line())):
                pass
            self.port = found.group(0)
            # Held open, so that the line stays up between one program and the next, as a wire would.
            self._line = os.open(self.port, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(self._line)
            self._ask("qmp_capabilities")
            self._ask("x-exit-preconfig")
        except BaseException:
            self.stop()
            raise

    @property
    def running(self) -> bool:
        """Whether the emulator runs."""
        return self._process.poll() is None

    def reset(self) -> None:
        """Press the board's reset button: RAM and images stay, what ran is over."""
        self._ask("system_reset")

    def pause(self) -> None:
        """Stop the processor, as a board that hangs: the port stays, nobody answers."""
        self._ask("stop")

    def resume(self) -> None:
        """Let the processor go on."""
        self._ask("cont")

    def debug(self, socket: Path) -> None:
        """Let a debugger in: `gdb`, then `target remote SOCKET`. The processor stops when it connects."""
        self._ask("human-monitor-command", {"command-line": f"gdbserver unix:{socket},server=on,wait=off"})

    def stop(self) -> None:
        """End the emulator; the port vanishes."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if self._line >= 0:
            os.close(self._line)
            self._line = -1

    def __enter__(self) -> "Board":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + START_SECONDS
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise EmulatorError(f"{self.spec.emulator} said nothing for {START_SECONDS:.0f} s")
            part = os.read(self._process.stdout.fileno(), 4096)
            if not part:
                said = " ".join(self._complaints) or "without a word"
                raise EmulatorError(f"{self.spec.emulator} ended: {said}")
            self._unread += part
        first, self._unread = self._unread.split(b"\n", 1)
        line = first.decode(errors="replace").strip()
        if line and not line.startswith("{"):
            self._complaints.append(line)
        return line

    def _ask(self, execute: str, arguments: dict[str, str] | None = None) -> None:
        """One command to QEMU's monitor (QMP). Raises EmulatorError."""
        assert self._process.stdin is not None
        request = {"execute": execute} | ({"arguments": arguments} if arguments else {})
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except (BrokenPipeError, ValueError) as error:
            raise EmulatorError(f"the emulator of {self.spec.name} has ended") from error
        while True:
            line = self._read_line()
            answer = json.loads(line) if line.startswith("{") else {}
            if "return" in answer:
                return
            if "error" in answer:
                reason = answer["error"].get("desc", line)
                raise EmulatorError(f"{self.spec.emulator} refused {execute}: {reason}")


def command(spec: BoardSpec, elf: Path) -> list[str]:
    """How the emulator is called, without the UART."""
    if not spec.emulator:
        raise UnknownBoardError(
            f"{spec.name} has no emulator and cannot run here; `pyedge boards` lists those that have one"
        )
    if not spec.machine:
        return [tool(spec.emulator), str(elf)]
    machine = ["-machine", spec.machine, "-bios", "none", "-display", "none", "-monitor", "none"]
    return [tool(spec.emulator), *machine, "-kernel", str(elf)]


def start(name: str, elf: Path | None = None) -> Board:
    """Start an emulated board with its own firmware, built if need be, or with `elf`.

    Raises UnknownBoardError, MissingToolError, MissingSourcesError, BuildError or EmulatorError.
    """
    spec = board(name)
    if spec.emulator:
        tool(spec.emulator)
    return Board(spec, elf if elf is not None else firmware(name))
