"""Runs of image recipes in integers: one command, tested on the test data, and taught a class more (15 s)."""

import json

import numpy as np
import pytest
from test_vision import SHIPPED, SMALL, small_data, stripes
from typer.testing import CliRunner

from pyedge import image, vision
from pyedge.cli import app
from pyedge.errors import CheckpointError
from pyedge.fold import fold
from pyedge.layers import Dense
from pyedge.model import Input, Network, save_model
from pyedge.quant import reference
from pyedge.quant.lower import float_layers
from pyedge.quant.quantizer import flat
from pyedge.vision_integers import in_integers, input_unit, open_trained, quantize_run

__all__ = ["small_data"]


@pytest.fixture
def run(small_data, tmp_path):
    vision.train(SMALL, tmp_path / "run")
    return tmp_path / "run"


def test_the_command_writes_an_image_and_tests_it(run):
    result = CliRunner().invoke(app, ["quantize", str(run), "--spare", "2", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout[result.stdout.index("{") :])
    tested = found["test"]
    assert tested["samples"] == 40 and tested["accuracy_float"] > 0.8
    assert tested["agreement"] >= 0.9
    model = image.read((run / "model.edge").read_bytes())
    assert model.classes == 10 and model.spare == 2
    assert [layer.learns for layer in model.layers] == [False, False, True]
    assert model.metadata["test"] == tested
    for on, file in (("float", run), ("host", run / "model.edge"), ("reference", run / "model.edge")):
        result = CliRunner().invoke(app, ["eval", str(file), "--on", on, "--json"])
        assert result.exit_code == 0, result.output
        which = "float" if on == "float" else "integer"
        assert json.loads(result.stdout)["accuracy"] == tested[f"accuracy_{which}"]
    for wrong in (["--on", "board"], ["--windows", "old"]):
        assert CliRunner().invoke(app, ["eval", str(run), *wrong]).exit_code != 0
    other = Network(Input("spikes", (2,)), (Dense(2),), 2)
    save_model(run / "other.npz", other, other.init(0))
    with pytest.raises(CheckpointError, match=r"\[samples\]"):
        open_trained(run / "other.npz")


def test_a_class_is_added_and_taught(run):
    """A spare row learns what training did not know: blank images. Bars are still told apart."""
    found, _ = quantize_run(run, {"spare": 1, "readout_step": 0.3}, test=False)
    model, network = found.model, open_trained(run).network
    unit = model.metadata["input_unit"]
    bars = stripes(12, 5)
    x = np.concatenate([np.asarray(bars.x), np.full((6, 1, 28, 28), -0.6, np.float32)])
    y = np.append(bars.y, [10] * 6)
    windows = flat(network, in_integers(network, x, unit))
    state = reference.activate(model, reference.fresh(model))

    def said():
        records = [reference.run_window(model, state.weights, window) for window in windows]
        return np.array([reference.predict(model, r.scores, state.classes)[0] for r in records])

    for _ in range(12):
        for window, label in zip(windows, y, strict=True):
            record = reference.run_window(model, state.weights, window)
            state = reference.learn(model, state, record, int(label)).state
    assert (said() == y).mean() > 0.9


def test_inputs_fill_eight_bits_or_stay_what_they_are():
    rng = np.random.default_rng(0)
    network = Network(Input("static", (3,)), (Dense(2),), 2)
    counts = rng.integers(0, 9, (5, 3))
    assert input_unit(network, counts) == 1
    assert np.array_equal(in_integers(network, counts, 1), counts)
    values = rng.normal(0, 2, (50, 3)).astype(np.float32)
    unit = input_unit(network, values)
    found = in_integers(network, values, unit)
    assert np.abs(found).max() == 127
    assert np.abs(found / unit - values).max() <= 0.501 / unit
    assert in_integers(network, 2 * values, unit).min() >= -128



def test_every_network_of_the_paper_has_an_integer_form():
    """Folded, each is layers that integers have, and ends in a dense readout of its classes."""
    seen = set()
    for path in SHIPPED:
        network = vision.network_of(vision.read(path))
        if network.layers in seen:
            continue
        seen.add(network.layers)
        params = {name: np.ones_like(value) for name, value in shapes(network).items()}
        layers = float_layers(*fold(network, params))
        assert layers[-1].weight.shape[1] == network.classes
        assert all(layer.source < l for l, layer in enumerate(layers))
    assert len(seen) >= 10


def shapes(network):
    """Parameters of a network without drawing them: a generator that gives zeros."""

    class Zeros(np.random.Generator):
        def uniform(self, low=0.0, high=1.0, size=None):
            return np.zeros(size, np.float32)

        def standard_normal(self, size=None, dtype=np.float64, out=None):
            return np.zeros(size, np.float32)

    return network.init(Zeros(np.random.PCG64(0)))
