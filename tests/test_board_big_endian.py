"""The C tests pass on a big-endian machine too; parity on it is in test_board_parity.py (10 s)."""

import subprocess

import pytest

from pyedge.boards.build import build
from pyedge.boards.emulator import command
from pyedge.boards.registry import board

NAME = "powerpc-linux"


@pytest.mark.parametrize("program", ["runtime", "link", "store"])
def test_the_c_tests_pass_on_a_big_endian_machine(program: str) -> None:
    call = command(board(NAME), build(NAME) / f"{NAME}-{program}.elf")
    done = subprocess.run(call, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
