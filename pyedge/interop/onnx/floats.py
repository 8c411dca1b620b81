"""One step of a float network, norms folded in, in the operators of its own layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pyedge.errors import ConfigError
from pyedge.interop.onnx.graph import Graph
from pyedge.layers import Conv, Dense, Flatten, Layer, MaxPool, MeanPool, Residual, Spiking
from pyedge.layers.layer import numbered, shapes_through
from pyedge.model import Network
from pyedge.neuron import IF, LIF, SRM, threshold_table
from pyedge.ops import Array

NCHW, NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


class FloatStep:
    """See `export.Step`. States of neurons NAME: u.NAME and age.NAME; of an SRM m.NAME, s.NAME, age.NAME."""

    def __init__(self, network: Network, params: Mapping[str, Array]) -> None:
        from pyedge.interop.onnx.export import Tensor

        self.network, self.params = network, params
        self.dtype = next(iter(params.values())).dtype
        self.window, self.classes, self.score_type = network.window, network.classes, self.dtype
        self.static = network.input.kind == "static"
        kind = np.bool_ if network.input.kind == "spikes" else self.dtype
        self.input = Tensor("x", kind, network.input.shape)
        states, spikes = [], []
        for name, neuron, shape in _neurons(network.layers, network.input.inner, ""):
            for part in ("m", "s") if isinstance(neuron, SRM) else ("u",):
                states.append(Tensor(f"{part}.{name}", self.dtype, shape))
            states.append(Tensor(f"age.{name}", np.int64, shape, 1))
            spikes.append(Tensor(f"spikes.{name}", np.bool_, shape))
        self.states = (*states, Tensor("total", self.dtype, (self.classes,)))
        self.spikes = tuple(spikes)
        # Layers in front of the first neurons do the same at every step of a static input.
        self.fixed = 0
        if self.static:
            plain = (Conv, Dense, Flatten, MaxPool, MeanPool)
            kinds = [isinstance(layer, plain) for layer in network.layers]
            self.fixed = kinds.index(False) if False in kinds else len(kinds)

    def constants(self, g: Graph) -> None:
        for name, value in self.params.items():
            g.tensor(name, value)

    def prepare(self, g: Graph, x: str) -> str:
        given = self.network.input
        if given.channels == "first":
            x = g.op("Transpose", x, perm=NHWC)
        if given.kind == "spikes":
            x = g.cast(x, self.dtype)
        if given.scale != 1:
            x = g.op("Mul", x, g.constant(1 / given.scale, self.dtype))
        return self._through(g, self.network.layers, x, given.inner, "", {}, {}, slice(self.fixed))

    def write(self, g: Graph, x: str, states: Mapping[str, str], to: Mapping[str, str]) -> None:
        layers, shape = self.network.layers, self.network.input.inner
        x = self._through(g, layers, x, shape, "", states, to, slice(self.fixed, None))
        g.op("Add", states["total"], g.reshape(x, (0, self.classes)), to=to["total"])

    def scores(self, g: Graph, states: Mapping[str, str]) -> str:
        if self.network.readout == "spiking":
            return states["total"]
        return g.op("Div", states["total"], g.constant(self.window, self.dtype))

    def _through(
        self,
        g: Graph,
        layers: Sequence[Layer],
        x: str,
        shape: tuple[int, ...],
        prefix: str,
        states: Mapping[str, str],
        to: Mapping[str, str],
        part: slice = slice(None),
    ) -> str:
        """x through some of the layers; names of parameters and states begin with `prefix`."""
        named = zip(numbered(layers), layers, shapes_through(layers, shape), strict=False)
        for own, layer, before in list(named)[part]:
            name = prefix + own
            if isinstance(layer, Residual):
                sides = ((layer.branch, f"{name}.branch."), (layer.shortcut, f"{name}.shortcut."))
                x = g.op("Add", *(self._through(g, side, x, before, p, states, to) for side, p in sides))
            elif isinstance(layer, Spiking):
                x = self._fire(g, name, layer.neuron, x, states, to)
            else:
                x = self._plain(g, name, layer, x, before)
        return x

    def _plain(self, g: Graph, name: str, layer: Layer, x: str, shape: tuple[int, ...]) -> str:
        bias = (f"{name}.bias",) if f"{name}.bias" in self.params else ()
        if isinstance(layer, Dense):
            flat = g.reshape(x, (0, int(np.prod(shape)))) if len(shape) > 1 else x
            y = g.op("MatMul", flat, f"{name}.weight")
            return g.op("Add", y, *bias) if bias else y
        if isinstance(layer, Flatten):
            return g.reshape(x, (0, int(np.prod(shape))))
        x = g.op("Transpose", x, perm=NCHW)
        if isinstance(layer, Conv):
            kernel = g.op("Transpose", f"{name}.weight", perm=[3, 2, 0, 1])
            size, stride, padding = layer.geometry
            y = g.op(
                "Conv", x, kernel, *bias, strides=[stride] * 2, pads=[padding] * 4, kernel_shape=[size] * 2
            )
        elif isinstance(layer, MaxPool | MeanPool):
            kind = "MaxPool" if isinstance(layer, MaxPool) else "AveragePool"
            y = g.op(kind, x, kernel_shape=[layer.size] * 2, strides=[layer.size] * 2)
        else:
            raise ConfigError(f"layer {name}, a {type(layer).__name__}, has no form in standard operators")
        return g.op("Transpose", y, perm=NHWC)

    def _fire(
        self, g: Graph, name: str, neuron: Any, current: str, states: Mapping[str, str], to: Mapping[str, str]
    ) -> str:
        """One step of a layer of neurons; its spikes as numbers."""
        zero = g.constant(0, self.dtype)
        if isinstance(neuron, SRM):
            held = []
            for part, tau in (("m", neuron.tau_m), ("s", neuron.tau_s)):
                total = g.op("Add", states[f"{part}.{name}"], current)
                held.append(g.op("Mul", total, g.constant(1 - 1 / tau, self.dtype)))
            scale = neuron.tau_m / (neuron.tau_m - neuron.tau_s)
            u = g.op("Mul", g.op("Sub", *held), g.constant(scale, self.dtype))
            table = threshold_table(self.window, neuron.theta0, neuron.alpha, 0)
            after = dict(zip(("m", "s"), held, strict=True))
        elif isinstance(neuron, LIF | IF):
            kept = states[f"u.{name}"]
            if neuron.decay != 1:
                kept = g.op("Mul", kept, g.constant(neuron.decay, self.dtype))
            u = g.op("Add", kept, current)
            table = neuron.params(self.window, self.dtype).theta
            after = {"u": u}
        else:
            raise ConfigError(
                f"neurons {name}, of {type(neuron).__name__}, have no form in standard operators"
            )
        age, one = states[f"age.{name}"], g.constant(1, np.int64)
        theta = g.op("Gather", g.constant(table, self.dtype), age, axis=0)
        fired = g.op("GreaterOrEqual", u, theta, to=to[f"spikes.{name}"])
        for part, value in after.items():
            g.op("Where", fired, zero, value, to=to[f"{part}.{name}"])
        g.op("Where", fired, one, g.op("Add", age, one), to=to[f"age.{name}"])
        return g.cast(fired, self.dtype)


def _neurons(
    layers: Sequence[Layer], shape: tuple[int, ...], prefix: str
) -> list[tuple[str, Any, tuple[int, ...]]]:
    """Name, neuron and shape of every layer of neurons."""
    found = []
    for name, layer, before in zip(numbered(layers), layers, shapes_through(layers, shape), strict=False):
        if isinstance(layer, Spiking):
            found.append((prefix + name, layer.neuron, before))
        elif isinstance(layer, Residual):
            found += _neurons(layer.branch, before, f"{prefix}{name}.branch.")
            found += _neurons(layer.shortcut, before, f"{prefix}{name}.shortcut.")
    return found
