"""Laws of recipes for images and events: round trips, errors that name the key, runs that resume."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pyedge import vision
from pyedge.augment import Chain
from pyedge.datasets.catalog import Samples, Side, describe
from pyedge.datasets.images import Images
from pyedge.errors import ConfigError
from pyedge.methods import method
from pyedge.model import load_model
from pyedge.neuron import IF, LIF, SRM
from pyedge.recipe import RecipeError, build, markdown, plain
from pyedge.rules import MPDED, STDED, AlphaED
from pyedge.task import open_trained
from pyedge.vision import NetworkTable, SampleTable, TrainingTable, VisionRecipe

ROOT = Path(__file__).parent.parent
SHIPPED = sorted((ROOT / "examples/recipes/paper").glob("*.toml"))
SMALL = VisionRecipe(
    "small",
    samples=SampleTable("fashion_mnist", augment="crop_flip"),
    network=NetworkTable("2C5s4-P2-16", 3, dropout=0.2),
    training=TrainingTable(epochs=3, batch=10, lr=1e-2),
)


def stripes(count, seed):
    """Images of horizontal and vertical bars: classes 0 and 1."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    pixels = rng.integers(0, 60, (count, 1, 28, 28)).astype(np.uint8)
    for k, label in enumerate(y):
        pixels[k, 0, 8:20, :] += np.uint8(150 * (label == 0))
        pixels[k, 0, :, 8:20] += np.uint8(150 * (label == 1))
    return Side(Images(pixels, (0.2,), (0.3,)), y)


@pytest.fixture
def small_data(monkeypatch):
    samples = Samples(describe("fashion_mnist"), stripes(60, 0), None, stripes(40, 1))
    monkeypatch.setattr(vision, "load", lambda *args, **kwargs: samples)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_recipes_survive_a_round_trip(path):
    recipe = vision.read(path)
    assert build(VisionRecipe, json.loads(json.dumps(plain(recipe)))) == recipe
    text = path.read_text()
    silent = [
        line
        for line in text.splitlines()
        if "=" in line
        and line.split("=")[0].strip() in ("lr", "weight_decay", "epochs", "norm", "clip_norm", "batch")
    ]
    assert all("# ours" in line or "# paper" in line for line in silent), "whose choice is it?"


def test_every_cell_of_table_one_has_its_recipe():
    cells = {
        (r.samples.set, r.training.method, r.network.layers, r.network.steps)
        for r in map(vision.read, SHIPPED)
    }
    f, n = "32C5-P2-64C5-P2-1024", "12C5p1-P2-64C5p0-P2"
    assert cells >= {
        ("fashion_mnist", "std_ed", f, 5),
        ("fashion_mnist", "mpd_ed", f, 5),
        *(
            (f"cifar{k}", "std_ed", name, t)
            for k, t in ((10, 12), (100, 16))
            for name in ("VGG11", "SEW-ResNet-14")
        ),
        *((f"cifar{k}", "mpd_ed", "VGG11(w/o.FC)", 5) for k in (10, 100)),
        *((f"cifar{k}", "mpd_ed", "MS-ResNet-18", 6) for k in (10, 100)),
        *(("nmnist", "std_ed", name, 30) for name in (f, n)),
        *(("nmnist", "mpd_ed", name, 10) for name in (f, n)),
        ("dvs_gesture", "std_ed", "VGG11*", 20),
        ("dvs_gesture", "mpd_ed", "VGG11*", 16),
        ("cifar10_dvs", "std_ed", "VGG11*", 20),
        ("cifar10_dvs", "mpd_ed", "VGG11*", 10),
    }


def test_the_papers_constants_are_in_every_recipe():
    wanted = {"fashion_mnist": (5, 1), "cifar10": (10, 1), "cifar100": (15, 1)}
    for recipe in map(vision.read, SHIPPED):
        m, t = vision.method_of(recipe), recipe.training
        assert m.neuron.theta0 == 1 and m.neuron.alpha in (None, 0.0 if t.method == "stbp" else None)
        if t.method == "std_ed":
            assert (t.desired, t.undesired) == wanted.get(recipe.samples.set, (15, 2))
            cifar = recipe.samples.set in ("cifar10", "cifar100")
            assert t.batch == 50 and t.optimizer == ("sgd" if cifar else "adamw")
        elif t.method == "mpd_ed":
            images = describe(recipe.samples.set).kind == "images"
            assert t.batch == (512 if images else 64) and t.optimizer == "adamw" and m.neuron == LIF()


def test_the_page_lists_every_key():
    page = (ROOT / "docs/recipes.md").read_text("utf-8")
    assert markdown(VisionRecipe).rstrip() in page, "docs/recipes.md is behind pyedge.vision"


def test_a_run_learns_and_resumes_to_the_same_bits(small_data, tmp_path):
    whole = vision.train(SMALL, tmp_path / "whole")
    assert whole.test.accuracy > 0.8

    class Stop(Exception):
        pass

    def stop(row):
        if row["epoch"] == 2:
            raise Stop

    with pytest.raises(Stop):
        vision.train(SMALL, tmp_path / "cut", on_epoch=stop)
    resumed = vision.train(SMALL, tmp_path / "cut", resume=True)
    assert all(np.array_equal(resumed.params[k], whole.params[k]) for k in whole.params)
    assert np.array_equal(resumed.test.scores, whole.test.scores)
    net, params, extra = load_model(tmp_path / "cut/model.npz")
    assert net == vision.network_of(SMALL) and set(params) == set(whole.params)
    assert build(VisionRecipe, extra["recipe"]) == SMALL
    with pytest.raises(ConfigError, match="images or events"):
        open_trained(tmp_path / "cut")
    running = whole.params["batch_norm1.mean"]
    assert np.abs(running).max() > 0, "running statistics are part of the parameters"


def test_initial_weights_can_be_scaled_to_a_firing_rate(small_data):
    recipe = replace(
        SMALL,
        network=NetworkTable("8C5s2-16-16", 6, initial_spikes=2.0),
        training=TrainingTable("if_fixed", batch=10),
    )
    net, x = vision.network_of(recipe), vision.samples_of(recipe).train.x
    rates = net.firing_rates(net.forward(vision.initial(recipe, net, x), np.asarray(x)))
    assert all(0.1 < rate < 0.6 for rate in rates.values()), rates


def test_a_run_starts_from_anothers_model_or_checkpoint(small_data, tmp_path):
    done = vision.train(SMALL, tmp_path)
    for name in ("model.npz", "checkpoint.npz"):
        recipe = replace(SMALL, training=replace(SMALL.training, start=str(tmp_path / name)))
        found = vision.initial(recipe, done.network, None)
        assert set(found) == set(done.params)
        assert all((found[key] == done.params[key]).all() for key in found)
        other = replace(recipe, network=replace(SMALL.network, layers="2C5s4-P2-17"))
        text = r"training.start: .*dense1.weight: \(18, 16\), here \(18, 17\)"
        with pytest.raises(RecipeError, match=text):
            vision.train(other, tmp_path / "refused")


def test_a_folder_with_another_run_is_refused(small_data, tmp_path):
    vision.train(replace(SMALL, training=replace(SMALL.training, epochs=1)), tmp_path)
    with pytest.raises(ConfigError, match=r"holds a run already.*--resume"):
        vision.train(replace(SMALL, training=replace(SMALL.training, epochs=1)), tmp_path)
    with pytest.raises(ConfigError, match=r"training\.epochs: 1 -> 3"):
        vision.train(SMALL, tmp_path, resume=True)


def test_limits_take_the_first_samples(small_data):
    samples = vision.samples_of(replace(SMALL, samples=replace(SMALL.samples, limit=7)))
    assert samples.train.x.shape[0] == samples.test.x.shape[0] == len(samples.train.y) == 7


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"samples": {"sets": "mnist"}}, r"samples\.sets: unknown key; did you mean 'set'"),
        ({"samples": {}, "network": {"layers": 5}}, r"network\.layers: text is needed"),
        ({"samples": {"size": [48]}}, r"samples\.size"),
        ({"samples": {"binary": True, "scale": 2.0}}, r"samples\.scale"),
        ({"samples": {}, "network": {"kernel": [5.0]}}, r"network\.kernel"),
        ({"samples": {}, "training": {"patience": 3}}, r"samples\.validation"),
        ({"samples": {}, "training": {"method": "stdp"}}, r"training\.method: 'stdp'; choose from std_ed"),
    ],
)
def test_a_wrong_recipe_names_the_key(table, text):
    with pytest.raises(RecipeError, match=text):
        build(VisionRecipe, table)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"training": TrainingTable("std_ed", reset="off")}, r"training\.reset"),
        ({"training": TrainingTable("std_ed", recursion="printed")}, r"training\.reset and recursion"),
        ({"training": TrainingTable("mpd_ed", slope="increment")}, r"training\.slope"),
        ({"training": TrainingTable("std_ed"), "network": NetworkTable(tau=0.8)}, r"network\.tau"),
        ({"network": NetworkTable("32C5-P2-X")}, r"token 3, 'X'"),
        ({"samples": SampleTable("emnist")}, "emnist"),
        ({"samples": SampleTable("braille_tactile", mixup=0.2)}, r"samples\.mixup: 0.2; .* static inputs"),
        (
            {"samples": SampleTable(mixup=0.2), "training": TrainingTable("std_ed")},
            r"samples\.mixup: 0.2; .* EnhancedSpikeCount",
        ),
    ],
)
def test_a_recipe_that_cannot_work_is_named(change, text):
    recipe = replace(VisionRecipe(), **change)
    with pytest.raises(Exception, match=text):
        vision.config_of(recipe)
        vision.network_of(recipe)


def test_recipes_change_the_methods_parts():
    recipe = VisionRecipe(
        network=NetworkTable(theta0=0.5, alpha=0.1, pool="mean", norm="none", kernel=(8.0, 4.0, 3.0)),
        training=TrainingTable("alpha"),
    )
    m = vision.method_of(recipe)
    assert m.neuron == SRM(8.0, 4.0, 0.5, 0.1) and m.rule == AlphaED(3.0) and m.pool == "mean"
    lineage = VisionRecipe(training=TrainingTable("std_ed", slope="increment", clamp=2.0))
    assert vision.method_of(lineage).rule == STDED("increment", 2.0)
    printed = VisionRecipe(training=TrainingTable(recursion="printed"))
    assert vision.method_of(printed).rule == MPDED(recursion="printed")
    assert vision.method_of(VisionRecipe(training=TrainingTable("if_fixed"))).neuron == IF(alpha=0.0)
    events = VisionRecipe(samples=SampleTable("dvs_gesture", size=(32, 24), augment="gesture"))
    assert vision.input_of(events).inner == (24, 32, 2) and isinstance(vision.augment_of(events), Chain)
    assert vision.input_of(replace(events, samples=SampleTable("dvs_gesture", binary=True))).kind == "spikes"
    assert vision.input_of(VisionRecipe(samples=SampleTable("braille_tactile"))).kind == "spikes"


def test_an_unknown_method_is_named():
    with pytest.raises(ConfigError, match="stdp"):
        method("stdp")
