"""The command line: every command teaches, speaks JSON, and turns an error into one message (about 25 s)."""

import json
import re
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyedge import datasets, task
from pyedge.cli import app, console, main, monitor
from pyedge.datasets import catalog
from pyedge.errors import DataError, PortLostError, PyEdgeError
from pyedge.evaluation import Outcome
from pyedge.image import read, write
from pyedge.link import Board, Loopback
from pyedge.model import load_model
from pyedge.recipe import parse, plain

GROUPS = {group.name: group.typer_instance for group in app.registered_groups}
COMMANDS = sorted(
    [command.name or "" for command in app.registered_commands]
    + [f"{name} {c.name}" for name, group in GROUPS.items() if group for c in group.registered_commands]
)
# One person, eight neurons: a whole run takes a second.
SMALL = """
name = "small"
[network]
hidden = [8]
input_scale = 64
[encoder]
hops = 5
[augment]
rotation = 0.25
[[stages]]
name = "first"
people = "wearer"
epochs = 2
[[stages]]
name = "second"
people = "wearer"
sessions = [2]
epochs = 2
"""


def call(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    out = capsys.readouterr()
    return int(end.value.code or 0), out.out, out.err


def answer(capsys: pytest.CaptureFixture[str], *arguments: Any) -> Any:
    """The JSON object of a command that succeeds: all of standard output."""
    status, out, err = call(capsys, *arguments, "--json")
    assert status == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and quantized run."""
    folder = tmp_path_factory.mktemp("cli")
    recipe = folder / "small.toml"
    recipe.write_text(SMALL)
    for arguments in (["train", recipe, "--out", folder / "run"], ["quantize", folder / "run"]):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        assert not end.value.code
    return folder / "run"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(capsys: pytest.CaptureFixture[str], command: str) -> None:
    status, out, _ = call(capsys, *command.split(), "--help")
    assert status == 0
    assert re.search(rf"Examples?: pyedge {command}", " ".join(out.split()))
    assert "--json" in out


def test_the_page_shows_every_command() -> None:
    page = (Path(__file__).parent.parent / "docs" / "cli.md").read_text("utf-8")
    shown = set(re.findall(r"^pyedge (\w+)", page, re.MULTILINE))
    assert shown == {command.split()[0] for command in COMMANDS}


def test_data_tells_what_is_here_and_checks_it(capsys: pytest.CaptureFixture[str]) -> None:
    sets = {s["name"]: s for s in answer(capsys, "data")["sets"]}
    assert sets["myo_wrist_embedded"]["files_here"] == 5
    found = answer(capsys, "data", "myo_wrist_embedded", "--check")
    assert [r["trials"] for r in found["recordings"]] == [144] * 5


def test_data_names_missing_files_and_their_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = answer(capsys, "data", "myo_rsp4", "--root", tmp_path)
    assert found["missing"] == ["one_person.npz"]
    assert found["folder"] == str(tmp_path / "myo_rsp4")


def test_data_knows_every_set_a_recipe_can_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = answer(capsys, "data")
    assert [s["name"] for s in found["sets"]] == list(datasets.names())
    assert [s["name"] for s in found["sample_sets"]] == list(catalog.names())
    for name in catalog.names():
        status, out, _ = call(capsys, "data", name, "--root", tmp_path, "--check")
        info = catalog.describe(name)
        assert status == 1
        assert info.title in out and info.origin in out
        assert f"MissingDataError: {tmp_path / info.folder}" in out  # what to get, and where it goes


def test_a_run_holds_model_logs_picture_and_report(run: Path) -> None:
    names = {p.name for p in run.iterdir()}
    assert {
        "model.npz",
        "log.csv",
        "log.json",
        "curve.png",
        "report.json",
        "model.edge",
        "model.json",
    } <= names
    rows = json.loads((run / "log.json").read_text())
    assert [row["stage"] for row in rows] == ["first", "first", "second", "second"]
    assert len((run / "log.csv").read_text().splitlines()) == 5


def test_an_interrupted_run_resumes_to_the_same_bits(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(SMALL)
    whole_fit, seen = task.fit, []

    def fit(*arguments: Any, **named: Any) -> Any:
        on_epoch = named.pop("on_epoch")

        def stop(row: Any) -> None:
            on_epoch(row)
            seen.append(row)
            if len(seen) == 3:  # in the second stage
                raise KeyboardInterrupt

        return whole_fit(*arguments, on_epoch=stop, **named)

    monkeypatch.setattr(task, "fit", fit)
    assert call(capsys, "train", recipe, "--out", tmp_path / "run")[0] == 130
    monkeypatch.setattr(task, "fit", whole_fit)
    assert call(capsys, "train", recipe, "--out", tmp_path / "run")[0] == 1  # a run lies there
    assert call(capsys, "train", recipe, "--out", tmp_path / "run", "--seed", 1, "--resume")[0] == 1
    assert call(capsys, "train", recipe, "--out", tmp_path / "run", "--resume")[0] == 0
    one, other = (load_model(folder / "model.npz")[1] for folder in (run, tmp_path / "run"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_every_integer_backend_says_the_same(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limit = ("--limit", 60)
    integers = [
        answer(capsys, "eval", run / "model.edge", "--on", on, *limit)
        for on in ("reference", "host", "board")
    ]
    assert integers[0]["confusion"] == integers[1]["confusion"] == integers[2]["confusion"]
    assert answer(capsys, "eval", run, *limit)["count"] == 60


def test_a_confusion_matrix_counts_every_window_once(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "eval", run)
    matrix = np.array(found["confusion"])
    assert matrix.sum() == found["count"]
    assert found["accuracy"] == pytest.approx(np.trace(matrix) / matrix.sum())
    assert found["balanced_accuracy"] == pytest.approx(np.mean(np.diag(matrix) / matrix.sum(1)))


def test_describe_states_the_bytes_of_the_image(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "describe", run / "model.edge")
    assert found["image_bytes"] == (run / "model.edge").stat().st_size
    assert answer(capsys, "describe", run)["wearer"] == "p10000"


def test_learning_is_the_same_on_host_reference_and_board(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state.bin"
    command = ("adapt", run / "model.edge", "--passes", 1, "--remembered", 0.5)
    floats = tmp_path / "learned.npz"
    host = answer(capsys, *command, "--state", state, "--floats", floats)
    same = answer(capsys, *command, "--on", "reference")
    for key in ("accuracy_before", "accuracy_after", "recall_after", "updates", "weights_changed"):
        assert host[key] == same[key]
    assert host["weights_changed"] > 0
    assert state.read_bytes()[:4] == b"EDGS"
    fresh, learned = (task.open_trained(path) for path in (run, floats))
    assert any((fresh.params[k] != learned.params[k]).any() for k in fresh.params)
    answer(capsys, "quantize", floats, "--out", tmp_path / "again.edge")  # a model like any other


def test_an_image_that_does_not_learn_is_refused_by_adapt(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = tmp_path / "fixed.edge"
    answer(capsys, "quantize", run, "--learn", "none", "--out", fixed)
    status, _, err = call(capsys, "adapt", fixed)
    assert status == 1
    assert "no layer of this image learns" in err


@pytest.mark.parametrize(
    ("recipe", "command", "text"),
    [
        (5, "eval", "a table is needed, not 5"),
        (["samples"], "adapt", "a table is needed"),
        ({"samples": {}}, "eval", "unit of its inputs"),
        ({"samples": {}}, "adapt", "images or events"),
    ],
)
def test_an_image_that_tells_of_an_odd_recipe_is_named(
    recipe: Any, command: str, text: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number for a recipe was a TypeError; an image of a vision recipe had an "unknown key"."""
    odd = tmp_path / "odd.edge"
    odd.write_bytes(write(replace(read((run / "model.edge").read_bytes()), metadata={"recipe": recipe})))
    status, _, err = call(capsys, command, odd)
    assert status == 1
    assert text in err


@pytest.mark.parametrize("wrong", [-1, 3])
def test_what_is_no_class_is_in_no_confusion_matrix(wrong: int) -> None:
    """A prediction beyond the classes counted as the next row's first."""
    names, right, odd = ("a", "b", "c"), np.array([0, 1]), np.array([0, wrong])
    assert Outcome(right, right, names).confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    for pair in ((right, odd), (odd, right)):
        with pytest.raises(DataError, match=f"{wrong} is none of the 3 classes"):
            Outcome(*pair, names)


def test_deploy_states_what_the_board_has(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "deploy", run / "model.edge")
    assert found["image_bytes"] == (run / "model.edge").stat().st_size
    assert 0 < found["memory"]["needed"] <= found["memory"]["work"]


def test_nobody_takes_an_emulated_board_for_theirs(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pyedge.cli.deploy.connected", lambda *_: nullcontext(Board(Loopback())))
    for arguments, said in (([], True), (["--port", "here"], False)):
        _, out, err = call(capsys, "deploy", run / "model.edge", *arguments)
        assert ("the emulated board ends with this command" in err) == said
        assert "committed copy" in out


def test_monitor_judges_what_the_board_says(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "monitor", run / "model.edge", "--seconds", 12, "--speed", 0)
    assert found["windows"] >= found["judged"] > 0
    assert found["samples_lost"] == 0
    assert found["layers"][0]["spikes_in"] > 0


def test_a_class_that_the_board_was_taught_besides_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The view ended with an IndexError."""
    board = Board(Loopback())
    board.stats = tuple  # type: ignore[method-assign,assignment]
    with console.errors.capture() as shown:
        console.errors.print(monitor.picture(monitor.View(("a", "b"), windows=1, label=2), board, 5))
    assert "class 2" in shown.get()
    assert call(capsys, "profile", "model.edge", "--board", "mps2-an386", "--seed", -1)[0] == 2


def test_boards_are_listed_and_run(capsys: pytest.CaptureFixture[str]) -> None:
    boards = answer(capsys, "boards")["boards"]
    name = boards[0]["name"]
    assert answer(capsys, "boards", name, "--run", "--seconds", 0)["port"].startswith("/dev/")


def test_the_report_never_takes_the_place_of_the_image(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--out image.json` wrote the report over the image."""
    status, _, err = call(capsys, "quantize", run, "--out", tmp_path / "image.json")
    assert status == 1 and ".edge" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["quantize", "RUN", "--out", "RUN/model.npz"],
        ["quantize", "RUN", "--out", "RUN/1-first.npz"],
        ["quantize", "RUN/model.npz", "--out", "RUN/model.npz"],
        ["quantize", "RUN", "--out", "RUN/recipe.edge"],  # its report's name
        ["quantize", "RUN", "--c-array", "RUN/log.csv"],
        ["quantize", "RUN", "--c-array", "RUN/model.edge"],
        ["adapt", "RUN/model.edge", "--state", "RUN/model.edge"],
        ["adapt", "RUN/model.edge", "--floats", "RUN/model.npz"],
        ["adapt", "RUN/model.edge", "--state", "RUN/one", "--floats", "RUN/one"],
        ["onnx", "export", "RUN/model.edge", "--out", "RUN/model.edge"],
        ["onnx", "export", "RUN", "--out", "RUN/../run/model.npz"],
    ],
)
def test_nothing_is_written_over_what_is_read(
    run: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    status, _, err = call(capsys, *(a.replace("RUN", str(run)) for a in arguments))
    assert status == 1
    assert "name another file" in err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["data", "nothing"], "DataError"),
        (["train", "missing.toml"], "RecipeError"),
        (["eval", "missing"], "CheckpointError"),
        (["describe", "missing.edge"], "DataError"),
        (["deploy", "missing.edge"], "DataError"),
        (["boards", "nothing"], "UnknownBoardError"),
        (["boards", "--run"], "ConfigError"),
        (["reproduce", "emg", "--only", "nothing"], "ConfigError"),
        (["quantize", "missing.npz"], "CheckpointError"),
    ],
)
def test_a_named_error_is_one_message(
    capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    status, out, err = call(capsys, *arguments, "--json")
    assert status == 1
    assert json.loads(out)["error"] == error
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("error: ")
    assert "Traceback" in call(capsys, *arguments, "--debug")[2]


def test_a_damaged_image_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blob = bytearray((run / "model.edge").read_bytes())
    blob[len(blob) // 2] ^= 1
    damaged = tmp_path / "damaged.edge"
    damaged.write_bytes(blob)
    for command in ("describe", "deploy", "eval", "monitor"):
        status, _, err = call(capsys, command, damaged)
        assert status == 1
        assert str(damaged) in err


@pytest.mark.parametrize(
    "command", ["quantize", "describe", "eval", "deploy", "adapt", "monitor", "onnx export", "onnx import"]
)
def test_a_wrong_kind_of_file_is_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """A run's folder was "Is a directory", a file of other arrays "not whole ('meta')"."""
    image, model = (run / "model.edge").read_bytes(), (run / "model.npz").read_bytes()
    wrong = {
        "none.edge": None, "none.npz": None, "empty.edge": b"", "empty.npz": b"", "recipe.toml": b"seed = 1",
        "cut.edge": image[:-1], "header.edge": image[:10], "cut.npz": model[:-1], "model.edge": model,
        "bytes": bytes(range(256)),
    }  # fmt: skip
    for name, blob in wrong.items():
        if blob is not None:
            (tmp_path / name).write_bytes(blob)
    np.savez(tmp_path / "arrays.npz", x=np.zeros(3))
    for name in (*wrong, "arrays.npz", "."):
        file = tmp_path / name
        status, out, err = call(capsys, *command.split(), file, "--json")
        assert (status, json.loads(out)["message"]) == (1, err.removeprefix("error: ").strip()), (name, err)
        assert str(file) in err, (name, err)
        assert "Errno" not in err, err


def test_a_port_that_is_not_there_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, "deploy", run / "model.edge", "--port", "/dev/not-there")
    assert status == 1
    assert "/dev/not-there" in err


def test_a_wrong_command_line_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "eval")[0] == 2
    assert call(capsys, "nothing")[0] == 2


def test_an_image_carries_its_recipe(run: Path) -> None:
    from pyedge.predict import open_any

    opened = open_any(run / "model.edge")
    assert (
        plain(opened.recipe())["network"]
        == plain(parse({"network": {"hidden": [8], "input_scale": 64}}))["network"]
    )


@pytest.mark.parametrize("option", ["--board", "--port"])
@pytest.mark.parametrize("command", ["eval", "adapt"])
def test_a_board_that_is_named_is_used(
    run: Path, capsys: pytest.CaptureFixture[str], command: str, option: str
) -> None:
    """Both once ran on the host and left the board out in silence."""
    status, _, err = call(capsys, command, run / "model.edge", option, "nothing")
    assert status == 1
    assert "nothing" in err
    status, _, err = call(capsys, command, run / "model.edge", option, "nothing", "--on", "host")
    assert status == 1
    assert f"leave {option} out" in err


def test_what_cannot_be_written_is_refused_before_it_is_learned(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def study(*_: Any) -> None:
        raise AssertionError("learned in vain")

    monkeypatch.setattr("pyedge.wearer.study", study)
    image = run / "model.edge"
    alone = tmp_path / "alone.edge"
    alone.write_bytes(image.read_bytes())
    for arguments, reason in (
        ([image, "--state", tmp_path], "is a folder"),
        ([image, "--floats", tmp_path / "alone.edge" / "x.npz"], "is not a folder"),
        ([alone, "--floats", tmp_path / "x.npz"], "holds no run"),
    ):
        status, _, err = call(capsys, "adapt", *arguments)
        assert status == 1
        assert reason in err


def test_a_run_that_trained_nothing_leaves_its_folder_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "small.toml", tmp_path / "run"
    recipe.write_text(SMALL.replace("[network]", "[training]\nlr = 1e9\n[network]"))
    status, _, err = call(capsys, "train", recipe, "--out", out)
    assert status == 1
    assert "learning rate" in err
    recipe.write_text(SMALL)
    assert call(capsys, "train", recipe, "--out", out)[0] == 0  # once: "holds a run already"


def test_an_image_is_known_by_its_bytes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_name = tmp_path / "image.bin"
    plain_name.write_bytes((run / "model.edge").read_bytes())
    for command in (["describe"], ["eval", "--limit", 8], ["onnx", "export", "--form", "step"]):
        answer(capsys, *command, plain_name)
    status, _, err = call(capsys, "quantize", plain_name)
    assert status == 1
    assert "is an image already" in err


def test_a_model_that_is_not_there_says_why(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "recipe.json").write_text("{}")
    for path, reason in (
        (tmp_path, "holds no run"),
        (unfinished, "--resume goes on"),
        (run / "1-first.npz", "a checkpoint of a stage"),
    ):
        status, _, err = call(capsys, "quantize", path)
        assert status == 1
        assert reason in err
    status, _, err = call(capsys, "adapt", run)
    assert status == 1
    assert f"give {run / 'model.edge'}" in err


def test_describe_reads_every_float_network(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parameters = 16 * 8 + 8 + 8 * 8 + 8
    for path in (run, run / "model.npz", run / "1-first.npz"):
        assert answer(capsys, "describe", path)["parameters"] == parameters
        assert f"{parameters} parameters" in call(capsys, "describe", path)[1]


def test_what_describe_prints_fits_a_screen(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The recipe in an image was once one line of two thousand columns."""
    _, out, _ = call(capsys, "describe", run / "model.edge")
    assert max(map(len, out.splitlines())) <= 110
    assert re.search(r"^recipe.network +bias true, .*hidden \[8\]", out, re.MULTILINE)


def test_a_picture_of_no_known_format_is_refused_by_name(tmp_path: Path) -> None:
    """It was once called a defect of pyedge."""
    from pyedge.plots import training_curve

    with pytest.raises(PyEdgeError, match=r"picture\.xyz: pictures cannot be xyz"):
        training_curve([{"loss": 1.0, "accuracy": 0.5}], tmp_path / "picture.xyz")


def test_too_many_repetitions_say_how_many_there_are(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, "adapt", run / "model.edge", "--repetitions", 6)
    assert status == 1
    assert "take at most 5" in err


def test_facts_of_a_board_are_words(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "boards", "mps2-an386")
    assert status == 0
    assert "{" not in out


def test_monitor_names_a_board_that_has_another_model(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`reset: no model is loaded` and `set image to its bytes` were all that it said."""
    board = Board(Loopback())
    monkeypatch.setattr("pyedge.cli.monitor.connected", lambda *_: nullcontext(board))
    command = ("monitor", run / "model.edge", "--no-deploy", "--seconds", 1, "--speed", 0)
    for what in ("no model", "another model"):
        status, _, err = call(capsys, *command)
        assert status == 1
        assert f"has {what}; leave --no-deploy out" in err
        board.deploy(write(replace(read((run / "model.edge").read_bytes()), name="another")))
    board.deploy((run / "model.edge").read_bytes())
    assert call(capsys, *command)[0] == 0


def test_what_monitor_has_seen_is_told_though_the_line_breaks(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board = Board(Loopback())
    monkeypatch.setattr("pyedge.cli.monitor.connected", lambda *_: nullcontext(board))
    command = ("monitor", run / "model.edge", "--seconds", 3, "--speed", 0)
    for reason, ended in ((PortLostError("gone"), 1), (KeyboardInterrupt(), 0)):
        pieces = board.stream

        def stream(samples: Any, whole: Any = pieces, reason: BaseException = reason) -> Any:
            yield from whole(samples)
            if board.status().windows >= 5:
                raise reason

        monkeypatch.setattr(board, "stream", stream)
        status, out, err = call(capsys, *command)
        assert status == ended
        assert "5 windows" in out + err or "4 windows" in out + err
        monkeypatch.setattr(board, "stream", pieces)


def test_train_without_matplotlib_ends_well_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`pip install .` brings none: the first training ended with status 1, after all its epochs."""
    recipe = tmp_path / "small.toml"
    recipe.write_text(SMALL)
    for name in ("matplotlib", "matplotlib.backend_bases"):
        monkeypatch.setitem(sys.modules, name, None)
    status, out, err = call(capsys, "train", recipe, "--out", tmp_path / "run", "--json")
    assert status == 0
    assert json.loads(out)["epochs"] == 4
    assert "without curve.png: pip install 'pyedge[plot]'" in err
    status, _, err = call(capsys, "train", recipe, "--out", tmp_path / "other", "--plot")
    assert status == 1
    assert "pictures need matplotlib" in err
    assert not (tmp_path / "other").exists()  # said before it trained


def test_a_picture_that_cannot_be_is_refused_before_anything_is_measured(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pyedge.boards.profile.profile", lambda *_: pytest.fail("measured in vain"))
    command = ("profile", run / "model.edge", "--board", "mps2-an386", "--plot")
    for picture, reason in ((tmp_path / "p.xyz", "pictures cannot be xyz"), (tmp_path, "is a folder")):
        status, _, err = call(capsys, *command, picture)
        assert status == 1
        assert reason in err
