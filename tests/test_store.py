"""The store: flash holds what docs/store.md says, and a power cut leaves the old state or the new (20 s).

The exhaustive cuts are in C (tests/c/test_store.c, run here under sanitizers); here are nets of every
kind, the page, and the link.
"""

import re
import struct
import subprocess
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyedge import errors, image
from pyedge._edge import ffi, lib
from pyedge.encode import Alignment
from pyedge.link import Board, Loopback
from pyedge.quant.model import IntegerModel
from pyedge.runtime import ERRORS, Model, Net, check, memory
from tests.flash import Flash
from tests.strategies import SEEDS, lessons, models
from tests.test_stream_parity import direct_model

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "store.md").read_text()


# A board: simulated flash, a net and a store


class Store:
    """A store on that flash, for one net; made anew at every start."""

    def __init__(self, flash: Flash, net: Net, buffer: int = 64) -> None:
        size = max(buffer, flash.unit)
        self.net, self._memory = net, (flash, memory(size))
        self.c = ffi.new("edge_store_t *")
        check(lib.edge_store_init(self.c, flash.c, self._memory[1], size))
        self.opened = lib.edge_store_open(self.c, net.c)

    def write(self, alignment: Alignment | None) -> int:
        return int(lib.edge_store_write(self.c, self.net.c, c_alignment(alignment), ffi.NULL))

    def confirm(self) -> int:
        return int(lib.edge_store_confirm(self.c))

    def load(self) -> tuple[bytes, Alignment]:
        a = ffi.new("edge_alignment_t *")
        check(lib.edge_store_load(self.c, self.net.c, a, ffi.NULL))
        return self.net.save(), Alignment(a.rotation, tuple(a.gain))

    @property
    def sequence(self) -> int:
        return int(lib.edge_store_sequence(self.c))


def c_alignment(alignment: Alignment | None) -> Any:
    if alignment is None:
        return ffi.NULL
    return ffi.new("edge_alignment_t *", {"rotation": alignment.rotation, "gain": list(alignment.gains)})


# The page, in Python


@dataclass(frozen=True)
class Layout:
    """Section 2 for one flash and one size of state."""

    flash: Flash
    state_size: int

    def whole(self, size: int) -> int:
        return -(-size // self.flash.unit) * self.flash.unit

    @property
    def data(self) -> int:
        return self.flash.sector_size - self.whole(16)

    @property
    def record(self) -> int:
        return self.whole(32) + self.whole(self.state_size + 65) + self.whole(8)

    @property
    def bank_sectors(self) -> int:
        return -(-self.record // self.data)

    def slots(self) -> list[bytes]:
        f, k, h = self.flash, self.bank_sectors, self.whole(16)
        found = []
        for bank in range(f.sectors // k):
            starts = [s * f.sector_size for s in range(bank * k, (bank + 1) * k)]
            data = b"".join(bytes(f.data[at + h : at + f.sector_size]) for at in starts)
            found += [data[j * self.record :][: self.record] for j in range(len(data) // self.record)]
        return found


def padded(part: bytes, size: int) -> bytes:
    return part + b"\xff" * (size - len(part))


def record(
    layout: Layout,
    sequence: int,
    image_crc: int,
    updates: int,
    state: bytes,
    a: Alignment | None,
    confirmed: bool,
) -> bytes:
    """A record's bytes, as section 2 has them."""
    body = state + (struct.pack("<65b", a.rotation, *a.gains) if a else b"")
    head = struct.pack(
        "<4sHBxIIIII", b"EDGR", 1, a is not None, sequence, image_crc, len(state), updates, zlib.crc32(body)
    )
    head += struct.pack("<I", zlib.crc32(head))
    mark = struct.pack("<II", zlib.crc32(head[:28]), zlib.crc32(head[:28]) ^ 0xFFFFFFFF) if confirmed else b""
    return (
        padded(head, layout.whole(32))
        + padded(body, layout.whole(layout.state_size + 65))
        + padded(mark, layout.whole(8))
    )


def confirmed_state(layout: Layout, image_crc: int) -> tuple[int, bytes, Alignment] | None:
    """Section 3: the newest confirmed record."""
    best: tuple[int, bytes, Alignment] | None = None
    for slot in layout.slots():
        magic, version, flags, zero, sequence, crc, size, updates, _ = struct.unpack_from("<4sHBBIIIII", slot)
        if (magic, version, zero, crc, size) != (b"EDGR", 1, 0, image_crc, layout.state_size) or flags > 1:
            continue
        body = slot[layout.whole(32) :]
        gains = struct.unpack_from("<65b", body, size) if flags else (0,) * 65
        a = Alignment(gains[0], gains[1:])
        whole = record(layout, sequence, crc, updates, body[:size], a if flags else None, True)
        if slot == whole and (best is None or sequence > best[0]):
            best = sequence, body[:size], a
    return best


def image_crc(model: Model) -> int:
    return int(struct.unpack_from("<I", model.blob, 12)[0])


# Strategies

GEOMETRIES = [(4096, 4), (2048, 8), (1024, 2), (16384, 32), (512, 1), (4096, 256), (768, 16)]


@st.composite
def flashes(draw: st.DrawFn, net: Net) -> Flash:
    sector_size, unit = draw(st.sampled_from(GEOMETRIES))
    probe = ffi.new("edge_flash_t *", {"sectors": 2, "sector_size": sector_size, "unit": unit})
    probe.read, probe.program, probe.erase = Flash(2, sector_size, unit)._calls
    least = int(lib.edge_store_sectors(probe, net.c))
    assert least >= 2
    return Flash(least + draw(st.integers(0, 3)), sector_size, unit, draw(SEEDS))


@st.composite
def alignments(draw: st.DrawFn) -> Alignment | None:
    if draw(st.booleans()):
        return None
    values = np.random.default_rng(draw(SEEDS)).integers(-128, 128, 65).tolist()
    return Alignment(values[0], tuple(values[1:]))


NEUTRAL = Alignment(0, (0,) * 64)


def study(net: Net, model: IntegerModel, data: st.DataObject) -> None:
    for window, label in data.draw(lessons(model, most=2)):
        net.run_window(window)
        try:
            net.learn(label)
        except errors.CapacityError:
            net.rate_decay(data.draw(st.integers(0, 15)))


# Laws


@settings(max_examples=60, deadline=None)
@given(models(largest=24, longest=8, learning=True), st.data())
def test_every_history_leaves_the_state_that_the_page_says(model: IntegerModel, data: st.DataObject) -> None:
    opened = Model.open(model)
    net = Net(opened, "learn")
    flash = data.draw(flashes(net))
    layout = Layout(flash, len(net.save()))
    store = Store(flash, net, data.draw(st.integers(32, 300)))
    old: tuple[int, bytes, Alignment] | None = None
    for _ in range(data.draw(st.integers(1, 6))):
        study(net, model, data)
        alignment, state = data.draw(alignments()), net.save()
        flash.power_for = data.draw(st.none() | st.integers(0, 700))
        written = store.write(alignment)
        new = (int(lib.edge_store_trial(store.c)), state, alignment or NEUTRAL)
        confirm = data.draw(st.booleans())
        confirmed = store.confirm() if confirm else None
        cut = flash.power_for is not None and flash.power_for < 0
        assert cut or (written == 0 and confirmed in (None, 0))
        flash.power_for = None
        if cut or data.draw(st.booleans()):
            store = Store(flash, net)
        elif not confirm:
            assert store.load()[0] == (old[1] if old else state) if old else True
        found = confirmed_state(layout, image_crc(opened))
        if not cut:
            assert found == (new if confirm else old)
        assert found in (old, new)
        old = found
        assert store.sequence == (old[0] if old else 0)
        if old:
            assert store.load() == old[1:]
        else:
            with pytest.raises(ERRORS[lib.EDGE_ERR_EMPTY]):
                store.load()


@settings(max_examples=30, deadline=None)
@given(models(largest=16, longest=4), alignments(), st.data())
def test_flash_holds_the_bytes_of_the_page(
    model: IntegerModel, alignment: Alignment | None, data: st.DataObject
) -> None:
    opened = Model.open(model)
    net = Net(opened, "learn" if opened.weights_size else "infer")
    state = net.save() if opened.weights_size else b""
    flash = data.draw(flashes(net))
    layout, store = Layout(flash, len(state)), Store(flash, net)
    assert store.opened == lib.EDGE_ERR_EMPTY
    for confirmed in (False, True):
        assert (store.confirm() if confirmed else store.write(alignment)) == 0
        wanted = record(layout, 1, image_crc(opened), 0, state, alignment, confirmed)
        slots = [slot for slot in layout.slots() if slot != b"\xff" * layout.record]
        assert slots == [wanted]
    sectors = range(layout.bank_sectors, 2 * layout.bank_sectors)
    for sector in sectors:
        header = flash.data[sector * flash.sector_size :][:16]
        first = sector - layout.bank_sectors + 1
        assert header == struct.pack("<4sIII", b"EDGF", 1, first, first ^ 0xFFFFFFFF)


def test_the_vectors_of_the_page() -> None:
    blocks = re.findall(r"(?:^    [0-9a-f ]+\n)+", PAGE.split("## 7. Test vectors")[1], re.M)
    sector, whole = (bytes.fromhex(block) for block in blocks)
    assert sector == struct.pack("<4sIII", b"EDGF", 1, 1, 0xFFFFFFFE)
    layout = Layout(Flash(4, 512, 4), 0)
    alignment = Alignment(-3, (1, 2) + (0,) * 62)
    assert whole == record(layout, 1, 0x12345678, 0, b"", alignment, True)
    assert layout.bank_sectors * 512 + 16 == 528 and 528 + len(whole) - 8 == 628


def test_the_firmware_of_the_page_compiles(tmp_path: Path) -> None:
    (code,) = re.findall(r"```c\n(.*?)```", PAGE, re.S)
    (tmp_path / "firmware.c").write_text(code)
    build = [
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{ROOT}/runtime_c/include",
        "-c",
        "firmware.c",
    ]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_states_of_another_image_are_not_seen() -> None:
    first, second = direct_model(learns=True), replace(direct_model(learns=True), seed=77)
    flash = Flash(5, 1024, 4)
    nets = [Net(Model.open(model), "learn") for model in (first, second)]
    store = Store(flash, nets[0])
    assert store.write(None) == 0 and store.confirm() == 0 and store.sequence == 1
    store.net = nets[1]
    with pytest.raises(ERRORS[lib.EDGE_ERR_EMPTY]):
        store.load()
    assert Store(flash, nets[0]).sequence == 1
    assert Store(flash, nets[1]).opened == lib.EDGE_ERR_EMPTY


def test_what_the_link_commits_is_there_after_a_restart() -> None:
    """COMMIT writes to flash; after a reset ROLLBACK brings it back, alignment and all."""
    loopback = Loopback()
    flash = Flash(4, 1024, 8)
    blob = image.write(direct_model(learns=True))
    net = Net(Model(blob), "learn")
    port = ffi.new("edge_bank_port_t *")

    def start() -> tuple[Board, Store]:
        store = Store(flash, net)
        lib.edge_store_bank(store.c, port)
        loopback._config.bank = port
        loopback.restart()
        board = Board(loopback)
        board.deploy(blob)
        return board, store

    board, store = start()
    untouched = board.state()
    assert board.rollback() == 0
    board.push(np.full((1, 1), 3000))
    board.learn(1)
    alignment = board.alignment()._replace(rotation=5)
    board.align(alignment)
    learned = board.state()
    assert learned != untouched and board.commit() == 1 and store.sequence == 1
    board.push(np.full((1, 1), 3000))
    board.learn(0)
    assert board.rollback() == 1 and board.state() == learned

    board, store = start()
    assert board.state() == untouched
    assert board.rollback() == 1 and board.state() == learned and board.alignment() == alignment


def test_power_cuts_at_every_operation(tmp_path: Path) -> None:
    """tests/c/test_store.c under sanitizers: at least 12,000 cases, one cut and two."""
    sources = sorted([*(ROOT / "runtime_c/src").rglob("*.c"), *(ROOT / "runtime_c/store").glob("*.c")])
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g"]
    build = ["gcc", "-std=c99", *sanitize, f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/runtime_c/src"]
    program = tmp_path / "store"
    source = ROOT / "tests/c/test_store.c"
    done = subprocess.run([*build, source, *sources, "-o", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    run = subprocess.run([program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-4000:]
    assert int(run.stdout.split()[0]) >= 12_000
