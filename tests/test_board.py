"""The product on an emulated board, over its UART: what a wearer's board does, what can go wrong (8 s)."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pyedge import align, boards, encode, image
from pyedge.boards import batch, emulator
from pyedge.boards.footprint import firmware_size, footprint
from pyedge.datasets import EMBEDDED_NAME, load
from pyedge.encode import EncoderConfig
from pyedge.errors import (
    BoardResetError,
    BoardSilentError,
    ImageError,
    ImageTooLargeError,
    LabelError,
    PortLostError,
    ProtocolVersionError,
)
from pyedge.link import Board, session
from pyedge.quant import reference
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, Integers, NeuronKind, Surrogate
from tests.strategies import saturated_model

NAME = "mps2-an386"
WINDOW = 20
CLASSES = 4


def wearer_model() -> IntegerModel:
    """Envelopes of eight channels, 24 hidden neurons, four gestures; random weights that fire and learn."""
    rng = np.random.default_rng(5)
    config = EncoderConfig(
        "log_frames", channels=8, hop=5, hops=4, shift=3, centre0=1200, centre1=1200, rate_hz=200,
        stride=WINDOW, span=2, penalty=1, gain_limit=20,
        profile=tuple(tuple(int(v) for v in rng.integers(-40, 40, 8)) for _ in range(CLASSES)),
    )  # fmt: skip
    hidden = IntegerLayer(
        NeuronKind.LIF, rng.integers(-60, 61, (config.inputs, 24)), np.zeros(24),
        np.full(24, 256 * 4000), np.full(24, 256 * 200), learns=True, surrogate=Surrogate.RECTANGULAR,
        gate_width=8000, down_shift=4, rate_shift=-3, input_shift=5,
    )  # fmt: skip
    readout = IntegerLayer(
        NeuronKind.LINEAR, rng.integers(-60, 61, (24, CLASSES)), np.zeros(CLASSES),
        np.zeros(CLASSES), np.zeros(CLASSES), learns=True, carry=True, rate_shift=-3,
    )  # fmt: skip
    return IntegerModel(
        WINDOW, InputKind.FRAMES, (hidden, readout), score_mult=300, score_shift=10, seed=11, encoder=config,
        class_names=("rest", "fist", "wave", "point"),
    )  # fmt: skip


MODEL = wearer_model()
IMAGE = image.write(MODEL)


class Host:
    """The same net in the integer reference."""

    def __init__(self) -> None:
        assert MODEL.encoder is not None
        self.config = MODEL.encoder
        self.alignment = self.config.alignment
        self.stream = encode.Stream(self.config, WINDOW)
        self.state = reference.fresh(MODEL)

    def run(self, rows: Integers) -> tuple[int, int]:
        inputs = encode.encode(self.config, rows, self.alignment).astype(np.int64)
        self.record = reference.run_window(MODEL, self.state.weights, inputs)
        return reference.predict(MODEL, self.record.scores)

    def learn(self, label: int) -> None:
        self.state = reference.learn(MODEL, self.state, self.record, label).state

    def same_weights(self, learned: tuple[Integers, ...]) -> bool:
        return all(np.array_equal(a, b) for a, b in zip(self.state.weights, learned, strict=True))


@pytest.fixture(scope="module")
def running() -> Iterator[boards.Board]:
    with boards.start(NAME) as emulated:
        yield emulated


@pytest.fixture
def board(running: boards.Board) -> Iterator[Board]:
    """A board with the model and nothing learned."""
    with Board.open(running.port) as b:
        b.deploy(IMAGE)
        b.reset("stream", "kept", "statistics", "learning")
        yield b


@pytest.fixture(scope="module")
def emg() -> Integers:
    """Raw samples of a real recording, (600, 8)."""
    samples = load(EMBEDDED_NAME).recordings[0].emg[:600]
    return samples.astype(np.int16)


def test_streamed_emg_gives_the_predictions_of_the_host(board: Board, emg: Integers) -> None:
    host = Host()
    expected = [host.run(rows) for rows in host.stream.push(emg)]
    assert len(expected) >= 5
    windows = board.push(emg[:123]) + board.push(emg[123:])
    assert [(w.label, w.confidence) for w in windows] == expected
    assert np.array_equal(board.scores(), host.record.scores)
    assert board.status().samples_lost == 0


def test_the_board_learns_from_labelled_windows_as_the_host_does(board: Board, emg: Integers) -> None:
    host = Host()
    kept = list(host.stream.push(emg))
    for k, window in enumerate(board.stream(emg)):
        assert (window.label, window.confidence) == host.run(kept[k])
        host.learn(k % CLASSES)
        assert board.learn(k % CLASSES) == host.state.update
    assert host.same_weights(board.weights())
    changed = [np.mean(a != b.weights) for a, b in zip(host.state.weights, MODEL.layers, strict=True)]
    assert max(changed) > 0.01


def test_commit_keeps_and_rollback_takes_back(board: Board, emg: Integers) -> None:
    fresh = board.weights_hash()
    board.push(emg[:200])
    board.learn(1)
    learned = board.weights_hash()
    assert learned != fresh
    assert board.commit() == 1
    board.push(emg[200:400])
    board.learn(2)
    assert board.weights_hash() != learned
    assert board.rollback() == 1
    assert board.weights_hash() == learned
    board.reset("learning")
    assert board.weights_hash() == fresh


def test_a_state_read_back_goes_on_where_it_stopped(board: Board, emg: Integers) -> None:
    board.push(emg[:200])
    board.learn(1)
    saved = board.state()
    board.reset("stream")
    board.push(emg[:200])
    board.learn(2)
    after = board.state()
    board.reset("learning", "stream")
    board.load(saved)
    assert board.state() == saved
    board.push(emg[:200])
    board.learn(2)
    assert board.state() == after


def test_the_board_fits_the_alignment_as_the_host_does(board: Board, emg: Integers) -> None:
    host = Host()
    kept = list(host.stream.push(emg))[:4]
    for k, _ in zip(range(4), board.stream(emg), strict=False):
        board.keep(k % CLASSES)
    fitted = board.fit(1)

    def likelihoods(coded: Integers) -> Integers:
        runs = [reference.run_window(MODEL, host.state.weights, x.astype(np.int64)).scores for x in coded]
        return np.array([reference.log_likelihood(MODEL, o) for o in runs])

    labels = [k % CLASSES for k in range(4)]
    assert fitted == align.fit_alignment(host.config, np.array(kept), labels, 1, likelihoods).alignment


def test_a_label_that_is_no_class_changes_nothing(board: Board, emg: Integers) -> None:
    board.push(emg[:200])
    before = board.weights_hash()
    with pytest.raises(LabelError):
        board.learn(CLASSES)
    assert board.weights_hash() == before


def test_what_was_committed_survives_a_reset_and_nothing_else_does(
    running: boards.Board, board: Board, emg: Integers
) -> None:
    fresh = board.weights_hash()
    alignment = board.alignment()._replace(rotation=3)
    board.align(alignment)
    for k, _ in zip(range(3), board.stream(emg), strict=False):
        board.remember(k)
    board.practise(2)
    board.rate(1)
    updates, committed = board.commit(), board.weights_hash()
    assert updates == 6 and committed != fresh
    board.learn(1) if board.status().window_complete else board.practise(1)
    board.keep(1)
    assert board.weights_hash() != committed
    running.reset()
    with pytest.raises(BoardResetError):
        board.status()
    info, status = board.hello(), board.status()
    assert info.has_model and info.updates == status.committed == updates
    assert (status.kept, status.rate_decay) == (3, 1)
    assert board.weights_hash() == committed and board.alignment() == alignment
    before = board.bank()
    assert before.flash and before.sequence > 0 and board.wear().total > 0
    # An image that is sent again is opened as it was sent; what was committed is one ROLLBACK away.
    sent: list[int] = []
    board.deploy(IMAGE, progress=lambda done, size: sent.append(done))
    assert sent == [len(IMAGE)]
    assert board.weights_hash() == fresh and board.status().committed == updates
    assert board.rollback() == updates and board.weights_hash() == committed


def test_another_version_of_the_protocol_is_named(
    running: boards.Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PROTOCOL", 3)
    monkeypatch.setattr(session, "OLDEST", 3)
    with pytest.raises(ProtocolVersionError, match="version 2"):
        Board.open(running.port)


def test_a_silent_board_is_named_and_may_come_back(running: boards.Board) -> None:
    running.pause()
    with pytest.raises(BoardSilentError, match="no answer"):
        Board.open(running.port, timeout=0.1, patience=0.3)
    running.resume()
    with Board.open(running.port) as back:
        assert back.info.name == NAME


def test_a_port_that_vanishes_in_a_transfer_is_named() -> None:
    with boards.start(NAME) as emulated, Board.open(emulated.port) as board:

        def pull_the_plug(done: int, size: int) -> None:
            if done > 0:
                emulated.stop()

        with pytest.raises(PortLostError):
            board.deploy(IMAGE, progress=pull_the_plug)


def test_an_interrupted_transfer_goes_on_where_it_stopped(running: boards.Board) -> None:
    big = image.write(saturated_model(256, 33))

    class Interrupted(Exception):
        pass

    def interrupt(done: int, size: int) -> None:
        if done > len(big) // 2:
            raise Interrupted

    with Board.open(running.port) as board, pytest.raises(Interrupted):
        board.deploy(big, progress=interrupt)
    sent: list[int] = []
    with Board.open(running.port) as board:
        board.deploy(big, progress=lambda done, size: sent.append(done))
        assert sent[0] > len(big) // 2
        assert board.info.image_size == len(big)


def test_a_damaged_image_and_one_too_large_are_refused(running: boards.Board) -> None:
    damaged = bytearray(IMAGE)
    damaged[200] ^= 1
    with Board.open(running.port) as board:
        with pytest.raises(ImageError):
            board.deploy(bytes(damaged))
        with pytest.raises(ImageTooLargeError):
            board.deploy(bytes(boards.board(NAME).bank + 8))
        board.deploy(IMAGE)
        assert board.info.has_model


def test_the_footprint_is_what_the_board_reports(board: Board) -> None:
    spec, cost, memory = boards.board(NAME), footprint(NAME, IMAGE), board.deploy(IMAGE)
    assert board.info.image_bytes == spec.bank
    assert memory.arena == cost.arena_learn_bytes
    assert memory.ring == cost.stream_bytes
    assert board.info.work_bytes == spec.ram - cost.static_bytes - cost.stack_bytes
    assert cost.ram_learn_bytes - cost.ram_infer_bytes == (
        cost.arena_learn_bytes - cost.arena_infer_bytes + cost.weights_bytes
    )
    assert cost.flash_bytes == firmware_size(NAME).flash + len(IMAGE)
    assert 0 < cost.runtime_bytes < cost.firmware_bytes <= spec.flash


def test_the_first_hello_after_a_fault_says_where(running: boards.Board, tmp_path: Path) -> None:
    running.debug(tmp_path / "gdb")
    with socket.socket(socket.AF_UNIX) as gdb:
        gdb.connect(str(tmp_path / "gdb"))
        gdb.settimeout(10)
        conversation = {
            "?": b"$T",
            "qXfer:features:read:target.xml:0,fff": b"</target>",
            "Pf=000000f0": b"$OK#",  # pc = 0xf0000000, where no code can run
            "D": b"$OK#",
        }
        for command, answer in conversation.items():
            gdb.sendall(f"${command}#{sum(command.encode()) % 256:02x}".encode())
            reply = b""
            while answer not in reply:
                reply += gdb.recv(4096)
            gdb.sendall(b"+")
    with Board.open(running.port) as board:
        assert re.fullmatch(rf"{NAME} \(fault at f0000000, status 0000[0-9a-f]{{4}}\)", board.info.name)
        running.reset()
        assert board.hello().name == NAME


# Every board


@pytest.mark.parametrize("name", list(boards.BOARDS))
def test_every_board_streams_learns_and_comes_back_after_a_reset(name: str, emg: Integers) -> None:
    host, spec = Host(), boards.board(name)
    kept = list(host.stream.push(emg))
    with boards.start(name) as emulated, Board.open(emulated.port) as board:
        assert board.info.name == name
        own = spec.ram - board.info.work_bytes
        assert own <= spec.own < own + 512 and board.info.image_bytes == spec.bank
        board.deploy(IMAGE)
        for k, window in enumerate(board.stream(emg)):
            assert (window.label, window.confidence) == host.run(kept[k])
            host.learn(k % CLASSES)
            assert board.learn(k % CLASSES) == host.state.update
        assert host.same_weights(board.weights())
        board.commit()
        emulated.reset()
        with pytest.raises(BoardResetError):
            board.status()
        assert board.hello().updates == host.state.update
        assert host.same_weights(board.weights())


@pytest.mark.parametrize("name", list(boards.BOARDS))
def test_a_fault_says_where_even_without_a_stack(name: str) -> None:
    with pytest.raises(boards.BatchError, match=r"fault.*at 0x[0-9a-f]{8}, .*status 0x[0-9a-f]{8}"):
        batch.run(name, [batch.fault()])
    with pytest.raises(boards.BatchError, match=r"fault.*status 0x[0-9a-f]{8}"):
        batch.run(name, [batch.fault(stack=True)])


# What is not the board's fault


def test_an_unknown_board_is_answered_with_those_there_are() -> None:
    with pytest.raises(boards.UnknownBoardError, match=NAME):
        boards.start("no-such-board")


@pytest.mark.parametrize(
    ("call", "program"),
    [(lambda: boards.start(NAME), "qemu-system-arm"), (lambda: boards.build(NAME), "gcc")],
)
def test_a_missing_tool_comes_with_the_command_that_installs_it(
    call: object, program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert callable(call)
    with pytest.raises(boards.MissingToolError, match=rf"{program}.*apt-get install .*{program}"):
        call()


def test_missing_sources_and_firmware_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYEDGE_TARGETS", str(tmp_path))
    with pytest.raises(boards.MissingSourcesError, match="PYEDGE_TARGETS"):
        boards.build(NAME)
    monkeypatch.setenv("PYEDGE_FIRMWARE", str(tmp_path))
    with pytest.raises(boards.MissingSourcesError, match="PYEDGE_FIRMWARE"):
        boards.build(NAME)
    (tmp_path / f"{NAME}-firmware.elf").write_bytes(b"")
    assert boards.firmware(NAME).parent == tmp_path


def test_an_emulator_that_ends_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.elf").write_bytes(b"")
    with pytest.raises(boards.EmulatorError, match=r"ended.*empty\.elf"):
        emulator.start(NAME, tmp_path / "no-such" / "empty.elf")


def test_a_quarter_of_the_stack_stays_free() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(-60, 60, WINDOW * 16).astype(np.int8).tobytes() for _ in range(CLASSES)]
    inputs = rng.integers(-60, 60, (WINDOW, MODEL.inputs))
    operations = [
        batch.open_image(IMAGE), batch.window(MODEL.input_kind, inputs), batch.learn(1), batch.save(),
        batch.stream(), batch.push(rng.integers(-99, 99, (400, 8))), batch.fit(rows, range(CLASSES), 1),
        batch.stack_used(),
    ]  # fmt: skip
    used = batch.run(NAME, operations)[-1].status
    assert 500 < used < 0.75 * firmware_size(NAME).stack
