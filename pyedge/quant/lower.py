"""A float network as the layers that integers have: weights, neurons, and what follows or is added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pyedge.errors import ConfigError
from pyedge.layers import Conv, Dense, Flatten, Layer, MaxPool, MeanPool, Residual, Spiking
from pyedge.layers.layer import Shape, local, numbered
from pyedge.model import Network
from pyedge.neuron import IF, LIF
from pyedge.ops import Array
from pyedge.quant.model import Pooling


@dataclass(frozen=True)
class FloatLayer:
    """One layer of neurons (or currents only, or a linear readout) with its incoming weights.

    source, add, current : numbers of other layers, as in IntegerLayer; -1 is the network's input.
    unit : float value of one unit of what comes in; values have that of a current, over value_pool^2.
    """

    name: str  # of the weights' layer
    weight: Array  # (fan_in, fan_out), of float inputs
    bias: Array  # (fan_out,)
    neuron: LIF | IF | None
    neurons: str = ""  # name of the layer of neurons
    geometry: Mapping[str, int] = field(default_factory=dict)  # height, width, kernel, stride, padding
    pooling: Pooling = Pooling.NONE
    pool_size: int = 0
    source: int = -1
    value_pool: int = 0
    add: int | None = None
    current: int | None = None
    unit: float = 1.0


@dataclass(frozen=True)
class Signal:
    """What flows from layer `layer` (-1: the input): its outputs, or its currents before the neurons.

    unit : float value of one unit of it; pool : windows over which currents are averaged next.
    """

    layer: int
    currents: bool = False
    unit: float = 1.0
    pool: int = 1
    shape: Shape = ()


def float_layers(network: Network, params: Mapping[str, Array]) -> tuple[FloatLayer, ...]:
    """The layers of a folded network, in an order in which each takes from earlier ones.

    Raises ConfigError for what integers cannot run, and says what.
    """
    lowered = _Lowered()
    start = Signal(-1, unit=1 / network.input.scale, shape=network.input.inner)
    end = lowered.through(network.layers, params, start, "")
    last = lowered.layers[-1] if lowered.layers else None
    if last is None or last.geometry or last.pooling or last.add is not None or end.layer < 0:
        raise ConfigError("the last layer is no dense readout; integers need one")
    return tuple(lowered.layers)


class _Lowered:
    """The layers found so far."""

    def __init__(self) -> None:
        self.layers: list[FloatLayer] = []
        self.taken: set[int] = set()  # layers whose outputs something takes

    def through(self, layers: Sequence[Layer], params: Mapping[str, Array], x: Signal, prefix: str) -> Signal:
        for name, layer in zip(numbered(layers), layers, strict=True):
            x = self.layer(prefix + name, layer, local(params, name), x, prefix.endswith("shortcut."))
        return x

    def layer(self, name: str, layer: Layer, own: Mapping[str, Array], x: Signal, shortcut: bool) -> Signal:
        if isinstance(layer, Dense | Conv):
            return self.weights(name, layer, own, x, shortcut)
        if isinstance(layer, Spiking):
            return self.neurons(name, layer, x)
        if isinstance(layer, MaxPool | MeanPool):
            return self.pool(name, layer, x)
        if isinstance(layer, Residual):
            return self.residual(name, layer, own, x)
        if isinstance(layer, Flatten):
            return replace(x, shape=layer.out_shape(x.shape))
        raise ConfigError(f"layer {name} is a {layer.kind} layer, which integers do not have")

    def weights(
        self, name: str, layer: Dense | Conv, own: Mapping[str, Array], x: Signal, shortcut: bool
    ) -> Signal:
        weight = np.asarray(own["weight"], np.float64)
        weight = weight.reshape(-1, weight.shape[-1])
        bias = np.asarray(own.get("bias", np.zeros(weight.shape[1])), np.float64)
        if x.currents and not shortcut:
            raise ConfigError(f"layer {name} follows a linear layer; integers need neurons in between")
        geometry = {}
        if isinstance(layer, Conv):
            g = layer.geometry
            geometry = {
                "height": x.shape[0],
                "width": x.shape[1],
                "kernel": g.size,
                "stride": g.stride,
                "padding": g.padding,
            }
        if not x.currents:
            self.taken.add(x.layer)
        self.layers.append(
            FloatLayer(
                name,
                weight,
                bias,
                None,
                geometry=geometry,
                source=x.layer,
                value_pool=x.pool if x.currents else 0,
                unit=1 / x.pool**2 if x.currents else x.unit,
            )
        )
        return Signal(len(self.layers) - 1, currents=True, shape=layer.out_shape(x.shape))

    def neurons(self, name: str, layer: Spiking, x: Signal) -> Signal:
        neuron = layer.neuron
        if not isinstance(neuron, LIF | IF):
            raise ConfigError(f"layer {name} has {type(neuron).__name__} neurons; integers have LIF and IF")
        if isinstance(neuron, LIF) and neuron.tau != 0.5:
            raise ConfigError(f"layer {name} has tau {neuron.tau}; integers have 0.5 (LIF) and 1 (IF)")
        if not x.currents or x.pool > 1 or self.layers[x.layer].neuron is not None:
            raise ConfigError(f"layer {name} follows no layer with weights; integers need one")
        self.layers[x.layer] = replace(self.layers[x.layer], neuron=neuron, neurons=name)
        return Signal(x.layer, shape=x.shape)

    def pool(self, name: str, layer: MaxPool | MeanPool, x: Signal) -> Signal:
        shape, mean = layer.out_shape(x.shape), isinstance(layer, MeanPool)
        if layer.size == 1:
            return x
        if x.currents and mean and x.pool == 1:
            return replace(x, pool=layer.size, shape=shape)
        before = self.layers[x.layer] if x.layer >= 0 and not x.currents else None
        if before is None or before.pooling or x.layer in self.taken:
            what = "currents" if x.currents else "what is pooled or taken already"
            what = what if x.layer >= 0 else "the input"
            raise ConfigError(
                f"layer {name} pools {what}; integers pool the spikes of the "
                "neurons before it, which nothing else takes: put it behind them"
            )
        if before.add is not None and not mean:
            raise ConfigError(f"layer {name} takes the largest of sums; integers pool those by mean only")
        kind = Pooling.SUM if mean else Pooling.MAX
        self.layers[x.layer] = replace(before, pooling=kind, pool_size=layer.size)
        return replace(x, unit=x.unit / layer.size**2 if mean else x.unit, shape=shape)

    def residual(self, name: str, layer: Residual, own: Mapping[str, Array], x: Signal) -> Signal:
        """The shortcut comes first: the branch's last layer adds what it makes."""
        b = self.through(layer.shortcut, local(own, "shortcut"), x, f"{name}.shortcut.")
        a = self.through(layer.branch, local(own, "branch"), x, f"{name}.branch.")
        alike = a.currents == b.currents and a.unit == b.unit == 1 and a.pool == b.pool == 1
        if not alike or b.layer < 0 or a.layer <= max(b.layer, x.layer):
            raise ConfigError(
                f"layer {name} adds what integers cannot: they add spikes to spikes, or currents to currents"
            )
        last = self.layers[a.layer]
        if last.pooling or last.add is not None or last.current is not None:
            raise ConfigError(f"layer {name}: the last layer of its branch pools or adds already")
        change: dict[str, Any] = {"current": b.layer} if a.currents else {"add": b.layer}
        self.layers[a.layer] = replace(last, **change)
        if not a.currents:
            self.taken.add(b.layer)
        return replace(a, unit=1.0)
