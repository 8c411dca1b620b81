"""Kept windows on a board: balanced, practised, tried, undone, and all of it back after a restart (20 s)."""

from dataclasses import dataclass, field, replace
from math import gcd
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyedge import image
from pyedge._edge import lib
from pyedge.encode import Alignment, EncoderConfig
from pyedge.errors import BoardResetError
from pyedge.link import Board, Command, LinkStatusError, Loopback
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind, Surrogate
from pyedge.runtime import ERRORS, Model, Net
from pyedge.runtime_stream import Stream
from tests.flash import Bank, Flash
from tests.strategies import SEEDS

STEPS, CHANNELS, CLASSES, HIDDEN = 12, 3, 3, 8


def model_of(seed: int) -> IntegerModel:
    """Three channels, twelve samples a window, random weights that fire and learn in large steps."""
    rng = np.random.default_rng(seed)
    encoder = EncoderConfig("direct", channels=CHANNELS, shift=6, stride=STEPS)
    hidden = IntegerLayer(
        NeuronKind.LIF, rng.integers(-100, 101, (CHANNELS, HIDDEN)), np.zeros(HIDDEN),
        np.full(HIDDEN, 256 * 3000), np.full(HIDDEN, 256 * 300), learns=True,
        surrogate=Surrogate.RECTANGULAR, gate_width=6000, down_shift=4, rate_shift=-3, input_shift=5,
    )  # fmt: skip
    readout = IntegerLayer(
        NeuronKind.LINEAR, rng.integers(-100, 101, (HIDDEN, CLASSES)), np.zeros(CLASSES), np.zeros(CLASSES),
        np.zeros(CLASSES), learns=True, carry=bool(seed % 2), rate_shift=-2,
    )  # fmt: skip
    return IntegerModel(
        STEPS, InputKind.FRAMES, (hidden, readout), score_mult=300, score_shift=10, seed=seed, encoder=encoder
    )


def samples_of(number: int, label: int) -> np.ndarray:
    """A window's samples: noise about a level of its class."""
    rng = np.random.default_rng(number)
    level = 3000 * np.array([[1, -1, 0], [0, 1, -1], [-1, 0, 1]])[label]
    return (level + rng.integers(-2500, 2501, (STEPS, CHANNELS))).astype(np.int16)


# The page, in Python


def lowbias32(x: int) -> int:
    x = (x ^ x >> 16) * 0x7FEB352D & 0xFFFFFFFF
    x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


@dataclass
class Twin:
    """What a board must do, by the runtime's own calls and docs/link.md."""

    model: IntegerModel
    capacity: int
    windows: list[tuple[int, bytes, int]] = field(default_factory=list)  # number, rows, label
    fresh: int = 0

    def __post_init__(self) -> None:
        self.net = Net(Model.open(self.model), "learn")
        self.stream = Stream(self.net, 64)

    def rows_of(self, samples: np.ndarray) -> bytes:
        self.stream.push(samples)
        assert self.stream.poll() is not None
        return self.stream.keep().tobytes()

    def remember(self, number: int, label: int) -> None:
        rows = self.rows_of(samples_of(number, label))
        if len(self.windows) == self.capacity:
            counts = [sum(w[2] == c for w in self.windows) for c in range(CLASSES)]
            after = [n + (c == label) if n else 0 for c, n in enumerate(counts)]
            fullest = label if after[label] == max(after) else after.index(max(after))
            goes = next(i for i, w in enumerate(self.windows) if w[2] == fullest)
            self.fresh -= goes >= len(self.windows) - self.fresh
            del self.windows[goes]
        self.windows.append((number, rows, label))
        self.fresh += 1

    def learn_kept(self, window: int) -> None:
        _, rows, label = self.windows[window]
        self.stream.replay(np.frombuffer(rows, np.int8))
        self.net.learn(label)

    def draw(self, salt: int) -> int:
        return lowbias32(self.model.seed ^ lowbias32(self.net.updates + salt & 0xFFFFFFFF))

    def practise(self, passes: int, share: int, halvings: int) -> None:
        n = self.fresh or len(self.windows)
        old, decay = len(self.windows) - n, self.net.save()[6]
        for p in range(passes):
            r = self.draw(1)
            stride = 1 + (r >> 16) % n
            while gcd(stride, n) != 1:
                stride += 1
            self.net.rate_decay(min(15, decay + halvings * p // passes))
            for i in range(n):
                self.learn_kept(old + (r % n + i * stride) % n)
                draw = self.draw(2)
                if old and draw % 16 < share:
                    self.learn_kept((draw >> 4) % old)
        self.net.rate_decay(decay)
        self.fresh = 0

    def right(self) -> int:
        seen = [self.stream.replay(np.frombuffer(rows, np.int8)).label for _, rows, _ in self.windows]
        return sum(label == w[2] for label, w in zip(seen, self.windows, strict=True))


class Wearer:
    """A board on flash, which can lose its power, and what it is told."""

    def __init__(self, model: IntegerModel, flash: Flash, work: int = 1 << 15) -> None:
        self.flash, self.bank = flash, Bank(flash)
        self.loopback = Loopback(work_bytes=work, ring=64, budget=50, bank=self.bank.port)
        self.board = Board(self.loopback)
        self.board.deploy(image.write(model))

    def restart(self) -> None:
        """Power fails and comes back; the firmware opens the image that is there."""
        self.flash.power_for = None
        self.bank = Bank(self.flash)
        self.loopback.restart(self.bank.port, image=True)
        with pytest.raises(BoardResetError):
            self.board.status()
        self.board.hello()

    def remember(self, number: int, label: int) -> tuple[int, int]:
        assert len(self.board.push(samples_of(number, label))) == 1
        return self.board.remember(label)

    def kept(self) -> list[int]:
        """Labels of the kept windows, oldest first."""
        return [self.board.replay(k)[1] for k in range(self.board.status().kept)]

    def everything(self) -> tuple[bytes, Alignment, list[int], list[int]]:
        """State, alignment, kept labels and what the board takes the windows for."""
        windows = [self.board.replay(k) for k in range(self.board.status().kept)]
        board = self.board
        return board.state(), board.alignment(), [w[1] for w in windows], [w[0].confidence for w in windows]


def flash_of(seed: int) -> Flash:
    sectors, size, unit = [(4, 256, 4), (3, 512, 8), (12, 256, 1), (6, 512, 32)][seed % 4]
    return Flash(sectors, size, unit, seed)


def act(wearer: Wearer, twin: Twin | None, operation: tuple[str, int, int]) -> None:
    name, number, label = operation
    match name:
        case "remember":
            wearer.remember(number, label)
            if twin:
                twin.remember(number, label)
        case "practise" if wearer.board.status().kept:
            policy = (1 + number % 3, number % 17, number % 4)
            wearer.board.practise(*policy)
            if twin:
                twin.practise(*policy)
        case "rate":
            decay = (0, 1, 2, 15)[number % 4]
            wearer.board.rate(decay)
            if twin:
                twin.net.rate_decay(decay)
        case "align":
            alignment = Alignment(number % 5 - 2, (label, number % 9 - 4, -label))
            wearer.board.align(alignment)
            if twin:
                twin.stream.align(alignment)


OPERATIONS = st.tuples(
    st.sampled_from(["remember", "remember", "remember", "practise", "rate", "align"]),
    st.integers(0, 10_000),
    st.integers(0, CLASSES - 1),
)


FULL = st.lists(st.integers(0, CLASSES - 1), max_size=12)  # labels that fill a small memory


# Laws


@settings(max_examples=60)
@given(SEEDS, FULL, st.lists(OPERATIONS, max_size=10))
def test_a_board_remembers_and_practises_as_the_page_says(
    seed: int, labels: list[int], operations: list[tuple[str, int, int]]
) -> None:
    model = model_of(seed)
    wearer = Wearer(model, flash_of(seed))
    twin = Twin(model, wearer.board.status().kept_capacity)
    for operation in [*(("remember", k, label) for k, label in enumerate(labels)), *operations]:
        act(wearer, twin, operation)
    board = wearer.board
    assert board.state() == twin.net.save()
    assert wearer.kept() == [label for _, _, label in twin.windows]
    for k, (_, rows, _) in enumerate(twin.windows):
        assert board.replay(k)[0] == twin.stream.replay(np.frombuffer(rows, np.int8))


@settings(max_examples=40)
@given(SEEDS, st.lists(OPERATIONS, max_size=10), st.lists(OPERATIONS, max_size=6))
def test_a_board_that_restarts_after_a_commit_goes_on_as_if_it_had_not(
    seed: int, before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    """Weights, carry, updates, rate, alignment and kept windows: all that comes later is the same."""
    wearers = [Wearer(model_of(seed), flash_of(seed)) for _ in range(2)]
    for wearer in wearers:
        for operation in before:
            act(wearer, None, operation)
        wearer.board.practise(1) if wearer.board.status().kept else None
        wearer.board.commit()
    assert wearers[0].everything() == wearers[1].everything()
    wearers[1].board.reset("learning", "kept")
    wearers[1].restart()
    assert wearers[0].everything() == wearers[1].everything()
    for wearer in wearers:
        wearer.board.reset("stream")
        for operation in after:
            act(wearer, None, operation)
    assert wearers[0].everything() == wearers[1].everything()


@settings(max_examples=60)
@given(SEEDS, st.lists(OPERATIONS, min_size=2, max_size=8), st.integers(0, 600), st.booleans())
def test_power_that_fails_in_a_commit_or_a_trial_leaves_the_old_state_or_the_new(
    seed: int, operations: list[tuple[str, int, int]], cut: int, trial: bool
) -> None:
    wearer = Wearer(model_of(seed), flash_of(seed))
    board = wearer.board
    wearer.remember(seed, seed % CLASSES)
    board.practise(2)
    board.commit()
    old = wearer.everything()
    for operation in operations:
        act(wearer, None, operation)
    new = wearer.everything()
    wearer.flash.power_for = cut
    try:
        board.try_out() if trial else board.commit()
    except ERRORS[lib.EDGE_ERR_FLASH]:
        assert wearer.flash.power_for < 0
    wearer.restart()
    found = wearer.everything()
    assert found in (old, new)
    # The store goes on.
    wearer.remember(seed + 1, 0)
    board.commit()
    then = wearer.everything()
    wearer.restart()
    assert wearer.everything() == then


@settings(max_examples=40)
@given(SEEDS, st.lists(OPERATIONS, min_size=1, max_size=10), st.booleans())
def test_what_is_worse_on_the_kept_windows_is_taken_back_by_the_board(
    seed: int, operations: list[tuple[str, int, int]], spoil: bool
) -> None:
    model = model_of(seed)
    wearer = Wearer(model, flash_of(seed))
    board, twin = wearer.board, Twin(model, wearer.board.status().kept_capacity)
    act(wearer, twin, ("remember", seed, seed % CLASSES))
    for operation in operations:
        act(wearer, twin, operation)
    committed = seed % 3 > 0
    if committed:
        board.commit()
    last, alignment = (twin.net.save(), twin.stream.alignment) if committed else (None, None)
    act(wearer, twin, ("remember", seed + 1, (seed + 1) % CLASSES))
    if spoil:  # a wrong label, much learned
        for _ in range(8):
            board.replay(0)
            board.learn((twin.windows[0][2] + 1) % CLASSES)
            twin.stream.replay(np.frombuffer(twin.windows[0][1], np.int8))
            twin.net.learn((twin.windows[0][2] + 1) % CLASSES)
    else:
        act(wearer, twin, ("practise", 2, 0))
    learned, right = twin.net.save(), twin.right()
    if last is None:
        before = Twin(model, 0)
        before.windows = twin.windows
    else:
        before = twin
        before.net.load(last)
        before.stream.align(alignment)
    right_before = before.right()
    kept = wearer.kept()
    tried = board.try_out()
    assert (tried.right_learned, tried.right_before, tried.judged) == (right, right_before, len(kept))
    assert tried.verdict == ("kept" if right >= right_before else "reverted")
    assert board.state() == (learned if right >= right_before else before.net.save())
    assert wearer.kept() == kept
    wearer.restart()
    if tried.verdict == "kept":
        assert board.state() == learned
    else:
        assert board.state() == before.net.save()


@settings(max_examples=40)
@given(SEEDS, FULL, st.sampled_from(["learn", "practise", "rehearse"]), st.data())
def test_undo_takes_the_last_label_back_to_the_bit(
    seed: int, labels: list[int], how: str, data: st.DataObject
) -> None:
    wearer = Wearer(model_of(seed), flash_of(seed))
    board = wearer.board
    practised = data.draw(st.integers(0, len(labels)))
    for k, label in enumerate(labels):
        wearer.remember(k, label)
        if k + 1 == practised:
            board.practise(1)
    before = wearer.everything()
    label = data.draw(st.integers(0, CLASSES - 1))
    counts = wearer.remember(seed, label)
    kept = wearer.everything()
    match how:
        case "learn":
            board.replay(0)
            board.learn(data.draw(st.integers(0, CLASSES - 1)))
        case "practise":
            board.practise(data.draw(st.integers(1, 4)), data.draw(st.integers(0, 16)))
        case "rehearse":
            board.rehearse([0] * data.draw(st.integers(1, 5)))
    assert board.undo() == "learning"
    assert wearer.everything() == kept
    assert board.undo() == "window"
    assert wearer.everything() == before
    with pytest.raises(ERRORS[lib.EDGE_ERR_EMPTY]):
        board.undo()
    # And the same window is as new as it was.
    assert wearer.remember(seed, label) == counts
    assert wearer.everything() == kept


def test_a_window_that_is_taken_back_once_it_was_practised_leaves_the_others_practised() -> None:
    wearer = Wearer(model_of(0), flash_of(0))
    for k in range(3):
        assert wearer.remember(k, k % CLASSES) == (k + 1, k + 1)
    wearer.board.practise(1)
    wearer.board.rollback()  # nothing of what was learned is left to take back
    assert wearer.board.undo() == "window"
    assert wearer.remember(3, 0) == (3, 1)


@settings(max_examples=20)
@given(SEEDS, st.integers(1, 3), st.booleans())
def test_a_class_is_added_taught_committed_and_taken_back(seed: int, spare: int, commit: bool) -> None:
    plain = model_of(seed)
    rng = np.random.default_rng(seed)
    last = plain.layers[-1]
    rows = np.concatenate([last.weights, rng.integers(-9, 10, (HIDDEN, spare))], axis=1)
    zero = np.zeros(CLASSES + spare)
    readout = replace(last, weights=rows, bias=zero, theta0=zero, alpha=zero)
    wearer = Wearer(replace(plain, layers=(plain.layers[0], readout), spare=spare), Flash(12, 512, 8))
    board = wearer.board
    wearer.remember(1, 1)
    with pytest.raises(ERRORS[lib.EDGE_ERR_LABEL]):
        board.keep(CLASSES)
    board.commit()
    assert [board.add_class() for _ in range(spare)] == list(range(CLASSES, CLASSES + spare))
    with pytest.raises(ERRORS[lib.EDGE_ERR_SPARE]):
        board.add_class()
    for k in range(4):
        board.push(samples_of(k, k % CLASSES)[::-1])
        board.remember(CLASSES)
    board.practise(3)
    board.fit(1)
    if commit:
        board.commit()
    learned = wearer.everything()
    wearer.restart()
    if commit:
        assert wearer.everything() == learned
        board.replay(0)
        assert len(board.scores()) == CLASSES + spare
    else:
        assert wearer.kept() == [1]
        board.replay(0)
        assert len(board.scores()) == CLASSES
        assert board.add_class() == CLASSES


def test_without_flash_a_trial_is_refused_and_wear_unknown_by_name() -> None:
    board = Board(Loopback())
    board.deploy(image.write(model_of(1)))
    assert not board.bank().flash
    for ask in (board.try_out, board.wear):
        with pytest.raises(LinkStatusError, match="commits are a copy in RAM"):
            ask()


def test_wrong_use_changes_nothing_and_is_named() -> None:
    wearer = Wearer(model_of(1), flash_of(1))
    board = wearer.board
    with pytest.raises(ERRORS[lib.EDGE_ERR_WINDOW]):
        board.practise()
    with pytest.raises(ERRORS[lib.EDGE_ERR_WINDOW]):
        board.try_out()
    with pytest.raises(ERRORS[lib.EDGE_ERR_WINDOW]):
        board.remember(0)
    wearer.remember(1, 1)
    with pytest.raises(ERRORS[lib.EDGE_ERR_LABEL]):
        board.remember(CLASSES)
    for wrong in ((0, 0, 0), (1, 17, 0), (1, 0, 16)):
        with pytest.raises(ERRORS[lib.EDGE_ERR_ARGUMENT]):
            board.link.request(Command.PRACTISE, bytes([*wrong, 0]))
    assert board.status().kept == 1 and board.status().updates == 0


def test_wear_is_counted_as_the_flash_has_it() -> None:
    wearer = Wearer(model_of(2), Flash(4, 1024, 8))
    assert set(wearer.board.wear().erases) == {None}
    for k in range(30):
        wearer.remember(k, k % CLASSES)
        wearer.board.commit()
    counted = wearer.board.wear().erases
    assert all(n is not None and n >= f for n, f in zip(counted, wearer.flash.erases, strict=True))
    assert wearer.board.bank().sequence == 30


def test_wear_of_more_sectors_than_a_frame_holds() -> None:
    flash = Flash(140, 512, 8)
    wearer = Wearer(model_of(3), flash)
    wearer.remember(1, 1)
    wearer.board.commit()
    counted = wearer.board.wear().erases
    assert [n or 0 for n in counted] == flash.erases and sum(flash.erases)


def bursting(capacity: int) -> IntegerModel:
    """Every neuron fires at every step, which is more than the memory for learning takes."""
    model = model_of(2)
    hidden = replace(
        model.layers[0], weights=np.full((CHANNELS, HIDDEN), 9), bias=np.full(HIDDEN, 30_000),
        theta0=np.zeros(HIDDEN), alpha=np.zeros(HIDDEN), surrogate=Surrogate.LINEAR,
        gate_width=0, gate_mult=1, capacity=capacity,
    )  # fmt: skip
    return replace(model, layers=(hidden, model.layers[1]))


def test_windows_too_full_to_be_learned_are_named_and_left_out_of_practice() -> None:
    wearer = Wearer(bursting(HIDDEN), flash_of(1))
    board = wearer.board
    wearer.remember(1, 1)
    before = board.state()
    for learn in (lambda: board.learn(0), lambda: board.rehearse([0])):
        board.replay(0)
        with pytest.raises(ERRORS[lib.EDGE_ERR_CAPACITY]):
            learn()
    board.practise(2)
    assert board.state() == before and board.status().updates == 0


def test_windows_of_a_class_that_was_taken_back_are_left_out_of_practice() -> None:
    plain = model_of(4)
    readout = replace(plain.layers[1], weights=np.ones((HIDDEN, CLASSES)))
    wearer = Wearer(replace(plain, layers=(plain.layers[0], readout), spare=1), flash_of(1))
    board = wearer.board
    wearer.remember(1, 1)
    assert board.add_class() == CLASSES - 1
    wearer.remember(2, CLASSES - 1)
    board.rollback()
    assert wearer.kept() == [1, CLASSES - 1]
    board.practise(3, 0)
    assert board.status().updates == 3


@pytest.mark.parametrize("when", ["loading what is committed", "loading the trial", "confirming it"])
def test_flash_that_fails_in_a_trial_is_named(when: str) -> None:
    wearer = Wearer(model_of(1), flash_of(1))
    board, flash = wearer.board, wearer.flash
    wearer.remember(1, 1)
    board.commit()
    committed = board.state()
    for number in (2, 3, 4):
        wearer.remember(number, 0)
    board.practise(1)
    wearer.loopback.slices = 1  # in every request two windows are judged, of four and then four
    board.link.request(Command.TRY)
    if when != "loading what is committed":
        board.status()
    flash.power_for = 0 if when == "confirming it" else -1
    with pytest.raises(ERRORS[lib.EDGE_ERR_FLASH], match=r"^the trial: "):
        board.wait()
    assert board.bank().verdict == "none"
    wearer.restart()
    assert board.state() == committed


class Fading(Flash):
    """Flash that cannot be read any more after some reads; reads None: it can."""

    reads: int | None = None

    def _read(self, *call: Any) -> int:
        if self.reads is not None:
            self.reads -= 1
            if self.reads < 0:
                return -1
        return super()._read(*call)


def test_flash_that_fails_at_any_read_leaves_what_was_committed_or_the_image() -> None:
    """A start with room for fewer windows than were committed, cut short at every read."""
    model, flash, labels = model_of(1), Fading(3, 512, 8), [0, 1, 2, 1, 0]
    wearer = Wearer(model, flash)
    fresh = wearer.board.state()
    for number, label in enumerate(labels):
        wearer.remember(number, label)
    wearer.board.practise(1)
    wearer.board.commit()
    committed = wearer.board.state()
    small = Wearer(model, flash, work=2384)
    assert 0 < small.board.status().kept_capacity < len(labels)
    seen = set()
    for reads in range(1000):
        flash.reads = reads
        small.restart()
        left, flash.reads = flash.reads, None
        assert small.board.state() in (fresh, committed)
        kept = small.kept()
        assert kept == (labels[-len(kept) :] if kept else [])
        assert small.board.state() == committed or not kept
        seen.add(bool(kept))
        if left >= 0:
            break
    assert left >= 0 and seen == {False, True}
