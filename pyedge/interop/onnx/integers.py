"""One step of an integer model in int32 operators: docs/arithmetic.md section 2, to the last bit.

Shifts are divisions that ONNX truncates: of numbers that are not negative they are exact floors, and a floor
of others takes the remainder off first. A convolution gathers what each position sees and multiplies that.
Every number stays below 2^31, by the bounds that the model has checked.
"""

from collections.abc import Mapping

import numpy as np

from pyedge.interop.onnx.graph import Graph
from pyedge.quant.model import (
    InputKind,
    IntegerLayer,
    IntegerModel,
    Integers,
    Map,
    NeuronKind,
    Pooling,
    incoming,
    source,
)
from pyedge.quant.reference import per_neuron, windows_of

INT = np.int32


class IntegerStep:
    """See `export.Step`. States: u<l> and age<l> of layers with neurons, u<l> of a linear readout, counts."""

    def __init__(self, model: IntegerModel) -> None:
        from pyedge.interop.onnx.export import Tensor

        self.model = model
        self.window, self.classes, self.score_type = model.window, model.classes, INT
        self.static = model.input_kind == InputKind.STATIC
        kind = np.bool_ if model.input_kind == InputKind.SPIKES else np.int8
        self.input = Tensor("x", kind, (model.inputs,))
        states, spikes = [], []
        for l, layer in enumerate(model.layers):
            size = (layer.neurons,)
            if layer.neuron != NeuronKind.CURRENTS:
                states.append(Tensor(f"u{l}", INT, size))
            if layer.spiking:
                states.append(Tensor(f"age{l}", INT, size, 1))
                spikes.append(Tensor(f"spikes{l}", np.bool_, size))
        if model.layers[-1].spiking:
            states.append(Tensor("counts", INT, (model.layers[-1].fan_out,)))
        self.states, self.spikes = tuple(states), tuple(spikes)

    def constants(self, g: Graph) -> None:
        for l, layer in enumerate(self.model.layers):
            narrow = np.int8 if layer.bits == 8 else np.int16
            g.tensor(f"layer{l}.weight", layer.weights.astype(narrow))

    def prepare(self, g: Graph, x: str) -> str:
        x = g.cast(x, INT)
        return self._weighted(g, 0, x) if self.static else x

    def write(self, g: Graph, x: str, states: Mapping[str, str], to: Mapping[str, str]) -> None:
        outputs: list[str] = []
        currents: list[str] = []
        for l, layer in enumerate(self.model.layers):
            if l:
                before = source(self.model.layers, l)
                x = self._values(g, l, currents[before]) if layer.value_pool else outputs[before]
            current = x if l == 0 and self.static else self._weighted(g, l, x)
            if layer.bias.any():
                current = g.op("Add", current, g.constant(per_neuron(layer, layer.bias), INT))
            if layer.current is not None:
                current = g.op("Add", current, _shifted(g, currents[layer.current], layer.current_shift))
            currents.append(current)
            fired = self._neurons(g, l, current, states, to)
            a = g.op("Mul", current, g.constant(0, INT)) if fired is None else g.cast(fired, INT)
            if layer.add is not None:
                a = g.op("Add", a, outputs[layer.add])
            outputs.append(_pooled(g, layer, a))
        if "counts" in to:
            g.op("Add", states["counts"], outputs[-1], to=to["counts"])

    def _neurons(
        self, g: Graph, l: int, current: str, states: Mapping[str, str], to: Mapping[str, str]
    ) -> str | None:
        """The new state of layer l; its spikes, if it has neurons."""
        layer = self.model.layers[l]
        if layer.neuron == NeuronKind.CURRENTS:
            return None
        u = states[f"u{l}"]
        if layer.neuron == NeuronKind.LINEAR:
            g.op("Add", u, current, to=to[f"u{l}"])
            return None
        if layer.neuron == NeuronKind.LIF:
            rest = g.op("Mod", u, g.constant(2, INT))
            u = g.op("Div", g.op("Sub", u, rest), g.constant(2, INT))
        u = g.op("Add", u, current)
        age, one = states[f"age{l}"], g.constant(1, INT)
        decays = age if layer.neuron == NeuronKind.IF else g.op("Sub", age, one)
        drop = g.op("Mul", decays, g.constant(per_neuron(layer, layer.alpha), INT))
        theta = g.op("Sub", g.constant(per_neuron(layer, layer.theta0), INT), drop)
        theta = g.op("Max", theta, g.constant(0, INT))
        least = g.op("Div", g.op("Add", theta, g.constant(255, INT)), g.constant(256, INT))
        fired = g.op("GreaterOrEqual", u, least, to=to[f"spikes{l}"])
        g.op("Where", fired, g.constant(0, INT), u, to=to[f"u{l}"])
        g.op("Where", fired, one, g.op("Add", age, one), to=to[f"age{l}"])
        return fired

    def _weighted(self, g: Graph, l: int, x: str) -> str:
        layer = self.model.layers[l]
        weight = g.cast(f"layer{l}.weight", INT)
        if not layer.conv:
            return g.op("MatMul", x, weight)
        shape = incoming(self.model.layers, l)
        padded = g.op("Pad", x, g.constant([0, 0, 0, 1], np.int64), g.constant(0, INT))
        seen = g.op("Gather", padded, g.constant(seen_by(layer, shape), np.int64), axis=1)
        return g.reshape(g.op("MatMul", seen, weight), (0, layer.neurons))

    def _values(self, g: Graph, l: int, currents: str) -> str:
        layer, before = self.model.layers[l], self.model.layers[source(self.model.layers, l)]
        total = _in_pools(g, before, layer.value_pool, currents, "ReduceSum")
        low, high = g.constant(-128, INT), g.constant(127, INT)
        return g.op("Clip", _shifted(g, total, layer.value_shift), low, high)

    def scores(self, g: Graph, states: Mapping[str, str]) -> str:
        last = len(self.model.layers) - 1
        found = states["counts" if "counts" in states else f"u{last}"]
        if not self.model.spare:
            return found
        ends = [g.constant([n], np.int64) for n in (0, self.classes, 1)]
        return g.op("Slice", found, *ends)


def seen_by(layer: IntegerLayer, shape: Map) -> Integers:
    """Which input each row of each position's window is, (positions, fan_in); beyond the edge, inputs."""
    edge = shape.size
    found = windows_of(layer, shape, np.arange(1, edge + 1))
    return np.where(found == 0, edge, found - 1)


def _shifted(g: Graph, x: str, n: int) -> str:
    """x / 2^n, to the nearest, halves away from zero; n <= 0 multiplies."""
    if n <= 0:
        return g.op("Mul", x, g.constant(1 << -n, INT)) if n else x
    half = g.op("Add", g.op("Abs", x), g.constant(1 << n - 1, INT))
    return g.op("Mul", g.op("Sign", x), g.op("Div", half, g.constant(1 << n, INT)))


def _pooled(g: Graph, layer: IntegerLayer, a: str) -> str:
    if layer.pooling == Pooling.NONE:
        return a
    how = "ReduceMax" if layer.pooling == Pooling.MAX else "ReduceSum"
    return _in_pools(g, layer, layer.pool_size, a, how)


def _in_pools(g: Graph, layer: IntegerLayer, size: int, x: str, how: str) -> str:
    """(batch, neurons) reduced over windows of size x size; rows and columns left over are dropped."""
    height, width, channels = layer.map
    rows, columns = height // size, width // size
    x = g.reshape(x, (0, height, width, channels))
    if (rows * size, columns * size) != (height, width):
        ends = [g.constant(v, np.int64) for v in ([0, 0], [rows * size, columns * size], [1, 2])]
        x = g.op("Slice", x, *ends)
    x = g.reshape(x, (-1, rows, size, columns, size, channels))
    x = g.op(how, x, g.constant([2, 4], np.int64), keepdims=0)
    return g.reshape(x, (0, rows * columns * channels))
