"""What the runtime costs a board stays what docs/results/size.json says, to the byte (about 15 s).

After a change that is meant: tools/size --json docs/results/size.json.
"""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("size", ROOT / "tools" / "size.py")
assert SPEC and SPEC.loader
size = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(size)

RECORDED = {r["board"]: r for r in json.loads((ROOT / "docs/results/size.json").read_text())}
FIRMWARE_FRAMES = 512  # bytes: what the test firmware has on the stack below the runtime


@pytest.fixture(scope="module", params=["armv6m", "mps2-an386"])
def measured(request: pytest.FixtureRequest) -> dict:
    return size.measure(request.param)


def test_code_size_is_what_was_recorded(measured: dict) -> None:
    recorded = RECORDED[measured["board"]]
    same = measured["compiler"] == recorded["compiler"]
    for feature, f in measured["features"].items():
        for part in ("core", "kernels", "library"):
            was, now = recorded["features"][feature][part], f[part]
            where = f"{measured['board']}, {feature}, {part}: {now} bytes, recorded {was}"
            if same:
                assert now == was, f"{where}; if that is meant: tools/size --json docs/results/size.json"
            else:  # another compiler makes other code
                assert now <= 1.15 * was, where


def test_the_runtime_has_no_data_of_its_own(measured: dict) -> None:
    for f in measured["features"].values():
        assert (f["data"], f["bss"]) == (0, 0)


def test_features_add_up(measured: dict) -> None:
    parts = measured["features"]
    assert parts["inference"]["core"] < parts["learning"]["core"] < parts["link and store"]["core"]
    for f in parts.values():
        assert sum(f["sources"].values()) == f["core"] + f["kernels"] + f["library"]


def test_the_stack_is_bounded_and_the_bound_holds(measured: dict) -> None:
    """No recursion and no frame without a bound, or the analysis raises; the stack is large enough."""
    bound = measured["features"]["link and store"]["stack"]
    assert 0 < measured["stack_used"] <= bound + FIRMWARE_FRAMES
    assert bound + FIRMWARE_FRAMES <= measured["firmware"]["stack_reserved"]
