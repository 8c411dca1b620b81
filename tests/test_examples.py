"""The examples run, and the C program computes what the same code in Python computes (about 25 s)."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyedge import boards, errors, image
from pyedge.c_array import c_array
from pyedge.encode import EncoderConfig
from pyedge.link import Board
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind, Surrogate
from pyedge.runtime import Model, Net
from pyedge.runtime_stream import Stream

ROOT = Path(__file__).parent.parent
SAMPLES, LEARNED = 1000, 200


def small_model() -> IntegerModel:
    """16-24-3 with random weights and a log encoder."""
    rng = np.random.default_rng(0)
    hidden = IntegerLayer(
        NeuronKind.LIF,
        rng.integers(-90, 91, (16, 24)),
        np.zeros(24),
        np.asarray(256 * 3000),
        np.asarray(256 * 300),
        learns=True,
        surrogate=Surrogate.LINEAR,
        down_shift=6,
        rate_shift=-2,
        input_shift=5,
        gate_shift=12,
        gate_mult=300,
        capacity=240,
    )
    readout = IntegerLayer(
        NeuronKind.LINEAR,
        rng.integers(-90, 91, (24, 3)),
        np.zeros(3),
        np.asarray(0),
        np.asarray(0),
        learns=True,
    )
    encoder = EncoderConfig("log_frames", hop=5, hops=5, shift=3, centre0=900, centre1=1000, stride=5)
    return IntegerModel(
        10,
        InputKind.FRAMES,
        (hidden, readout),
        score_mult=500,
        score_shift=14,
        seed=3,
        encoder=encoder,
        class_names=("rest", "fist", "wave"),
    )


def electrodes() -> np.ndarray:
    """The samples of examples/link_runtime.c."""
    seed, out = 1, np.zeros((SAMPLES, 8), np.int16)
    for n in range(SAMPLES):
        for c in range(8):
            seed = (seed * 1664525 + 1013904223) % 2**32
            strength = 4 + 12 * ((c + n // 200) % 8)
            out[n, c] = (seed >> 16 & 0xFF) * strength // 128 - strength
    return out


def expected_lines(blob: bytes) -> list[str]:
    net = Net(Model(blob), "learn")
    stream = Stream(net, 256)
    lines = []
    for n, sample in enumerate(electrodes()):
        stream.push(sample[None])
        found = stream.poll()
        if found is None:
            continue
        name = net.model.class_names[found.label]
        lines.append(f"sample {n}: {found.label} {name}, {found.confidence} of 32768")
        if n < LEARNED:
            net.learn(1)
    return [*lines, f"{net.updates} updates, 0 samples lost"]


def test_the_runtime_builds_by_hand_as_the_readme_says(tmp_path: Path) -> None:
    """It once named src/*.c alone, which does not link."""
    readme = (ROOT / "README.md").read_text("utf-8")
    sources = [path for glob in re.findall(r"`(runtime_c/\S+\*\.c)`", readme) for path in ROOT.glob(glob)]
    includes = re.findall(r"-I(runtime_c/\w+)", readme)
    (tmp_path / "model.h").write_text(c_array(image.write(small_model()), "model_image"))
    command = ["gcc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}"]
    command += [f"-I{ROOT / folder}" for folder in includes]
    command += [str(path) for path in (ROOT / "examples" / "link_runtime.c", *sources)]
    done = subprocess.run([*command, "-o", str(tmp_path / "program")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "0 samples lost" in subprocess.check_output([str(tmp_path / "program")], text=True)


@pytest.mark.parametrize("language", ["c -std=c99", "c -std=c11", "c++ -std=c++11"])
def test_an_image_as_source_is_of_every_language(tmp_path: Path, language: str) -> None:
    """-std=c99 -pedantic once warned of a word of C11, and C++ does not know it."""
    source = tmp_path / "source.txt"
    source.write_text(c_array(bytes(24), "model_image") + "int main(void) { return model_image[0]; }\n")
    command = ["gcc", "-x", *language.split(), "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_linked_program_predicts_and_learns_as_the_library_does(tmp_path: Path) -> None:
    blob = image.write(small_model())
    (tmp_path / "model.h").write_text(c_array(blob, "model_image"))
    build = tmp_path / "build"
    for command in (
        [
            "cmake",
            "-G",
            "Ninja",
            "-S",
            str(ROOT / "examples"),
            "-B",
            str(build),
            f"-DMODEL_FOLDER={tmp_path}",
        ],
        ["cmake", "--build", str(build)],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    ran = subprocess.run([str(build / "link_runtime")], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    expected = expected_lines(blob)
    assert len(expected) > 20
    assert ran.stdout.splitlines() == expected


def test_training_deploying_and_adapting_in_python_ends_with_the_same_weights() -> None:
    command = [sys.executable, str(ROOT / "examples" / "train_deploy_adapt.py"), "1"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "the same weights, bit for bit" in ran.stdout


def test_parts_of_ones_own_train_a_useful_network() -> None:
    command = [sys.executable, str(ROOT / "examples" / "custom_parts.py")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout.split(":")[1].split(",")[0]) > 0.5  # eight gestures: chance is 0.125


def test_the_notebook_runs() -> None:
    notebook = json.loads((ROOT / "examples" / "data_to_board.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell.get("outputs") for cell in notebook["cells"])  # what was shown once goes stale
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(cells)],
        cwd=ROOT / "examples",
        env=os.environ | {"PYEDGE_QUICK": "1", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "reference, host and board agree on every weight" in done.stdout


# Pages


def blocks(page: str) -> list[str]:
    """The Python code of a page of docs/."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize(("page", "number"), [("training.md", 0), ("data.md", 0), ("boards.md", 0)])
def test_code_of_the_pages_runs_as_printed(page: str, number: int, tmp_path: Path) -> None:
    (tmp_path / "runs" / "wrist").mkdir(parents=True)
    (tmp_path / "runs" / "wrist" / "model.edge").write_bytes(image.write(small_model()))
    done = subprocess.run(
        [sys.executable, "-c", blocks(page)[number]], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_app_of_the_page_deploys_learns_and_finds_it_again() -> None:
    app: dict[str, Any] = {}
    (code,) = blocks("app.md")
    exec(code, app)
    blob, samples = image.write(small_model()), electrodes()[:400]
    with boards.start("mps2-an386") as running:
        with app["connect"](running.port, blob) as board:
            before = app["watch"](board, samples, label=1)
            assert app["learn"](board) in ("kept", "reverted")
            next(board.stream(samples))
            board.learn(2)  # and not committed
            learned = board.status().committed
        with app["connect"](running.port, blob) as board:  # not sent again, nothing taken back
            assert board.status().updates > (learned or 0)
            assert board.rollback() == (learned or 0)
            assert len(app["watch"](board, samples)) == len(before)
        with app["connect"](running.port, image.write(replace(small_model(), seed=4))) as board:
            assert board.status().updates == 0
        with app["connect"](running.port, blob) as board:  # sent again: what was committed is back
            assert board.status().updates == (learned or 0)


def test_the_page_of_apps_names_calls_and_errors_that_there_are() -> None:
    page = (ROOT / "docs" / "app.md").read_text("utf-8")
    calls = set(re.findall(r"board\.(\w+)\(", page)) | {"remember", "practise", "wear", "keep", "rehearse"}
    assert [name for name in calls if not hasattr(Board, name)] == []
    named = set(re.findall(r"`(\w+Error)`", page))
    assert [name for name in named if not hasattr(errors, name)] == []
