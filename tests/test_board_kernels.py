"""The assembly of every board gives the bits of portable C, on the board itself (15 s)."""

import struct
import subprocess
from pathlib import Path

import pytest

from pyedge.boards import BOARDS
from pyedge.boards.build import kernel_firmware
from pyedge.boards.emulator import command
from pyedge.boards.registry import board


# A board for every core: those with less memory leave this to another of their core.
@pytest.mark.parametrize("name", [name for name, spec in BOARDS.items() if spec.ram >= 256 * 1024])
def test_the_kernels_of_a_board_are_portable_c_bit_for_bit(name: str, tmp_path: Path) -> None:
    """3000 random cases of each kernel: extreme weights, 0 to 64 spikes, every tile width, long windows."""
    semihosting = ["-serial", "none", "-semihosting-config", "enable=on,target=native"]
    call = [*command(board(name), kernel_firmware(name)), *semihosting]
    done = subprocess.run(call, cwd=tmp_path, timeout=300, check=False, stdin=subprocess.DEVNULL)
    failure = tmp_path / "failure.bin"
    if failure.is_file():
        line, case = struct.unpack_from("<ii", failure.read_bytes())
        pytest.fail(f"line {line}, case {case}: {failure.read_bytes()[8:].decode()}")
    assert done.returncode == 0, "2: the board has portable C only; 70: a fault"
