"""Studies of the paper's results: what is kept, what is counted, and that no test is learned from (10 s)."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyedge import cli, reproduce
from pyedge.datasets import (
    EmgData,
    Recording,
    Trial,
    check_disjoint,
    describe,
    fixed_windows,
    peak_windows,
)
from pyedge.errors import ConfigError, DataError, StorageError
from pyedge.losses import CountCrossEntropy
from pyedge.model import Input
from pyedge.neuron import IF, LIF
from pyedge.reproduce import ablations, activity, certainty, emg, emg_page, pages, table1
from pyedge.reproduce.emg_protocols import FINGERS, OTHERS, Arm, cut, encoded, folds_of
from pyedge.reproduce.study import Page, Stage, Study, found, plain, run
from pyedge.rules import MPDED, STDED, stbp
from pyedge.trainer import TrainConfig
from pyedge.vision import read

ROOT = Path(__file__).parent.parent


def ignore(*_):
    pass


# Stages


def stage(name, settings, log, fail=False):
    def work(_, tick):
        if fail:
            raise RuntimeError("cut off")
        log.append(name)
        tick(1.0, "done")
        return {"value": len(name), "shares": np.array([1 / 3])}

    return Stage(name, settings, work)


def test_an_interrupted_study_goes_on_and_does_nothing_twice(tmp_path):
    log = []
    listed = [stage("a", {"n": 1}, log), stage("b", {"n": 1}, log, fail=True), stage("c", {"n": 1}, log)]
    with pytest.raises(RuntimeError):
        run(listed, tmp_path, ignore)
    listed[1] = stage("b", {"n": 1}, log)
    run(listed, tmp_path, ignore)
    assert log == ["a", "b", "c"]
    assert found(listed, tmp_path)["a"] == {"value": 1, "shares": [0.333333]}


def test_a_result_counts_for_its_own_settings_alone(tmp_path):
    log = []
    run([stage("a", {"n": 1}, log)], tmp_path, ignore)
    other = stage("a", {"n": (2,)}, log)
    assert found([other], tmp_path) == {}
    run([other], tmp_path, ignore)
    assert log == ["a", "a"] and found([other], tmp_path)


def test_a_damaged_result_is_named(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(StorageError, match=r"a\.json"):
        found([stage("a", {}, [])], tmp_path)


def test_the_command_writes_page_and_figures_and_goes_on(tmp_path, monkeypatch, capsys):
    log = []
    listed = [stage("a-1", {}, log), stage("b-1", {}, log)]

    def page(results, command):
        return Page(f"{command}: {sorted(results)}\n", [("-x.txt", lambda path: path.write_text("drawn"))])

    toy = Study("table3", "toy", lambda quick: listed, page)
    monkeypatch.setattr(reproduce, "study", lambda name: toy)
    base = ["reproduce", "table3", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--json"]
    for extra, done in ((["--only", "b"], 1), ([], 2), (["--page"], 2)):
        with pytest.raises(SystemExit) as ended:
            cli.main([*base, *extra])
        assert ended.value.code == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["done"], said["stages"]) == (done, 2)
    assert log == ["b-1", "a-1"]
    assert (tmp_path / "out/table3.md").read_text() == "pyedge reproduce table3: ['a-1', 'b-1']\n"
    assert (tmp_path / "out/table3-x.txt").read_text() == "drawn"
    kept = json.loads((tmp_path / "out/table3.json").read_text())
    assert kept["results"]["a-1"]["value"] == 3 and kept["command"] == "pyedge reproduce table3"


def test_a_page_of_nothing_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "table3", "--page", "--work", str(tmp_path), "--out", str(tmp_path)])
    assert "no stage is done" in capsys.readouterr().err


def test_every_study_lists_stages_of_distinct_names():
    for name in reproduce.NAMES:
        for quick in (False, True):
            names = [s.name for s in reproduce.study(name).stages(quick)]
            assert len(set(names)) == len(names)
            assert all(json.dumps(plain(s.settings)) for s in reproduce.study(name).stages(quick))
    with pytest.raises(ConfigError, match="table1"):
        reproduce.study("table2")


# Certainty


@given(st.integers(1, 10**6), st.data())
def test_a_binomial_interval_holds_the_share_and_narrows(count, data):
    correct = data.draw(st.integers(0, count))
    low, high = certainty.binomial(correct, count)
    assert 0 <= low <= correct / count + 1e-12 and correct / count <= high + 1e-12 <= 1 + 2e-12
    more = certainty.binomial(4 * correct, 4 * count)
    assert more[1] - more[0] < high - low


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_people_s_interval_holds_their_mean_and_lies_within_them(shares):
    low, high = certainty.over_people(shares)
    assert min(shares) - 1e-9 <= low <= high <= max(shares) + 1e-9
    assert low - 1e-9 <= np.mean(shares) <= high + 1e-9 or len(set(shares)) > 1


def test_no_interval_without_samples():
    for bad in (
        lambda: certainty.binomial(1, 0),
        lambda: certainty.binomial(3, 2),
        lambda: certainty.over_people([1]),
    ):
        with pytest.raises(DataError):
            bad()


# Table III


@pytest.mark.parametrize("method", ["mpd_ed", "std_ed"])
def test_table_2_gives_the_papers_reductions(method):
    hidden, output, reduction = activity.PAPER[method]
    share = 1 - activity.formula(method, hidden, output, 200, 10) / activity.formula("stbp", 0, 0, 200, 10)
    assert 100 * share == pytest.approx(reduction, abs=0.015)


RULES = {"mpd_ed": (LIF(), MPDED()), "std_ed": (IF(), STDED()), "stbp": (LIF(alpha=0.0), stbp())}


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(RULES)), st.integers(0, 10**6))
def test_operations_are_those_of_the_plain_loops(method, seed):
    rng = np.random.default_rng(seed)
    neuron, rule = RULES[method]
    from pyedge.model import dense_network

    net = dense_network(Input("spikes", (5,)), (4,), 3, 6, "spiking", neuron)
    params = net.init(seed)
    x, y = rng.random((6, 2, 5)) < 0.4, rng.integers(0, 3, 2)
    layers = activity.errors(net, params, TrainConfig(loss=CountCrossEntropy(), rule=rule), x, y)
    record = net.forward(params, x, True)
    loss = CountCrossEntropy()(record.outputs, y)
    for name, gradient in net.backward(params, record, loss.error, rule).items():
        np.testing.assert_allclose(layers[name], gradient, atol=1e-6)
    for name in net.spiking:
        layer = layers[name]
        counts = activity.operations(layer, method)
        error, fired, inputs = layer["potential_error"], layer["run"].fired, layer["inputs"]
        inter = intra = induced = update = 0
        for t, b, i in np.argwhere(error != 0):
            inter += inputs.shape[2] if method == "stbp" else int(inputs[t, b].sum())
            update += int(inputs[t, b].sum())
            if t and method != "std_ed":
                intra += int(not fired[t - 1, b, i])
                induced += 1 if method == "stbp" else int(fired[t - 1, b, i])
        want = {"inter": inter / 2, "intra": intra / 2, "induced": induced / 2, "update": update / 2}
        assert {k: counts[k] for k in want} == pytest.approx(want)


@pytest.mark.parametrize("method", activity.METHODS)
def test_activity_is_measured_with_the_papers_recipe(method):
    written = read(ROOT / f"examples/recipes/paper/nmnist-dense-{method.replace('_', '-')}.toml")
    ours = activity.recipe(method, 0, 150)
    samples = replace(written.samples, set="nmnist_1000", binary=True)
    assert replace(ours, samples=samples) == replace(
        written, samples=samples, training=replace(written.training, loss=ours.training.loss)
    )
    assert ours.samples == samples


# Table I and the ablations


def test_table_1_has_every_cell_and_the_papers_figure():
    cells = {}
    for file in table1.RECIPES.glob("*.toml"):
        title = file.read_text().splitlines()[0]
        if title.startswith("# Table I:"):
            cells[file.stem] = float(title.rsplit("the paper: ", 1)[1].split()[0])
    assert cells == table1.CELLS
    assert set(table1.PARTS) <= set(cells)


@pytest.mark.parametrize("figure", ["fig4", "fig5"])
def test_arms_differ_in_the_method_alone(figure):
    recipes = [ablations.recipe(arm, False) for arm in ablations.ARMS[figure]]
    alike = {
        replace(
            r,
            name="",
            network=replace(r.network, initial_spikes=0.0),
            training=replace(r.training, method="mpd_ed"),
        )
        for r in recipes
    }
    assert len(alike) == 1
    assert {r.training.method for r in recipes} == set(ablations.ARMS[figure])


# EMG


def recordings(rng, people=("s01", "s02"), sessions=(1, 2, 3), trials=4, classes=3, length=60):
    """Short recordings: trials with pauses between them, a level a class and channel."""
    made = []
    for person in people:
        for index, session in enumerate(sessions):
            listed, parts = [], []
            for n in range(trials * classes):
                size = int(rng.integers(length - 15, length + 15))
                level = 10 * rng.random(8) + 40 * (np.arange(8) == n % classes)
                parts += [rng.normal(0, level, (size, 8)), rng.normal(0, 3, (20, 8))]
                listed.append(Trial(sum(map(len, parts[:-2])), size, n % classes, n // classes))
            samples = np.concatenate(parts).clip(-128, 127).astype(np.int8)
            made.append(Recording(samples, 200.0, "toy", person, session, None, index, tuple(listed)))
    return tuple(made)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 90))
def test_windows_of_one_length_lie_within_their_recordings(seed, length):
    found_in = recordings(np.random.default_rng(seed), people=("s01",), sessions=(1,))
    fixed, peaks = fixed_windows(found_in, length), peak_windows(found_in, length)
    assert len(fixed) == sum(len(r.trials) for r in found_in)
    for windows in (fixed, peaks):
        if len(windows):
            assert windows.stacked().shape[1:] == (length, 8)
    for n in range(len(peaks)):
        trial = peaks.trial_of(n)
        start = int(peaks.start[n])
        size = np.abs(found_in[0].emg.astype(int)).sum(1)
        whole = next(t for t in found_in[0].trials if t.start <= start and start + length <= t.stop)
        assert trial.label == whole.label
        assert size[start : start + length].sum() == max(
            size[a : a + length].sum() for a in range(whole.start, whole.stop - length + 1)
        )


@pytest.mark.parametrize("protocol", [*FINGERS, *OTHERS], ids=lambda p: p.name)
def test_no_trial_is_on_both_sides(protocol):
    people = ("eval_1", "eval_2") if protocol.people else ("s01", "s02")
    made = recordings(np.random.default_rng(1), people, sessions=(1, 2, 3, 4))
    for train, test in folds_of(protocol, EmgData(describe("myo_fingers"), made)):
        check_disjoint(train, test)
        assert train and test


@pytest.mark.parametrize("arm", [Arm("mpd_ed"), Arm("std_ed"), Arm("mpd_ed", True, True), Arm("svm", True)])
def test_every_kind_of_classifier_learns_the_easy_set(arm, monkeypatch):
    info = replace(describe("myo_fingers"), classes=("a", "b", "c"))
    data = EmgData(info, recordings(np.random.default_rng(2)))
    monkeypatch.setattr(emg, "_data", lambda name: data)
    t = emg.Training(hidden=(32,), epochs=60, batch=16, lr=0.01, own_epochs=2)
    protocol = replace(FINGERS[2], steps=10, hop=5)
    result = emg.outcome(protocol, arm, t, 0, False, ignore)
    assert len(result["folds"]) == 3 and np.mean(emg_page.accuracies(result)) > 0.8
    for fold in result["folds"]:
        people = np.array(list(fold["people"].values()))
        assert people.sum(0).tolist() == [np.trace(fold["confusion"]), np.sum(fold["confusion"])]
    page = emg_page.page({f"trials-{arm.name}-0": plain(result)}, "command").text
    assert pages.percent(float(np.mean(emg_page.accuracies(plain(result))))) in page


def test_training_never_sees_the_test(monkeypatch):
    """Other test samples change predictions of themselves alone: training and calibration are the same."""
    made = recordings(np.random.default_rng(3))
    protocol = replace(FINGERS[2], steps=10, hop=5)
    train, test = folds_of(protocol, EmgData(describe("myo_fingers"), made))[0]
    other = tuple(replace(r, emg=(r.emg // 2).astype(np.int8)) for r in test)
    sides = [encoded(protocol, train, (cut(protocol, train), cut(protocol, t))) for t in (test, other)]
    np.testing.assert_array_equal(sides[0][0].x, sides[1][0].x)
    assert not np.array_equal(sides[0][1].x, sides[1][1].x)
