"""Firmware for parts that nobody emulates builds, fits them and starts where they start (20 s)."""

import struct
import subprocess
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from pyedge import boards
from pyedge.boards import BUILD_ONLY
from pyedge.boards.build import configuration, tool
from pyedge.boards.footprint import firmware_size
from pyedge.boards.registry import TEMPLATE

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", [*BUILD_ONLY, TEMPLATE.name])
def test_the_firmware_builds_and_fits(name: str, tmp_path: Path) -> None:
    spec, elf = boards.board(name), boards.firmware(name)
    size = firmware_size(name)
    assert 0 < size.flash <= spec.flash
    assert size.static_ram <= spec.own < size.static_ram + 512
    binary = tmp_path / "firmware.bin"  # as it is flashed
    subprocess.run([tool(spec.prefix + "objcopy"), "-O", "binary", str(elf), str(binary)], check=True)
    stack, reset = struct.unpack_from("<II", binary.read_bytes())
    listing = subprocess.run([tool(spec.prefix + "nm"), str(elf)], check=True, capture_output=True, text=True)
    symbols = {
        row[2]: int(row[0], 16) for row in map(str.split, listing.stdout.splitlines()) if len(row) == 3
    }
    assert (stack, reset & ~1) == (symbols["stack_top"], symbols["reset_handler"] & ~1)
    assert symbols["bank_end"] - symbols["bank_start"] == spec.bank
    assert symbols["pool_end"] - symbols["stack_bottom"] == spec.ram


@pytest.mark.parametrize("name", list(BUILD_ONLY))
def test_nobody_takes_it_for_a_board_that_was_run(name: str) -> None:
    assert "build-only" in boards.board(name).title
    with pytest.raises(boards.UnknownBoardError, match="no emulator"):
        boards.start(name, boards.firmware(name))


def test_a_board_that_no_folder_makes_is_refused(tmp_path: Path) -> None:
    """A copy of the template that kept its name once built without a word, and without firmware."""
    spec = replace(TEMPLATE, name="renamed-in-half")
    command = configuration(spec, ROOT, tmp_path, tool("cmake"), tool("ninja"))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode
    assert "no folder of targets/ makes a board 'renamed-in-half'" in " ".join(done.stderr.split())


def test_a_build_that_takes_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was subprocess.TimeoutExpired, "a defect of pyedge"."""
    building = import_module("pyedge.boards.build")
    monkeypatch.setattr(building, "BUILD_SECONDS", 0.05)
    with pytest.raises(boards.BuildError, match=r"`sleep 5` ran longer than 0.05 s"):
        building.run(["sleep", "5"], tmp_path)
