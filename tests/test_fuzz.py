"""No bytes from outside harm the runtime: fuzzers replay what they know and look further (about 50 s).

Longer runs: tools/fuzz run --cpu-minutes 30.
"""

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("fuzz", Path(__file__).parent.parent / "tools" / "fuzz.py")
assert SPEC and SPEC.loader
fuzz = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fuzz)

RUNS = {"image": 8000, "link": 3000, "store": 10000}


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    fuzz.build()


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_what_once_broke_or_reached_far_is_withstood(target: str) -> None:
    done = fuzz.replay(target)
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(list(fuzz.corpus(target).iterdir())) >= 20
    idle = [name for name, count in fuzz.tallies(done.stderr).items() if not count]
    assert not idle or idle == ["too heavy to run whole"], idle


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_new_bytes_are_withstood(target: str) -> None:
    (result,) = fuzz.run(target, RUNS[target], 0, seed=1)
    assert not result["broken"], result["broken"]
    assert result["executions"] >= RUNS[target]


def test_the_corpus_reaches_the_code_that_guards() -> None:
    for target, c in fuzz.cover().items():
        assert c["reached"] >= 0.95 * c["lines"], f"{target}: {c['missed']}"
