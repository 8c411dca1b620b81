"""docs/security.md names tests that exist; boards with a key carry out nothing without a right tag (15 s)."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyedge import boards, image
from pyedge._edge import lib
from pyedge.boards import BUILD_ONLY
from pyedge.boards.build import configuration, sources, tool
from pyedge.boards.registry import TEMPLATE
from pyedge.errors import LinkError
from pyedge.link import Board, Command, Link, LinkStatusError, Loopback
from pyedge.link.frame import Frame, Reader, decode, encode
from tests.test_board import IMAGE
from tests.test_stream_parity import direct_model

KEY = bytes(range(32))
BLOB = image.write(direct_model(learns=True))
ROOT = Path(__file__).parent.parent


def test_every_invariant_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    invariants = re.split(r"^\d+\. ", page.split("## Invariants")[1], flags=re.MULTILINE)[1:]
    assert len(invariants) >= 12
    for text in invariants:
        files = [ROOT / name for name in re.findall(r"tests/(?:c/)?test_\w+\.(?:py|c)\b", text)]
        assert files, text
        code = "".join(file.read_text() for file in files)
        for name in re.findall(r"\b(test_\w+)(?!\w*\.(?:py|c)\b)\b", text):
            assert f"def {name}(" in code or any(file.stem == name for file in files), name


class Recorder(Loopback):
    """A board with a key, and whoever listens to its line."""

    def __init__(self, key: bytes | None = KEY) -> None:
        super().__init__(key=key)
        self.heard: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.heard.append(data)
        super().write(data)

    def inject(self, data: bytes) -> list[Frame]:
        super().write(data)
        return Reader().feed(self.read(0))


def taught(board: Board) -> Board:
    board.deploy(BLOB)
    board.push(np.full((1, 1), 3000))
    board.learn(1)
    board.keep(1)
    board.commit()
    return board


def test_a_host_with_the_key_does_all_that_one_without_does_on_an_open_board() -> None:
    closed, open_ = taught(Board(Recorder(), key=KEY)), taught(Board(Loopback()))
    assert closed.state() == open_.state() and closed.status() == open_.status()
    assert closed.info.max_payload == open_.info.max_payload - lib.EDGE_LINK_TAG
    assert closed.info.name == open_.info.name


@pytest.mark.parametrize("key", [None, bytes(32), KEY[:31] + b"\0"])
def test_without_the_key_nothing_but_hello_is_carried_out(key: bytes | None) -> None:
    recorder = Recorder()
    owner = taught(Board(recorder, key=KEY))
    state, status = owner.state(), owner.status()
    stranger = Board(recorder, key=key)
    for command in Command:
        for size in (0, 1, 2, 4, 8, 24):
            if command != Command.HELLO:
                found, answer = stranger.link.exchange(command, bytes(size))
                assert (found, answer) == (lib.EDGE_LINK_ERR_TAG, b"")
    with pytest.raises(LinkStatusError, match="give the board's key"):
        stranger.status()
    owner.hello()
    assert owner.state() == state and owner.status() == status


@settings(max_examples=60)
@given(st.data())
def test_a_request_that_was_touched_anywhere_is_refused_though_its_checksum_is_right(
    data: st.DataObject,
) -> None:
    recorder = Recorder()
    board = taught(Board(recorder, key=KEY))
    before = board.state()
    board.link._sequence += 1
    payload = data.draw(st.binary(max_size=40))
    command = data.draw(st.sampled_from([c for c in Command if c != Command.HELLO]))
    frame = Frame(board.link._session, board.link._sequence, command, 0, payload)
    tagged = payload + board.link._tag(frame)
    at = data.draw(st.integers(0, len(tagged) - 1))
    bent = bytearray(tagged)
    bent[at] ^= 1 << data.draw(st.integers(0, 7))
    (answer,) = recorder.inject(encode(frame._replace(payload=bytes(bent))))
    assert (answer.status, answer.payload) == (lib.EDGE_LINK_ERR_TAG, b"")
    assert board.state() == before


@settings(max_examples=30)
@given(st.data())
def test_what_was_recorded_is_never_carried_out_again(data: st.DataObject) -> None:
    """In the same session, in a later one, after a restart, with the old hello or without."""
    recorder = Recorder()
    board = taught(Board(recorder, key=KEY))
    old = list(recorder.heard)
    where = data.draw(st.sampled_from(["same session", "later session", "restart"]))
    if where == "restart":
        recorder.restart()
    if where != "same session":
        board.hello()
        board.deploy(BLOB)
    before = board.state(), board.status().kept, board.status().updates
    for line in data.draw(st.permutations(old)) if data.draw(st.booleans()) else old:
        for answer in recorder.inject(line):
            hello = decode(line[1:-1]).command == Command.HELLO  # type: ignore[union-attr]
            # The last answer may be given again; an old hello starts a session in which no old tag is right.
            assert answer.status < 0 or hello or line == old[-1]
    board.hello()
    assert (board.state(), board.status().kept, board.status().updates) == before


def test_a_sequence_that_comes_round_again_does_not_bring_old_requests_back() -> None:
    recorder = Recorder()
    board = taught(Board(recorder, key=KEY))
    link = board.link
    board.push(np.full((1, 1), 3000))
    recorder.heard.clear()
    board.keep(1)
    (keep,) = recorder.heard
    at = link._sequence
    for jump in (30000, 30000, 2**16 - 60000 - 10):
        wraps = (link._sequence + jump) >= 2**16
        link._sequence = (link._sequence + jump) % 2**16
        link._turns += wraps
        board.status()
    assert 0 < (at - link._sequence) % 2**16 < 32768  # the old request is ahead again
    kept = board.status().kept
    (answer,) = recorder.inject(keep)
    assert answer.status == lib.EDGE_LINK_ERR_TAG and board.status().kept == kept


def test_a_key_of_another_length_is_named() -> None:
    with pytest.raises(Exception, match="32 bytes"):
        Link(Loopback(), key=b"short")
    with pytest.raises(LinkError, match="32 bytes, not str"):
        Link(Loopback(), key="x" * 32)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["mps2-an386", "microbit"])
def test_firmware_with_a_key_asks_for_tags_of_the_library_and_never_gives_a_challenge_twice(
    name: str,
) -> None:
    """Monocypher on the board, hashlib here; a micro:bit's challenges come of its random number generator."""
    with boards.start(name, _built_with_a_key(name)) as running:
        challenges = set()
        for _ in range(3):
            with Board.open(running.port, key=KEY) as board:
                board.deploy(IMAGE)
                assert board.status().activity == "ready"
                challenges.add(board.link._challenge)
            running.reset()
        with (
            Board.open(running.port) as stranger,
            pytest.raises(LinkStatusError, match="give the board's key"),
        ):
            stranger.rollback()
        assert len(challenges) == 3


@pytest.mark.parametrize("name", [*BUILD_ONLY, TEMPLATE.name])
def test_firmware_with_a_key_builds_for_parts_that_nobody_emulates(name: str) -> None:
    """They have a `board_fresh` of their own."""
    assert _built_with_a_key(name).exists()


def _built_with_a_key(name: str) -> Path:
    subprocess.run([ROOT / "tools" / "monocypher"], check=True)
    spec, folder = boards.board(name), sources() / "build" / f"{name}-key"
    configured = configuration(spec, sources(), folder, tool("cmake"), tool("ninja"))
    for command in (
        [*configured, f"-DEDGE_KEY={KEY.hex()}"],
        [tool("ninja"), "-C", str(folder), f"{name}-firmware"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "firmware" / f"{name}-firmware.elf"
