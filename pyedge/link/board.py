"""A board at the other end of the link, as an object: deploy, stream, learn, keep or take back."""

import hashlib
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import index
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyedge import encode
from pyedge._edge import lib
from pyedge.encode import Alignment
from pyedge.errors import DataError, EdgeError, ImageTooLargeError, LinkError
from pyedge.link.session import Command, Link, LinkStatusError, nonsense, status_error
from pyedge.link.transport import BAUD, SerialTransport, Transport
from pyedge.quant.model import InputKind
from pyedge.runtime import LayerStats, Model, Net, Prediction
from pyedge.runtime_stream import raw_samples

Progress = Callable[[int, int], None]  # bytes done, bytes in all
Part = Literal["stream", "kept", "statistics", "learning"]
Verdict = Literal["none", "kept", "reverted"]
Undone = Literal["learning", "window"]

POLL_SECONDS = 0.01
NO_COMMIT = 2**32 - 1
STATE, ALIGNMENT = 1, 2
STATE_HEADER = 24
ACTIVITIES = ("no model", "ready", "learning", "fitting", "half written", "trying")
BUSY = {"learning": "learning", "fitting": "fitting the alignment", "trying": "the trial"}  # in errors
UNKNOWN_WEAR = 2**32 - 1
VERDICTS: tuple["Verdict", ...] = ("none", "kept", "reverted")
UNDONE: dict[int, "Undone"] = {1: "learning", 2: "window"}
PARTS: dict[Part, int] = {"stream": 1, "kept": 2, "statistics": 4, "learning": 8}


@dataclass(frozen=True)
class BoardInfo:
    """What a board says of itself (docs/link.md, 3.1). Sizes in bytes; 0 without a model or encoder."""

    name: str
    has_model: bool
    learns: bool
    has_encoder: bool
    max_payload: int
    runtime_version: tuple[int, int, int]
    image_version: int
    image_bytes: int
    work_bytes: int
    image_size: int
    image_crc: int
    image_have: int
    updates: int
    channels: int


@dataclass(frozen=True)
class BoardStatus:
    """What a board is doing (docs/link.md, 3.2)."""

    activity: str  # one of ACTIVITIES
    result: int  # of the last learning or fit that ended: 0 or an error code
    rate_decay: int
    window_complete: bool
    updates: int
    samples_lost: int
    windows: int
    committed: int | None  # updates in the committed bank; None without a commit
    frames_dropped: int
    kept: int
    kept_capacity: int


@dataclass(frozen=True)
class BankInfo:
    """Where commits go, and how the last trial ended (docs/link.md, 3.5)."""

    flash: bool  # else a copy in RAM, which a restart forgets
    verdict: Verdict
    right_learned: int  # kept windows that were right with what was learned
    right_before: int  # and with the last commit
    judged: int
    sequence: int  # of the last commit; 0: none
    room: int  # bytes of kept windows that a commit can keep
    sectors: int
    sector_size: int


@dataclass(frozen=True)
class Wear:
    """Erases of each sector of the store's flash; None: never used, or not known."""

    erases: tuple[int | None, ...]

    @property
    def most(self) -> int:
        return max((n for n in self.erases if n is not None), default=0)

    @property
    def total(self) -> int:
        return sum(n for n in self.erases if n is not None)


@dataclass(frozen=True)
class BoardMemory:
    """Bytes of the board's work memory, and what a model takes of them (docs/link.md, 3.3)."""

    work: int
    needed: int
    state: int  # learned weights and a saved state's header
    arena: int
    ring: int  # raw samples and the rows of a window
    counts: int
    bank: int  # the committed copy; 0: no room, or elsewhere
    window: int  # one kept window
    kept_capacity: int  # windows


class Window(NamedTuple):
    """A window that samples completed on the board."""

    label: int
    confidence: int  # probability of the label in 1 / 32768
    samples: int  # of this stream of samples, up to the window's end


class Board:
    """A board with pyedge firmware. Use it as a context manager.

    Every call raises BoardSilentError, BoardResetError or PortLostError when the line or the board fails, and
    the named error of the board's runtime (pyedge.runtime.ERRORS) or link (LinkStatusError) when it refuses.
    After BoardResetError say `hello` again and look at `info`.
    """

    info: BoardInfo

    def __init__(
        self, transport: Transport, timeout: float = 0.5, patience: float = 8.0, key: bytes | None = None
    ) -> None:
        """Says hello. key: the board's, where it asks for one (Link). Raises ProtocolVersionError besides."""
        self.image: bytes | None = None  # the image that was deployed
        self._begun = "learning"  # the last activity that may end in an error
        try:
            self.link = Link(transport, timeout, patience, key)
            self.hello()
        except BaseException:
            transport.close()
            raise

    @classmethod
    def open(
        cls,
        port: str,
        baud: int = BAUD,
        timeout: float = 0.5,
        patience: float = 8.0,
        key: bytes | None = None,
    ) -> Self:
        """At a serial port or a URL of pyserial. Raises PortUnavailableError besides."""
        return cls(SerialTransport(port, baud), timeout, patience, key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the port; the board keeps what it has."""
        self.link.close()

    # What it is and does

    def hello(self) -> BoardInfo:
        """Start a session, as after a reset."""
        head = struct.Struct("<BBHIIIIIIIIHH")
        answer = self.link.hello()
        _, flags, payload, version, image, images, work, size, crc, have, updates, channels, _ = (
            head.unpack_from(answer)
        )
        self.info = BoardInfo(
            answer[head.size :].decode("utf-8", "replace"),
            bool(flags & 1),
            bool(flags & 2),
            bool(flags & 4),
            payload - self.link.tag_bytes,
            (version >> 16, version >> 8 & 255, version & 255),
            image,
            images,
            work,
            size,
            crc,
            have,
            updates,
            channels,
        )
        return self.info

    def status(self) -> BoardStatus:
        """What it is doing."""
        a, result, decay, window, *numbers = struct.unpack("<BbBBIIIIIHH", self.link.request(Command.STATUS))
        updates, lost, windows, committed, dropped, kept, capacity = numbers
        if a >= len(ACTIVITIES):
            raise nonsense(Command.STATUS, f"names activity {a}")
        bank = None if committed == NO_COMMIT else committed
        return BoardStatus(
            ACTIVITIES[a], result, decay, bool(window), updates, lost, windows, bank, dropped, kept, capacity
        )

    def wait(self) -> BoardStatus:
        """Until it has learned, fitted or tried. Raises the error that ended it."""
        status = self._idle()
        if status.result < 0:
            raise status_error(status.result, BUSY[self._begun])
        return status

    def _idle(self) -> BoardStatus:
        while (status := self.status()).activity in BUSY:
            self._begun = status.activity
            time.sleep(POLL_SECONDS)
        return status

    def _begin(self, activity: str, command: Command, payload: bytes = b"") -> bytes:
        """The response to a request that the board goes on with."""
        answer = self.link.request(command, payload)
        self._begun = activity
        return answer

    def reset(self, *parts: Part) -> None:
        """Forget samples ("stream"), kept windows, statistics, or all that was learned ("learning")."""
        unknown = set(parts) - PARTS.keys()
        if unknown:
            raise DataError(f"a board does not reset {min(unknown)!r}; it does {', '.join(PARTS)}")
        self.link.request(Command.RESET, bytes([sum(PARTS[p] for p in set(parts))]))

    # Deploy

    def deploy(self, image: bytes, ring: int = 0, progress: Progress | None = None) -> BoardMemory:
        """Send an image and open it. What arrived before an interruption is not sent again.

        ring : raw samples that wait while the board learns, a power of two, 2 .. 32768; 0: its own choice.
        Raises ImageTooLargeError, DataError before anything is sent, and for an image that the board refuses
        the runtime's ImageError: then no model is loaded, and `info` says so.
        """
        ring = _integer("ring", ring, 0, 32768)
        if ring == 1 or ring & (ring - 1):
            raise DataError(f"ring is {ring}; a power of two, 2 .. 32768, or 0 is possible")
        image = bytes(memoryview(image))
        if not image:
            raise DataError("the image has no bytes; write one with `pyedge quantize`")
        try:
            memory = self._send_image(image, ring, progress)
        except (ImageTooLargeError, LinkStatusError, EdgeError):
            with suppress(LinkError):
                self.hello()
            raise
        self.image = image
        self.hello()
        return memory

    def _send_image(self, image: bytes, ring: int, progress: Progress | None) -> BoardMemory:
        begin = struct.pack("<II", len(image), zlib.crc32(image))
        code, answer = self.link.exchange(Command.IMAGE_BEGIN, begin)
        if code == lib.EDGE_LINK_ERR_SIZE:
            raise ImageTooLargeError(
                f"the image has {len(image)} bytes, {self.info.name} room for {self.info.image_bytes}; "
                "use a smaller model or another board"
            )
        have = _u32(_checked(code, answer, "deploy"))
        # Until the board says otherwise: it closes the model, and the line may fail at any time.
        self.info = replace(
            self.info,
            has_model=False,
            learns=False,
            has_encoder=False,
            image_size=0,
            image_crc=0,
            image_have=have,
            updates=0,
            channels=0,
        )
        room = self.info.max_payload - 4
        if progress:
            progress(have, len(image))
        while have < len(image):
            chunk = struct.pack("<I", have) + image[have : have + room]
            code, answer = self.link.exchange(Command.IMAGE_CHUNK, chunk)
            if code != lib.EDGE_LINK_ERR_OFFSET:
                _checked(code, answer, "deploy")
            before, have = have, _u32(answer)
            if have == before or have > len(image):
                raise nonsense(Command.IMAGE_CHUNK, f"says {have} bytes, after {before} of {len(image)}")
            if progress:
                progress(have, len(image))
        code, answer = self.link.exchange(Command.IMAGE_END, struct.pack("<H", ring))
        memory = BoardMemory(*struct.unpack("<9I", answer)) if answer else None
        if code == lib.EDGE_ERR_MEMORY and memory:
            raise ImageTooLargeError(
                f"the model needs {memory.needed} bytes of work memory (weights {memory.state}, "
                f"arena {memory.arena}, samples {memory.ring}, counts {memory.counts}), "
                f"{self.info.name} has {memory.work}; "
                "use a smaller ring, a smaller model or another board"
            )
        _checked(code, answer, "deploy")
        assert memory is not None
        return memory

    # Inference

    def push(self, samples: ArrayLike) -> list[Window]:
        """Raw samples, int16 (n, channels), and the windows they complete."""
        return list(self.stream(samples))

    def stream(self, samples: ArrayLike) -> Iterator[Window]:
        """As push, one window at a time: until the next is asked for, keep and learn apply to this one."""
        if not self.info.has_encoder:
            what = "the model has no encoder; use infer" if self.info.has_model else "deploy a model first"
            raise DataError(f"{self.info.name} takes no samples: {what}")
        raw = raw_samples(samples, self.info.channels).astype("<i2").tobytes()
        size, at, waiting = 2 * self.info.channels, 0, False
        room = self.info.max_payload // size * size
        while at < len(raw) or waiting:
            answer = self.link.request(Command.PUSH, raw[at : at + room])
            taken, flags, label, _, confidence, _ = struct.unpack("<HHBBHI", answer)
            if taken * size > len(raw[at : at + room]):
                raise nonsense(Command.PUSH, f"takes {taken} samples, more than it got")
            at += taken * size
            # Samples that wait because the board learns are encoded by a later push.
            waiting = bool(flags & 2) and (bool(flags & 1) or at < len(raw))
            if flags & 1:
                yield Window(label, confidence, at // size)
            elif taken == 0 and at < len(raw):
                self._idle()  # how it ended is for `wait` to say: the rest of the samples still comes

    def infer(self, inputs: ArrayLike) -> Prediction:
        """One encoded window, as pyedge.runtime.Net.run_window. Needs the image (`deploy`)."""
        model = Model(self._image())
        x = np.asarray(inputs)
        static = model.input_kind == InputKind.STATIC
        shape = (model.inputs,) if static else (model.window, model.inputs)
        if x.shape != shape:
            kind = model.input_kind.name.lower()
            raise DataError(f"a window of {kind} has shape {shape}, this one {x.shape}")
        steps = model.step_bytes(x.reshape(-1, model.inputs))
        at, begin = 0, True
        while at < model.window:
            n = (
                model.window
                if static
                else min(model.window - at, (self.info.max_payload - 4) // steps.shape[1])
            )
            if n == 0 or (static and steps.shape[1] > self.info.max_payload - 4):
                raise DataError(
                    f"a step has {steps.shape[1]} bytes, a request of this board {self.info.max_payload - 4}"
                )
            part = steps if static else steps[at : at + n]
            answer = self.link.request(Command.INFER, struct.pack("<BBH", begin, 0, n) + part.tobytes())
            at, begin = at + n, False
        _, label, _, confidence = struct.unpack("<HBBH", answer)
        return Prediction(label, confidence)

    def scores(self) -> NDArray[np.int32]:
        """The scores of the window that ran last, (classes,)."""
        scores: list[int] = []
        classes = 1
        while len(scores) < classes:
            answer = self.link.request(Command.SCORES, struct.pack("<H", len(scores)))
            classes = struct.unpack_from("<H", answer)[0]
            _check_pieces(Command.SCORES, answer, 2, len(scores) < classes)
            scores += np.frombuffer(answer, "<i4", offset=2).tolist()
        return np.array(scores, np.int32)

    # Learning

    def learn(self, label: int, wait: bool = True) -> int:
        """One update from the window that ran last. Returns the updates; without `wait`, those before it."""
        before = _u32(self._begin("learning", Command.LEARN, _byte("label", label)))
        return self.wait().updates if wait else before

    def keep(self, label: int) -> int:
        """Keep the window that push completed, with its label. Returns the windows kept."""
        return int(struct.unpack("<H", self.link.request(Command.KEEP, _byte("label", label)))[0])

    def replay(self, window: int) -> tuple[Prediction, int]:
        """Run a kept window again: what it is taken for now, and its label."""
        answer = self.link.request(Command.REPLAY, struct.pack("<H", _integer("window", window, 0, 65535)))
        predicted, label, confidence = struct.unpack("<BBH", answer)
        return Prediction(predicted, confidence), label

    def rehearse(self, windows: Sequence[int]) -> int:
        """Run kept windows again, in this order, and learn each from its label. Returns the updates made."""
        windows = [_integer("window", w, 0, 65535) for w in windows]
        updates = self.status().updates
        most = min(lib.EDGE_LINK_LESSON, self.info.max_payload // 2)
        for at in range(0, len(windows), most):
            lesson = np.asarray(windows[at : at + most], "<u2").tobytes()
            self._begin("learning", Command.REHEARSE, lesson)
            updates = self.wait().updates
        return updates

    def remember(self, label: int) -> tuple[int, int]:
        """Keep the window that push completed; where there is no room, the oldest of the fullest class goes.

        Returns the windows kept, and how many of the newest were not practised yet.
        """
        kept, fresh = struct.unpack("<HH", self.link.request(Command.REMEMBER, _byte("label", label)))
        return kept, fresh

    def practise(self, passes: int = 10, share: int = 4, halvings: int = 0) -> int:
        """Learn the windows not practised yet (else all) in `passes` passes. Returns the updates after it.

        passes   : 1 .. 255.
        share    : old windows for each new one, in sixteenths, 0 .. 16.
        halvings : of the learning rate, 0 .. 15, spread over the passes.
        """
        request = _byte("passes", passes, 1), _byte("share", share, 0, 16), _byte("halvings", halvings, 0, 15)
        self._begin("learning", Command.PRACTISE, b"".join(request) + b"\0")
        return self.wait().updates

    def undo(self) -> Undone:
        """Take back the last label: what was learned from it, or else the window that was kept last."""
        what = struct.unpack_from("<H", self.link.request(Command.UNDO))[0]
        if what not in UNDONE:
            raise nonsense(Command.UNDO, f"names {what}")
        return UNDONE[what]

    def add_class(self) -> int:
        """Make the image's next spare row a class, to be taught from now on. Returns its label."""
        return int(struct.unpack_from("<H", self.link.request(Command.ADD_CLASS))[0])

    def fit(self, repetitions: int) -> Alignment:
        """Fit the alignment to the kept windows, `repetitions` (1 .. 255) of each class. Returns it."""
        self._begin("fitting", Command.FIT, _byte("repetitions", repetitions, 1))
        self.wait()
        return self.alignment()

    def rate(self, decay: int) -> None:
        """Halve the learning rate `decay` (0 .. 15) times from now on."""
        self.link.request(Command.RATE, _byte("decay", decay, 0, 15))

    def commit(self) -> int:
        """Keep what was learned. Returns the updates committed."""
        return _u32(self.link.request(Command.COMMIT))

    def rollback(self) -> int:
        """Go back to the last commit, or to the image. Returns the updates it has."""
        return _u32(self.link.request(Command.ROLLBACK))

    def try_out(self) -> BankInfo:
        """Commit what was learned, or go back to the last commit where that sees more kept windows right."""
        self._begin("trying", Command.TRY)
        self.wait()
        return self.bank()

    def bank(self) -> BankInfo:
        """Where commits go, and the last verdict."""
        kind, verdict, *numbers = struct.unpack("<BBHHHIIII", self.link.request(Command.BANK))
        if verdict >= len(VERDICTS):
            raise nonsense(Command.BANK, f"names verdict {verdict}")
        return BankInfo(bool(kind), VERDICTS[verdict], *numbers)

    def wear(self) -> Wear:
        """How often each sector of the store was erased. Raises LinkStatusError where commits live in RAM."""
        erases: list[int] = []
        sectors = 1
        while len(erases) < sectors:
            answer = self.link.request(Command.WEAR, struct.pack("<H", len(erases)))
            sectors = struct.unpack_from("<H", answer)[0]
            _check_pieces(Command.WEAR, answer, 2, len(erases) < sectors)
            erases += np.frombuffer(answer, "<u4", offset=2).tolist()
        return Wear(tuple(None if n == UNKNOWN_WEAR else n for n in erases))

    # What was learned, as bytes

    def state(self, progress: Progress | None = None) -> bytes:
        """The saved state (docs/image.md, section 6): what pyedge.runtime.Net.load takes."""
        return self._read(STATE, progress)

    def load(self, state: bytes, progress: Progress | None = None) -> None:
        """Go on from a saved state of the same image. One of another size is refused before it is sent."""
        try:
            size = _u32(self.link.request(Command.READ, struct.pack("<BBHI", STATE, 0, 0, 0)))
        except LinkStatusError as error:
            if error.code != lib.EDGE_LINK_ERR_LOADING:  # an earlier load broke off: this one begins again
                raise
            size = len(state)
        if len(state) != size:
            raise status_error(lib.EDGE_ERR_STATE, f"a state of {len(state)} bytes, not {size}")
        at = 0
        while at < len(state):
            part = state[at : at + self.info.max_payload - 8]
            self.link.request(Command.WRITE, struct.pack("<B3xI", STATE, at) + part)
            at += len(part)
            if progress:
                progress(at, len(state))

    def alignment(self) -> Alignment:
        """How the armband sits, as the board has it; one gain a channel."""
        rotation, *gains = encode.ALIGNMENT.unpack(self._read(ALIGNMENT, None))
        return Alignment(rotation, tuple(gains[: self.info.channels]))

    def align(self, alignment: Alignment) -> None:
        """Set the alignment, as after a restart. Raises DataError for what is none."""
        self.link.request(Command.WRITE, struct.pack("<B3xI", ALIGNMENT, 0) + alignment.packed())

    def learned_bytes(self) -> bytes:
        """Learned weights and carry, canonical, as pyedge.runtime.Net.learned_bytes."""
        return self.state()[STATE_HEADER:]

    def weights_hash(self) -> str:
        """SHA-256 of `learned_bytes`, in hexadecimal."""
        return hashlib.sha256(self.learned_bytes()).hexdigest()

    def weights(self) -> tuple[NDArray[Any], ...]:
        """The weights in use of every layer, (fan_in, fan_out), int8 or int16. Needs the image (`deploy`)."""
        return Net(Model(self._image()), weights=self.learned_bytes()).weights()

    def stats(self) -> tuple[LayerStats, ...]:
        """Exact counts of every layer. Needs the image (`deploy`)."""
        layers = Model(self._image()).layers
        answers = (self.link.request(Command.STATISTICS, bytes([l])) for l in range(layers))
        return tuple(LayerStats(*struct.unpack("<6I", a)) for a in answers)

    def _read(self, what: int, progress: Progress | None) -> bytes:
        data, size = b"", 1
        while len(data) < size:
            answer = self.link.request(Command.READ, struct.pack("<BBHI", what, 0, 65535, len(data)))
            size = _u32(answer)
            _check_pieces(Command.READ, answer, 4, len(data) < size)
            data += answer[4:]
            if progress:
                progress(len(data), size)
        return data

    def _image(self) -> bytes:
        if self.image is None or zlib.crc32(self.image) != self.info.image_crc:
            raise DataError("the board's image is not known here; deploy it, or set `image` to its bytes")
        return self.image


def _checked(code: int, answer: bytes, detail: str) -> bytes:
    if code < 0:
        raise status_error(code, detail, answer)
    return answer


def _check_pieces(command: Command, answer: bytes, head: int, more: bool) -> None:
    """Raises LinkError for an answer of parts of numbers, or of none where there are more."""
    rest = len(answer) - head
    if (more and rest == 0) or (head == 2 and rest % 4):
        raise nonsense(command, f"has {rest} bytes of what was asked for")


def _u32(answer: bytes) -> int:
    return int(struct.unpack_from("<I", answer)[0])


def _integer(name: str, value: SupportsIndex, low: int, high: int) -> int:
    """A number of any integer type. Raises DataError."""
    try:
        number = index(value)
    except TypeError:
        raise DataError(f"{name} is {value!r}; an integer is needed") from None
    if not low <= number <= high:
        raise DataError(f"{name} is {number}; {low} .. {high} is possible")
    return number


def _byte(name: str, value: SupportsIndex, low: int = 0, high: int = 255) -> bytes:
    return bytes([_integer(name, value, low, high)])
