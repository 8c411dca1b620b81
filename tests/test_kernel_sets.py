"""Other kernels, and builds without convolutions or learning, give the same bits (about 40 s)."""

import ctypes
import itertools
import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import graphs, lessons, models, tangles

from pyedge import image
from pyedge.errors import CapacityError
from pyedge.quant.model import InputKind, IntegerModel, Integers
from pyedge.runtime import ERRORS, Model, Net

ROOT = Path(__file__).parent.parent
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
CHOOSE = '#include "kernels/kernels.h"\nconst edge_kernels_t *edge_kernels(void) {{ return {}(); }}\n'


def has_avx2() -> bool:
    flags = Path("/proc/cpuinfo")
    return platform.machine() == "x86_64" and flags.exists() and " avx2 " in flags.read_text()


def compile_runtime(folder: Path, name: str, kernels: str, *flags: str) -> ctypes.CDLL:
    """The runtime as a shared library that always takes the table of kernels named."""
    choose, library = folder / f"{name}.c", folder / f"{name}.so"
    choose.write_text(CHOOSE.format(kernels))
    sources = [s for s in sorted((ROOT / "runtime_c/src").rglob("*.c")) if s.name != "choose.c"]
    include = [f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/runtime_c/src"]
    command = ["gcc", "-std=c99", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", *flags, *include]
    subprocess.run([*command, choose, *sources, "-o", library], check=True, capture_output=True)
    found = ctypes.CDLL(str(library))
    for function in (found.edge_model_arena_size, found.edge_model_weights_size, found.edge_net_state_size):
        function.restype = ctypes.c_size_t
    return found


@pytest.fixture(scope="module", params=["portable", "small", "avx2"] if has_avx2() else ["portable", "small"])
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder, name = tmp_path_factory.mktemp("runtime"), request.param
    if name == "small":
        return compile_runtime(folder, name, "edge_portable_kernels", "-DEDGE_SMALL")
    return compile_runtime(folder, name, f"edge_{name}_kernels")


@pytest.fixture(scope="module", params=["-DEDGE_PORTABLE", "-DEDGE_SMALL"])
def without_maps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("runtime")
    return compile_runtime(folder, "dense", "edge_portable_kernels", "-DEDGE_NO_CONV", request.param)


def aligned(size: int) -> ctypes.Array[ctypes.c_uint64]:
    return (ctypes.c_uint64 * (-(-size // 8) + 1))()


class OtherNet:
    """A net of another build: just what is compared here."""

    def __init__(self, library: ctypes.CDLL, blob: bytes) -> None:
        self.lib, self.model, self.net = library, aligned(1024), aligned(1024)
        self.image = aligned(len(blob))
        ctypes.memmove(self.image, blob, len(blob))
        self.check(library.edge_model_open(self.model, self.image, ctypes.c_size_t(len(blob))))
        learns = library.edge_model_weights_size(self.model)
        mode = 1 if learns else 0
        size = library.edge_model_arena_size(self.model, mode)
        self.arena, self.weights = aligned(size), aligned(learns) if learns else None
        self.check(
            library.edge_net_init(self.net, self.model, self.weights, self.arena, ctypes.c_size_t(size), mode)
        )

    def check(self, result: int) -> int:
        if result < 0:
            raise ERRORS[result]
        return result

    def run_window(self, model: IntegerModel, window: Integers) -> Integers:
        """Scores of the rows that are classes."""
        spikes = model.input_kind == InputKind.SPIKES
        steps = np.broadcast_to(window, (model.window, model.inputs))
        self.check(self.lib.edge_net_begin(self.net))
        for x in steps:
            row = np.packbits(x.astype(bool), bitorder="little") if spikes else x
            self.check(self.lib.edge_net_step(self.net, row.astype(np.uint8).tobytes()))
        scores = np.zeros(model.classes, np.int32)
        self.check(self.lib.edge_net_scores(self.net, scores.ctypes.data_as(ctypes.c_void_p)))
        return scores

    def learn(self, label: int) -> None:
        self.check(self.lib.edge_net_learn_begin(self.net, label))
        while self.check(self.lib.edge_net_learn_run(self.net, 999)):
            pass

    def save(self) -> bytes:
        size = self.lib.edge_net_state_size(self.net)
        state = aligned(size)
        self.check(self.lib.edge_net_save(self.net, state, ctypes.c_size_t(size)))
        return bytes(state)[:size]


def compare(library: ctypes.CDLL, model: IntegerModel, taught: list[tuple[Integers, int]]) -> int:
    """Runs and teaches the same windows in both builds. Returns how many."""
    blob = image.write(model)
    learns = model.lowest_learning is not None
    theirs, ours = OtherNet(library, blob), Net(Model(blob), "learn" if learns else "infer")
    for window, label in taught:
        ours.run_window(window)
        np.testing.assert_array_equal(theirs.run_window(model, window), ours.scores())
        if not learns:
            continue
        try:
            ours.learn(label)
        except CapacityError:
            with pytest.raises(CapacityError):
                theirs.learn(label)
            continue
        theirs.learn(label)
        assert theirs.save() == ours.save()
    return len(taught)


def test_every_kernel_set_of_this_computer_learns_the_same_bits(other: ctypes.CDLL) -> None:
    compared = 0

    @settings(max_examples=120, suppress_health_check=SLOW)
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        nonlocal compared
        model = data.draw(st.one_of(graphs(), tangles(), models(largest=200)))
        compared += compare(other, model, data.draw(lessons(model, most=3)))

    draw()
    assert compared >= 120


def test_a_build_without_convolutions_runs_chains_and_names_what_it_lacks(without_maps: ctypes.CDLL) -> None:
    refused = 0

    @settings(max_examples=60, suppress_health_check=SLOW)
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        nonlocal refused
        model = data.draw(st.one_of(graphs(), models(largest=60)))
        dense = all(
            not (layer.conv or layer.value_pool or layer.input_down or layer.source not in (None, l - 1))
            and (layer.add, layer.current) == (None, None)
            for l, layer in enumerate(model.layers)
        )
        if dense:
            compare(without_maps, model, data.draw(lessons(model, most=3)))
            return
        with pytest.raises(ERRORS[-5]):
            OtherNet(without_maps, image.write(model))
        refused += 1

    draw()
    assert refused >= 10


@pytest.mark.parametrize(
    "without",
    [
        ("-DEDGE_NO_LEARN", "-DEDGE_PORTABLE"),
        ("-DEDGE_NO_LEARN", "-DEDGE_NO_CONV", "-DEDGE_PORTABLE"),
        ("-DEDGE_NO_LEARN", "-DEDGE_NO_CONV", "-DEDGE_SMALL"),
    ],
)
def test_a_build_without_learning_infers_the_same_and_refuses_to_learn(
    without: tuple[str, ...], tmp_path: Path
) -> None:
    library = compile_runtime(tmp_path, "infer", "edge_portable_kernels", *without)
    compared = 0

    @settings(max_examples=25, suppress_health_check=SLOW)
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        nonlocal compared
        model = data.draw(models(largest=60) if "-DEDGE_NO_CONV" in without else graphs())
        blob = image.write(model)
        other, net = OtherNet(library, blob), Net(Model(blob), "infer")
        assert library.edge_model_weights_size(other.model) == 0
        for window, _ in data.draw(lessons(model, most=2)):
            net.run_window(window)
            np.testing.assert_array_equal(other.run_window(model, window), net.scores())
            compared += 1
        assert library.edge_net_learn_begin(other.net, 0) == -10
        arena, size = other.arena, ctypes.c_size_t(ctypes.sizeof(other.arena))
        assert library.edge_net_init(other.net, other.model, other.image, arena, size, 1) == -10

    draw()
    assert compared >= 20


def test_every_choice_of_what_is_left_out_builds_without_warnings() -> None:
    sources = [
        s for folder in ("src", "link", "store") for s in sorted((ROOT / "runtime_c" / folder).rglob("*.c"))
    ]
    include = [f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/runtime_c/src"]
    check = ["gcc", "-std=c99", "-fsyntax-only", "-Wall", "-Wextra", "-Wconversion", "-Werror", *include]
    switches = ("EDGE_NO_CONV", "EDGE_NO_LEARN", "EDGE_NO_STATS", "EDGE_LINK_SMALL", "EDGE_SMALL")
    for n in range(1, len(switches) + 1):
        for chosen in itertools.combinations(switches, n):
            subprocess.run([*check, *(f"-D{switch}" for switch in chosen), *sources], check=True)
