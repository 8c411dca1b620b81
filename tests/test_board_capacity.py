"""What is said to fit a board fits it, and no more (3 s)."""

from pathlib import Path

import pytest

from pyedge import boards, image
from pyedge.boards import BOARDS
from pyedge.boards.capacity import MOST, capacity, emg_model, needs
from pyedge.errors import ImageTooLargeError
from pyedge.link import Board

SMALLEST = min(BOARDS.values(), key=lambda spec: spec.ram).name


def test_the_smallest_board_takes_the_largest_network_and_no_larger_one() -> None:
    most = capacity(boards.board(SMALLEST))
    assert most.learns < 512 < most.infers  # 16-512-5 does not fit the micro:bit while it learns
    with boards.start(SMALLEST) as emulated, Board.open(emulated.port) as board:
        for hidden, learns in ((most.infers, False), (most.learns, True), (512, False)):
            board.deploy(image.write(emg_model(hidden, learns)))
            assert board.info.has_model and board.info.learns == learns
        # What the registry rounds up leaves room for a few neurons more.
        for hidden, learns in ((most.infers + 128, False), (most.learns + 32, True), (512, True)):
            with pytest.raises(ImageTooLargeError):
                board.deploy(image.write(emg_model(hidden, learns)))


@pytest.mark.parametrize("learns", [False, True])
def test_the_board_says_the_bytes_that_were_worked_out(learns: bool) -> None:
    with boards.start(SMALLEST) as emulated, Board.open(emulated.port) as board:
        memory = board.deploy(image.write(emg_model(64, learns)))
    assert memory.needed == needs(64, learns, boards.board(SMALLEST).ring).work


@pytest.mark.parametrize("name", list(BOARDS))
def test_one_neuron_more_would_not_fit(name: str) -> None:
    spec = boards.board(name)
    most = capacity(spec)
    assert 0 < most.learns <= most.infers <= MOST
    for hidden, learns in ((most.infers, False), (most.learns, True)):
        if hidden < MOST:
            more = needs(hidden + 4, learns, spec.ring)
            assert more.image > spec.bank or more.work > spec.ram - spec.own


def test_the_page_of_boards_says_what_is_worked_out() -> None:
    """Its figures were once those of firmware that took less."""
    page = " ".join((Path(__file__).parent.parent / "docs" / "boards.md").read_text("utf-8").split())
    spec = boards.board("microbit")
    most = capacity(spec)
    infer, learn = (needs(512, learns, spec.ring).work for learns in (False, True))
    assert (
        f"leave {spec.ram - spec.own:,} bytes for the model: 16-512-5 infers there ({infer:,} bytes; up to "
        f"16-{most.infers}-5 does), but learning it would take {learn:,}; 16-{most.learns}-5 is what learns"
    ) in page
