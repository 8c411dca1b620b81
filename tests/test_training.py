"""Laws of training: exact resume, seeds, checkpoints that survive, errors that name their cause."""

import csv
import errno
import json
import os
import re
import runpy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyedge import checkpoint, trainer
from pyedge.architectures import build
from pyedge.augment import Mixup
from pyedge.classifier import Classifier
from pyedge.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    SilentLayerWarning,
    StorageError,
    TrainingError,
)
from pyedge.layers import Dense, Spiking
from pyedge.losses import TET, CountCrossEntropy, ScoreCrossEntropy, SpikeCount
from pyedge.model import Activity, Input, Network, dense_network, load_model, save_model
from pyedge.neuron import IF, LIF, aft_window
from pyedge.optim import SGD, AdamW, Constant, Cosine
from pyedge.rules import MPDED
from pyedge.trainer import TrainConfig, evaluate, evaluation_batch, fit, write_log

WINDOW, CLASSES, FEATURES = 8, 3, 6


def task(kind="frames", samples=90, seed=0):
    """Classes that differ in which inputs are strong, with noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, samples)
    level = np.eye(CLASSES)[y].repeat(FEATURES // CLASSES, axis=1)
    if kind == "static":
        return 30 * level + rng.normal(0, 10, level.shape), y
    level = np.broadcast_to(level, (WINDOW, *level.shape))
    if kind == "spikes":
        return rng.random(level.shape) < 0.1 + 0.5 * level, y
    return (30 * level + rng.normal(0, 15, level.shape)).astype(np.int8), y


def network(kind="frames", readout="linear", hidden=(12,), neuron=None):
    source = Input(kind, (FEATURES,), 1.0 if kind == "spikes" else 16.0)
    return dense_network(source, hidden, CLASSES, WINDOW, readout, neuron)


def jitter(x, y, rng):
    return x + rng.integers(-2, 3, x.shape, dtype=x.dtype), y


FAST = TrainConfig(epochs=4, batch=16, optimizer=AdamW(1e-2), loss=TET())


class Stop(Exception):
    pass


def interrupted_after(epoch):
    def on_epoch(row):
        if row["epoch"] == epoch:
            raise Stop

    return on_epoch


def without_time(history):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) and a[n].dtype == b[n].dtype for n in a)


@pytest.mark.parametrize("kind", ["spikes", "frames", "static"])
@pytest.mark.parametrize(
    ("readout", "loss"),
    [
        ("linear", TET()),
        ("linear", ScoreCrossEntropy(4)),
        ("spiking", CountCrossEntropy()),
        ("spiking", SpikeCount(5, 1)),
    ],
    ids=str,
)
def test_every_input_readout_and_loss_learns(kind, readout, loss):
    config = replace(FAST, epochs=12, loss=loss, teacher=readout == "spiking")
    net = network(kind, readout)
    done = fit(net, config, task(kind))
    assert evaluate(net, done.params, *task(kind, seed=1)).accuracy > 0.9


@pytest.mark.parametrize("loss", [TET(), TET(0.3), ScoreCrossEntropy(4), CountCrossEntropy(0.5)], ids=str)
def test_shares_of_classes_are_a_cross_entropys_targets(loss):
    rng = np.random.default_rng(0)
    outputs, y = rng.normal(size=(WINDOW, 5, CLASSES)), rng.integers(0, CLASSES, 5)
    hard, certain = loss(outputs, y), loss(outputs, np.eye(CLASSES)[y])
    assert certain.value == pytest.approx(hard.value, rel=1e-12)
    np.testing.assert_allclose(certain.error, hard.error, rtol=0, atol=1e-15)

    shares = rng.dirichlet(np.ones(CLASSES), 5)
    o = torch.tensor(outputs, requires_grad=True)
    window = {TET: o, ScoreCrossEntropy: 4 * o.mean(0, True), CountCrossEntropy: o.sum(0, True) / 2}
    logits = window[type(loss)]
    lam = getattr(loss, "lam", 0.0)
    targets = torch.tensor(shares).expand(logits.shape)
    value = (1 - lam) * torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(0, 1))
    (value + lam * ((o - 1) ** 2).mean()).backward()
    np.testing.assert_allclose(loss(outputs, shares).error, o.grad, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("axis", [0, 1])
def test_mixup_mixes_labels_as_it_mixes_samples(axis):
    y = np.arange(60) % CLASSES
    x = np.eye(CLASSES, dtype=np.float32)[y]
    if axis:
        x = np.broadcast_to(x, (WINDOW, *x.shape))
    mixed, shares = Mixup(1.0)(x, y, CLASSES, axis, np.random.default_rng(0))
    np.testing.assert_array_equal(mixed, np.broadcast_to(shares, mixed.shape))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert (shares.argmax(axis=1) == y).all() and (shares.max(axis=1) < 0.99).any()


def test_mixup_ends_before_training_does(monkeypatch):
    seen, step = [], trainer.step

    def watched(network, config, params, state, x, y, *rest):
        seen.append(y.ndim)
        return step(network, config, params, state, x, y, *rest)

    monkeypatch.setattr(trainer, "step", watched)
    fit(network(), replace(FAST, mixup=Mixup(until=0.5)), task())
    assert seen == [2] * (len(seen) // 2) + [1] * (len(seen) // 2)


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": SGD(0.05, 0.9, 1e-3), "schedule": Constant(3), "clip_norm": None},
        {"augment": jitter, "keep": "best", "activity": Activity(0.5)},
        {"patience": 2, "dtype": "float64", "checkpoint_every": 2},
        {"augment": jitter, "mixup": Mixup(0.4, until=0.5)},
    ],
    ids=["adamw", "sgd", "augment-best", "patience", "mixup"],
)
def test_interrupted_and_resumed_is_uninterrupted_bit_for_bit(tmp_path, changes, stop):
    config = replace(FAST, **changes)
    train, held = task(), task(seed=1)
    whole = fit(network(), config, train, held)
    path = tmp_path / "run.npz"
    with pytest.raises(Stop):
        fit(network(), config, train, held, path=path, on_epoch=interrupted_after(stop))
    resumed = fit(network(), config, train, held, path=path)
    assert same(resumed.params, whole.params)
    assert without_time(resumed.history) == without_time(whole.history)
    assert resumed.epoch == whole.epoch
    again = fit(network(), config, train, held, path=path)
    assert same(again.params, whole.params)


@pytest.mark.parametrize("updates", [1, 7, 14])
def test_interrupted_within_an_epoch_it_goes_on_from_the_last_checkpoint(tmp_path, monkeypatch, updates):
    path, left, step = tmp_path / "run.npz", iter(range(updates)), trainer.step

    def step_or_stop(*args):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "step", step_or_stop)
        with pytest.raises(KeyboardInterrupt):
            fit(network(), FAST, task(), path=path)
    assert same(fit(network(), FAST, task(), path=path).params, fit(network(), FAST, task()).params)


def test_one_seed_one_result():
    first, second = (fit(network(), FAST, task()).params for _ in range(2))
    assert same(first, second)
    assert not same(first, fit(network(), replace(FAST, seed=1), task()).params)


@pytest.mark.parametrize(
    ("net", "changes", "key"),
    [
        (network(), {"seed": 5}, "config.seed"),
        (network(), {"optimizer": AdamW(2e-2)}, "config.optimizer.lr"),
        (network(), {"optimizer": SGD()}, "config.optimizer.class"),
        (network(), {"augment": jitter}, "config.augment"),
        (network(hidden=(13,)), {}, r"network.layers\[0\].outputs"),
        (network(neuron=LIF(0.25)), {}, r"network.layers.*tau"),
    ],
)
def test_resuming_with_a_changed_configuration_names_the_key(tmp_path, net, changes, key):
    path = tmp_path / "run.npz"
    fit(network(), FAST, task(), path=path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=key):
        fit(net, replace(FAST, **changes), task(), path=path)
    assert path.read_bytes() == before


def test_a_checkpoint_that_does_not_know_a_key_is_one_with_its_default(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(Stop):
        fit(network(), FAST, task(), path=path, on_epoch=interrupted_after(2))
    meta, arrays = checkpoint.read(path)
    del meta["config"]["mixup"]
    checkpoint.write(path, meta, arrays)
    with pytest.raises(CheckpointError, match=r"config\.mixup"):
        fit(network(), replace(FAST, mixup=Mixup()), task(), path=path)
    assert same(fit(network(), FAST, task(), path=path).params, fit(network(), FAST, task()).params)


def test_resuming_with_other_data_is_refused(tmp_path):
    fit(network(), FAST, task(), path=tmp_path / "run.npz")
    with pytest.raises(CheckpointError, match=r"data.train"):
        fit(network(), FAST, task(seed=2), path=tmp_path / "run.npz")


@given(st.floats(0, 1, exclude_max=True), st.booleans())
def test_a_damaged_checkpoint_is_refused(tmp_path_factory, share, cut):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    save_model(path, network(), network().init(0))
    data = bytearray(path.read_bytes())
    at = int(share * len(data))
    if cut:
        data = data[:at]
    else:
        data[at] ^= 0x10
    path.write_bytes(data)
    try:
        net, params, _ = load_model(path)
    except CheckpointError as error:
        assert str(path) in str(error)
    else:  # a bit that carries nothing, such as a time stamp
        assert net == network() and same(params, network().init(0))


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    with pytest.raises(Stop):
        fit(network(), FAST, task(), path=path, on_epoch=interrupted_after(2))
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="disk is full"):
            fit(network(), FAST, task(), path=path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert same(fit(network(), FAST, task(), path=path).params, fit(network(), FAST, task()).params)


@dataclass
class Poison:
    """An augmentation that breaks one value of the inputs from a given call on."""

    after: int
    calls: int = 0

    def __call__(self, x, y, rng):
        self.calls += 1
        x = x.astype(np.float32)
        if self.calls > self.after:
            x[0, 0, 0] = np.nan
        return x, y


def test_a_nan_stops_training_names_the_layer_and_keeps_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(TrainingError, match=r"epoch 3.*layer spiking1.*run\.npz"):
        fit(network(), replace(FAST, augment=Poison(2 * 6)), task(), path=path)
    _, params, _ = load_model(path)
    assert all(np.isfinite(p).all() for p in params.values())


def test_a_learning_rate_too_high_is_an_error_not_a_result():
    config = replace(FAST, optimizer=SGD(1e38), clip_norm=None, schedule=Constant())
    with pytest.raises(TrainingError, match=r"layer dense.*learning rate"):
        fit(network(), config, task())


@pytest.mark.parametrize(("room", "text"), [(5, "a batch of 4 does"), (0, "not even a single sample")])
def test_too_large_a_batch_is_an_error_that_says_what_fits(monkeypatch, room, text):
    step = trainer.step

    def step_in(network, config, params, state, x, y, *args, **kwargs):
        if len(y) > room:
            raise MemoryError
        return step(network, config, params, state, x, y, *args, **kwargs)

    monkeypatch.setattr(trainer, "step", step_in)
    with pytest.raises(TrainingError, match=f"batch of 16 does not fit into memory.*{text}"):
        fit(network(), FAST, task())


def test_a_silent_layer_is_named():
    net = network(hidden=(5, 5), neuron=LIF(theta0=1e6, alpha=0))
    with pytest.warns(SilentLayerWarning) as seen:
        fit(net, replace(FAST, epochs=3), task())
    assert [str(w.message).split(" did")[0] for w in seen] == ["layer spiking1", "layer spiking2"]


def test_frozen_layers_stay():
    net = network(hidden=(8, 8))
    before = net.init(1)
    after = fit(net, replace(FAST, learn=("dense2",)), task(), params=before).params
    assert {name for name in after if not np.array_equal(after[name], before[name])} == {
        "dense2.weight",
        "dense2.bias",
    }
    with pytest.raises(ConfigError, match="dense9"):
        fit(net, replace(FAST, learn=("dense9",)), task())


def test_keep_best_returns_the_best_epochs_parameters():
    net, held = network(), task(samples=40, seed=1)
    done = fit(net, replace(FAST, keep="best", optimizer=AdamW(3e-2)), task(), held)
    accuracies = [row["validation_accuracy"] for row in done.history]
    assert done.epoch == 1 + accuracies.index(max(accuracies))
    assert evaluate(net, done.params, *held).accuracy == max(accuracies)


def test_patience_stops_early():
    held = (task()[0], (task()[1] + 1) % CLASSES)  # labels that training moves away from
    done = fit(network(), replace(FAST, epochs=50, patience=3, optimizer=AdamW(5e-2)), task(), held)
    accuracies = [row["validation_accuracy"] for row in done.history]
    assert len(accuracies) < 50
    assert accuracies.index(max(accuracies)) == len(accuracies) - 1 - 3


def test_an_activity_penalty_lowers_the_firing_rate():
    rates = [
        fit(network(hidden=(32,)), replace(FAST, epochs=10, activity=Activity(weight)), task()).history[-1][
            "rates"
        ]["spiking1"]
        for weight in (0, 1, 4)
    ]
    assert rates[0] > rates[1] > rates[2]


def test_evaluation_does_not_depend_on_its_batches():
    net = network()
    params = net.init(0, np.float64)
    whole, parts = (evaluate(net, params, *task(), TET(), batch=b) for b in (1000, 7))
    np.testing.assert_allclose(whole.scores, parts.scores, rtol=1e-12)
    assert whole.accuracy == parts.accuracy and whole.loss == pytest.approx(parts.loss)
    assert whole.firing_rates == pytest.approx(parts.firing_rates)


def test_large_networks_are_evaluated_in_small_batches():
    assert evaluation_batch(network()) == 256
    vgg = build("VGG11", Input("static", (32, 32, 3)), 10, 16)
    assert 1 <= evaluation_batch(vgg) < 20


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (AdamW(0.01, weight_decay=0.1), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1)),
        (SGD(0.1, 0.9, 0.01), lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.01)),
        (SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
    ],
    ids=["AdamW", "SGD-momentum", "SGD"],
)
def test_optimizers_are_torchs(ours, theirs):
    rng = np.random.default_rng(0)
    params = {"dense1.weight": rng.normal(size=(4, 3))}
    state = ours.init(params)
    weight = torch.tensor(params["dense1.weight"].copy(), requires_grad=True)
    optimizer = theirs([weight])
    for _ in range(30):
        grad = rng.normal(size=(4, 3))
        weight.grad = torch.tensor(grad)
        optimizer.step()
        params, state = ours.update(params, {"dense1.weight": grad}, state)
    np.testing.assert_allclose(params["dense1.weight"], weight.detach().numpy(), rtol=1e-10)


@given(st.integers(1, 500), st.integers(0, 50), st.floats(0, 1))
def test_a_cosine_schedule_warms_up_then_falls_to_its_floor(steps, warmup, floor):
    factors = [Cosine(warmup, floor)(step, warmup + steps) for step in range(warmup + steps + 1)]
    assert factors[warmup] == pytest.approx(1) and factors[-1] == pytest.approx(floor)
    assert (np.diff(factors[: warmup + 1]) > 0).all()
    assert (np.diff(factors[warmup:]) <= 1e-12).all()


@pytest.mark.parametrize("backend", ["numpy", "native"])
@given(limit=st.floats(1e-3, 10))
def test_clipping_bounds_the_norm_of_a_step_and_keeps_its_direction(backend, limit):
    net, (x, y) = network(), task(samples=16)
    params = net.init(0, np.float32)

    def gradient(clip_norm):
        """As the first moments say, which start at 0; what AdamW moves hardly depends on the norm."""
        config = replace(FAST, clip_norm=clip_norm, backend=backend)
        state = trainer.step(net, config, dict(params), config.optimizer.init(params), x, y)[1]
        return np.concatenate([state[f"m/{name}"].ravel() for name in params]) / (1 - config.optimizer.beta1)

    free, clipped = gradient(None), gradient(limit)
    norm = float(np.linalg.norm(free))
    assert 0.01 < norm < 10, "limits lie on both sides"
    np.testing.assert_allclose(clipped, free * min(1.0, limit / norm), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda x, y: (x.astype(float) * np.nan, y), "NaN"),
        (lambda x, y: (x[:-1], y), "shape"),
        (lambda x, y: (x[..., :-1], y), "shape"),
        (lambda x, y: (x[:, :0], y[:0]), "no samples"),
        (lambda x, y: (x, y[:-1]), "labels have shape"),
        (lambda x, y: (x, y + 1), "out of range"),
        (lambda x, y: (x, y.astype(float)), "integers"),
    ],
)
def test_bad_data_is_named(spoil, text):
    with pytest.raises(DataError, match=text):
        fit(network(), FAST, spoil(*task()))


def test_spike_inputs_are_zero_or_one():
    x, y = task("spikes")
    counts = x.astype(np.int8) * 2
    with pytest.raises(DataError, match=r"0 or 1.*index"):
        fit(network("spikes"), FAST, (counts, y))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: fit(network(), replace(FAST, loss=CountCrossEntropy()), task()), "spiking"),
        (lambda: fit(network(), replace(FAST, teacher=True), task()), "teacher"),
        (lambda: fit(network(), replace(FAST, patience=3), task()), "validation"),
        (lambda: fit(network("spikes"), replace(FAST, mixup=Mixup()), task("spikes")), "share of a spike"),
        (
            lambda: fit(
                network(readout="spiking"), replace(FAST, loss=SpikeCount(), mixup=Mixup()), task()
            ),
            "cross-entropy; the loss is SpikeCount",
        ),
        (
            lambda: fit(network(readout="spiking"), replace(FAST, teacher=True, mixup=Mixup()), task()),
            "no single target",
        ),
        (lambda: Mixup(0.0), "alpha"),
        (lambda: Mixup(until=1.5), "until"),
        (lambda: TrainConfig(epochs=0), "epochs"),
        (lambda: TrainConfig(dtype="float16"), "dtype"),
        (lambda: AdamW(lr=-1), "lr"),
        (lambda: Dense(0), "outputs"),
        (lambda: Input("images", (3,)), "input kind"),
        (lambda: Network(Input("frames", (3,)), (), 4), "layer with weights"),
    ],
)
def test_a_configuration_that_cannot_work_is_named(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


@pytest.mark.parametrize("neuron", [LIF(0.25, 2.0, 0.1), IF(alpha=0)])
@pytest.mark.parametrize("readout", ["linear", "spiking"])
def test_a_saved_model_comes_back(tmp_path, neuron, readout):
    net = network("static", readout, (5, 4), neuron)
    params = net.init(3)
    save_model(tmp_path / "m.npz", net, params, classes=["rest", "fist"])
    loaded, again, extra = load_model(tmp_path / "m.npz")
    assert loaded == net and same(again, params) and extra == {"classes": ["rest", "fist"]}


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"run\.npz.*choose another place"):
        fit(network(), FAST, task(), path=tmp_path / "file" / "run.npz")


def test_progress_changes_nothing(capsys):
    shown = fit(network(), FAST, task(), task(seed=1), progress=True)
    assert same(shown.params, fit(network(), FAST, task(), task(seed=1)).params)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda meta, arrays: arrays.pop("params:dense1.weight"), r"dense1\.weight is missing"),
        (lambda meta, arrays: arrays.update({"params:dense1.weight": np.ones((2, 2))}), "has shape"),
        (lambda meta, arrays: meta["network"]["layers"][0].update(later=1), "another version"),
    ],
)
def test_a_model_file_that_is_not_whole_is_named(tmp_path, change, text):
    """Its first use said KeyError, or TypeError."""
    net = network()
    save_model(tmp_path / "model.npz", net, net.init(0))
    meta, arrays = checkpoint.read(tmp_path / "model.npz")
    change(meta, arrays)
    checkpoint.write(tmp_path / "model.npz", meta, arrays)
    with pytest.raises(CheckpointError, match=text):
        load_model(tmp_path / "model.npz")


def test_logs_hold_the_history(tmp_path):
    history = fit(network(), FAST, task(), task(seed=1)).history
    write_log(tmp_path / "log.json", history)
    write_log(tmp_path / "log.csv", history)
    assert json.loads((tmp_path / "log.json").read_text()) == history
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [float(row["loss"]) for row in rows] == [row["loss"] for row in history]
    assert [float(row["rate_spiking1"]) for row in rows] == [row["rates"]["spiking1"] for row in history]


def test_the_classifier_keeps_the_users_labels():
    names = np.array(["fist", "open", "rest"])
    x, y = task()
    model = Classifier(network(), replace(FAST, epochs=10)).fit(x, names[y])
    held, labels = task(seed=1)
    assert model.score(held, names[labels]) > 0.9
    assert set(model.predict(held)) <= set(names)
    assert model.decision_function(held).shape == (90, 3)
    assert 0 < model.firing_rates(held)["spiking1"] < 1
    with pytest.raises(DataError, match="wave"):
        model.fit(x, names[y], validation=(held, ["wave"] * 90))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x, y: (x.swapaxes(0, 1), y), r"network takes \w+ of \(\d+, samples, \d+\): time comes first"),
        (lambda x, y: (x[..., :-1], y), r"network takes \w+ of \(\d+, samples, \d+\)$"),
        (lambda x, y: (x[0], y), "have shape"),
        (lambda x, y: (x[:, :0], y[:0]), "no samples"),
        (lambda x, y: (x.astype("U8"), y), "of type <U8; real numbers"),
        (lambda x, y: (x.astype(object), y), "of type object"),
        (lambda x, y: (x.astype(complex), y), "of type complex128"),
        (lambda x, y: (x, y[:-1]), "labels have shape"),
        (lambda x, y: (x, y[:, None]), "labels have shape"),
        (lambda x, y: (x, np.where(np.arange(len(y)) == 5, np.nan, y)), "label of sample 5 is NaN"),
    ],
)
def test_the_classifier_names_what_does_not_fit(change, text):
    """Strings and complex numbers were once converted in silence, and a short y was NumPy's error."""
    x, y = task()
    wrong = change(x, y)
    with pytest.raises(DataError, match=text):
        Classifier(network(), FAST).fit(*wrong)
    fresh = Classifier(network(), FAST)
    if wrong[0] is not x:
        with pytest.raises(DataError, match=text):
            fresh.partial_fit(wrong[0], wrong[1] * 0)
        assert not hasattr(fresh, "classes_")  # a refused call fixes no classes
    fitted = Classifier(network(), FAST).fit(x, y)
    with pytest.raises(DataError, match=text):
        fitted.partial_fit(*wrong)
    if "NaN" not in text:
        with pytest.raises(DataError, match=text):
            fitted.score(*wrong)


def test_a_refused_fit_leaves_the_classifier_as_it_was():
    """The labels of the refused call were those that the old parameters predicted."""
    x, y = task()
    names = np.array(["fist", "open", "rest"])
    model = Classifier(network(), FAST).fit(x, y)
    before = model.predict(x)
    with pytest.raises(DataError):
        model.fit(x, names[y][:-1])
    assert np.array_equal(model.predict(x), before)
    fresh = Classifier(network(), FAST)
    with pytest.raises(DataError):
        fresh.partial_fit(x, y[:-1])
    fresh.partial_fit(x, names[y])
    assert fresh.classes_.tolist() == names.tolist()
    with pytest.raises(DataError, match="before"):
        fresh.partial_fit(x, names[y], classes=["a", "b", "c"])


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["fist", 1, "rest"], "sample 1 is 1, others are text"),
        (np.array(["fist", None, "rest"], object), "cannot be put in order"),
        (np.array([0.0, np.nan, 2.0], object), "sample 1 is NaN"),
        (np.array(["2020-01-01", "NaT", "2020-01-03"], "M8[D]"), "sample 1 is NaN"),
    ],
)
def test_labels_of_several_kinds_are_refused(labels, text):
    x, _ = task()
    with pytest.raises(DataError, match=text):
        Classifier(network(), FAST).fit(x[:, :3], labels)


def test_labels_of_another_kind_have_no_score():
    x, y = task()
    model = Classifier(network(), FAST).fit(x, y)
    with pytest.raises(DataError, match="none could be right"):
        model.score(x, y.astype(str))
    assert model.score(x, y.astype(object)) == model.score(x, y)


def test_a_classifier_goes_on_with_another_optimizer_and_not_with_another_network():
    x, y = task()
    model = Classifier(network(), replace(FAST, optimizer=SGD(0.01))).partial_fit(x, y)
    model.set_params(config=replace(FAST, optimizer=AdamW(0.01))).partial_fit(x, y)
    assert len(model.history_) == 2
    model.set_params(network=network(hidden=(9,)))
    for call in (lambda: model.predict(x), lambda: model.partial_fit(x, y)):
        with pytest.raises(ConfigError, match="another network"):
            call()
    assert model.fit(x, y).predict(x).shape == y.shape


def test_every_kind_of_array_gives_the_same_answer():
    x, y = task()
    model = Classifier(network(), FAST).fit(x, y)
    scores = model.decision_function(x)
    frozen = x.copy()
    frozen.setflags(write=False)
    kinds = [x.astype(np.float64), np.asfortranarray(x), frozen, x.tolist(), x[:, ::-1][:, ::-1]]
    for other in kinds:
        assert np.array_equal(model.decision_function(other), scores)
    assert model.score(x, y.tolist()) == model.score(x, y)


@pytest.mark.parametrize("name", ["epochs", "batch", "checkpoint_every"])
def test_a_count_is_a_whole_number(name):
    """1.5 epochs were two."""
    with pytest.raises(ConfigError, match=rf"{name} is 1\.5; a whole number is needed"):
        TrainConfig(**{name: 1.5})
    assert getattr(TrainConfig(**{name: np.int64(3)}), name) == 3


def test_an_input_shape_that_is_no_tuple_is_named():
    with pytest.raises(ConfigError, match="input shape is 8"):
        Input("frames", 8)


def test_evaluation_names_labels_of_another_length():
    x, y = task()
    net = network()
    with pytest.raises(DataError, match="labels have shape"):
        evaluate(net, net.init(np.random.default_rng(0)), x, y[:-1])


def test_partial_fit_learns_from_nothing_and_goes_on_after_fit():
    x, y = task()
    model = Classifier(network(), FAST)
    with pytest.raises(ConfigError, match="not been fitted"):
        model.predict(x)
    for start in range(0, 90, 10):
        for _ in range(4):
            model.partial_fit(x[:, start : start + 10], y[start : start + 10], classes=range(3))
    assert model.score(*task(seed=1)) > 0.9
    fitted = Classifier(network(), FAST).fit(x, y)
    before = fitted.params_
    fitted.partial_fit(x[:, :10], y[:10])
    assert not same(before, fitted.params_)
    assert all(np.abs(before[n] - fitted.params_[n]).max() < 0.1 for n in before)


@dataclass(frozen=True)
class TwoStepNeuron:
    """A user's own neuron: LIF with a threshold table of its own."""

    decay: float = 0.5

    def run(self, current, window):
        table = np.array([1.0] + [0.8] * window, current.dtype)
        return aft_window(current, window, LIF().params(window, current.dtype)._replace(theta=table))


def test_a_users_neuron_surrogate_rule_and_loss_plug_in(tmp_path):
    layers = (Dense(12), Spiking(TwoStepNeuron()), Dense(CLASSES))
    net = Network(Input("frames", (FEATURES,), 16.0), layers, WINDOW)

    def bump(distance):
        return 1 / (1 + distance**2)

    config = replace(FAST, epochs=10, rule=MPDED(bump, masked=False))
    done = fit(net, config, task(), path=tmp_path / "run.npz")
    assert evaluate(net, done.params, *task(seed=1)).accuracy > 0.9
    loaded, *_ = load_model(tmp_path / "run.npz", {"TwoStepNeuron": TwoStepNeuron})
    assert loaded == net
    with pytest.raises(CheckpointError, match="TwoStepNeuron"):
        load_model(tmp_path / "run.npz")


def test_the_example_of_an_own_neuron_and_rule_learns():
    example = runpy.run_path(str(Path(__file__).parent.parent / "examples/own_neuron_and_rule.py"))
    assert all(accuracy > 0.85 for accuracy in example["main"]().values())


def test_what_the_training_page_shows_runs(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parent.parent / "docs/training.md").read_text()
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, {})
    assert float(capsys.readouterr().out.split()[0]) > 0.9


def test_settings_in_numbers_of_numpy_are_saved_and_resumed(tmp_path):
    """Floats of NumPy had no JSON form, and the first checkpoint failed."""
    x, y = task()
    theirs = replace(FAST, epochs=np.int64(2), optimizer=AdamW(np.float32(0.25)))
    first = fit(network(), theirs, (x, y), path=tmp_path / "run.npz")
    again = fit(network(), replace(FAST, epochs=2, optimizer=AdamW(0.25)), (x, y), path=tmp_path / "run.npz")
    assert same(first.params, again.params)
    assert again.history == first.history
