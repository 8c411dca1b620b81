"""`pyedge store` tells what a board has kept, and commits, tries, rolls back and undoes (3 s)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pyedge import image
from pyedge.cli import main
from pyedge.link import Board, Loopback
from tests.flash import Bank, Flash
from tests.test_kept import model_of, samples_of

SECTORS, SECTOR_SIZE = 6, 512


@pytest.fixture(params=[True, False], ids=["flash", "RAM"])
def board(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board at a port, with a store in flash or a committed copy in RAM, that learned one window."""
    bank = Bank(Flash(SECTORS, SECTOR_SIZE, 8)) if request.param else None
    board = Board(Loopback(work_bytes=1 << 15, ring=64, bank=bank.port if bank else None))
    board.deploy(image.write(model_of(1)))
    board.push(samples_of(0, 1))
    board.remember(1)
    board.learn(1)

    @contextmanager
    def connected(name: str | None, port: str | None) -> Iterator[Board]:
        assert (name, port) == (None, "here")
        assert bank is None or bank.store
        yield board

    monkeypatch.setattr("pyedge.cli.store.connected", connected)
    return board


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error of `pyedge store`."""
    with pytest.raises(SystemExit) as end:
        main(["store", *arguments])
    out = capsys.readouterr()
    return int(end.value.code or 0), out.out, out.err


def facts(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    status, out, err = say(capsys, "--port", "here", *arguments, "--json")
    assert status == 0, err
    return dict(json.loads(out))


def test_it_says_what_the_board_says(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    told, flash = facts(capsys), board.bank().flash
    assert (told["updates"], told["committed"], told["kept"]) == (1, None, 1)
    assert told["flash"] == flash and len(told["erases"]) == (SECTORS if flash else 0)
    text = say(capsys, "--port", "here")[1]
    assert "1 updates, nothing committed, 1 of" in text
    assert ("never used" if flash else "a restart forgets") in text


def test_commit_rollback_and_undo_are_the_board_s(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    learned = board.weights_hash()
    assert facts(capsys, "--commit")["committed"] == 1
    if board.bank().flash:
        told = facts(capsys)
        used = [n for n in told["erases"] if n is not None]
        text = say(capsys, "--port", "here")[1]
        assert f"{len(used)} used, erased {min(used)} to {max(used)} times, {sum(used)} in all" in text
    board.replay(0)
    board.learn(2)
    assert board.weights_hash() != learned
    told = facts(capsys, "--undo")
    assert (told["undone"], board.weights_hash()) == ("learning", learned)
    board.replay(0)
    board.learn(2)
    assert facts(capsys, "--rollback")["updates"] == 1
    assert board.weights_hash() == learned
    assert "taken back: window" in say(capsys, "--port", "here", "--undo")[1]
    assert facts(capsys)["kept"] == 0


def test_a_trial_keeps_what_is_no_worse(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    if not board.bank().flash:
        status, _, err = say(capsys, "--port", "here", "--try")
        assert status and "a trial needs flash" in err
        return
    for _ in range(20):
        board.replay(0)
        board.learn(1)
    told = facts(capsys, "--try")
    assert told["judged"] == 1 and told["verdict"] == "kept"
    assert told["right_learned"] >= told["right_before"]
    assert "last trial kept: of 1 kept windows" in say(capsys, "--port", "here")[1]
    assert told["committed"] == told["updates"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--port", "here", "--commit", "--undo"], "one at a time"), ([], "--port says which board")],
)
def test_wrong_use_is_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = say(capsys, *arguments)
    assert status and message in " ".join(err.split())
