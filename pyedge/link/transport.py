"""Ways to move bytes between host and board."""

import errno
from typing import Any, Protocol

from pyedge.errors import PortLostError, PortUnavailableError

BAUD = 115200
SLICE_SECONDS = 0.05


class Transport(Protocol):
    """A stream of bytes, unreliable in every way. Raises PortLostError once it is gone."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def read(self, timeout: float) -> bytes:
        """At least one byte, or b"" once `timeout` seconds have passed without."""

    def close(self) -> None:
        """Let go of it."""


class SerialTransport:
    """A serial port: a device name, or a URL of pyserial such as socket://host:port or rfc2217://host:port.

    No other program can open the device meanwhile: two hosts would end each other's sessions.
    """

    def __init__(self, port: str, baud: int = BAUD) -> None:
        """Raises PortUnavailableError."""
        import serial

        self.name = port
        try:
            self._port: Any = serial.serial_for_url(
                port, baudrate=baud, timeout=SLICE_SECONDS, write_timeout=10, exclusive=True
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortUnavailableError(_why(port, error)) from error
        self._lost = (serial.SerialException, OSError, TypeError)

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except self._lost as error:
            raise self._gone() from error

    def read(self, timeout: float) -> bytes:
        try:
            for _ in range(max(1, round(timeout / SLICE_SECONDS))):
                if data := self._port.read(1):
                    return bytes(data + self._port.read(self._port.in_waiting))
        except self._lost as error:
            raise self._gone() from error
        return b""

    def close(self) -> None:
        self._port.close()

    def _gone(self) -> PortLostError:
        return PortLostError(
            f"{self.name} vanished while in use; plug the board in: a transfer continues where it stopped"
        )


def _why(port: str, error: Exception) -> str:
    """Why a port cannot be opened, and what to do."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        from serial.tools.list_ports import comports

        there = ", ".join(sorted(p.device for p in comports())) or "none"
        return f"there is no port {port!r}; is the board plugged in? Serial ports here: {there}"
    if number == errno.EACCES:
        return f"{port} is not open to this user; run sudo usermod -aG dialout $USER and log in again"
    if number in (errno.EAGAIN, errno.EBUSY):
        return f"{port} is in use by another program; end that first"
    if type(error.__context__).__module__ == "termios":
        return f"{port} is not a serial port"
    return f"{port} cannot be opened ({error}); is the board plugged in, and no other program on it?"
