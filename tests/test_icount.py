"""Instruction counts are exact: they repeat, add up, and grow with the work (3 s)."""

import numpy as np
import pytest

from pyedge import image
from pyedge.boards import BOARDS, batch, icount
from pyedge.quant.model import InputKind
from tests.strategies import saturated_model
from tests.test_board import IMAGE

BOARD = "mps2-an386"


@pytest.fixture(scope="module")
def model():
    return saturated_model(64, 16, window=12)


def spikes(model, rate: float, seed: int = 0):
    return (np.random.default_rng(seed).random((model.window, model.inputs)) < rate).astype(np.int64)


@pytest.mark.parametrize("name", list(BOARDS))
def test_counts_are_exact(name: str) -> None:
    turns = [1, 2, 10, 1000, 100_000]
    _, regions = icount.measure(name, [batch.spin(n) for n in turns])
    overhead = regions[0].total.instructions - 2
    assert [region.total.instructions - overhead for region in regions] == [2 * n for n in turns]
    assert len({(region.total.loads, region.total.stores) for region in regions}) == 1


def test_the_same_samples_cost_the_same_instructions_in_every_run(model) -> None:
    samples = [spikes(model, 0.1, seed) for seed in range(3)]
    first = icount.count(image.write(model), samples, [0, 1, 2], BOARD)
    assert first == icount.count(image.write(model), samples, [0, 1, 2], BOARD)


def test_a_window_costs_the_same_wherever_it_stands(model) -> None:
    sample = spikes(model, 0.1)
    counts = icount.count(image.write(model), [sample] * 4, None, BOARD)
    assert counts["infer"]["least"] == counts["infer"]["most"] > 0
    assert counts["learn"] is None


def test_functions_add_up_to_the_region_without_its_markers(model) -> None:
    sample = batch.window(InputKind.SPIKES, spikes(model, 0.2))
    _, regions = icount.measure(BOARD, [batch.open_image(image.write(model)), sample, batch.learn(1)])
    assert [region.name for region in regions] == ["infer", "learn"]
    for region in regions:
        functions = region.functions.values()
        # What is left is the call of the test firmware itself, a few instructions around the markers.
        assert 0 <= sum(f.instructions for f in functions) - region.total.instructions < 20
        assert "edge_net_step" in regions[0].functions


def test_more_spikes_cost_more_instructions_and_silence_is_cheap(model) -> None:
    costs = [
        icount.count(image.write(model), [spikes(model, rate)], None, BOARD)["infer"]["instructions"]
        for rate in (0, 0.1, 0.3, 1)
    ]
    assert costs == sorted(costs)
    assert costs[-1] > 2 * costs[0]


def test_raw_samples_cost_most_when_a_window_is_complete() -> None:
    rng = np.random.default_rng(2)
    counts = icount.count_stream(IMAGE, rng.integers(-90, 90, (250, 8)), BOARD)
    assert (counts["samples"], counts["windows"]) == (250, 2)
    assert counts["most"] > 5 * counts["per_sample"]
    assert sum(counts["functions"].values()) >= counts["instructions"]


def test_slices_of_learning_add_little(model) -> None:
    """The same update in small slices: the same bits, and a bounded price."""
    ops = [batch.open_image(image.write(model)), batch.window(InputKind.SPIKES, spikes(model, 0.2))]
    whole, whole_regions = icount.measure(BOARD, [*ops, batch.learn(1, 1 << 20), batch.save()])
    sliced, sliced_regions = icount.measure(BOARD, [*ops, batch.learn(1, 512), batch.save()])
    assert whole[-1].data == sliced[-1].data
    assert sliced_regions[-1].total.instructions < 1.5 * whole_regions[-1].total.instructions
