"""Requests that are carried out once or not at all, over a line that may lose, repeat or damage anything."""

import hashlib
import secrets
import struct
import time
from enum import IntEnum

from pyedge._edge import ffi, lib
from pyedge.errors import BoardResetError, BoardSilentError, LinkError, LinkStatusError, ProtocolVersionError
from pyedge.link.frame import HEADER, RESPONSE, Frame, Reader, encode
from pyedge.link.transport import Transport
from pyedge.runtime import ERRORS, EdgeError

PROTOCOL = lib.EDGE_LINK_PROTOCOL  # newest version that this host speaks
OLDEST = 1
LONGEST_WAIT = 4
KEY_BYTES = 32
TAG_BYTES = lib.EDGE_LINK_TAG
TAGGED, CHALLENGE_AT = 8, 40  # in the response to hello


class Command(IntEnum):
    """Commands of docs/link.md, section 3."""

    HELLO = lib.EDGE_LINK_HELLO
    STATUS = lib.EDGE_LINK_STATUS
    RESET = lib.EDGE_LINK_RESET
    IMAGE_BEGIN = lib.EDGE_LINK_IMAGE_BEGIN
    IMAGE_CHUNK = lib.EDGE_LINK_IMAGE_CHUNK
    IMAGE_END = lib.EDGE_LINK_IMAGE_END
    INFER = lib.EDGE_LINK_INFER
    PUSH = lib.EDGE_LINK_PUSH
    KEEP = lib.EDGE_LINK_KEEP
    REPLAY = lib.EDGE_LINK_REPLAY
    LEARN = lib.EDGE_LINK_LEARN
    FIT = lib.EDGE_LINK_FIT
    RATE = lib.EDGE_LINK_RATE
    SCORES = lib.EDGE_LINK_SCORES
    REHEARSE = lib.EDGE_LINK_REHEARSE
    PRACTISE = lib.EDGE_LINK_PRACTISE
    REMEMBER = lib.EDGE_LINK_REMEMBER
    UNDO = lib.EDGE_LINK_UNDO
    ADD_CLASS = lib.EDGE_LINK_ADD_CLASS
    COMMIT = lib.EDGE_LINK_COMMIT
    ROLLBACK = lib.EDGE_LINK_ROLLBACK
    READ = lib.EDGE_LINK_READ
    WRITE = lib.EDGE_LINK_WRITE
    TRY = lib.EDGE_LINK_TRY
    BANK = lib.EDGE_LINK_BANK
    WEAR = lib.EDGE_LINK_WEAR
    STATISTICS = lib.EDGE_LINK_STATISTICS


# Bytes of a response that is no error (docs/link.md, section 3): so many, or in OPEN at least so many.
OPEN = (Command.HELLO, Command.SCORES, Command.READ, Command.WEAR)
ANSWERS = {
    Command.HELLO: 40,
    Command.STATUS: 28,
    Command.RESET: 0,
    Command.IMAGE_BEGIN: 4,
    Command.IMAGE_CHUNK: 4,
    Command.IMAGE_END: 36,
    Command.INFER: 6,
    Command.PUSH: 12,
    Command.KEEP: 2,
    Command.REPLAY: 4,
    Command.LEARN: 4,
    Command.FIT: 2,
    Command.RATE: 0,
    Command.SCORES: 2,
    Command.REHEARSE: 4,
    Command.PRACTISE: 4,
    Command.REMEMBER: 4,
    Command.UNDO: 8,
    Command.ADD_CLASS: 4,
    Command.COMMIT: 4,
    Command.ROLLBACK: 4,
    Command.READ: 4,
    Command.WRITE: 4,
    Command.TRY: 4,
    Command.BANK: 24,
    Command.WEAR: 2,
    Command.STATISTICS: 24,
}

# What the runtime's texts, which speak to firmware, mean as the answer to a command.
MEANINGS = {
    (Command.UNDO, lib.EDGE_ERR_EMPTY): "there is nothing to take back",
    (Command.TRY, lib.EDGE_ERR_WINDOW): "no window is kept to judge by; keep or remember some first",
    (Command.TRY, lib.EDGE_LINK_ERR_BANK): "a trial needs flash; this board's commits are a copy in RAM",
    (Command.WEAR, lib.EDGE_LINK_ERR_BANK): "this board's commits are a copy in RAM, which does not wear",
    (Command.PRACTISE, lib.EDGE_ERR_WINDOW): "no window is kept; keep or remember some first",
    (Command.KEEP, lib.EDGE_ERR_WINDOW): "push has completed no window that could be kept",
    (Command.REMEMBER, lib.EDGE_ERR_WINDOW): "push has completed no window that could be kept",
    (
        Command.LEARN,
        lib.EDGE_ERR_WINDOW,
    ): "no window is complete, or it was learned; push or infer one",
    (Command.REPLAY, lib.EDGE_ERR_ARGUMENT): "there is no such kept window",
    (Command.REHEARSE, lib.EDGE_ERR_ARGUMENT): "there is no such kept window",
}


def status_error(code: int, detail: str = "", payload: bytes = b"") -> LinkError | EdgeError:
    """The exception of a response's status."""
    if code == lib.EDGE_LINK_ERR_SESSION:
        return BoardResetError(
            f"{detail}: the board was reset, or another host took over; what it had in RAM may be gone"
        )
    if code == lib.EDGE_LINK_ERR_PROTOCOL:
        board = payload[0] if payload else "another"
        return ProtocolVersionError(
            f"the board speaks version {board} of the link, this host {OLDEST} to {PROTOCOL}; "
            "update the older side"
        )
    if code in ERRORS:
        return ERRORS[code](detail)
    text = ffi.string(lib.edge_link_error_text(code)).decode()
    name = ffi.string(lib.edge_link_error_name(code)).decode()
    return LinkStatusError(code, name, f"{detail}: {text}" if detail else text, payload)


def nonsense(command: Command, what: str) -> LinkError:
    """The exception of an answer that docs/link.md does not know."""
    name = command.name.lower().replace("_", " ")
    return LinkError(f"the answer to {name} {what}, which is none of the link's; update the firmware")


class Link:
    """One host's session with one board. Not safe for several threads at once.

    timeout  : seconds before a request is repeated; further waits grow to LONGEST_WAIT times that.
    patience : seconds before a board counts as silent.
    key      : the board's key, 32 bytes, where its firmware asks for tags (docs/security.md).
    Raises LinkError for what none of these can be.
    """

    def __init__(
        self, transport: Transport, timeout: float = 0.5, patience: float = 8.0, key: bytes | None = None
    ) -> None:
        if not (timeout > 0 and patience > 0):
            raise LinkError(f"timeout is {timeout}, patience {patience}; both are more than 0 seconds")
        if key is not None and not isinstance(key, bytes | bytearray):
            raise LinkError(f"a key is {KEY_BYTES} bytes, not {type(key).__name__}")
        if key is not None and len(key) != KEY_BYTES:
            raise LinkError(f"a key has {KEY_BYTES} bytes, this one {len(key)}")
        self.transport = transport
        self.timeout = timeout
        self.patience = patience
        self.repeated = 0  # requests sent again
        self.protocol = PROTOCOL  # that both sides speak, after hello
        self._key = key
        self._challenge = b""
        self._turns = 0
        self._reader = Reader()
        self._session = 0
        self._sequence = 0

    @property
    def dropped(self) -> int:
        """Damaged frames that arrived."""
        return self._reader.dropped

    def hello(self) -> bytes:
        """Start a session in the newest version both speak; the response's payload. Raises as `request`."""
        status, answer = self._greet(PROTOCOL)
        if status == lib.EDGE_LINK_ERR_PROTOCOL and answer and OLDEST <= answer[0] < PROTOCOL:
            status, answer = self._greet(answer[0])
        if status < 0:
            raise status_error(status, "hello", answer)
        self._turns = 0
        self._challenge = b""
        if answer[1] & TAGGED:
            self._challenge = answer[CHALLENGE_AT : CHALLENGE_AT + TAG_BYTES]
            return answer[:CHALLENGE_AT] + answer[CHALLENGE_AT + TAG_BYTES :]
        return answer

    def _greet(self, protocol: int) -> tuple[int, bytes]:
        self._session = secrets.randbelow(2**32 - 1) + 1
        self._reader.clear()
        self.protocol = protocol
        return self.exchange(Command.HELLO, bytes([protocol, 0]))

    @property
    def tag_bytes(self) -> int:
        """Bytes of each request's payload that the board's guard takes."""
        return TAG_BYTES if self._challenge else 0

    def _tag(self, frame: Frame) -> bytes:
        """Of a request, for a board that asks for it; a host without the key sends none and is refused."""
        if not self._challenge or self._key is None or frame.command == Command.HELLO:
            return b""
        head = HEADER.pack(frame.session, frame.sequence, frame.command, frame.status)
        message = self._challenge + struct.pack("<I", self._turns) + head + frame.payload
        return hashlib.blake2b(message, digest_size=TAG_BYTES, key=self._key).digest()

    def request(self, command: Command, payload: bytes = b"") -> bytes:
        """The payload of the response to a request.

        Raises BoardSilentError, BoardResetError, ProtocolVersionError, PortLostError, LinkStatusError, or the
        EdgeError of the board's runtime.
        """
        status, answer = self.exchange(command, payload)
        if status < 0:
            what = command.name.lower().replace("_", " ")
            error = status_error(status, what, answer)
            if meaning := MEANINGS.get((command, status)):
                error.args = (f"{what}: {meaning}",)
            raise error
        return answer

    def exchange(self, command: Command, payload: bytes = b"") -> tuple[int, bytes]:
        """Status and payload of the response to a request, repeated until it comes or patience ends.

        Raises as `request`, but for an error status; LinkError for a response that is too short or too long.
        """
        if self._session == 0:
            raise LinkError("no session: say hello first")
        self._sequence = (self._sequence + 1) % 2**16
        self._turns += self._sequence == 0
        frame = Frame(self._session, self._sequence, command, 0, payload)
        request = encode(frame._replace(payload=payload + self._tag(frame)))
        wait, left = self.timeout, self.patience
        while left > 0:
            self.transport.write(request)
            response = self._await(command, min(wait, left))
            if response is not None:
                size = len(response.payload)
                wrong = size < ANSWERS[command] or (command not in OPEN and size > ANSWERS[command])
                if response.status >= 0 and wrong:
                    raise nonsense(command, f"has {size} bytes")
                return response.status, response.payload
            self.repeated += 1
            left -= wait
            wait = min(2 * wait, LONGEST_WAIT * self.timeout)
        raise BoardSilentError(
            f"no answer to {command.name.lower().replace('_', ' ')} for {self.patience:g} s; "
            "check power, cable, port and baud rate, and that the board runs pyedge firmware"
        )

    def _await(self, command: Command, seconds: float) -> Frame | None:
        wanted = (self._session, self._sequence, command | RESPONSE)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            data = self.transport.read(left)
            if not data:
                return None
            for frame in self._reader.feed(data):
                if frame[:3] == wanted:
                    return frame
        return None

    def close(self) -> None:
        """Let go of the port; the board keeps what it has."""
        self.transport.close()
