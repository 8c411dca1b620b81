"""The demonstration runs from recordings to a board that learned, and says so in one shape (about 20 s)."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pyedge.boards import MissingToolError

PATH = Path(__file__).parent.parent / "tools" / "demo.py"
KEYS = {
    "accuracy_before",
    "accuracy_after",
    "bit_exact",
    "flash_bytes",
    "ram_infer_bytes",
    "ram_learn_bytes",
    "seconds",
}


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    return module


def figures(demo: ModuleType, folder: Path, *arguments: str) -> dict[str, Any]:
    file = folder / "figures.json"
    assert demo.main(["--quick", "--out", str(folder / "run"), "--json", str(file), *arguments]) == 0
    assert (folder / "run" / "demo.png").stat().st_size > 0
    found = json.loads(file.read_text())
    assert found.keys() >= KEYS
    return dict(found)


def test_the_board_learns_the_same_bits_from_raw_samples(
    demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = figures(demo, tmp_path)
    assert found["target"] == "mps2-an386"
    assert found["bit_exact"] is True
    assert len(set(found["weights_hash"].values())) == 1 and len(found["weights_hash"]) == 2
    assert found["weights_changed"] > 0
    assert (
        found["accuracy"]["host C"]
        == found["accuracy"]["integer reference"]
        == found["accuracy"]["mps2-an386"]
    )
    assert found["flash_bytes"] > found["footprint"]["image_bytes"]
    assert found["ram_learn_bytes"] > found["ram_infer_bytes"]
    table = capsys.readouterr().out
    assert all(who in table for who in ("float", "integer reference", "host C", "mps2-an386", "identical"))


def test_without_an_emulator_it_says_how_to_get_one_and_runs_on_the_host(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(program: str) -> str:
        raise MissingToolError(f"{program} is not installed; run: sudo apt-get install {program}")

    monkeypatch.setattr(demo, "tool", missing)
    found = figures(demo, tmp_path, "--wearer", "p10101")
    assert found["target"] == "host" and found["wearer"] == "p10101"
    assert found["bit_exact"] is True
    said = capsys.readouterr().err
    assert "sudo apt-get install qemu-system-arm" in said and "host target" in said


def test_an_unknown_wearer_is_one_message(
    demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["--host-only", "--wearer", "nobody", "--out", str(tmp_path / "run")]) == 1
    assert "has no person 'nobody'" in capsys.readouterr().err
