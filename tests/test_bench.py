"""The benchmark harness: rows keep one shape, and a ratio above 1 is always better (about 1 s)."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

TOOLS = Path(__file__).parent.parent / "tools"
POSITIVE = st.floats(1e-3, 1e6)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


bench = load("bench")


@given(POSITIVE, st.dictionaries(st.text(min_size=1), POSITIVE, min_size=1), st.booleans())
def test_a_ratio_above_one_beats_every_peer(ours: float, peers: dict[str, float], higher: bool) -> None:
    ratio = bench.Row("row", "unit", ours, peers, higher).ratio
    beaten = all(ours > p if higher else ours < p for p in peers.values())
    assert (ratio > 1) == beaten


def test_every_benchmark_is_listed_with_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == bench.names()
    assert all(len(line.split()) > 3 for line in lines)


def test_json_has_the_rows_that_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ModuleType("bench_online")
    rows = [bench.Row("first", "us", 2.0, {"peer": 8.0}), bench.Row("second", "windows/s", 3.0, higher=True)]
    module.run = lambda quick: rows if quick else []  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bench_online", module)
    file = tmp_path / "deep" / "rows.json"
    assert bench.main(["online", "--quick", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert [row["ratio"] for row in found["rows"]] == [4.0, None]
    assert all({"name", "unit", "ours", "peers", "ratio"} <= row.keys() for row in found["rows"])
    printed = capsys.readouterr().out
    assert "first: 2 us   4.00 times the best peer" in printed and "second: 3 windows/s" in printed
