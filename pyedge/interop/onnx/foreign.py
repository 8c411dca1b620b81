"""Recognizing other people's graphs: one step of dense or convolutional layers with LIF-like cells.

A cell is what frameworks write for a neuron that restarts at 0: u' = tau u + current (no product for an IF
neuron), a comparison with a constant threshold, and a state output that is 0 where it fired. Images are
(batch, channels, height, width), as ONNX has them; layers of the network found have channels last.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from pyedge.errors import ConfigError, OnnxError
from pyedge.layers import Conv, Dense, Layer, MaxPool, MeanPool, Spiking
from pyedge.model import Input, Network, Params, misfits
from pyedge.neuron import IF, LIF, Neuron

Weights = Mapping[str, np.ndarray[Any, Any]]

PASSED = ("Identity", "Dropout")
REALS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def recognize(
    proto: onnx.ModelProto, weights: Weights, window: int | None
) -> tuple[Network, Params, tuple[str, ...]]:
    """The network, its parameters, and notes.

    Raises OnnxError, listing every node that is not understood, and ConfigError for a window that is none.
    """
    if window is None:
        raise OnnxError("the graph is one step of another program's network; say its window (T steps)")
    if not isinstance(window, int) or window < 1:
        raise ConfigError(f"window is {window!r}; a whole number of steps, at least 1, is needed")
    try:
        return _Reader(proto.graph, weights, window).network()
    except ConfigError as error:
        raise OnnxError(f"the graph has what no network of pyedge has: {error}") from error


class _Reader:
    def __init__(self, graph: onnx.GraphProto, weights: Weights, window: int) -> None:
        self.graph, self.window = graph, window
        self.nodes = list(graph.node)  # held: they are told apart by their ids
        self.weights = dict(weights)
        for node in self.nodes:  # constants may be nodes
            if node.op_type == "Constant":
                self.weights[node.output[0]] = _constant(node)
        self.users: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.inputs = {value.name for value in graph.input}
        self.outputs = {value.name for value in graph.output}
        self.seen = {id(node) for node in self.nodes if node.op_type == "Constant"}
        self.notes: list[str] = []
        self.layers: list[Layer] = []
        self.found: list[dict[str, Any]] = []

    def network(self) -> tuple[Network, Params, tuple[str, ...]]:
        from pyedge.layers.layer import numbered, prefixed

        name, shape = self._input()
        self.map = shape if len(shape) == 3 else None
        self._walk(name)
        left = [n for n in self.nodes if id(n) not in self.seen]
        if left:
            listed = "; ".join(f"{n.name or n.output[0]} ({n.op_type})" for n in left[:20])
            more = f" and {len(left) - 20} more" if len(left) > 20 else ""
            raise OnnxError(
                f"{len(left)} of {len(self.nodes)} nodes are not understood: {listed}{more}. "
                "Understood are MatMul, Gemm, Conv, MaxPool, AveragePool, Flatten, and cells "
                "u = tau u + current that compare with a constant and restart at 0"
            )
        if not any(isinstance(layer, Dense | Conv) for layer in self.layers):
            raise OnnxError("the graph has no layer with weights on the way from its input")
        given = Input("frames", shape, channels="first" if len(shape) == 3 else "last")
        network = Network(given, tuple(self.layers), self.window)
        params: Params = {}
        for own, values in zip(numbered(self.layers), self.found, strict=True):
            params |= prefixed(own, {k: np.asarray(v, np.float32) for k, v in values.items()})
        if wrong := misfits(network.init(0), params):
            raise OnnxError(f"weights do not fit together: {'; '.join(wrong)}")
        return network, params, tuple(dict.fromkeys(self.notes))

    def _input(self) -> tuple[str, tuple[int, ...]]:
        """The data input: the one that no cell takes as its state."""
        named = [v for v in self.graph.input if v.name not in self.weights]
        states = {name for node in self.nodes for name in _state_inputs(node, named, self.users)}
        data = [v for v in named if v.name not in states]
        if len(data) != 1:
            raise OnnxError(f"one data input is expected beside states; found {[v.name for v in data]}")
        dims = [d.dim_value for d in data[0].type.tensor_type.shape.dim]
        if len(dims) not in (2, 4) or 0 in dims[1:]:
            raise OnnxError(
                f"input {data[0].name} has shape {dims}; (batch, features) or "
                "(batch, channels, height, width) with known sizes is expected"
            )
        return data[0].name, tuple(dims[1:])

    def _walk(self, at: str) -> None:
        """From layer to layer, as long as something is understood."""
        while True:
            users = [n for n in self.users.get(at, ()) if id(n) not in self.seen]
            for read in (self._passed, self._weighted, self._pool, self._flat, self._cell):
                then = read(at, users)
                if then is not None:
                    at = then
                    break
            else:
                return

    def _take(self, *nodes: NodeProto) -> None:
        self.seen.update(id(node) for node in nodes)

    def _passed(self, at: str, users: Sequence[NodeProto]) -> str | None:
        for node in users:
            real = node.op_type == "Cast" and _attributes(node)["to"] in REALS
            if (real or node.op_type in PASSED) and len(users) == 1:
                self._take(node)
                return str(node.output[0])
        return None

    def _add(self, layer: Layer, **values: Any) -> None:
        self.layers.append(layer)
        self.found.append(values)

    def _weighted(self, at: str, users: Sequence[NodeProto]) -> str | None:
        node = next((n for n in users if n.op_type in ("MatMul", "Gemm", "Conv")), None)
        if node is None or node.input[0] != at or node.input[1] not in self.weights:
            return None
        weight, how = self.weights[node.input[1]], _attributes(node)
        if weight.ndim != (4 if node.op_type == "Conv" else 2):
            return None
        bias = self.weights.get(node.input[2]) if len(node.input) > 2 else None
        out = str(node.output[0])
        if node.op_type == "Conv":
            return self._conv(node, weight, bias, how)
        if node.op_type == "Gemm":
            if how.get("transA") or how.get("alpha", 1.0) != 1.0 or how.get("beta", 1.0) != 1.0:
                return None
            weight = weight.T if how.get("transB") else weight
            if bias is not None:
                if bias.size not in (1, weight.shape[1]):
                    return None
                bias = np.broadcast_to(bias.reshape(-1), weight.shape[1])
        if self.map is not None and len(weight) != np.prod(self.map):
            return None
        self._take(node)
        after = self.users.get(out, [])
        if bias is None and len(after) == 1 and after[0].op_type == "Add":
            other = [name for name in after[0].input if name != out]
            added = self.weights.get(other[0]) if other else None
            if added is not None and added.size == weight.shape[1] == (added.shape or (1,))[-1]:
                bias = added.reshape(-1)
                self._take(after[0])
                out = str(after[0].output[0])
        if self.map is not None:  # rows in (channel, y, x) order become (y, x, channel)
            c, h, w = self.map
            weight = weight.reshape(c, h, w, -1).transpose(1, 2, 0, 3).reshape(c * h * w, -1)
            self.map = None
        self._add(Dense(weight.shape[1], bias is not None), weight=weight, **_given(bias))
        return out

    def _conv(self, node: NodeProto, weight: Any, bias: Any, how: Mapping[str, Any]) -> str | None:
        size, pads = weight.shape[2:], list(how.get("pads", [0] * 4))
        strides = how.get("strides", [1, 1])
        square = len(size) == 2 and size[0] == size[1] and len(set(pads)) == 1 and len(set(strides)) == 1
        plain = how.get("group", 1) == 1 and set(how.get("dilations", [1])) == {1} and _own_pads(how)
        if self.map is None or not (square and plain):
            return None
        self._take(node)
        layer = Conv(weight.shape[0], size[0], strides[0], pads[0], bias is not None)
        self._add(layer, weight=weight.transpose(2, 3, 1, 0), **_given(bias))
        self._pass_on(layer)
        return str(node.output[0])

    def _pass_on(self, layer: Layer) -> None:
        assert self.map is not None
        c, h, w = self.map
        h, w, c = layer.out_shape((h, w, c))
        self.map = (c, h, w)

    def _pool(self, at: str, users: Sequence[NodeProto]) -> str | None:
        node = next((n for n in users if n.op_type in ("MaxPool", "AveragePool")), None)
        if node is None or self.map is None:
            return None
        how = _attributes(node)
        kernel, strides = list(how["kernel_shape"]), list(how.get("strides", [1, 1]))
        spread = set(how.get("dilations", [1])) != {1} or not _own_pads(how)
        rest = how.get("ceil_mode") and any(n % kernel[0] for n in self.map[1:])
        if len(set(kernel)) != 1 or strides != kernel or any(how.get("pads", [])) or spread or rest:
            return None
        self._take(node)
        layer = MaxPool(kernel[0]) if node.op_type == "MaxPool" else MeanPool(kernel[0])
        self._add(layer)
        self._pass_on(layer)
        return str(node.output[0])

    def _flat(self, at: str, users: Sequence[NodeProto]) -> str | None:
        node = next((n for n in users if n.op_type in ("Flatten", "Reshape")), None)
        if node is None:
            return None
        if node.op_type == "Flatten" and _attributes(node).get("axis", 1) != 1:
            return None
        if node.op_type == "Reshape" and list(self.weights.get(node.input[1], [0]))[1:] not in (
            [-1],
            [int(np.prod(self.map or (0,)))],
        ):
            return None
        self._take(node)
        return str(node.output[0])

    def _cell(self, at: str, users: Sequence[NodeProto]) -> str | None:
        """u = tau state + at; fired = u >= theta; a state output that is 0 where it fired."""
        total = next((n for n in users if n.op_type == "Add"), None)
        if total is None:
            return None
        kept = next((name for name in total.input if name != at), None)
        if kept is None:
            return None
        leak, tau = None, 1.0
        maker = self._maker(kept)
        if maker is not None and maker.op_type == "Mul":
            factor = next((self._scalar(name) for name in maker.input if name in self.weights), None)
            if factor is None:
                return None
            leak, tau = maker, factor
            kept = next((name for name in maker.input if name not in self.weights), "")
        if kept not in self.inputs - self.weights.keys():
            return None
        u = str(total.output[0])
        compared = self._comparison(u)
        if compared is None:
            return None
        theta, nodes, fired = compared
        reset = self._reset(u, fired)
        if reset is None:
            return None
        self._take(total, *nodes, *reset, *([leak] if leak is not None else []))
        neuron: Neuron = IF(theta, 0.0) if tau == 1.0 else LIF(tau, theta, 0.0)
        self._add(Spiking(neuron))
        spike = next((n for n in self.users.get(fired, ()) if n.op_type == "Cast"), None)
        if spike is None:
            return fired
        self._take(spike)
        return str(spike.output[0])

    def _maker(self, name: str) -> NodeProto | None:
        return next((n for n in self.nodes if name in n.output), None)

    def _scalar(self, name: str) -> float | None:
        value = self.weights.get(name)
        if value is None or not value.size or (value != value.flat[0]).any():
            return None
        return float(value.flat[0])

    def _comparison(self, u: str) -> tuple[float, list[NodeProto], str] | None:
        """Threshold, nodes and result of u >= theta, u > theta, or of (u - theta) with 0."""
        for node in self.users.get(u, ()):
            if node.op_type in ("GreaterOrEqual", "Greater") and node.input[0] == u:
                theta = self._scalar(node.input[1])
                if theta is not None:
                    self._note_strict(node)
                    return theta, [node], str(node.output[0])
            if node.op_type == "Sub" and node.input[0] == u and self._scalar(node.input[1]) is not None:
                inner = self._comparison(str(node.output[0]))
                theta = self._scalar(node.input[1])
                if inner is not None and inner[0] == 0 and theta is not None:
                    return theta, [node, *inner[1]], inner[2]
        return None

    def _note_strict(self, node: NodeProto) -> None:
        if node.op_type == "Greater":
            self.notes.append(f"{node.name or node.output[0]}: u > theta is read as u >= theta")

    def _reset(self, u: str, fired: str) -> list[NodeProto] | None:
        """The nodes that make the next state 0 where the cell fired, and u elsewhere."""
        for node in self.users.get(u, ()):
            out = str(node.output[0])
            chosen = node.op_type == "Where" and [node.input[0], node.input[2]] == [fired, u]
            if chosen and self._scalar(node.input[1]) == 0 and out in self.outputs:
                return [node]
            if node.op_type == "Mul" and out in self.outputs:
                mask = next((name for name in node.input if name != u), "")
                nodes = self._silent(mask, fired)
                if nodes is not None:
                    return [node, *nodes]
        return None

    def _silent(self, mask: str, fired: str) -> list[NodeProto] | None:
        """The nodes that make `mask`: 1 where the cell did not fire."""
        maker = self._maker(mask)
        if maker is None:
            return None
        if maker.op_type == "Cast":
            inner = self._maker(str(maker.input[0]))
            if inner is not None and inner.op_type == "Not" and inner.input[0] == fired:
                return [maker, inner]
        if maker.op_type == "Sub" and self._scalar(str(maker.input[0])) == 1:
            inner = self._maker(str(maker.input[1]))
            if inner is not None and inner.op_type == "Cast" and inner.input[0] == fired:
                return [maker, inner] if len(self.users[str(inner.output[0])]) == 1 else [maker]
        return None


def _state_inputs(node: NodeProto, named: Sequence[Any], users: Mapping[str, list[NodeProto]]) -> list[str]:
    """Graph inputs that this node takes as a state: times a number, or added to something."""
    if node.op_type not in ("Mul", "Add"):
        return []
    inputs = {v.name for v in named}
    return [name for name in node.input if name in inputs and len(users[name]) == 1]


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _constant(node: NodeProto) -> Any:
    """The value of a Constant node; of a kind that no layer takes, an empty one."""
    how = _attributes(node)
    if "value" in how:
        return onnx.numpy_helper.to_array(how["value"])
    numbers = ("value_float", "value_floats", "value_int", "value_ints")
    return np.asarray(next((how[name] for name in numbers if name in how), ()))


def _own_pads(how: Mapping[str, Any]) -> bool:
    """Whether a node's padding is what its pads say."""
    return how.get("auto_pad", b"NOTSET") == b"NOTSET"


def _given(bias: Any) -> dict[str, Any]:
    return {} if bias is None else {"bias": bias}
