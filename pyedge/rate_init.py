"""Initial weights by firing rate, without which fixed thresholds may leave deep layers silent."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyedge.errors import ConfigError
from pyedge.layers import BatchNorm, Conv, Dense, Forward, Layer, Residual, Spiking
from pyedge.layers.layer import local, numbered, prefixed
from pyedge.model import Network, Params
from pyedge.neuron import Neuron
from pyedge.ops import Array

LEAST, MOST, RATIO = 0.01, 100.0, 1.01


def scale_to_rate(network: Network, params: Mapping[str, Array], x: Array, spikes: float) -> Params:
    """The parameters, each layer of neurons brought to a mean of `spikes` a neuron and window, in order.

    What scales currents last before the neurons is scaled: batch norm's gamma and beta, or the gain of
    standardized weights, or weights, and the bias. Counted over the window's last third, by bisection
    between 0.01 and 100, as in the lineage. Neurons that no such layer feeds stay as they are.
    Raises ConfigError where no such factor exists: with an adaptive threshold that reaches 0, neurons fire by
    themselves. x : a batch, as the network takes it. Source: Zhu et al., NeurIPS 2023.
    """
    if not 0 < spikes <= network.window:
        raise ConfigError(
            f"{spikes} spikes a window of {network.window} steps; more than 0, at most one a step"
        )
    dtype = next(iter(params.values())).dtype
    how = Forward(network.window, dtype, training=True)
    start = network.currents(x, dtype)
    return _through(network.layers, params, start, how, spikes / network.window)[1]


def _through(
    layers: Sequence[Layer], params: Mapping[str, Array], x: Array, how: Forward, rate: float
) -> tuple[Array, Params]:
    """The layers' output and parameters, scaled one layer of neurons after the other."""
    done: Params = {}
    names = numbered(layers)
    for i, (name, layer) in enumerate(zip(names, layers, strict=True)):
        own = local(params, name)
        if isinstance(layer, Residual):
            x, own = _residual(layer, own, x, how, rate)
        elif layer.kind == "dropout":
            pass
        else:
            x, _ = layer.forward(own, x, how)
        following = layers[i + 1] if i + 1 < len(layers) else None
        if isinstance(layer, Dense | Conv | BatchNorm) and isinstance(following, Spiking):
            try:
                factor = _factor(following.neuron, x, how, rate)
            except ConfigError as error:
                raise ConfigError(f"layer {name}: {error}") from None
            own = {k: v * v.dtype.type(factor) if k in _scaled(own) else v for k, v in own.items()}
            x = x * x.dtype.type(factor)
        done |= prefixed(name, own)
    return x, done


def _residual(
    layer: Residual, params: Mapping[str, Array], x: Array, how: Forward, rate: float
) -> tuple[Array, Params]:
    a, of_a = _through(layer.branch, local(params, "branch"), x, how, rate)
    b, of_b = _through(layer.shortcut, local(params, "shortcut"), x, how, rate)
    return how.ops.array(a, how.dtype) + b, prefixed("branch", of_a) | prefixed("shortcut", of_b)


def _scaled(params: Mapping[str, Any]) -> tuple[str, ...]:
    if "gamma" in params:
        return ("gamma", "beta")
    return ("gain", "bias") if "gain" in params else ("weight", "bias")


def _factor(neuron: Neuron, current: Array, how: Forward, rate: float) -> float:
    """What the currents must be multiplied by for that many spikes a neuron and step in the last third.

    Where fewer come of any factor (most currents are negative), for nine tenths of those that can.
    """

    def found(factor: float) -> float:
        fired = how.ops.neuron(neuron, current * current.dtype.type(factor), how.window).fired
        return float(fired[how.window * 2 // 3 :].mean())

    rate = min(rate, 0.9 * found(MOST))
    if found(LEAST) > rate:
        raise ConfigError(
            f"its neurons fire {found(LEAST):.3f} times a step without input, and {rate:.3f} is wanted: "
            "an adaptive threshold needs no initial rate"
        )
    low, high = LEAST, MOST
    while high / low > RATIO:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if found(middle) > rate else (middle, high)
    return (low * high) ** 0.5
