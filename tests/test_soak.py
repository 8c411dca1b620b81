"""A model that learns for ever stays sound: a short form of tools/soak (about 10 s)."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pyedge import image
from pyedge.runtime import Model, Net

SPEC = importlib.util.spec_from_file_location("soak", Path(__file__).parent.parent / "tools" / "soak.py")
assert SPEC and SPEC.loader
soak = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(soak)

DRIFT = 5000
BLOB = image.write(soak.model(DRIFT))


@pytest.fixture(scope="module")
def stretches() -> list[dict]:
    return soak.on_host(BLOB, 60_000, 5000, DRIFT)


def test_accuracy_on_the_current_stretch_is_held(stretches: list[dict]) -> None:
    first, *later = (s["accuracy"] for s in stretches)
    assert min(later) > first - 0.05
    assert min(later) > 2 / soak.CLASSES
    # Without learning it is lost: the stream does drift.
    assert np.mean([s["frozen"] for s in stretches[2:]]) < 1.5 / soak.CLASSES


def test_every_layer_keeps_moving_and_few_weights_stand_at_a_limit(stretches: list[dict]) -> None:
    for s in stretches:
        assert min(s["moved"]) > 5000
        assert s["extreme"] < 0.2
    assert len({s["state"] for s in stretches}) == len(stretches)


def test_host_python_and_board_learn_the_same_state() -> None:
    """The stream in C is the stream in Python, and a board learns it to the same bits."""
    updates = 100
    (host,) = soak.on_host(BLOB, updates, updates, DRIFT)
    net = Net(Model(BLOB), "learn")
    for n in range(updates):
        spikes, label = soak.window(n, DRIFT)
        net.run_window(spikes)
        net.learn(label)
    assert net.save()[12:16][::-1].hex() == host["state"]
    assert soak.on_board("mps2-an386", BLOB, updates, DRIFT) == host["state"]
