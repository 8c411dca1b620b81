"""The link: both ends speak docs/link.md, and a line that fails in every way changes no result (30 s)."""

import os
import re
import struct
import subprocess
import threading
import time
import tty
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyedge import errors, image
from pyedge._edge import ffi, lib
from pyedge.encode import Alignment, EncoderConfig
from pyedge.link import Board, Command, Link, LinkStatusError, Loopback, SerialTransport, session
from pyedge.link.frame import Frame, Reader, decode, encode
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind
from pyedge.runtime import ERRORS, Model, Net
from pyedge.runtime_stream import Stream
from tests.strategies import models, windows
from tests.stream_strategies import SEEDS, encoder_models, recordings
from tests.test_stream_parity import direct_model

PAGE = (Path(__file__).parent.parent / "docs" / "link.md").read_text()
HEADER = (Path(__file__).parent.parent / "runtime_c" / "include" / "edge" / "link.h").read_text()


# The page


def vectors() -> list[tuple[bytes, bytes]]:
    lines = PAGE.split("## 5. Test vectors")[1]
    blocks = re.findall(r"    host  ([0-9a-f\s]+?)\n    board ([0-9a-f\s]+?)\n(?:\n|$)", lines + "\n")
    return [(bytes.fromhex(a), bytes.fromhex(b)) for a, b in blocks]


def test_both_ends_speak_the_vectors_of_the_page() -> None:
    assert len(vectors()) >= 5
    board = Loopback(payload=512, image_bytes=65536, work_bytes=131072, name="m4")
    for request, response in vectors():
        board.write(request)
        assert board.read(0) == response
        for line in (request, response):
            (frame,) = Reader().feed(line)
            assert encode(frame) == line


def test_the_page_and_the_header_name_the_same_commands_and_errors() -> None:
    commands = {n: int(c, 16) for n, c in re.findall(r"X\(EDGE_LINK_(\w+), 0x(\w+)\)", HEADER)}
    table = {n: int(c, 16) for c, n in re.findall(r"^\| ([0-9a-f]{2}) \| ([A-Z_]+) \|", PAGE, re.M)}
    assert table == commands == {c.name: c.value for c in Command}
    codes = {n: int(c) for n, c in re.findall(r"X\(EDGE_LINK_ERR_(\w+), (-\d+),", HEADER)}
    assert {n: int(c) for c, n in re.findall(r"^\| (-\d+) \| ([A-Z_]+) \|", PAGE, re.M)} == codes
    for name, code in codes.items():
        assert ffi.string(lib.edge_link_error_name(code)) == b"EDGE_LINK_ERR_" + name.encode()
        assert ffi.string(lib.edge_link_error_text(code)) not in (b"", b"unknown error")
    assert ffi.string(lib.edge_link_error_text(-1)) == ffi.string(lib.edge_error_text(-1))


# Lines


class Line:
    """A transport that drops, damages, cuts, repeats and delays what passes, as a seed says."""

    def __init__(self, board: Loopback, seed: int, rate: float) -> None:
        self.board, self.rate = board, rate
        self.rng = np.random.default_rng(seed)
        self.late: list[bytes] = []

    def spoil(self, data: bytes) -> bytes:
        if not data or self.rng.random() > self.rate:
            return data
        match self.rng.integers(7):
            case 0:
                return b""
            case 1:
                at = int(self.rng.integers(len(data)))
                return data[:at] + bytes([data[at] ^ 1 << int(self.rng.integers(8))]) + data[at + 1 :]
            case 2:
                return data[: int(self.rng.integers(len(data)))]
            case 3:
                return data + data
            case 4:
                return self.rng.bytes(int(self.rng.integers(1, 40))) + data
            case 5:
                self.late.append(data)
                return b""
            case _:
                early, self.late = self.late, []
                return b"".join([*early[::-1], data])

    def write(self, data: bytes) -> None:
        self.board.write(self.spoil(data))

    def read(self, timeout: float) -> bytes:
        return self.spoil(self.board.read(timeout))

    def close(self) -> None:
        self.board.close()


def linked(transport: Any, **options: Any) -> Board:
    return Board(transport, timeout=0.5, patience=60.0, **options)


# What the board must equal: the same calls on the runtime, in this process


class Direct:
    """The runtime without a link, with Board's calls."""

    def __init__(self, model: IntegerModel, ring: int) -> None:
        self.blob = image.write(model)
        self.kept: list[tuple[np.ndarray, int]] = []
        self.committed: tuple[bytes, Alignment] | None = None
        self.net = Net(Model(self.blob), "learn")
        self.stream = Stream(self.net, ring)

    def push(self, samples: np.ndarray) -> list[tuple[int, int]]:
        """Predictions of the windows that samples complete; the rows of the last are kept."""
        got = []
        for sample in samples:
            assert self.stream.push(sample[None]) == 1
            if (predicted := self.stream.poll()) is not None:
                got.append(tuple(predicted))
                self.rows = self.stream.keep()
        return got

    def commit(self) -> int:
        self.committed = self.net.save(), self.stream.alignment
        return self.net.updates

    def rollback(self) -> int:
        if self.committed:
            self.net.load(self.committed[0])
            self.stream.align(self.committed[1])
        else:
            lib.edge_net_init(
                self.net.c, self.net.model.c, self.net._weights, self.net._arena,
                self.net.model.arena_size("learn"), lib.EDGE_LEARN,
            )  # fmt: skip
            lib.edge_net_count(self.net.c, self.net._stats)
            self.stream.align(None)
        return self.net.updates


OPERATIONS = [
    "push",
    "push",
    "learn",
    "learn",
    "keep",
    "replay",
    "rehearse",
    "fit",
    "commit",
    "rollback",
    "align",
    "load",
    "rate",
]


@settings(max_examples=120)
@given(st.data())
def test_over_any_line_the_board_does_what_the_runtime_does_each_request_once(data: st.DataObject) -> None:
    model = data.draw(encoder_models(learns=True))
    e = model.encoder
    rate = data.draw(st.sampled_from([0.0, 0.05, 0.3]))
    payload = data.draw(st.sampled_from([136, 200, 512]))
    loopback = Loopback(payload=payload, ring=64, budget=data.draw(st.integers(1, 500)), slices=8)
    line = Line(loopback, data.draw(SEEDS), rate)
    board, direct = linked(line), Direct(model, 64)
    board.deploy(direct.blob)
    saved = direct.net.save()
    for operation in data.draw(st.lists(st.sampled_from(OPERATIONS), max_size=12)):
        label = data.draw(st.integers(0, model.classes - 1))
        window_complete = direct.net.steps == model.window
        match operation:
            case "push":
                samples = data.draw(recordings(model, windows=1))
                got = []
                for w in board.stream(samples):
                    got.append((w.label, w.confidence))
                    assert board.keep(label) == len(direct.kept) + len(got)
                expected = []
                for n in range(len(samples)):
                    for predicted in direct.push(samples[n : n + 1]):
                        expected.append(predicted)
                        direct.kept.append((direct.rows, label))
                assert got == expected
            case "learn" if window_complete:
                direct.net.learn(label)
                assert board.learn(label) == direct.net.updates
            case "learn":
                with pytest.raises(ERRORS[lib.EDGE_ERR_WINDOW]):
                    board.learn(label)
            case "keep":
                with pytest.raises(errors.LabelError):
                    board.keep(model.classes)
            case "replay" if direct.kept:
                n = data.draw(st.integers(0, len(direct.kept) - 1))
                rows, kept_label = direct.kept[n]
                assert board.replay(n) == (direct.stream.replay(rows), kept_label)
                np.testing.assert_array_equal(board.scores(), direct.net.scores())
            case "rehearse" if direct.kept:
                order = data.draw(st.lists(st.integers(0, len(direct.kept) - 1), max_size=5))
                for n in order:
                    rows, kept_label = direct.kept[n]
                    direct.stream.replay(rows)
                    direct.net.learn(kept_label)
                assert board.rehearse(order) == direct.net.updates
            case "fit" if direct.kept:
                rows = np.stack([rows for rows, _ in direct.kept])
                wanted = direct.stream.fit(rows, [label for _, label in direct.kept], 1)
                assert board.fit(1) == wanted
            case "commit":
                assert board.commit() == direct.commit()
                saved = direct.net.save()
            case "rollback":
                assert board.rollback() == direct.rollback()
            case "align":
                gains = tuple(
                    data.draw(st.lists(st.integers(-128, 127), min_size=e.channels, max_size=e.channels))
                )
                alignment = Alignment(data.draw(st.integers(-128, 127)), gains)
                board.align(alignment)
                direct.stream.align(alignment)
            case "load":
                board.load(saved)
                direct.net.load(saved)
            case "rate":
                decay = data.draw(st.integers(0, 15))
                board.rate(decay)
                direct.net.rate_decay(decay)
        if operation in ("rollback", "load"):
            assert not board.status().window_complete
        assert board.state() == direct.net.save()
        assert board.alignment() == direct.stream.alignment
    np.testing.assert_array_equal(board.weights()[0], direct.net.weights()[0])
    assert board.weights_hash() == direct.net.weights_hash()
    assert board.stats() == direct.net.stats()
    assert board.status().samples_lost == 0


@settings(max_examples=60)
@given(st.data())
def test_encoded_windows_give_the_scores_of_the_runtime_in_any_number_of_requests(
    data: st.DataObject,
) -> None:
    model = data.draw(models(largest=24, longest=20))
    board = Board(Loopback(payload=data.draw(st.sampled_from([136, 512]))))
    board.deploy(image.write(model))
    net = Net(Model.open(model), "learn" if any(layer.learns for layer in model.layers) else "infer")
    for _ in range(3):
        window = data.draw(windows(model))
        assert board.infer(window) == net.run_window(window)
        np.testing.assert_array_equal(board.scores(), net.scores())
        if net.mode == "learn":
            label = data.draw(st.integers(0, model.classes - 1))
            try:
                net.learn(label)
            except errors.CapacityError:
                with pytest.raises(errors.CapacityError):
                    board.learn(label)
            else:
                assert board.learn(label) == net.updates
                assert board.weights_hash() == net.weights_hash()
    assert board.stats() == net.stats()


# Frames


@given(st.binary(max_size=800), st.integers(1, 2**32 - 1), st.integers(0, 65535), st.integers(0, 255))
def test_frames_survive_any_split(payload: bytes, session: int, sequence: int, cut: int) -> None:
    frame = Frame(session, sequence, 1, -5, payload)
    line, reader = encode(frame), Reader()
    assert 0 not in line[1:-1]
    assert reader.feed(line[:cut]) + reader.feed(line[cut:]) == [frame]


@given(st.lists(st.binary(max_size=60) | st.just(b"\0"), max_size=20))
def test_the_host_survives_any_bytes_and_still_reads_the_frame_after_them(noise: list[bytes]) -> None:
    reader, frame = Reader(), Frame(1, 2, 0x81, 0, b"after")
    for part in noise:
        reader.feed(part)
    assert reader.feed(encode(frame))[-1:] == [frame]


def test_one_damaged_bit_anywhere_in_a_frame_is_noticed() -> None:
    line = encode(Frame(0x12345678, 9, 2, 0, bytes(range(40))))[1:-1]
    for bit in range(8 * len(line)):
        damaged = bytearray(line)
        damaged[bit // 8] ^= 1 << bit % 8
        assert all(decode(part) is None for part in bytes(damaged).split(b"\0") if part)


@given(SEEDS, st.integers(1, 140), st.sampled_from([0.0, 0.01, 0.3, 1.0]))
def test_the_board_sends_what_the_library_encodes(seed: int, inputs: int, zeros: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 128, (inputs, 4)) * (rng.random((inputs, 4)) >= zeros)
    zero = np.zeros(4)
    readout = IntegerLayer(NeuronKind.LINEAR, weights, zero, zero, zero, learns=True)
    model = IntegerModel(1, InputKind.FRAMES, (readout,), score_mult=1, score_shift=0, seed=0)
    board = Board(loopback := Loopback(payload=600))
    board.deploy(image.write(model))
    session = board.link._session
    loopback.write(encode(Frame(session, 30000, Command.READ, 0, struct.pack("<BBHI", 1, 0, 65535, 0))))
    state = Net(Model.open(model), "learn").save()
    payload = struct.pack("<I", len(state)) + state
    assert loopback.read(0) == encode(Frame(session, 30000, Command.READ | 0x80, 0, payload))


# Noise and malice


@settings(max_examples=200)
@given(st.data())
def test_the_board_survives_any_bytes_and_then_serves(data: st.DataObject) -> None:
    loopback = Loopback(payload=136, image_bytes=4096, work_bytes=8192, ring=16, budget=7)
    board = Board(loopback)
    if data.draw(st.booleans()):
        board.deploy(image.write(direct_model(learns=True)))
        board.push(np.zeros((1, 1), np.int16))
    sequence = board.link._sequence
    command = st.sampled_from([*(int(c) for c in Command), 0, 127, 128, 255])
    payload = st.binary(max_size=12) | st.binary(max_size=150)
    for _ in range(data.draw(st.integers(1, 12))):
        if data.draw(st.booleans()):
            loopback.write(data.draw(st.binary(max_size=400)))
        else:
            sequence += data.draw(st.integers(0, 3))
            frame = Frame(board.link._session, sequence % 2**16, data.draw(command), 0, data.draw(payload))
            loopback.write(encode(frame))
        answers = Reader()
        assert all(f.command & 0x80 for f in answers.feed(loopback.read(0)))
        assert answers.dropped == 0
    # Whatever it was told, hello and a new deployment put it right.
    Board(loopback).deploy(image.write(direct_model()))


def test_a_frame_longer_than_the_boards_buffer_is_dropped() -> None:
    loopback = Loopback(payload=136)
    link = Link(loopback, timeout=0.01, patience=0.02)
    link.hello()
    with pytest.raises(errors.BoardSilentError):
        link.request(Command.WRITE, bytes(137))
    assert lib.edge_link_dropped(loopback.c) == 2
    assert len(link.request(Command.STATUS)) == 28


def test_a_repeated_request_is_answered_again_and_not_done_again() -> None:
    loopback = Loopback()
    board = Board(loopback)
    board.deploy(image.write(direct_model(learns=True)))
    board.push(np.full((1, 1), 3000))
    request = encode(Frame(board.link._session, 5000, Command.KEEP, 0, b"\1"))
    answers = []
    for _ in range(3):
        loopback.write(request)
        answers.append(loopback.read(0))
    assert answers[0] == answers[1] == answers[2]
    old = encode(Frame(board.link._session, 4999, Command.KEEP, 0, b"\1"))
    other = encode(Frame(board.link._session, 5000, Command.KEEP, 0, b"\0"))
    loopback.write(old)
    assert loopback.read(0) == b""
    loopback.write(other)
    (refusal,) = Reader().feed(loopback.read(0))
    assert refusal.status == lib.EDGE_LINK_ERR_SEQUENCE
    loopback.write(request)
    assert loopback.read(0) == answers[0]
    board.link._sequence = 5000
    assert board.status().kept == 1


# What fails gets its name


class Deaf:
    """A board without power."""

    def write(self, data: bytes) -> None:
        pass

    def read(self, timeout: float) -> bytes:
        return b""

    def close(self) -> None:
        pass


class Cut(Loopback):
    """A port that vanishes after some bytes."""

    left: float = float("inf")

    def write(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left < 0:
            raise errors.PortLostError("unplugged")
        super().write(data)


def test_a_silent_board_is_named_and_the_text_says_what_to_check() -> None:
    with pytest.raises(errors.BoardSilentError, match="check power, cable, port and baud"):
        Board(Deaf(), timeout=0.01, patience=0.05)


@pytest.mark.parametrize(
    "wait", [{"timeout": 0}, {"timeout": -1}, {"patience": 0}, {"patience": float("nan")}]
)
def test_a_wait_that_is_none_is_named(wait: dict[str, float]) -> None:
    """A timeout of 0 repeated requests for ever."""
    with pytest.raises(errors.LinkError, match="more than 0"):
        Link(Loopback(), **wait)


def test_a_board_of_another_protocol_is_named() -> None:
    loopback = Loopback()
    link = Link(loopback)
    link._session = 5
    assert link.exchange(Command.HELLO, b"\3\0") == (lib.EDGE_LINK_ERR_PROTOCOL, b"\2")
    assert link.exchange(Command.STATUS)[0] == lib.EDGE_LINK_ERR_SESSION

    class Newer(Loopback):
        def read(self, timeout: float) -> bytes:
            frames = Reader().feed(super().read(timeout))
            return b"".join(
                encode(f._replace(status=lib.EDGE_LINK_ERR_PROTOCOL, payload=b"\7")) for f in frames
            )

    with pytest.raises(errors.ProtocolVersionError, match="version 7 of the link, this host 1 to 2"):
        Board(Newer())


@pytest.mark.parametrize("how", ["reset", "another host"])
def test_a_reset_or_another_host_is_noticed_and_hello_goes_on(how: str) -> None:
    loopback = Loopback()
    board = Board(loopback)
    board.deploy(image.write(direct_model()))
    if how == "reset":
        loopback.restart()
    else:
        Board(loopback)
    with pytest.raises(errors.BoardResetError):
        board.push(np.zeros((3, 1), np.int16))
    assert board.hello().has_model == (how != "reset")


@settings(max_examples=30)
@given(SEEDS, st.integers(0, 6000))
def test_an_interrupted_transfer_goes_on_where_it_stopped(seed: int, cut: int) -> None:
    blob = big_image(seed)
    line = Cut(payload=200)
    board = Board(line)
    line.left = cut
    try:
        board.deploy(blob)
    except errors.PortLostError:
        line.left = float("inf")
        again = Board(line)
        assert not again.info.has_model
        have = again.info.image_have
        assert have >= min(cut, len(blob)) * 0.8 - 400
        steps: list[int] = []
        again.deploy(blob, progress=lambda done, whole: steps.append(done))
        assert steps[0] == have and steps[-1] == len(blob)
        board = again
    assert board.info.image_crc == zlib.crc32(blob) and board.info.image_size == len(blob)


def big_image(seed: int) -> bytes:
    weights = np.random.default_rng(seed).integers(-128, 128, (1000, 4))
    zero = np.zeros(4)
    readout = IntegerLayer(NeuronKind.LINEAR, weights, zero, zero, zero)
    return image.write(IntegerModel(1, InputKind.FRAMES, (readout,), score_mult=1, score_shift=0, seed=0))


def test_images_that_do_not_fit_or_are_bad_are_refused_with_figures_and_the_board_goes_on() -> None:
    good = image.write(direct_model(learns=True))
    board = Board(Loopback(image_bytes=1024, work_bytes=2048, ring=16))
    with pytest.raises(errors.ImageTooLargeError, match="room for 1024"):
        board.deploy(big_image(0))
    board.deploy(good)
    with pytest.raises(errors.ImageTooLargeError, match="has 2048"):
        board.deploy(good, ring=4096)
    assert not board.info.has_model and board.info == board.hello()
    with pytest.raises(errors.DataError, match="deploy"):
        board.weights()
    board.link.request(Command.IMAGE_BEGIN, struct.pack("<II", len(good), zlib.crc32(good)))
    with pytest.raises(ERRORS[lib.EDGE_ERR_ARGUMENT]):
        board.link.request(Command.IMAGE_END, struct.pack("<H", 3))
    with pytest.raises(errors.ImageMagicError):
        board.deploy(b"not an image" + bytes(200))
    with pytest.raises(errors.ImageChecksumError):
        board.deploy(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(LinkStatusError, match="no model is loaded"):
        board.learn(0)
    assert board.deploy(good).needed <= 2048
    with pytest.raises(errors.ImageTooLargeError):
        board.deploy(big_image(0))
    assert board.info.has_model and board.info == board.hello()  # nothing was sent: the model stays


def test_a_transfer_that_broke_off_leaves_no_model_that_is_known() -> None:
    class Cut(Loopback):
        left = 10**9

        def write(self, data: bytes) -> None:
            self.left -= 1
            if self.left < 0:
                raise errors.PortLostError("gone")
            super().write(data)

    transport = Cut()
    board = linked(transport)
    board.deploy(image.write(direct_model(learns=True)))
    transport.left = 3
    with pytest.raises(errors.PortLostError):
        board.deploy(big_image(0))
    assert not board.info.has_model and not board.info.has_encoder
    with pytest.raises(errors.DataError, match="deploy a model first"):
        board.push(np.zeros((1, 1), np.int16))


def test_a_transfer_that_arrives_damaged_is_forgotten() -> None:
    board = Board(Loopback())
    board.link.request(Command.IMAGE_BEGIN, struct.pack("<II", 200, 1))
    with pytest.raises(LinkStatusError, match="send the rest"):
        board.link.request(Command.IMAGE_END, bytes(2))
    with pytest.raises(LinkStatusError, match="go on from where it says") as wrong:
        board.link.request(Command.IMAGE_CHUNK, struct.pack("<I", 7) + b"x")
    assert struct.unpack("<I", wrong.value.payload) == (0,)
    board.link.request(Command.IMAGE_CHUNK, bytes(204))
    with pytest.raises(LinkStatusError, match="arrived damaged"):
        board.link.request(Command.IMAGE_END, bytes(2))
    assert board.hello().image_have == 0


def test_a_board_that_learns_answers_busy_takes_samples_and_loses_none() -> None:
    model = wide_model()
    samples = np.random.default_rng(1).integers(-32768, 32768, (40, 64))
    board = Board(Loopback(ring=16, budget=1, slices=1))
    board.deploy(image.write(model))
    direct = Direct(model, 64)
    assert board.push(samples[:1])[0][:2] == direct.push(samples[:1])[0]
    direct.net.learn(1)
    assert board.learn(1, wait=False) == 0
    for ask in (lambda: board.learn(0), board.commit, board.rollback, board.state, lambda: board.rate(1)):
        with pytest.raises(ERRORS[lib.EDGE_ERR_BUSY]):
            ask()
    assert board.status().activity == "learning"
    assert [w[:2] for w in board.push(samples)] == direct.push(samples)
    assert board.status().updates == 1 and board.status().samples_lost == 0
    assert board.weights_hash() == direct.net.weights_hash()


def wide_model() -> IntegerModel:
    """A sample has 128 bytes."""
    zero = np.zeros(2)
    readout = IntegerLayer(NeuronKind.LINEAR, np.ones((64, 2)), zero, zero, zero, learns=True)
    encoder = EncoderConfig("direct", channels=64, shift=8)
    return IntegerModel(1, InputKind.FRAMES, (readout,), score_mult=1, score_shift=0, seed=0, encoder=encoder)


def test_samples_come_through_though_learning_failed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of `learn` ended `push`, and the windows before it were lost."""
    board = Board(Loopback(ring=16, budget=1, slices=1))
    board.deploy(image.write(wide_model()))
    samples = np.random.default_rng(1).integers(-32768, 32768, (40, 64))
    board.push(samples[:1])
    board.learn(1, wait=False)
    ask = board.status
    monkeypatch.setattr(board, "status", lambda: replace(ask(), result=lib.EDGE_ERR_CAPACITY))
    assert len(board.push(samples)) == len(samples)
    with pytest.raises(errors.CapacityError, match=r"^learning: "):
        board.wait()


@pytest.mark.parametrize(
    ("act", "named"),
    [
        (lambda b: b.learn(0), "learning"),
        (lambda b: b.practise(), "learning"),
        (lambda b: b.rehearse([0]), "learning"),
        (lambda b: b.fit(1), "fitting the alignment"),
        (lambda b: b.try_out(), "the trial"),
    ],
)
def test_what_fails_after_its_answer_is_named(
    act: Callable[[Board], Any], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board(Loopback())
    failed = replace(board.status(), activity="ready", result=lib.EDGE_ERR_FLASH)
    monkeypatch.setattr(board, "status", lambda: failed)
    monkeypatch.setattr(board.link, "request", lambda *_: bytes(4))
    with pytest.raises(ERRORS[lib.EDGE_ERR_FLASH], match=f"^{named}: "):
        act(board)


def test_a_half_written_state_is_never_used() -> None:
    board = Board(Loopback(payload=136))
    model = direct_model(learns=True)
    board.deploy(image.write(model))
    board.push(np.full((1, 1), 3000))
    board.learn(1)
    learned = board.state()
    board.commit()
    head = struct.pack("<B3xI", 1, 0)
    board.link.request(Command.WRITE, head + learned[:20])
    assert board.status().activity == "half written"
    with pytest.raises(LinkStatusError, match="half written"):
        board.push(np.zeros((1, 1), np.int16))
    with pytest.raises(LinkStatusError, match="go on from where it says"):
        board.link.request(Command.WRITE, struct.pack("<B3xI", 1, 24) + learned[24:])
    damaged = learned[:-1] + bytes([learned[-1] ^ 1])
    with pytest.raises(ERRORS[lib.EDGE_ERR_STATE]):
        board.load(damaged)
    assert board.state() == learned
    board.link.request(Command.WRITE, head + learned[:20])
    assert board.rollback() == 1
    assert board.state() == learned


class Odd(Loopback):
    """A board whose answers to one command are others than it gave."""

    command: Command | None = None
    answer: Callable[[bytes], bytes]

    def read(self, timeout: float) -> bytes:
        sent = b""
        for frame in Reader().feed(super().read(timeout)):
            odd = self.command is not None and frame.command == self.command | 0x80
            sent += encode(frame._replace(payload=self.answer(frame.payload), status=0) if odd else frame)
        return sent


ASKED: dict[Command, Callable[[Board], Any]] = {
    Command.HELLO: lambda b: b.hello(),
    Command.STATUS: lambda b: b.status(),
    Command.PUSH: lambda b: b.push(np.ones((3, 1), np.int16)),
    Command.SCORES: lambda b: b.scores(),
    Command.LEARN: lambda b: b.learn(0),
    Command.UNDO: lambda b: b.undo(),
    Command.BANK: lambda b: b.bank(),
    Command.READ: lambda b: b.state(),
    Command.WEAR: lambda b: b.wear(),
    Command.STATISTICS: lambda b: b.stats(),
    Command.IMAGE_CHUNK: lambda b: b.deploy(big_image(0)),
    Command.IMAGE_END: lambda b: b.deploy(big_image(0)),
}


@pytest.mark.parametrize("command", ASKED)
def test_an_answer_that_the_page_does_not_know_is_named(command: Command) -> None:
    """Firmware of one's own could end in struct.error, or in requests for ever."""
    transport = Odd(payload=256)
    board = linked(transport)
    board.deploy(image.write(direct_model(learns=True)))
    board.push(np.ones((1, 1), np.int16))
    answers: list[Callable[[bytes], bytes]] = [lambda _: b"", lambda given: given[:1]]
    stuck = {Command.SCORES: b"\3\0", Command.READ: b"\7\0\0\0", Command.WEAR: b"\3\0"}
    for wrong in (stuck.get(command), b"\3\0\1" if command in (Command.SCORES, Command.WEAR) else None):
        if wrong is not None:
            answers.append(lambda _, wrong=wrong: wrong)  # type: ignore[misc]
    if command in (Command.STATUS, Command.PUSH, Command.UNDO, Command.BANK):
        answers.append(lambda given: b"\xff" * max(len(given), 8))
    if command == Command.IMAGE_CHUNK:
        answers += [lambda _: bytes(4), lambda _: b"\xff" * 4]
    for transport.answer in answers:
        transport.command = command
        with pytest.raises(errors.LinkError, match="update the firmware"):
            ASKED[command](board)
        transport.command = None
    assert board.hello().name == "host"


def test_wrong_use_is_named_before_it_reaches_the_line() -> None:
    board = Board(Loopback())
    for ask in (lambda: board.weights(), lambda: board.infer([0])):
        with pytest.raises(errors.DataError, match="deploy it"):
            ask()
    board.deploy(image.write(direct_model()))
    with pytest.raises(errors.DataError, match=r"\(n, 1\) is needed"):
        board.push(np.zeros((2, 3), np.int16))
    with pytest.raises(errors.DataError, match="16 bits"):
        board.push([[70000]])
    with pytest.raises(errors.DataError, match=r"0 \.\. 255"):
        board.learn(256)
    with pytest.raises(errors.ModeError):
        board.state()
    with pytest.raises(ERRORS[lib.EDGE_ERR_WINDOW]):
        board.fit(1)


def test_the_small_server_survives_noise_too_and_speaks_version_1(tmp_path: Path) -> None:
    """tests/c/test_link.c under sanitizers, with EDGE_LINK_SMALL."""
    root = Path(__file__).parent.parent
    sources = [*(root / "runtime_c/src").rglob("*.c"), *(root / "runtime_c/link").glob("*.c")]
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-DEDGE_LINK_SMALL"]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    folders = [f"-I{root}/runtime_c/include", f"-I{root}/runtime_c/src"]
    program, test = tmp_path / "link", root / "tests/c/test_link.c"
    done = subprocess.run(
        ["gcc", *flags, *sanitize, *folders, test, *sources, "-o", program], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    run = subprocess.run([program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-4000:]


def test_a_host_speaks_the_older_version_to_an_older_board() -> None:
    class Older(Loopback):
        """Answers hello of version 2 as a board of version 1 did."""

        def write(self, data: bytes) -> None:
            (frame,) = Reader().feed(data)
            if frame.command == Command.HELLO and frame.payload[0] > 1:
                refusal = frame._replace(command=0x81, status=lib.EDGE_LINK_ERR_PROTOCOL, payload=b"\1")
                self.said = encode(refusal)
            else:
                super().write(data)

        said = b""

        def read(self, timeout: float) -> bytes:
            said, self.said = self.said, b""
            return said or super().read(timeout)

    board = Board(Older())
    assert board.link.protocol == 1
    board.deploy(image.write(direct_model(learns=True)))
    assert board.push(np.zeros((1, 1), np.int16))


# A real line


def serve(loopback: Loopback, fd: int, stop: threading.Event) -> None:
    """Firmware's main loop on a terminal."""
    os.set_blocking(fd, False)
    while not stop.is_set():
        try:
            loopback.write(os.read(fd, 4096))
        except BlockingIOError:
            time.sleep(0.0005)
        except OSError:
            return
        if data := loopback.read(0):
            os.write(fd, data)


def test_over_a_terminal_through_pyserial_and_a_port_that_vanishes() -> None:
    host, device = os.openpty()
    tty.setraw(host)
    tty.setraw(device)
    stop = threading.Event()
    server = threading.Thread(target=serve, args=(Loopback(), host, stop), daemon=True)
    server.start()
    model = direct_model(learns=True)
    with Board.open(os.ttyname(device), timeout=1.0) as board:
        seen: list[Any] = []
        blob = image.write(model)
        board.deploy(blob, progress=lambda done, whole: seen.append((done, whole)))
        assert seen[-1] == (len(blob), len(blob))
        assert len(board.push(np.zeros((300, 1), np.int16))) == 300
        net = Net(Model.open(model), "learn")
        net.run_window(np.zeros((1, 1), np.int8))
        net.learn(1)
        assert board.learn(1) == 1
        assert board.state() == net.save()
        stop.set()
        server.join()
        os.close(host)
        os.close(device)
        with pytest.raises(errors.PortLostError, match="vanished"):
            board.status()


def test_a_port_that_is_not_there_is_named() -> None:
    with pytest.raises(errors.PortUnavailableError, match="plugged in"):
        Board.open("/dev/no-such-port")
    with pytest.raises(errors.PortUnavailableError):
        Board.open("nosuchscheme://board")


def test_a_full_memory_of_windows_says_so_and_keeps_what_there_is() -> None:
    board = Board(Loopback(work_bytes=600, ring=16))
    board.deploy(image.write(direct_model(learns=True)))
    board.push(np.full((1, 1), 3000))
    room = board.status().kept_capacity
    for k in range(room):
        assert board.keep(k % 2) == k + 1
    with pytest.raises(LinkStatusError, match="no room for another kept window"):
        board.keep(1)
    assert board.status().kept == room
    board.fit(1)


@pytest.mark.parametrize(
    "no", [Alignment(128, ()), Alignment(0, (-129,)), Alignment(0, (0,) * 65), Alignment(0, (1.5,))]
)
def test_an_alignment_out_of_range_is_named(no: Alignment) -> None:
    """It was struct.error on a board, OverflowError or IndexError on the host."""
    board = Board(Loopback())
    board.deploy(image.write(direct_model()))
    for align in (board.align, Stream(Net(Model(image.write(direct_model())))).align):
        with pytest.raises(errors.DataError, match="no alignment"):
            align(no)


def test_a_board_that_cannot_be_greeted_lets_go_of_its_port() -> None:
    """With a key of another length the port stayed open."""
    loopback, closed = Loopback(), []
    loopback.close = lambda: closed.append(True)  # type: ignore[method-assign]
    with pytest.raises(errors.LinkError, match="32 bytes"):
        Board(loopback, key=b"short")
    assert closed


def test_a_model_that_does_not_learn_keeps_its_alignment_and_refuses_the_rest() -> None:
    board = Board(Loopback())
    board.deploy(image.write(direct_model()))
    board.push(np.full((1, 1), 3000))
    board.keep(1)
    alignment = Alignment(1, (5,))
    board.align(alignment)
    board.commit()
    board.align(Alignment(0, (0,)))
    board.rollback()
    assert board.alignment() == alignment
    request = board.link.request
    for command, payload in (
        (Command.REHEARSE, b"\0\0"),
        (Command.LEARN, b"\1"),
        (Command.PRACTISE, b"\1\0\0\0"),
        (Command.READ, b"\1\0\x10\0\0\0\0\0"),
        (Command.WRITE, b"\1\0\0\0\0\0\0\0state"),
    ):
        with pytest.raises(ERRORS[lib.EDGE_ERR_MODE]):
            request(command, payload)
    assert board.alignment() == alignment


def test_scores_of_more_classes_than_a_frame_holds() -> None:
    rng = np.random.default_rng(3)
    readout = IntegerLayer(NeuronKind.LINEAR, rng.integers(-99, 100, (4, 70)), 0, 0, 0)
    model = IntegerModel(2, InputKind.SPIKES, (readout,))
    board, net = Board(Loopback(payload=136)), Net(Model.open(model))
    board.deploy(image.write(model))
    window = np.ones((2, 4), int)
    assert tuple(board.infer(window)) == tuple(net.run_window(window))
    np.testing.assert_array_equal(board.scores(), net.scores())


def test_memory_for_the_model_alone_leaves_none_for_commits() -> None:
    blob = image.write(direct_model(learns=True))
    needed = Board(Loopback(ring=16)).deploy(blob).needed
    board = Board(Loopback(work_bytes=needed, ring=16))
    board.deploy(blob)
    with pytest.raises(LinkStatusError, match="no room for a committed bank"):
        board.commit()


def test_encoded_inputs_out_of_range_are_refused_as_on_the_host() -> None:
    """300 and NaN were once taken for other int8 values in silence."""
    board = Board(Loopback())
    model = direct_model()
    board.deploy(image.write(model))
    net = Net(Model.open(model))
    good = np.zeros((1, 1), np.int8)
    assert board.infer(good) == net.run_window(good)
    for bad in (np.full((1, 1), 300), np.full((1, 1), np.nan), np.zeros((2, 1), np.int8)):
        with pytest.raises(errors.DataError) as of_board:
            board.infer(bad)
        with pytest.raises(errors.DataError) as of_host:
            net.run_window(bad)
        assert str(of_board.value) == str(of_host.value)


@pytest.mark.parametrize("ring", [-1, 1, 3, 65536, 1 << 20, 2.5])
def test_a_ring_that_cannot_be_leaves_the_model_where_it_is(ring: Any) -> None:
    """The board forgot its model before it refused, or the host failed in packing the number."""
    board = Board(Loopback())
    blob = image.write(direct_model())
    board.deploy(blob)
    with pytest.raises(errors.DataError, match="ring is"):
        board.deploy(blob, ring=ring)
    assert board.hello().has_model
    assert board.deploy(blob, ring=np.int64(16)).needed  # numbers of NumPy count


@pytest.mark.parametrize(
    "call",
    [
        lambda b: b.keep(-1),
        lambda b: b.keep(256),
        lambda b: b.learn("rest"),
        lambda b: b.replay(-1),
        lambda b: b.rehearse([0, 65536]),
        lambda b: b.practise(0),
        lambda b: b.practise(1, 17),
        lambda b: b.practise(1, 4, 16),
        lambda b: b.fit(0),
        lambda b: b.rate(16),
        lambda b: b.reset("everything"),
        lambda b: b.push(np.zeros((3, 2), int)),
        lambda b: b.push(np.zeros((3, 1))),
        lambda b: b.deploy(b""),
    ],
)
def test_an_argument_out_of_range_is_named_before_it_is_sent(call: Callable[[Board], Any]) -> None:
    board = Board(Loopback())
    board.deploy(image.write(direct_model(learns=True)))
    before = board.link._sequence
    with pytest.raises(errors.DataError):
        call(board)
    assert board.link._sequence == before


def test_samples_without_a_model_say_deploy_first() -> None:
    with pytest.raises(errors.DataError, match="deploy a model first"):
        Board(Loopback()).push(np.zeros((3, 1), np.int16))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda b: b.undo(), "undo: there is nothing to take back"),
        (lambda b: b.learn(0), "learn: no window is complete"),
        (lambda b: b.keep(0), "keep: push has completed no window"),
        (lambda b: b.remember(0), "remember: push has completed no window"),
        (lambda b: b.replay(7), "replay: there is no such kept window"),
        (lambda b: b.rehearse([7]), "rehearse: there is no such kept window"),
        (lambda b: b.practise(1), "practise: no window is kept"),
        (lambda b: b.try_out(), "try: a trial needs flash"),
        (lambda b: b.wear(), "wear: this board's commits are a copy in RAM"),
    ],
)
def test_a_refusal_speaks_to_the_host_and_not_to_firmware(call: Callable[[Board], Any], text: str) -> None:
    """The runtime's texts name C calls and headers."""
    board = Board(Loopback())
    board.deploy(image.write(direct_model(learns=True)))
    with pytest.raises(errors.PyEdgeError, match=text):
        call(board)


def test_a_state_of_another_size_is_refused_before_half_of_it_is_written() -> None:
    """A short one once left the board waiting for the rest, and refusing all else."""
    board = Board(Loopback())
    board.deploy(image.write(direct_model(learns=True)))
    state = board.state()
    for wrong in (b"", state[:-8], state + bytes(8)):
        with pytest.raises(errors.PyEdgeError, match=f"a state of {len(wrong)} bytes, not {len(state)}"):
            board.load(wrong)
        assert board.status().activity == "ready"
    board.load(state)
    board.link.request(Command.WRITE, struct.pack("<B3xI", 1, 0) + state[:8])
    assert board.status().activity == "half written"
    board.load(state)
    assert board.status().activity == "ready"


def test_two_programs_cannot_hold_one_port() -> None:
    """The second once ended the first one's session."""
    host, device = os.openpty()
    first = SerialTransport(os.ttyname(device))
    with pytest.raises(errors.PortUnavailableError, match="in use by another program"):
        SerialTransport(os.ttyname(device))
    first.close()
    SerialTransport(os.ttyname(device)).close()
    os.close(host)
    os.close(device)


def test_a_file_that_is_no_port_is_named() -> None:
    with pytest.raises(errors.PortUnavailableError, match="/dev/null is not a serial port"):
        SerialTransport("/dev/null")


def test_the_page_tells_how_long_every_answer_is():
    """In the table of commands a type holds for the fields after it, too; 3.1 to 3.5 have their own."""
    width = {"u8": 1, "i8": 1, "u16": 2, "u32": 4}

    def of_fields(text):
        kind, size = "", 0
        for field in text.partition(";")[0].split(", "):
            first = field.split(" ")[0]
            kind = first if re.match(r"[iu]\d", first) else kind
            size += width.get(kind, 0)  # of u8[] and the like, none is the least
        return size

    def of_table(number):
        rows = re.findall(r"^\| (\d+) \| (\w+) \|", PAGE.split(f"### {number} ")[1].split("###")[0], re.M)
        return int(rows[-1][0]) + width[rows[-1][1]]

    told = {Command.IMAGE_END: 9 * width["u32"]}  # in words: u32 each, the last of them what can be kept
    for code, answer in re.findall(r"^\| ([0-9a-f]{2}) \| [A-Z_]+ \| .* \| (.*) \|$", PAGE, re.M):
        fields = re.sub(r" ?\(.*?\)", "", answer)
        size = of_table(fields[4:]) if re.fullmatch(r"see 3\.[1245]", fields) else of_fields(fields)
        told.setdefault(Command(int(code, 16)), size)
    assert told == session.ANSWERS and told.keys() == set(Command)
