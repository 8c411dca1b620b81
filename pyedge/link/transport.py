"""Ways to move bytes between host and board."""

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
    """A serial port: a device name, or a URL of pyserial such as socket://host:port or rfc2217://host:port."""

    def __init__(self, port: str, baud: int = BAUD) -> None:
        """Raises PortUnavailableError."""
        import serial

        self.name = port
        try:
            self._port: Any = serial.serial_for_url(
                port, baudrate=baud, timeout=SLICE_SECONDS, write_timeout=10
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortUnavailableError(
                f"{port} cannot be opened ({error}); is the board plugged in, and no other program on it?"
            ) from error
        self._lost = (serial.SerialException, OSError, TypeError)

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except self._lost as error:
            raise self._gone(error) from error

    def read(self, timeout: float) -> bytes:
        try:
            for _ in range(max(1, round(timeout / SLICE_SECONDS))):
                if data := self._port.read(1):
                    return bytes(data + self._port.read(self._port.in_waiting))
        except self._lost as error:
            raise self._gone(error) from error
        return b""

    def close(self) -> None:
        self._port.close()

    def _gone(self, error: BaseException) -> PortLostError:
        return PortLostError(
            f"{self.name} vanished ({error}); plug the board in: a transfer continues where it stopped"
        )
