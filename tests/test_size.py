"""What the runtime costs a board stays what docs/results/size.json says, to the byte (about 40 s).

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
    for part, was in flat(recorded).items():
        now = flat(measured)[part]
        where = f"{measured['board']}, {part}: {now} bytes, recorded {was}"
        if measured["compiler"] == recorded["compiler"]:
            assert now == was, f"{where}; if that is meant: tools/size --json docs/results/size.json"
        else:  # another compiler makes other code
            assert now <= 1.15 * was + 64, where


def flat(result: dict) -> dict[str, int]:
    """The sizes of a board, each by its name."""
    return {
        f"{group}, {name}, {part}": bytes_
        for group in ("smallest", "added", "whole")
        for name, parts in result[group].items()
        for part, bytes_ in parts.items()
        if part not in ("stack", "deepest", "sources")
    }


def test_the_runtime_has_no_data_of_its_own(measured: dict) -> None:
    for f in (*measured["smallest"].values(), *measured["whole"].values()):
        assert (f["data"], f["bss"]) == (0, 0)


def test_features_add_up(measured: dict) -> None:
    whole, smallest = measured["whole"], measured["smallest"]
    for builds in (whole, smallest):
        assert builds["inference"]["own"] < builds["learning"]["own"] < builds["link and store"]["own"]
    for phase, f in whole.items():
        assert sum(f["sources"].values()) == f["own"] + f["library"]
        assert smallest[phase]["own"] < f["own"]
    assert all(size > 0 for phases in measured["added"].values() for size in phases.values())


def test_the_stack_is_bounded_and_the_bound_holds(measured: dict) -> None:
    """No recursion and no frame without a bound, or the analysis raises; the stack is large enough."""
    bound = measured["whole"]["link and store"]["stack"]
    assert 0 < measured["stack_used"] <= bound + FIRMWARE_FRAMES
    assert bound + FIRMWARE_FRAMES <= measured["firmware"]["stack_reserved"]
