"""Images, states and stores that older versions wrote still open, to the same bits (tests/data/version*)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyedge._edge import ffi, lib
from pyedge.encode import Alignment
from pyedge.image import VERSION, read
from pyedge.link import Board, Loopback
from pyedge.runtime import Model, Net
from tests.flash import Bank, Flash

FOLDERS = sorted((Path(__file__).parent / "data").glob("version*"))


class Sample:
    """What a version wrote, and what it knew of it."""

    def __init__(self, folder: Path) -> None:
        self.facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
        self.image, self.state, self.store = (
            (folder / name).read_bytes() for name in ("model.edge", "state.bin", "store.bin")
        )

    def flash(self) -> Flash:
        flash = Flash(*self.facts["geometry"])
        flash.data[:] = self.store
        return flash

    @property
    def alignment(self) -> Alignment:
        return Alignment(self.facts["rotation"], tuple(self.facts["gains"]))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def sample(request: pytest.FixtureRequest) -> Sample:
    return Sample(request.param)


def test_there_are_samples_of_every_version() -> None:
    versions = {int.from_bytes((folder / "model.edge").read_bytes()[4:6], "little") for folder in FOLDERS}
    assert versions == set(range(1, VERSION + 1))


def test_images_and_states_open_and_run_to_the_same_scores(sample: Sample) -> None:
    net = Net(Model(sample.image), "learn")
    assert read(sample.image).window == net.model.window
    net.load(sample.state)
    assert (net.updates, net.weights_hash()) == (sample.facts["updates"], sample.facts["weights_hash"])
    x = np.random.default_rng(sample.facts["window_seed"]).integers(
        -60, 61, (net.model.window, net.model.inputs)
    )
    assert net.run_window(x).label == sample.facts["label"]
    assert net.scores().tolist() == sample.facts["scores"]


def test_a_board_on_an_old_store_has_what_was_confirmed_and_goes_on(sample: Sample) -> None:
    flash = sample.flash()
    bank = Bank(flash)
    loopback = Loopback(bank=bank.port)
    Board(loopback).deploy(sample.image)
    loopback.restart(bank.port, image=True)
    board = Board(loopback)
    assert board.weights_hash() == sample.facts["weights_hash"]
    assert board.alignment() == sample.alignment
    assert board.status().committed == sample.facts["updates"]
    assert board.bank().sequence == sample.facts["sequence"]
    assert board.status().kept == sample.facts["kept"]
    # The next commit is of today's version, beside the old ones; more of them use the whole flash.
    samples = np.random.default_rng(1).integers(-3000, 3000, (600, board.info.channels)).astype(np.int16)
    next(board.stream(samples))
    board.remember(1)
    board.learn(1)
    for k in range(10):
        board.commit()
        learned = board.state()
        bank = Bank(flash)
        loopback.restart(bank.port, image=True)
        board.hello()
        assert (board.state(), board.status().kept) == (learned, sample.facts["kept"] + 1)
        assert lib.edge_store_sequence(bank.store) > sample.facts["sequence"] + k
    last = Bank(flash)  # the store's memory is its own
    net = Net(Model(sample.image), "learn")
    assert lib.edge_store_load(last.store, net.c, ffi.NULL, ffi.NULL) == 0
    assert net.save() == board.state()
