"""From a trained float network to an integer model, and learned integers back to float weights.

Units. A weight's least significant bit is worth s of current, a unit of error some amount of dL/du. Scales
cancel everywhere but in four numbers that the board needs: the softmax's K / 2^Z, the reset's ratio, the
gate's, and the learning rate. They are derived where they are chosen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyedge import losses, rules
from pyedge.encode import EncoderConfig
from pyedge.errors import ConfigError, DataError
from pyedge.fold import fold
from pyedge.model import Network, Params
from pyedge.ops import Array
from pyedge.quant import reference
from pyedge.quant.config import QuantizeConfig
from pyedge.quant.lower import FloatLayer, float_layers
from pyedge.quant.model import CLASSES_LIMIT, InputKind, IntegerLayer, IntegerModel, Integers, NeuronKind
from pyedge.quant.report import Report, report
from pyedge.quant.scales import fraction, integer_layer, integer_loss, scale, surrogate_shape, with_surrogate
from pyedge.quant.shifts import Units, calibrate, with_capacities

__all__ = [
    "QuantizeConfig",
    "Quantized",
    "dequantize",
    "flat",
    "fraction",
    "quantize",
    "surrogate_shape",
]

KINDS = {"spikes": InputKind.SPIKES, "frames": InputKind.FRAMES, "static": InputKind.STATIC}


@dataclass(frozen=True)
class Quantized:
    """What `quantize` gives."""

    model: IntegerModel
    report: Report


def quantize(
    network: Network,
    params: Mapping[str, Array],
    x: Array,
    y: Array,
    loss: losses.Loss | None = None,
    rule: rules.Rule | None = None,
    config: QuantizeConfig | None = None,
    encoder: EncoderConfig | None = None,
    class_names: tuple[str, ...] = (),
    name: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Quantized:
    """The integer model of a trained network, and the report on what that cost.

    x, y : calibration data as the network takes it: integers of the encoder, (T, samples, inputs), or
           (samples, inputs) for static inputs; labels, (samples,).
    loss, rule : those of training (ScoreCrossEntropy and MPDED if None): they fix the softmax, the surrogate
           and the reset term.
    Raises ConfigError (or FieldError) for what boards cannot run, DataError for unfit data, SilentLayerError
    if a layer that fires in float falls silent.
    """
    config = config or QuantizeConfig()
    for key, values in params.items():
        if not np.isfinite(values).all():
            raise DataError(f"{key} holds NaN or infinity; train again")
    network, params = fold(network, params)
    x, y = _checked(network, x, y)
    if network.classes + config.spare > CLASSES_LIMIT:
        room = CLASSES_LIMIT - network.classes
        raise ConfigError(f"spare is {config.spare}; {network.classes} classes leave at most {room} rows")
    notes: list[str] = []
    samples = 0 if network.input.kind == "static" else 1  # their axis
    maps = np.moveaxis(flat(network, x), samples, 0)
    floats = _with_spare(float_layers(network, params), config.spare)
    chosen = _spaced(len(y), config.calibration)
    layers, scales, peaks = _layers(floats, network, maps[chosen], rule or rules.MPDED(), config, notes)
    board_loss = integer_loss(loss or losses.ScoreCrossEntropy(), network, float(scales[-1]), notes)
    model = IntegerModel(
        window=network.window,
        input_kind=KINDS[network.input.kind],
        layers=with_capacities(layers, network.window, {}),
        loss=board_loss.kind,
        score_mult=board_loss.score_mult,
        score_shift=board_loss.score_shift,
        seed=config.seed,
        desired=board_loss.desired,
        others=board_loss.others,
        count_mult=board_loss.count_mult,
        encoder=encoder,
        class_names=class_names,
        name=name,
        metadata=metadata,
        spare=config.spare,
    )
    units = Units(scales, peaks, [f.unit for f in floats], board_loss.error_unit)
    model, rates = calibrate(model, maps[chosen], y[chosen], config, units, notes)
    shown = _spaced(len(y), config.evaluation)
    names = [f.neurons for f in floats]
    seen = np.take(x, shown, axis=samples)
    found = report(network, params, model, seen, maps[shown], y[shown], names, rates, notes)
    if metadata is not None:
        model = replace(model, metadata={**metadata, "quantization": found.summary()})
    return Quantized(model, found)


def _layers(
    floats: Sequence[FloatLayer],
    network: Network,
    windows: Integers,
    rule: rules.Rule,
    config: QuantizeConfig,
    notes: list[str],
) -> tuple[list[IntegerLayer], list[Array], list[float]]:
    """Layers without what calibration chooses, their scales, and the peaks of their float surrogates."""
    learning = _learning(config, len(floats))
    passed = _passed(floats, learning)
    alike = _alike(floats, passed)
    layers: list[IntegerLayer] = []
    scales: list[Array] = []
    peaks: list[float] = []
    for l, layer in enumerate(floats):
        last = l + 1 == len(floats)
        bits = (config.readout_bits or config.bits) if last else config.bits
        graph, unit = _graph(layer, l), np.asarray(layer.unit)
        if layer.value_pool:
            shift = _value_shift(layers, layer, windows, network)
            graph["value_shift"] = shift
            unit = layer.unit * 2.0**shift * scales[layer.source]
        layer = replace(layer, weight=layer.weight * _rows(layer, unit))
        s = scale(layer.weight, bits, config.per_channel and not last and not alike[l], config.head_room)
        if any(passed) and not _chain(floats):
            s = 2.0 ** np.ceil(np.log2(s))  # so that errors that meet have units of one power of two
        if layer.current is not None:
            n = int(np.ceil(np.log2(np.max(s / scales[layer.current])) - 1e-9))
            graph["current_shift"] = min(30, max(-15, n))
            s = scales[layer.current] * 2.0 ** graph["current_shift"]
        integer, peak = integer_layer(layer, s, bits, network.window, last), 1.0
        if passed[l] and integer.spiking:
            integer, peak = with_surrogate(integer, float(s), rule, config.surrogate, notes)
        learns = l in learning
        worth = float(np.max(s) / np.max(unit))
        layers.append(replace(integer, learns=learns, carry=learns and config.carry, scale=worth, **graph))
        scales.append(s)
        peaks.append(peak)
    return layers, scales, peaks


def dequantize(
    network: Network, params: Mapping[str, Array], model: IntegerModel, weights: tuple[Integers, ...]
) -> Params:
    """The float parameters, weights of layers that learn replaced by integers from a board or the reference.

    Raises DataError where shapes differ.
    """
    out = dict(params)
    for layer, integer, w in zip(float_layers(network, params), model.layers, weights, strict=True):
        rows = w[:, : w.shape[1] - model.spare] if integer is model.layers[-1] else w
        if rows.shape != layer.weight.shape:
            raise DataError(
                f"weights of {layer.name} have shape {w.shape}; the network has {layer.weight.shape}"
            )
        if integer.learns:
            key = f"{layer.name}.weight"
            out[key] = (rows * integer.scale).astype(params[key].dtype).reshape(params[key].shape)
    return out


# The graph


def _graph(layer: FloatLayer, l: int) -> dict[str, Any]:
    """What an integer layer has of its place, without shifts."""
    return {
        **layer.geometry,
        "pooling": layer.pooling,
        "pool_size": layer.pool_size,
        "source": None if layer.source == l - 1 else layer.source,
        "value_pool": layer.value_pool,
        "add": layer.add,
        "current": layer.current,
    }


def _chain(floats: Sequence[FloatLayer]) -> bool:
    return all(f.source == l - 1 and f.add is None and f.current is None for l, f in enumerate(floats))


def _passed(floats: Sequence[FloatLayer], learning: frozenset[int]) -> list[bool]:
    """Layers that errors pass."""
    found: list[bool] = []
    for l, f in enumerate(floats):
        taken = [k for k in (f.source, f.add, f.current) if k is not None and k >= 0]
        found.append(l in learning or any(found[k] for k in taken))
    return found


def _alike(floats: Sequence[FloatLayer], passed: Sequence[bool]) -> list[bool]:
    """Layers with one scale for all channels: errors pass them, or one whose currents they share."""
    found = list(passed)
    for _ in floats:
        for l, f in enumerate(floats):
            if f.current is not None:
                found[l] = found[f.current] = found[l] or found[f.current]
    return found


def _rows(layer: FloatLayer, unit: Array) -> Array:
    """The unit of every row's input, (fan_in, 1), from one unit or one a channel."""
    if unit.ndim == 0:
        return unit
    return np.tile(unit, len(layer.weight) // len(unit))[:, None]


def _with_spare(floats: tuple[FloatLayer, ...], spare: int) -> tuple[FloatLayer, ...]:
    """The readout with rows more, each the mean of those there are."""
    if not spare:
        return floats
    last = floats[-1]
    weight = np.hstack([last.weight, np.repeat(last.weight.mean(axis=1, keepdims=True), spare, axis=1)])
    bias = np.append(last.bias, np.full(spare, last.bias.mean()))
    return (*floats[:-1], replace(last, weight=weight, bias=bias))


def _cut_off(layers: Sequence[IntegerLayer], network: Network) -> IntegerModel:
    """A model of the layers that there are so far, with the least to end it."""
    kept = [replace(one, learns=False, carry=False, capacity=0) for one in layers]
    into = kept[-1].outputs
    zeros = np.zeros(2)
    few = IntegerLayer(
        *(NeuronKind.LIF, np.zeros((into.channels, 2)), zeros, zeros, zeros),
        height=into.height,
        width=into.width,
        kernel=1,
        stride=min(255, into.height, into.width),
    )
    end = IntegerLayer(NeuronKind.LINEAR, np.zeros((few.outputs.size, 2)), zeros, zeros, zeros)
    return IntegerModel(network.window, KINDS[network.input.kind], (*kept, few, end))


def _value_shift(
    layers: Sequence[IntegerLayer],
    layer: FloatLayer,
    windows: Integers,
    network: Network,
) -> int:
    """The least shift that leaves all but a thousandth of the currents taken as values within int8."""
    model = _cut_off(layers, network)
    weights = reference.fresh(model).weights
    sums = []
    for window in windows[:16]:
        state = reference.begin(model)
        for t in range(network.window):
            x = window if window.ndim == 1 else window[t]
            state, steps = reference.step(model, weights, state, x)
            pools = reference.in_pools(layers[layer.source], layer.value_pool, steps[layer.source].currents)
            sums.append(np.abs(pools.sum(axis=-1)).ravel())
    high = float(np.quantile(np.concatenate(sums), 0.999))
    return min(30, max(0, math.ceil(math.log2(max(high, 1.0) / 127))))


# Data


def _learning(config: QuantizeConfig, count: int) -> frozenset[int]:
    if config.learn == "all":
        return frozenset(range(count))
    if config.learn == "last":
        return frozenset({count - 1})
    if config.learn == "none":
        return frozenset()
    chosen = frozenset(config.learn)
    if not all(isinstance(l, int) and 0 <= l < count for l in chosen):
        raise ConfigError(
            f"learn is {config.learn}; 'all', 'last', 'none', or indices of layers 0 .. {count - 1}"
        )
    return chosen


def _checked(network: Network, x: Array, y: Array) -> tuple[Integers, Integers]:
    """Data as the network takes it, in integers, and labels."""
    x, y = np.asarray(x), np.asarray(y)
    lead = () if network.input.kind == "static" else (network.window,)
    shape = network.input.shape
    if (
        x.shape[: len(lead)] != lead
        or x.ndim < len(lead) + 2
        or int(np.prod(x.shape[len(lead) + 1 :])) != int(np.prod(shape))
    ):
        raise DataError(f"calibration data has shape {x.shape}; it is {(*lead, 'samples', *shape)}")
    x = x.reshape(*x.shape[: len(lead) + 1], *shape)
    if x.shape[len(lead)] != len(y) or not len(y):
        raise DataError(f"there are {x.shape[len(lead)]} calibration windows and {len(y)} labels")
    whole = np.rint(x)
    if not np.array_equal(whole, x):
        raise DataError(
            "calibration data holds fractions or NaN; give the encoder's integers (the network scales them)"
        )
    if y.min() < 0 or y.max() >= network.classes:
        raise DataError(f"labels lie in {y.min()} .. {y.max()}; the network has {network.classes} classes")
    return whole.astype(np.int64), y.astype(np.int64)


def flat(network: Network, x: Integers) -> Integers:
    """Data as integer models take it: maps in index order, (..., inputs)."""
    if network.input.channels == "first":
        x = np.moveaxis(x, -3, -1)
    return x.reshape(*x.shape[: x.ndim - len(network.input.shape)], -1)


def _spaced(count: int, most: int) -> Integers:
    """Indices of at most `most` windows, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))
