"""The C runtime refuses by name what it must, and touches only the memory it was given (about 15 s)."""

import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strategies import SEEDS, graphs, models, tangles, windows

from pyedge import errors, image, runtime
from pyedge._edge import ffi, lib
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind, Surrogate
from pyedge.runtime import Model, Net

ROOT = Path(__file__).parent.parent
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def small(learns: bool = True, kind: InputKind = InputKind.SPIKES, **first: Any) -> IntegerModel:
    """6 inputs, 5 hidden neurons, 3 classes, 4 steps."""
    rng = np.random.default_rng(5)
    hidden = {
        "neuron": NeuronKind.LIF,
        "weights": rng.integers(-100, 101, (6, 5)),
        "bias": np.zeros(5),
        "theta0": np.full(5, 256 * 20),
        "alpha": np.full(5, 256 * 5),
        "learns": learns,
        "surrogate": Surrogate.RECTANGULAR,
        "gate_width": 1000,
        "down_shift": 4,
        "rate_shift": -8,
    }
    readout = IntegerLayer(
        NeuronKind.LINEAR,
        rng.integers(-100, 101, (5, 3)),
        np.zeros(3),
        np.zeros(3),
        np.zeros(3),
        learns=learns,
    )
    return IntegerModel(4, kind, (IntegerLayer(**(hidden | first)), readout), class_names=("a", "bc", "ü"))


def window_of(model: IntegerModel, seed: int = 0) -> Any:
    shape = (model.inputs,) if model.input_kind == InputKind.STATIC else (model.window, model.inputs)
    return np.random.default_rng(seed).integers(0, 2, shape)


def code(name: str) -> int:
    return next(c for c, e in runtime.ERRORS.items() if e.name == f"EDGE_ERR_{name}")


# The list of errors


def test_the_list_of_errors_is_whole() -> None:
    header = (ROOT / "runtime_c/include/edge/error.h").read_text()
    names = {e.name for e in runtime.ERRORS.values()}
    assert len(names) == header.count("X(EDGE_ERR_")
    for number, kind in runtime.ERRORS.items():
        assert kind.name in header
        assert kind.code == number
        assert len(str(kind())) > 20
    assert ffi.string(lib.edge_error_text(0)) == b"no error"
    assert ffi.string(lib.edge_error_text(-9999)) == b"unknown error"
    assert ffi.string(lib.edge_error_name(-9999)) == b""


# Images


def test_an_image_says_what_it_is() -> None:
    model = Model.open(small())
    assert (model.window, model.inputs, model.classes, model.layers) == (4, 6, 3, 2)
    assert model.input_kind == InputKind.SPIKES
    assert model.class_names == ("a", "bc", "ü")
    assert ffi.string(lib.edge_model_class_name(model.c, 3)) == b""


def test_null_and_misaligned_images_are_refused() -> None:
    blob = image.write(small())
    memory, model = runtime.memory(len(blob) + 8), ffi.new("edge_model_t *")
    shifted = ffi.cast("char *", memory) + 1
    ffi.memmove(shifted, blob, len(blob))
    assert lib.edge_model_open(model, shifted, len(blob)) == code("ALIGN")
    assert lib.edge_model_open(model, ffi.NULL, len(blob)) == code("ARGUMENT")
    assert lib.edge_model_open(ffi.NULL, memory, len(blob)) == code("ARGUMENT")


def test_every_truncation_is_refused() -> None:
    blob = image.write(small())
    for length in range(len(blob)):
        with pytest.raises(errors.ImageTruncatedError):
            Model(blob[:length])
    with pytest.raises(errors.ImageError):
        Model(blob + bytes(8))


def test_every_damaged_byte_is_refused() -> None:
    blob = image.write(small())
    expected = {range(4): "MAGIC", range(4, 5): "VERSION", range(12, len(blob)): "CRC"}
    for at in range(len(blob)):
        damaged = bytearray(blob)
        damaged[at] ^= 0x81
        with pytest.raises(errors.ImageError) as caught:
            Model(bytes(damaged))
        for where, name in expected.items():
            if at in where:
                assert caught.value.name == f"EDGE_ERR_{name}", at


def test_a_newer_image_is_told_from_a_broken_one() -> None:
    newer = bytearray(image.write(small()))
    newer[4] = 3
    with pytest.raises(errors.ImageVersionError, match="rebuild the firmware"):
        Model(bytes(newer))


@settings(max_examples=300, suppress_health_check=SLOW, phases=[Phase.generate])
@given(st.data())
def test_a_resealed_image_opens_in_c_exactly_if_it_does_in_python(data: st.DataObject) -> None:
    """Damaged in any bytes but with a fresh checksum: C and Python have the same opinion; what opens runs."""
    drawn = st.one_of(models(largest=8, longest=8), graphs(longest=8), tangles(longest=8))
    blob = bytearray(image.write(data.draw(drawn)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, min(len(blob), 420) - 1) | st.integers(0, len(blob) - 1))
        blob[at] = data.draw(st.integers(0, 255))
    agree_on(resealed(bytes(blob), 0, b""))


@settings(max_examples=25, suppress_health_check=SLOW, phases=[Phase.generate])
@given(st.data())
def test_no_field_of_a_layer_opens_in_c_alone(data: st.DataObject) -> None:
    """Every byte of a layer of a graph, with the values about it and at its ends: the same opinion."""
    model = data.draw(st.one_of(tangles(longest=8), graphs(longest=8)))
    blob = image.write(model)
    version = int.from_bytes(blob[4:6], "little")
    size, layer = image.LAYER_SIZES[version], data.draw(st.integers(0, len(model.layers) - 1))
    for at in range(image.HEADER_SIZE + layer * size, image.HEADER_SIZE + (layer + 1) * size):
        for value in {0, 1, 2, 3, 127, 128, 255, (blob[at] + 1) % 256, (blob[at] - 1) % 256} - {blob[at]}:
            agree_on(resealed(blob, at, bytes([value])))


def agree_on(blob: bytes) -> None:
    """C opens the image exactly if Python does."""
    try:
        Model(blob)
        ours = True
    except errors.ImageError:
        ours = False
    try:
        image.read(blob)
        theirs = True
    except errors.PyEdgeError:
        theirs = False
    # Python also refuses texts that are not UTF-8 or JSON, of which the runtime knows nothing.
    assert ours or not theirs
    if ours and not theirs:
        with pytest.raises(errors.ImageError, match=r"UTF-8|JSON|metadata|name"):
            image.read(blob)


def resealed(blob: bytes, at: int, value: bytes) -> bytes:
    """The image or state with other bytes and a fresh checksum."""
    changed = bytearray(blob)
    changed[at : at + len(value)] = value
    changed[12:16] = zlib.crc32(changed[16:]).to_bytes(4, "little")
    return bytes(changed)


@pytest.mark.parametrize("bits", [8, 10])
def test_weights_out_of_range_or_in_the_padding_are_refused(bits: int) -> None:
    """In an image and in a saved state: the kernels' bounds rest on it."""
    blob, width = image.write(small(bits=bits)), bits // 8 + bits % 8 // 2
    table = int.from_bytes(blob[40:44], "little")
    weights = int.from_bytes(blob[table + 28 : table + 32], "little")
    fresh = Net(Model(blob), "learn")
    cases = [(5, 1), (8 + 7, -1)] + ([(0, 512), (0, -513)] if bits == 10 else [])
    for index, value in cases:
        stored = value.to_bytes(width, "little", signed=True)
        with pytest.raises(errors.ImageError):
            Model(resealed(blob, weights + width * index, stored))
        with pytest.raises(runtime.ERRORS[code("STATE")]):
            fresh.load(resealed(fresh.save(), 24 + width * index, stored))
    allowed = (-(2 ** (bits - 1))).to_bytes(width, "little", signed=True)
    Model(resealed(blob, weights, allowed))
    fresh.load(resealed(fresh.save(), 24, allowed))
    assert fresh.weights()[0][0, 0] == -(2 ** (bits - 1))


# Nets: arguments, modes, order of calls


def test_a_net_needs_memory_that_is_there_aligned_and_large_enough() -> None:
    model = Model.open(small())
    size = model.arena_size("learn")
    arena, weights, net = runtime.memory(size), runtime.memory(model.weights_size), ffi.new("edge_net_t *")
    off = ffi.cast("char *", arena) + 4

    def init(
        n: Any = net, m: Any = model.c, w: Any = weights, a: Any = arena, s: int = size, mode: int = 1
    ) -> int:
        return int(lib.edge_net_init(n, m, w, a, s, mode))

    assert init() == 0
    assert init(n=ffi.NULL) == init(m=ffi.NULL) == init(w=ffi.NULL) == init(a=ffi.NULL) == code("ARGUMENT")
    assert init(m=ffi.new("edge_model_t *")) == init(mode=7) == code("ARGUMENT")
    assert init(a=off) == init(w=off) == code("ALIGN")
    assert init(s=size - 1) == code("MEMORY")
    assert init(w=ffi.NULL, s=model.arena_size(), mode=0) == 0
    assert init(m=Model.open(small(learns=False)).c) == code("MODE")


def test_calls_out_of_order_are_refused() -> None:
    model = small()
    net = Net(Model.open(model), "learn")
    for question in (net.predict, net.scores, lambda: net.likelihood(0)):
        with pytest.raises(runtime.ERRORS[code("WINDOW")]):
            question()
    for label in (-1, 3, 2**31 - 1):
        with pytest.raises(errors.LabelError):
            net.learn_begin(label)
    with pytest.raises(runtime.ERRORS[code("WINDOW")]):
        net.learn_begin(0)
    with pytest.raises(runtime.ERRORS[code("ARGUMENT")]):
        net.learn_run(10)
    net.step(window_of(model)[0])
    with pytest.raises(runtime.ERRORS[code("WINDOW")]):
        net.learn_begin(0)
    with pytest.raises(errors.LabelError):
        net.likelihood(3)
    assert lib.edge_net_step(net.c, ffi.NULL) == code("ARGUMENT")
    assert lib.edge_net_scores(net.c, ffi.NULL) == code("ARGUMENT")
    assert lib.edge_net_likelihood(net.c, 0, ffi.NULL) == code("ARGUMENT")
    assert lib.edge_net_predict(net.c, ffi.NULL) >= 0
    with pytest.raises(runtime.ERRORS[code("ARGUMENT")]):
        net.rate_decay(16)
    assert lib.edge_net_stats(net.c, 2, ffi.new("edge_stats_t *")) == code("ARGUMENT")
    assert lib.edge_net_stats(net.c, 0, ffi.NULL) == code("ARGUMENT")
    assert lib.edge_net_count(net.c, ffi.NULL) == 0
    assert lib.edge_net_stats(net.c, 0, ffi.new("edge_stats_t *")) == code("ARGUMENT")


def test_a_net_that_learns_is_busy_until_it_is_done() -> None:
    model = small()
    net = Net(Model.open(model), "learn")
    state = net.save()
    net.run_window(window_of(model, 1))
    net.learn_begin(0)
    busy = runtime.ERRORS[code("BUSY")]
    for call in (
        net.begin,
        lambda: net.step(window_of(model)[0]),
        net.predict,
        net.scores,
        lambda: net.likelihood(0),
        lambda: net.learn_begin(0),
        lambda: net.rate_decay(1),
        net.save,
        lambda: net.load(state),
    ):
        with pytest.raises(busy, match="edge_net_learn_run"):
            call()
    assert net.updates == 0
    while net.learn_run(1):
        pass
    assert net.updates == 1
    assert net.steps == 0
    with pytest.raises(runtime.ERRORS[code("WINDOW")]):
        net.learn_begin(0)


def test_a_net_that_only_infers_does_not_learn() -> None:
    model = small()
    net = Net(Model.open(model))
    net.run_window(window_of(model))
    for call in (lambda: net.learn_begin(0), net.save, lambda: net.load(bytes(24))):
        with pytest.raises(errors.ModeError):
            call()
    with pytest.raises(errors.ModeError):
        Net(Model.open(small(learns=False)), "learn")


def test_a_window_with_too_many_spikes_is_not_learned() -> None:
    model = small(surrogate=Surrogate.LINEAR, gate_width=0, gate_mult=1, capacity=1, theta0=np.zeros(5))
    net = Net(Model.open(model), "learn")
    net.run_window(window_of(model))
    before = net.save()
    with pytest.raises(errors.CapacityError):
        net.learn_begin(0)
    assert net.save() == before
    assert net.predict().label >= 0


@pytest.mark.parametrize("kind", list(InputKind))
def test_windows_of_another_shape_or_range_are_refused(kind: InputKind) -> None:
    model = small(kind=kind)
    net = Net(Model.open(model))
    window = window_of(model)
    for wrong in (window[:-1], window[..., :-1], window + 0.5, window * 1000, window[None]):
        with pytest.raises(errors.DataError):
            net.run_window(wrong)
    net.run_window(window)


def test_static_inputs_are_read_at_the_first_step_only() -> None:
    model = small(kind=InputKind.STATIC)
    net, other = Net(Model.open(model)), Net(Model.open(model))
    window = window_of(model, 3)
    assert lib.edge_net_step(net.c, ffi.NULL) == code("ARGUMENT")
    net.step(window)
    for _ in range(model.window - 1):
        net.step(None)
    assert other.run_window(window) == net.predict()


def test_a_step_after_a_whole_window_starts_the_next() -> None:
    model = small()
    net, other = Net(Model.open(model)), Net(Model.open(model))
    net.run_window(window_of(model, 1))
    for row in window_of(model, 2):
        net.step(row)
    assert other.run_window(window_of(model, 2)) == net.predict()


# States


def test_a_foreign_or_damaged_state_is_refused_and_loads_nothing() -> None:
    model = small()
    net, other = Net(Model.open(model), "learn"), Net(Model.open(small(down_shift=5)), "learn")
    net.run_window(window_of(model, 1))
    net.learn(1)
    state, before = net.save(), other.save()
    refused = runtime.ERRORS[code("STATE")]
    with pytest.raises(refused):
        other.load(state)
    assert other.save() == before
    fresh = Net(Model.open(model), "learn")
    blank = fresh.save()
    for at in range(len(state)):
        damaged = bytearray(state)
        damaged[at] ^= 0x40
        with pytest.raises(refused):
            fresh.load(bytes(damaged))
    for length in range(len(state)):
        with pytest.raises(refused):
            fresh.load(state[:length])
    assert fresh.save() == blank
    assert lib.edge_net_load(fresh.c, ffi.NULL, len(state)) == code("STATE")
    assert lib.edge_net_save(net.c, runtime.memory(len(state)), len(state) - 1) == code("MEMORY")
    fresh.load(state)
    assert fresh.save() == state


# Memory


GUARD = 64


@settings(max_examples=120, suppress_health_check=SLOW)
@given(st.data())
def test_no_byte_outside_the_arena_is_touched(data: st.DataObject) -> None:
    """Arena and weights of exactly the stated size, garbage inside and guards around: the same bits."""
    model = data.draw(models())
    opened = Model.open(model)
    mode = "learn" if opened.weights_size else "infer"
    plain = Net(opened, mode)
    size, rng = opened.arena_size(mode), np.random.default_rng(data.draw(SEEDS))
    room = rng.integers(0, 256, size + opened.weights_size + 3 * GUARD + 8, np.uint8)
    skew = -ffi_address(room) % 8
    inner = room[skew : skew + 3 * GUARD + size + opened.weights_size]
    guards = np.ones(len(inner), bool)
    arena_at, weights_at = GUARD, 2 * GUARD + size
    guards[arena_at : arena_at + size] = False
    guards[weights_at : weights_at + opened.weights_size] = False
    before = inner[guards].copy()
    start = ffi.cast("char *", ffi.from_buffer(inner))

    net = Net(opened, mode)
    weights = start + weights_at if opened.weights_size else ffi.NULL
    runtime.check(lib.edge_net_init(net.c, opened.c, weights, start + arena_at, size, runtime.MODES[mode]))
    for _ in range(2):
        window = data.draw(windows(model))
        assert net.run_window(window) == plain.run_window(window)
        if mode == "learn":
            label = data.draw(st.integers(0, model.classes - 1))
            outcomes = []
            for n in (net, plain):
                try:
                    outcomes.append(n.learn(label, 40) > 0)
                except errors.CapacityError:
                    outcomes.append(False)
            assert outcomes[0] == outcomes[1]
            assert net.save() == plain.save()
    np.testing.assert_array_equal(inner[guards], before)


def ffi_address(array: Any) -> int:
    return int(ffi.cast("uintptr_t", ffi.from_buffer(array)))


@settings(max_examples=60, suppress_health_check=SLOW)
@given(st.data())
def test_two_nets_side_by_side_do_not_disturb_each_other(data: st.DataObject) -> None:
    """Steps and slices of two models in turn give what each gives alone: no state is shared."""
    kinds = (InputKind.SPIKES, InputKind.FRAMES)
    drawn = [data.draw(models(learning=True, longest=12, input_kinds=kinds)) for _ in range(2)]
    opened = [Model.open(m) for m in drawn]
    inputs = [data.draw(windows(m)) for m in drawn]
    alone, together = [Net(m, "learn") for m in opened], [Net(m, "learn") for m in opened]
    learns = []
    for net, window in zip(alone, inputs, strict=True):
        net.run_window(window)
        try:
            net.learn(0)
            learns.append(True)
        except errors.CapacityError:
            learns.append(False)
    for t in range(max(m.window for m in drawn)):
        for net, window in zip(together, inputs, strict=True):
            if t < len(window):
                net.step(window[t])
    going = [net for net, ok in zip(together, learns, strict=True) if ok]
    for net in going:
        net.learn_begin(0)
    while going:
        going = [net for net in going if net.learn_run(30)]
    assert [net.save() for net in together] == [net.save() for net in alone]


# Sanitizers


def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    """The whole core under address and undefined-behaviour sanitizers, on images whole and damaged."""
    drawn = [small(), small(kind=InputKind.FRAMES), small(kind=InputKind.STATIC, bits=10)]

    @settings(max_examples=30, suppress_health_check=SLOW)
    @given(st.one_of(models(largest=30, longest=24), graphs(), tangles()))
    def draw(model: IntegerModel) -> None:
        drawn.append(model)

    draw()
    paths: list[Path] = []
    for k, model in enumerate(drawn):
        paths.append(tmp_path / f"{k}.edge")
        paths[-1].write_bytes(image.write(model))
    program, sources = tmp_path / "smoke", sorted((ROOT / "runtime_c/src").rglob("*.c"))
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g"]
    build = ["gcc", "-std=c99", *sanitize, f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/runtime_c/src"]
    source = ROOT / "tests/c/test_runtime.c"
    subprocess.run([*build, source, *sources, "-o", program], check=True, capture_output=True, text=True)
    run = subprocess.run([program, *paths], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-4000:]


def test_statistics_can_be_compiled_out(tmp_path: Path) -> None:
    """With EDGE_NO_STATS the runtime learns the same and counts nothing."""
    sources = sorted((ROOT / "runtime_c/src").rglob("*.c"))
    program = tmp_path / "plain.c"
    program.write_text(
        '#include "edge/edge.h"\n'
        "int main(void) {\n"
        "    static edge_net_t net;\n"
        "    edge_stats_t stats;\n"
        "    return edge_net_count(&net, &stats) != EDGE_ERR_ARGUMENT || edge_net_count(&net, 0) != 0;\n"
        "}\n"
    )
    build = [
        "gcc",
        "-std=c99",
        "-DEDGE_NO_STATS",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{ROOT}/runtime_c/include",
    ]
    build += [f"-I{ROOT}/runtime_c/src", program, *sources, "-o", tmp_path / "plain"]
    subprocess.run(build, check=True, capture_output=True, text=True)
    subprocess.run([tmp_path / "plain"], check=True)


def test_a_mode_that_there_is_not_is_named() -> None:
    with pytest.raises(errors.ConfigError, match="mode is 'teach'; choose 'infer' or 'learn'"):
        Net(Model.open(small()), "teach")  # type: ignore[arg-type]
