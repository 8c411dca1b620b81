"""The text of the code agrees with its rules (about 20 s, mypy's first run)."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("check", ["ruff", "mypy", "clang-format"])
def test_lint(check: str) -> None:
    run = subprocess.run(["bash", "tools/lint", check], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, f"tools/lint {check}:\n{run.stdout[-4000:]}{run.stderr[-4000:]}"
