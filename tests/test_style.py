"""The text of the code agrees with its rules (about 20 s, mypy's first run)."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("check", ["ruff", "mypy", "clang-format"])
def test_lint(check: str) -> None:
    run = subprocess.run(["bash", "tools/lint", check], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, f"tools/lint {check}:\n{run.stdout[-4000:]}{run.stderr[-4000:]}"


@pytest.mark.parametrize(
    "header", sorted((ROOT / "runtime_c/include/edge").glob("*.h")), ids=lambda h: h.stem
)
def test_a_header_reads_as_a_manual(header: Path) -> None:
    """Every call has a contract that says what it returns; nothing is wider than the code may be."""
    text = header.read_text("utf-8")
    assert [line for line in text.splitlines() if len(line) > 110] == []
    call = r"(?P<contract>(?:^//[^\n]*\n)*)^(?P<name>[a-z][^\n;{}#=]*\([^;{}]*\));"
    silent = [
        m["name"]
        for m in re.finditer(call, text, re.MULTILINE)
        if not re.search(r"\bReturns\b", m["contract"])
    ]
    assert silent == []
