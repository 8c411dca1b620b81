"""Law: what onnxruntime makes of an export is what the model makes, integers to the last bit (about 30 s)."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import strategies
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from pyedge.architectures import Style, build
from pyedge.cli import main
from pyedge.errors import ConfigError
from pyedge.interop.onnx import OnnxError, export, load
from pyedge.layers import Conv, Dense, Flatten, MaxPool, MeanPool, Residual, Spiking
from pyedge.model import Input, Network, dense_network, save_model
from pyedge.neuron import IF, LIF, SRM
from pyedge.quant import reference
from pyedge.quant.model import InputKind, IntegerModel

CASES = 60


def run(proto: onnx.ModelProto, feeds: dict[str, Any]) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def states_of(proto: onnx.ModelProto) -> dict[str, Any]:
    """The states of a step form as a window of three samples begins."""
    found = {}
    for value in proto.graph.input:
        if value.name != "x":
            dims = [d.dim_value for d in value.type.tensor_type.shape.dim][1:]
            kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            found[value.name] = np.full((3, *dims), int("age" in value.name), kind)
    return found


def drawn_inputs(model: IntegerModel, seed: int, count: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    lead = (count,) if model.input_kind == InputKind.STATIC else (count, model.window)
    if model.input_kind == InputKind.SPIKES:
        return rng.random((*lead, model.inputs)) < rng.choice([0.05, 0.5, 1.0])
    return rng.integers(-128, 128, (*lead, model.inputs)).astype(np.int8)


INTEGERS = st.one_of(strategies.models(largest=20, longest=12), strategies.graphs())


@settings(max_examples=CASES)
@given(INTEGERS, strategies.SEEDS)
def test_integer_windows_to_the_last_bit(model, seed):
    x = drawn_inputs(model, seed)
    static = model.input_kind == InputKind.STATIC
    found = run(export(model, spikes=True), {"x": x if static else np.swapaxes(x, 0, 1)})
    weights = tuple(layer.weights for layer in model.layers)
    for i, window in enumerate(x):
        record = reference.run_window(model, weights, window)
        expected = reference.active(model, record.scores)
        np.testing.assert_array_equal(found["scores"][i], expected)
        assert found["label"][i] == expected.argmax()
        for l, layer in enumerate(model.layers):
            if layer.spiking:
                np.testing.assert_array_equal(found[f"spikes{l}"][:, i], record.fired[l])


@settings(max_examples=CASES // 2)
@given(INTEGERS, strategies.SEEDS)
def test_integer_steps_carry_their_state(model, seed):
    x = drawn_inputs(model, seed)
    proto = export(model, form="step")
    state = states_of(proto)
    for t in range(model.window):
        found = run(proto, {"x": x if x.ndim == 2 else x[:, t], **state})
        state = {name: found[f"{name}_next"] for name in state}
    weights = tuple(layer.weights for layer in model.layers)
    expected = reference.run_windows(model, weights, x)
    np.testing.assert_array_equal(found["scores"], expected[:, : model.classes])


@settings(max_examples=20)
@given(INTEGERS)
def test_integer_models_come_back_whole(model):
    from pyedge import image

    back = load(export(model).SerializeToString())
    assert back.model is not None and image.write(back.model) == image.write(model)


SHAPE = (6, 7, 2)
LIFS, IFS, SRMS = (Spiking(n) for n in (LIF(alpha=0.125), IF(alpha=0.25), SRM(5, 3, alpha=0.125)))


def images(*layers: Any, kind: str = "frames", channels: str = "last", scale: float = 1.0) -> Network:
    shape = SHAPE if channels == "last" else (2, 6, 7)
    return Network(Input(kind, shape, scale, channels), layers, 4)  # type: ignore[arg-type]


NETWORKS = {
    "dense": dense_network(Input("spikes", (12,)), (20, 9), 4, 6, neuron=LIF(alpha=0.125)),
    "static": dense_network(Input("static", (12,), 4.0), (20,), 4, 6, "spiking", neuron=IF(alpha=0.125)),
    "conv": images(Conv(5, 3), LIFS, MaxPool(2), Conv(4, 3, stride=2), LIFS, Flatten(), Dense(3)),
    "direct": images(Conv(5, 3), IFS, MeanPool(2), Dense(3), kind="static", channels="first", scale=2.0),
    "spike add": images(Conv(4, 3), IFS, Residual((Conv(4, 3), IFS)), Dense(3)),
    "membrane add": images(
        Conv(4, 3), Residual((LIFS, Conv(6, 3)), (Conv(6, 1, padding=0),)), LIFS, Dense(3)
    ),
    "alpha kernel": dense_network(Input("frames", (12,)), (20,), 4, 6, neuron=SRMS.neuron),
}


def float_case(name: str, seed: int) -> tuple[Network, dict[str, np.ndarray], np.ndarray]:
    """Weights and inputs of few bits, so that sums are exact in any order and spikes equal."""
    network, rng = NETWORKS[name], np.random.default_rng(seed)
    params = {
        key: (np.rint(p * 32 + rng.integers(-2, 5, p.shape)) / 32).astype(np.float32)
        for key, p in network.init(seed).items()
    }
    lead = (3,) if network.input.kind == "static" else (network.window, 3)
    x = rng.integers(-4, 9, (*lead, *network.input.shape)).astype(np.float32) / 8
    return network, params, x > 0.5 if network.input.kind == "spikes" else x


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", range(4))
def test_float_windows_and_steps(name, seed):
    network, params, x = float_case(name, seed)
    record = network.forward(params, x)
    expected = network.scores(params, x)
    proto = export(network, params, spikes=True)
    found = run(proto, {"x": x})
    np.testing.assert_allclose(found["scores"], expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found["label"], expected.argmax(axis=1))
    for layer, ran in network.runs(record).items():
        np.testing.assert_array_equal(found[f"spikes.{layer}"], ran.fired)
    step = export(network, params, form="step")
    state = states_of(step)
    for t in range(network.window):
        now = run(step, {"x": x if network.input.kind == "static" else x[t], **state})
        state = {name: now[f"{name}_next"] for name in state}
    np.testing.assert_allclose(now["scores"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_float_networks_come_back(name):
    network, params, x = float_case(name, 1)
    back = load(export(network, params))
    assert back.network is not None and back.params is not None
    np.testing.assert_array_equal(back.network.scores(back.params, x), network.scores(params, x))


@pytest.mark.parametrize("norm", ["batch", "weight"])
def test_norms_fold_into_the_export(norm):
    style = Style(LIF(), "max", norm, dropout=0.2)  # type: ignore[arg-type]
    network = build("8C3-P2-12", Input("static", (1, 8, 8), channels="first"), 3, 4, style)
    params, rng = network.init(0), np.random.default_rng(0)
    x = rng.standard_normal((5, 1, 8, 8)).astype(np.float32)
    found = run(export(network, params), {"x": x})["scores"]
    same = np.abs(found - network.scores(params, x)).max(axis=1) < 1e-5
    assert same.sum() >= 4  # one rounding can move a spike
    body = next(n for n in export(network, params).graph.node if n.op_type == "Scan").attribute
    kinds = {n.op_type for a in body for n in a.g.node}
    assert "BatchNormalization" not in kinds and "Dropout" not in kinds


def test_metadata_is_filled_in():
    proto = export(*float_case("dense", 0)[:2], name="fingers")
    about = {entry.key: entry.value for entry in proto.metadata_props}
    assert proto.producer_name == "pyedge" and proto.producer_version and proto.doc_string
    assert about["pyedge.window"] == "6" and about["pyedge.form"] == "window"
    assert json.loads(about["pyedge.network"])["window"] == 6 and proto.graph.name == "fingers"


class Cell(torch.nn.Module):
    """A plain LIF network of another framework's making: one step, states as inputs and outputs."""

    def __init__(self, reset: str) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.pool = torch.nn.MaxPool2d(2)
        self.hidden = torch.nn.Linear(4 * 3 * 3, 10)
        self.out = torch.nn.Linear(10, 3)
        self.reset = reset

    def fire(self, u: torch.Tensor, current: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        u = 0.75 * u + current
        fired = u >= 1.0
        if self.reset == "where":
            return fired.float(), torch.where(fired, torch.zeros(()), u)
        spike = fired.float()
        return spike, u * (1.0 - spike)

    def forward(self, x: torch.Tensor, u1: torch.Tensor, u2: torch.Tensor) -> tuple[torch.Tensor, ...]:
        s, u1 = self.fire(u1, self.conv(x))
        s, u2 = self.fire(u2, self.hidden(self.pool(s).flatten(1)))
        return self.out(s), u1, u2


def foreign_graph(reset: str = "where", cell: str = "Where") -> onnx.ModelProto:
    """What an exporter writes for `Cell`, node by node."""
    torch.manual_seed(1)
    module = Cell(reset)
    weights = {k: v.detach().numpy() for k, v in module.state_dict().items()}
    nodes = []

    def node(kind: str, inputs: list[str], output: str, **how: Any) -> None:
        nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}_{len(nodes)}", **how))

    def neurons(at: str, u: str, to: str) -> None:
        node("Mul", [u, "tau"], f"{u}_kept")
        node("Add", [f"{u}_kept", at], f"{u}_now")
        node("GreaterOrEqual", [f"{u}_now", "one"], f"{u}_fired")
        node("Cast", [f"{u}_fired"], to, to=TensorProto.FLOAT)
        if reset == "where":
            node(cell, [f"{u}_fired", "zero", f"{u}_now"], f"{u}_next")
        else:
            node("Sub", ["one", to], f"{u}_silent")
            node("Mul", [f"{u}_now", f"{u}_silent"], f"{u}_next")

    node("Conv", ["x", "conv.weight", "conv.bias"], "c", pads=[1] * 4, kernel_shape=[3, 3])
    neurons("c", "u1", "s1")
    node("MaxPool", ["s1"], "p", kernel_shape=[2, 2], strides=[2, 2])
    node("Flatten", ["p"], "f", axis=1)
    node("Gemm", ["f", "hidden.weight", "hidden.bias"], "h", transB=1)
    neurons("h", "u2", "s2")
    node("Gemm", ["s2", "out.weight", "out.bias"], "y", transB=1)
    weights |= {"tau": np.float32(0.75), "one": np.float32(1), "zero": np.float32(0)}
    shapes = {"x": ["n", 1, 6, 6], "u1": ["n", 4, 6, 6], "u2": ["n", 10]}
    outputs = {"y": ["n", 3], "u1_next": shapes["u1"], "u2_next": shapes["u2"]}
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in shapes.items()],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in outputs.items()],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("reset", ["where", "multiply"])
def test_plain_networks_of_cells_are_recognized(reset):
    proto = foreign_graph(reset)
    found = load(proto, window=5)
    assert found.network is not None and found.params is not None
    neurons = [layer.neuron for layer in found.network.layers if isinstance(layer, Spiking)]
    assert neurons == [LIF(0.75, 1.0, 0.0)] * 2
    x = np.random.default_rng(0).standard_normal((5, 4, 1, 6, 6)).astype(np.float32) * 2
    state = {"u1": np.zeros((4, 4, 6, 6), np.float32), "u2": np.zeros((4, 10), np.float32)}
    total = np.zeros((4, 3))
    for step in x:
        out = run(proto, {"x": step, **state})
        state = {k: out[f"{k}_next"] for k in state}
        total += out["y"]
    np.testing.assert_allclose(found.network.scores(found.params, x), total / 5, atol=1e-5)


def test_what_is_not_understood_is_listed(tmp_path):
    with pytest.raises(OnnxError, match=r"say its window"):
        load(foreign_graph())
    proto = foreign_graph()
    proto.graph.node[-1].op_type = "MatMul"
    proto.graph.node.append(helper.make_node("Tanh", ["y"], ["z"], name="squash"))
    with pytest.raises(OnnxError, match=r"nodes are not understood: .*squash \(Tanh\)"):
        load(proto, window=5)
    path = tmp_path / "cut.onnx"
    path.write_bytes(foreign_graph().SerializeToString()[:700])
    with pytest.raises(OnnxError, match=r"cut.onnx: not a whole ONNX model"):
        load(path, window=5)
    with pytest.raises(OnnxError, match=r"No such file"):
        load(tmp_path / "none.onnx")
    damaged = export(*float_case("dense", 0)[:2])
    next(e for e in damaged.metadata_props if e.key == "pyedge.network").value = "{"
    with pytest.raises(OnnxError, match="damaged"):
        load(damaged)
    with pytest.raises(ConfigError, match="'window' or 'step'"):
        export(*float_case("dense", 0)[:2], form="loop")


def node_of(proto: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(n for n in proto.graph.node if n.name.startswith(name) or name in n.output)


def give(proto: onnx.ModelProto, name: str, value: Any) -> None:
    """Another initializer of that name."""
    for tensor in [t for t in proto.graph.initializer if t.name == name]:
        proto.graph.initializer.remove(tensor)
    proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))


def no_state(proto: onnx.ModelProto) -> None:
    """The second cell leaks a constant, and its new state goes nowhere."""
    node_of(proto, "u2_kept").input[0] = "held"
    give(proto, "held", np.ones(10))
    proto.graph.input.remove(next(v for v in proto.graph.input if v.name == "u2"))


def rounded(proto: onnx.ModelProto) -> None:
    proto.graph.node.insert(0, helper.make_node("Cast", ["x"], ["x_int"], to=TensorProto.INT32))
    proto.graph.node.insert(1, helper.make_node("Cast", ["x_int"], ["x_real"], to=TensorProto.FLOAT))
    node_of(proto, "Conv").input[0] = "x_real"


def pooled_with_rest(proto: onnx.ModelProto) -> None:
    node = node_of(proto, "MaxPool")
    del node.attribute[:]
    for name, value in (("kernel_shape", [4, 4]), ("strides", [4, 4]), ("ceil_mode", 1)):
        node.attribute.append(helper.make_attribute(name, value))
    give(proto, "hidden.weight", np.ones((10, 16)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (no_state, "not understood"),
        (rounded, r"not understood: x_int \(Cast\)"),
        (pooled_with_rest, "not understood"),
        (lambda p: give(p, "tau", 1.5), r"tau is 1\.5"),
        (lambda p: give(p, "one", -1), "theta0"),
        (lambda p: give(p, "out.weight", np.ones((3, 9))), "has shape"),
        (lambda p: give(p, "conv.weight", np.ones((4, 2, 3, 3))), "has shape"),
        (lambda p: give(p, "out.weight", np.ones((1, 3, 10))), "not understood"),
        (lambda p: give(p, "hidden.bias", np.ones((2, 10))), "not understood"),
        (lambda p: setattr(p.graph.initializer[0], "raw_data", b"abc"), "cannot be read"),
        (
            lambda p: node_of(p, "MaxPool").attribute.append(helper.make_attribute("dilations", [2, 2])),
            "not understood",
        ),
    ],
)
def test_no_other_graph_is_taken_for_one_that_is_understood(change, text):
    """Cells without a state, casts to integers and pools with a rest were read as what they are not."""
    proto = foreign_graph()
    change(proto)
    with pytest.raises(OnnxError, match=text):
        load(proto, window=5)


@pytest.mark.parametrize("value", [{"value_float": 1.0}, {"value_floats": [1.0]}, {"value_int": 1}])
def test_constants_may_be_nodes_of_any_kind(value):
    proto, plain = foreign_graph(), load(foreign_graph(), window=5)
    proto.graph.initializer.remove(next(t for t in proto.graph.initializer if t.name == "one"))
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["one"], **value))
    node_of(proto, "Conv").attribute.append(helper.make_attribute("auto_pad", "NOTSET"))
    assert load(proto, window=5).network == plain.network
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value_string="text"))
    assert load(proto, window=5).network == plain.network


def test_weights_beside_the_file_are_read(tmp_path):
    proto, plain = foreign_graph(), load(foreign_graph(), window=5)
    onnx.save_model(
        proto, tmp_path / "net.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    found = load(tmp_path / "net.onnx", window=5)
    assert found.params is not None and plain.params is not None
    assert all((found.params[k] == v).all() for k, v in plain.params.items())
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(OnnxError, match=r"weights\.bin"):
        load(tmp_path / "net.onnx", window=5)


def test_parameters_of_another_network_are_named():
    network, params, _ = float_case("dense", 0)
    with pytest.raises(ConfigError, match=r"dense1\.weight is missing"):
        export(network, {k: v for k, v in params.items() if k != "dense1.weight"})
    wrong = export(network, params)
    give(wrong, "dense1.weight", np.ones((2, 2)))
    with pytest.raises(OnnxError, match=r"dense1\.weight has shape \(2, 2\)"):
        load(wrong)
    with pytest.raises(ConfigError, match=r"window is 1\.5"):
        load(foreign_graph(), window=1.5)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_damaged_files_give_a_named_error_or_a_model(at, value):
    blob = bytearray(export(*float_case("dense", 0)[:2]).SerializeToString())
    blob[at % len(blob)] = value
    with suppress(OnnxError):
        load(bytes(blob))


def call(*arguments: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    assert ended.value.code == 0


def test_on_the_command_line(tmp_path, capsys):
    network, params, x = float_case("dense", 0)
    save_model(tmp_path / "model.npz", network, params)
    call("onnx", "export", tmp_path / "model.npz", "--json")
    assert json.loads(capsys.readouterr().out)["kind"] == "float"
    found = run(onnx.load(tmp_path / "model.onnx"), {"x": x})
    np.testing.assert_allclose(found["scores"], network.scores(params, x), atol=1e-5)
    call("onnx", "import", tmp_path / "model.onnx", "--out", tmp_path / "back.npz")
    assert (tmp_path / "back.npz").exists()
