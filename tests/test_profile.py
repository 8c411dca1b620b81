"""A profile says exactly where instructions went, and estimates time by what it says (about 20 s)."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from pyedge import image
from pyedge.boards import batch, icount
from pyedge.boards import profile as profiles
from pyedge.cli import app
from pyedge.errors import DataError
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind, Surrogate


def model(kind: InputKind = InputKind.SPIKES, learns: tuple[bool, ...] = (True, True, True)) -> IntegerModel:
    rng = np.random.default_rng(3)
    shape, window = (24, 16, 12, 5), 8
    layers = []
    for l in range(3):
        last, fan_out = l == 2, shape[l + 1]
        passes = any(learns[: l + 1])
        theta0 = 256 * 60
        layers.append(
            IntegerLayer(
                NeuronKind.LINEAR if last else NeuronKind.LIF,
                rng.integers(-90, 91, (shape[l], fan_out)), np.zeros(fan_out),
                np.asarray(0 if last else theta0), np.asarray(0 if last else theta0 // window),
                learns=learns[l], surrogate=Surrogate.NONE if last else Surrogate.RECTANGULAR,
                gate_width=0 if last else 2000, rate_shift=-6, down_shift=0 if last else 5,
                capacity=fan_out * window if l == 0 and passes else 0,
            )
        )  # fmt: skip
    return IntegerModel(window, kind, tuple(layers), score_mult=300, score_shift=10, seed=1)


@pytest.mark.parametrize("board", ["mps2-an386", "armv6m"])
@pytest.mark.parametrize("kind", list(InputKind))
def test_parts_add_up_to_what_was_counted(board: str, kind: InputKind) -> None:
    integers = model(kind)
    blob, windows = image.write(integers), profiles.random_windows(integers, 2, 0.2)
    p = profiles.profile(blob, board, windows, [0, 1])
    operations = [batch.open_image(blob)]
    for k, inputs in enumerate(windows):
        operations += [batch.window(kind, inputs), batch.learn(k, profiles.WHOLE)]
    _, regions = icount.measure(board, operations)
    for phase in ("infer", "learn"):
        whole = sum(r.total.instructions for r in regions if r.name == phase) / 2
        assert 0 <= p.total(phase).instructions - whole < 30  # the markers of the region
        assert sorted(r.layer for r in p.phases if r.phase == phase and r.layer is not None) == [0, 1, 2]
        assert all(r.instructions > 0 and r.loads > 0 for r in p.phases)


def test_what_no_board_could_run_is_named_before_it_starts() -> None:
    """Values beyond 8 and 16 bits wrapped around, and were counted."""
    blob = image.write(model())
    window = profiles.random_windows(model(), 1, 0.2)[0]
    for windows, labels in (([], None), ([window], [0, 1]), ([window + 2], None), ([window / 1.0], None)):
        with pytest.raises(DataError):
            profiles.profile(blob, "mps2-an386", windows, labels)
        with pytest.raises(DataError):
            icount.count(blob, windows, labels)
    with pytest.raises(DataError):
        batch.window(InputKind.FRAMES, np.array([[128]]))
    with pytest.raises(DataError):
        batch.push(np.array([[40000]]))


def test_layers_below_the_lowest_that_learns_cost_nothing_to_learn() -> None:
    integers = model(learns=(False, False, True))
    p = profiles.profile(image.write(integers), "mps2-an386", profiles.random_windows(integers, 1, 0.2), [0])
    assert [r.layer for r in p.phases if r.phase == "learn"] == [2, None]


def test_more_spikes_cost_the_first_layer_more_and_a_silent_net_no_sops() -> None:
    integers = model(learns=(False, False, False))
    blob = image.write(integers)
    quiet, busy = (
        profiles.profile(blob, "mps2-an386", profiles.random_windows(integers, 1, rate)) for rate in (0, 0.5)
    )
    assert quiet.total("infer").sops == 0 and quiet.phases[0].instructions < busy.phases[0].instructions
    assert [r.phase for r in quiet.phases].count("learn") == 0


def test_time_follows_clock_and_wait_states() -> None:
    integers = model()
    blob, windows = image.write(integers), profiles.random_windows(integers, 1, 0.2)
    slow, fast, waiting = (
        profiles.profile(blob, "mps2-an386", windows, [0], clock, waits).total("infer")
        for clock, waits in ((10_000_000, 0), (80_000_000, 0), (80_000_000, 4))
    )
    assert slow.cycles == fast.cycles < waiting.cycles
    assert slow.microseconds == pytest.approx(8 * fast.microseconds)
    assert replace(slow, microseconds=0.0) == replace(fast, microseconds=0.0)


def test_the_command_prints_and_draws(tmp_path) -> None:
    path, picture = tmp_path / "m.edge", tmp_path / "p.png"
    path.write_bytes(image.write(model()))
    call = ["profile", str(path), "--board", "mps2-an386", "--windows", "1"]
    done = CliRunner().invoke(app, [*call, "--json", "--plot", str(picture)])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["totals"]["learn"]["instructions"] > 0 and "cycles" in found["estimated"]["fields"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "~cycles" in CliRunner().invoke(app, call).stdout
