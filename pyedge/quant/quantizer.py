"""From a trained float network to an integer model, and learned integers back to float weights.

Units. A weight's least significant bit is worth s of current, a unit of error some amount of dL/du. Scales
cancel everywhere but in four numbers that the board needs: the softmax's K / 2^Z, the reset's ratio, the
gate's, and the learning rate. They are derived where they are chosen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from pyedge import losses, rules
from pyedge.encode import EncoderConfig
from pyedge.errors import ConfigError, DataError
from pyedge.fold import fold
from pyedge.model import Network, Params
from pyedge.neuron import LIF
from pyedge.ops import Array
from pyedge.quant import reference
from pyedge.quant.lower import FloatLayer, float_layers
from pyedge.quant.model import (
    CLASSES_LIMIT,
    InputKind,
    IntegerLayer,
    IntegerModel,
    Integers,
    Loss,
    NeuronKind,
    Surrogate,
    needs_capacity,
    source,
)
from pyedge.quant.report import Report, report

SMALL = 2048  # spikes: learning that never meets its capacity is worth as many bytes

KINDS = {"spikes": InputKind.SPIKES, "frames": InputKind.FRAMES, "static": InputKind.STATIC}


@dataclass(frozen=True)
class QuantizeConfig:
    """How to quantize.

    learn       : which layers learn on the board: "all", "last", "none", or their indices.
    bits        : of hidden weights; readout_bits : of the readout's, None for the same.
    head_room   : largest weight of readouts and of layers that errors pass, as a share of the range.
    per_channel : one scale per output channel in hidden layers that no error passes.
    spare       : rows of the readout for classes to come; each starts as the mean of the others.
    carry       : a carry byte for every weight that learns.
    surrogate   : on the board; "nearest" to the one trained with.
    step        : learning rate of hidden layers, and readout_step of the readout: the expected move, in LSBs,
                  of a weight with an active input, in a window that was taken for another class.
    rates       : float learning rates by layer index, in place of steps.
    margin      : spike capacities, as a multiple of the most spikes that a calibration window had; where all
                  neurons firing at every step make SMALL spikes at most, room for those.
    calibration : windows that shifts and capacities are chosen from; evaluation : windows in the report.
    """

    learn: Literal["all", "last", "none"] | tuple[int, ...] = "all"
    bits: int = 8
    readout_bits: int | None = None
    head_room: float = 100 / 127
    per_channel: bool = True
    spare: int = 0
    carry: bool = False
    surrogate: Literal["nearest", "linear", "rectangular"] = "nearest"
    step: float = 0.03
    readout_step: float = 0.03
    rates: Mapping[int, float] | None = None
    margin: float = 1.5
    calibration: int = 64
    evaluation: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for bits in (self.bits, self.readout_bits):
            if bits not in (8, 10, None):
                raise ConfigError(f"weights have 8 or 10 bits, not {bits}")
        if not 0 < self.head_room <= 1:
            raise ConfigError(
                f"head_room is {self.head_room}; it is a share of the weights' range, in (0, 1]"
            )
        if not (self.step > 0 and self.readout_step > 0):
            raise ConfigError("steps are positive: the expected move of a weight, in its LSBs")
        if self.spare < 0:
            raise ConfigError(f"spare is {self.spare}; it is a number of rows")
        if self.margin < 1 or self.calibration < 1 or self.evaluation < 1:
            raise ConfigError("margin, calibration and evaluation are at least 1")
        if self.surrogate not in ("nearest", "linear", "rectangular"):
            raise ConfigError(f"surrogate is {self.surrogate!r}; boards have 'linear' and 'rectangular'")


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
    loss = loss or losses.ScoreCrossEntropy()
    rule = rule or rules.MPDED()
    for name, values in params.items():
        if not np.isfinite(values).all():
            raise DataError(f"{name} holds NaN or infinity; train again")
    network, params = fold(network, params)
    x, y = _checked(network, x, y)
    if network.classes + config.spare > CLASSES_LIMIT:
        room = CLASSES_LIMIT - network.classes
        raise ConfigError(f"spare is {config.spare}; {network.classes} classes leave at most {room} rows")
    maps = flat(network, x)
    floats = _with_spare(float_layers(network, params), config.spare)
    notes: list[str] = []
    learning = _learning(config, len(floats))
    passed = _passed(floats, learning)
    chosen = _spaced(len(y), config.calibration)
    windows = [maps[i] if network.input.kind == "static" else maps[:, i] for i in chosen]

    scales: list[Array] = []
    layers: list[IntegerLayer] = []
    peaks = []  # g(0) of the float surrogate, which error units absorb
    for l, layer in enumerate(floats):
        last = l + 1 == len(floats)
        bits = (config.readout_bits or config.bits) if last else config.bits
        graph, unit = _graph(layer, l), np.asarray(layer.unit)
        if layer.value_pool:
            shift = _value_shift(layers, layer, windows, network)
            graph["value_shift"] = shift
            unit = layer.unit * 2.0**shift * scales[layer.source]
        layer = replace(layer, weight=layer.weight * _rows(layer, unit))
        channels = config.per_channel and not last and not _alike(floats, passed)[l]
        s = _scale(layer.weight, bits, channels, config.head_room)
        if any(passed) and not _chain(floats):
            s = 2.0 ** np.ceil(np.log2(s))  # so that errors that meet have units of one power of two
        if layer.current is not None:
            n = int(np.ceil(np.log2(np.max(s / scales[layer.current])) - 1e-9))
            graph["current_shift"] = min(30, max(-15, n))
            s = scales[layer.current] * 2.0 ** graph["current_shift"]
        integer, peak = _layer(
            layer, l, s, bits, rule, config, network.window, l in learning, passed[l], notes
        )
        layers.append(replace(integer, scale=float(np.max(s) / np.max(unit)), **graph))
        scales.append(s)
        peaks.append(peak)

    integer_loss, logit, error_unit = _loss(loss, network, scales[-1], notes)
    mult, shift = fraction(logit * math.log2(math.e) * 64, 47, "score multiplier")
    model = IntegerModel(
        window=network.window,
        input_kind=KINDS[network.input.kind],
        layers=_with_capacities(layers, network.window, {}),
        loss=integer_loss.kind,
        score_mult=mult,
        score_shift=shift,
        seed=config.seed,
        desired=integer_loss.desired,
        others=integer_loss.others,
        count_mult=integer_loss.count_mult,
        encoder=encoder,
        class_names=class_names,
        name=name,
        metadata=metadata,
        spare=config.spare,
    )
    model, units = _calibrate(
        model, windows, y[chosen], config, scales, peaks, error_unit, [f.unit for f in floats], notes
    )
    shown = _spaced(len(y), config.evaluation)
    static = network.input.kind == "static"
    found = report(
        network,
        params,
        model,
        x[shown] if static else x[:, shown],
        maps[shown] if static else maps[:, shown],
        y[shown],
        [f.neurons for f in floats],
        units,
        notes,
    )
    if metadata is not None:
        model = replace(model, metadata={**metadata, "quantization": found.summary()})
    return Quantized(model, found)


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
    windows: Sequence[Integers],
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


# Scales, thresholds, surrogate


def _scale(weight: Array, bits: int, channels: bool, head_room: float) -> Array:
    """s, the current of one LSB: (fan_out,) or one for the layer."""
    top = 127 if bits == 8 else 511
    largest = np.abs(weight).max()
    if largest == 0:
        return np.asarray(1 / top)
    if channels:
        # A channel of tiny weights would need thresholds beyond 32 bits; its weights cannot matter.
        return np.maximum(np.abs(weight).max(axis=0), largest / 1024) / top
    return np.asarray(largest / (top * head_room))


def fraction(ratio: float, most: int, field: str) -> tuple[int, int]:
    """(mult, shift), mult / 2^shift nearest to ratio, mult 1 .. 65535, shift 0 .. most; (0, 0) for 0."""
    if ratio == 0:
        return 0, 0
    shift = min(most, max(0, 15 - math.floor(math.log2(ratio))))
    mult = round(ratio * 2.0**shift)
    if mult > 65535 and shift > 0:
        mult, shift = round(ratio * 2.0 ** (shift - 1)), shift - 1
    if not 1 <= mult <= 65535:
        raise ConfigError(f"{field}: a ratio of {ratio:.3g} does not fit 16 bits and a shift of 0 .. {most}")
    return mult, shift


@dataclass(frozen=True)
class Shape:
    """A surrogate as far as boards care: its value at the threshold and its integral above."""

    name: str
    peak: float
    area: float  # infinite for the constant


def surrogate_shape(surrogate: rules.Surrogate) -> Shape:
    """What matters of a surrogate on a board: its name, its height at the threshold, the area above it."""
    from pyedge.rules.surrogate import DEFAULT_WIDTHS

    width = DEFAULT_WIDTHS[surrogate.shape] if surrogate.width is None else surrogate.width
    height = {"constant": 1.0, "rectangular": 0.5, "linear": 1.0, "exponential": 0.5, "sigmoid": 0.25}[
        surrogate.shape
    ]
    area = math.inf if surrogate.shape == "constant" else 0.5 * surrogate.scale
    return Shape(surrogate.shape, height * surrogate.scale / width, area)


def _layer(
    layer: FloatLayer,
    l: int,
    s: Array,
    bits: int,
    rule: rules.Rule,
    config: QuantizeConfig,
    window: int,
    learns: bool,
    passes: bool,
    notes: list[str],
) -> tuple[IntegerLayer, float]:
    """The layer without what calibration chooses, and the peak of its float surrogate."""
    top = 127 if bits == 8 else 511
    weights = np.clip(np.rint(layer.weight / s), -top - 1, top)
    bias = np.rint(layer.bias / s)
    common: dict[str, Any] = {
        "weights": weights,
        "bias": bias,
        "bits": bits,
        "learns": learns,
        "carry": learns and config.carry,
    }
    if layer.neuron is None:
        kind = NeuronKind.CURRENTS if layer.value_pool else NeuronKind.LINEAR
        return IntegerLayer(neuron=kind, theta0=np.zeros(1), alpha=np.zeros(1), **common), 1.0

    leaky = isinstance(layer.neuron, LIF)
    theta0 = np.rint(layer.neuron.theta0 / s * 256)
    alpha = layer.neuron.alpha
    if alpha is None and not leaky:
        slope = np.ceil(theta0 / window)  # a neuron without input still fires at age T
    else:
        slope = np.rint((layer.neuron.theta0 / window if alpha is None else alpha) / s * 256)
    if max(np.max(theta0), np.max(slope) * (window + 1)) > 2**30:
        raise ConfigError(
            f"layer {layer.name}: thresholds do not fit 32 bits; its weights are too small beside theta0"
        )
    kind = NeuronKind.LIF if leaky else NeuronKind.IF
    integer = IntegerLayer(neuron=kind, theta0=theta0, alpha=slope, **common)
    if not passes:
        return integer, 1.0

    surrogate = getattr(rule, "surrogate", None)
    if not isinstance(surrogate, rules.Surrogate):
        surrogate = rules.Surrogate()
        _note(notes, "the learning rule has no known surrogate; boards learn with the linear one of width 1")
    if getattr(rule, "masked", True) is False:
        _note(notes, "trained with an unmasked surrogate; boards learn with errors at spikes only")
    if getattr(rule, "reset", "threshold") == "on":
        _note(notes, "trained with the reset's own u; boards take the threshold for it")
    shape = surrogate_shape(surrogate)
    wanted = config.surrogate
    if wanted == "nearest":
        wanted = "rectangular" if shape.name in ("rectangular", "constant") else "linear"
    if wanted == "linear" and math.isinf(shape.area):
        raise ConfigError(
            "a constant surrogate has no linear counterpart; quantize with 'rectangular' or 'nearest'"
        )
    if wanted != shape.name:
        _note(
            notes,
            f"trained with a {shape.name} surrogate; boards learn with a {wanted} one of its height and area",
        )
    return replace(
        integer, **_gate(shape, wanted, float(s)), **_reset(rule, leaky, float(s), shape.peak)
    ), shape.peak


def _gate(shape: Shape, wanted: str, s: float) -> dict[str, Any]:
    """Gate parameters: the linear gate falls by 256 over its width, in units of s."""
    if wanted == "rectangular":
        width = (
            2**31 - 1
            if math.isinf(shape.area)
            else min(2**31 - 1, max(1, round(shape.area / shape.peak / s)))
        )
        return {"surrogate": Surrogate.RECTANGULAR, "gate_width": width}
    mult, shift = fraction(256 * s / (2 * shape.area / shape.peak), 47, "gate")
    return {"surrogate": Surrogate.LINEAR, "gate_mult": mult, "gate_shift": shift}


def _reset(rule: rules.Rule, leaky: bool, s: float, peak: float) -> dict[str, Any]:
    """The reset's ratio tau * theta: theta's unit is s / 256 of u, e's is `peak` of d's."""
    if getattr(rule, "reset", "threshold") == "off":
        return {"reset_mult": 0, "reset_shift": 0}
    mult, shift = fraction((0.5 if leaky else 1.0) * s / 256 * peak, 62, "reset")
    return {"reset_mult": mult, "reset_shift": shift}


def _note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)


# Loss


@dataclass(frozen=True)
class IntegerLoss:
    """A loss as the image states it (docs/image.md, section 1)."""

    kind: Loss
    desired: int = 0
    others: int = 0
    count_mult: int = 0


def _loss(
    loss: losses.Loss, network: Network, s: Array, notes: list[str]
) -> tuple[IntegerLoss, float, float]:
    """The board's loss, a logit's rise for one unit of integer score, dL/d(output) for one unit of e."""
    window, spiking = network.window, network.readout == "spiking"
    if isinstance(loss, (losses.SpikeCount, losses.EnhancedSpikeCount)):
        if not spiking:
            raise ConfigError("a spike-count loss needs a spiking readout")
        if isinstance(loss, losses.EnhancedSpikeCount) or not loss.overshoot_is_free:
            _note(notes, f"trained with {type(loss).__name__}; boards learn with the plain spike-count loss")
        q = max(1, round(32768 / window))
        found = IntegerLoss(Loss.SPIKE_COUNT, round(loss.desired), round(loss.undesired), q)
        return found, 1.0, 1 / (q * window)
    if isinstance(loss, losses.CountCrossEntropy):
        factor = loss.scale * window  # on the mean over the window
    elif isinstance(loss, losses.ScoreCrossEntropy):
        factor = loss.scale
    else:
        factor = 1.0
        _note(
            notes,
            f"trained with {type(loss).__name__}; boards learn with the cross-entropy of the window's score",
        )
    logit = factor / window * (1.0 if spiking else float(s))
    return IntegerLoss(Loss.CROSS_ENTROPY), logit, factor / window / 32768


# Calibration: shifts, learning rates, capacities


def _calibrate(
    model: IntegerModel,
    windows: list[Integers],
    y: Integers,
    config: QuantizeConfig,
    scales: list[Array],
    peaks: list[float],
    error_unit: float,
    in_units: list[float],
    notes: list[str],
) -> tuple[IntegerModel, dict[int, tuple[float, float]]]:
    """The model with shifts, rates and capacities; by layer, its unit of error and its float learning rate.

    Shifts are chosen from errors as large as learning can meet: each window is labelled with the next class.
    """
    lowest = model.lowest_learning
    if lowest is None:
        return model, {}
    weights = reference.fresh(model).weights
    records = [reference.run_window(model, weights, window) for window in windows]
    wrong = [int(label + 1) % model.classes for label in y]
    units: dict[int, tuple[float, float]] = {}
    unit = error_unit
    before_gate: dict[int, float] = {}  # unit of d
    for l in range(len(model.layers) - 1, lowest - 1, -1):
        if not model.passes(l):
            continue
        layer = model.layers[l]
        unit = error_unit
        if l + 1 < len(model.layers):
            model, unit = _ways_down(model, l, records, wrong, scales, units, before_gate, notes)
        before_gate[l] = unit
        unit *= peaks[l]  # e is gated by a surrogate of height 1
        for m, above in enumerate(model.layers):
            if above.current == l and m in units:
                down = min(31, max(-15, round(math.log2(unit / units[m][0]))))
                model = _replaced(model, m, current_down=down)
        if layer.learns:
            model, shift, per_rate = _rate(
                model, l, records, wrong, windows, config, unit, in_units[l], notes
            )
            units[l] = unit, 2.0**-shift / per_rate
        else:
            units[l] = unit, 0.0
    counts = {l: max(int(r.fired[l].sum()) for r in records) for l in range(len(model.layers))}
    if any(model.layers[l].spiking and not counts[l] for l in range(lowest, len(model.layers))):
        _note(
            notes, "a layer that errors pass did not fire in the calibration windows; its shifts are guesses"
        )
    capacities = {l: math.ceil(config.margin * n / 8) * 8 for l, n in counts.items()}
    return replace(model, layers=_with_capacities(model.layers, model.window, capacities)), units


def _ways_down(
    model: IntegerModel,
    l: int,
    records: Sequence[reference.WindowRecord],
    labels: Sequence[int],
    scales: Sequence[Array],
    units: Mapping[int, tuple[float, float]],
    before_gate: Mapping[int, float],
    notes: list[str],
) -> tuple[IntegerModel, float]:
    """The model with shifts for all ways down to layer l, and the unit of d there.

    A way's raw unit times 2^shift is the unit of l, exactly where scales are powers of two.
    """
    takers = [m for m in model.takers(l) if m in units]
    by_weights = [m for m in takers if source(model.layers, m) == l]
    if not by_weights:  # only added to spikes: the unit of the sum
        return model, before_gate[takers[0]]
    raw = {m: units[m][0] * float(scales[m]) for m in by_weights}
    first = by_weights[-1]
    inter = _arriving(model, records, labels, l, {m: raw[m] / raw[first] for m in by_weights})
    unit = raw[first] * 2.0 ** _down_shift(inter, model.layers[l].error_limit)
    unit = max([unit, *raw.values()])
    shifts = {m: min(62, max(0, round(math.log2(unit / raw[m])))) for m in by_weights}
    common = min(31, *shifts.values()) if len(shifts) > 1 else min(31, shifts[first])
    model = _replaced(model, l, down_shift=common)
    exact = [raw[m] * 2.0 ** shifts[m] for m in by_weights]
    for m, shift in shifts.items():
        model = _replaced(model, m, input_down=min(31, shift - common))
    for m in takers:
        if model.layers[m].add == l:
            shift = min(31, max(-15, round(math.log2(unit / before_gate[m]))))
            model = _replaced(model, m, add_down=shift)
            exact.append(before_gate[m] * 2.0**shift)
    if max(exact) > 1.05 * min(exact):
        apart = max(exact) / min(exact)
        _note(notes, f"layer {l}: errors that meet there have units that differ by {apart:.2f}")
    return model, unit


def _rate(
    model: IntegerModel,
    l: int,
    records: Sequence[reference.WindowRecord],
    labels: Sequence[int],
    windows: Sequence[Integers],
    config: QuantizeConfig,
    unit: float,
    in_unit: float,
    notes: list[str],
) -> tuple[IntegerModel, int, float]:
    """The model with the rate shift of layer l; the shift, and 2^-shift for a float learning rate of 1."""
    layer, frames = model.layers[l], l == 0 and model.input_kind != InputKind.SPIKES
    input_shift = _input_shift(windows) if frames else 0
    sizes = _sizes(_errors(model, records, labels, l))
    largest = float(np.quantile(sizes, 0.998)) if sizes.size else 0.0
    size = _mean_sum(_replaced(model, l, input_shift=input_shift), records, labels, l)
    last = l + 1 == len(model.layers)
    step = config.readout_step if last else config.step
    if layer.conv or model.largest_inputs[l] > 1:
        # Sums over positions and counts are large; the sum's shift takes what errors of 16 units cannot.
        wanted = math.log2(size * 2.0**input_shift / (step * 32768))
        room = math.log2(float(sizes.mean()) / 16) if sizes.size else 0.0
        more = min(15, max(input_shift, math.ceil(wanted - max(room, -15.0))))
        size, input_shift = size * 2.0 ** (input_shift - more), more
    model = _replaced(model, l, input_shift=input_shift)
    # S = 32768 lr / LSB * dL/dw, in which e counts `unit` and an input of 1 counts `in_unit`.
    per_rate = 32768 * unit / layer.scale * 2.0**input_shift * in_unit
    if config.rates is not None and l in config.rates:
        shift = -math.log2(config.rates[l] * per_rate)
    else:
        shift = math.log2(size / (step * 32768))
        least = math.ceil(math.log2(largest / model.update_limit(l))) if largest else -15
        if round(shift) < least:
            _note(notes, f"layer {l}: its largest errors allow a smaller step than {step:g} only")
        shift = max(round(shift), least)
    rate_shift = min(31, max(-15, round(shift)))
    return _replaced(model, l, rate_shift=rate_shift), rate_shift, per_rate


def _errors(
    model: IntegerModel, records: Sequence[reference.WindowRecord], labels: Sequence[int], l: int
) -> list[reference.LayerErrors]:
    """Errors of layer l, window by window."""
    weights = reference.fresh(model).weights
    found = [
        reference.backward(model, weights, r, label)[l] for r, label in zip(records, labels, strict=True)
    ]
    return [errors for errors in found if errors is not None]


def _arriving(
    model: IntegerModel,
    records: Sequence[reference.WindowRecord],
    labels: Sequence[int],
    l: int,
    ratios: Mapping[int, float],
) -> Array:
    """What comes down to layer l at its spikes before shifts, in the unit of the way whose ratio is 1."""
    weights = reference.fresh(model).weights
    found = []
    for record, label in zip(records, labels, strict=True):
        errors = reference.backward(model, weights, record, label)
        total = np.zeros(record.outputs[l].shape)
        for m, ratio in ratios.items():
            above = errors[m]
            assert above is not None
            total += ratio * reference.sent_down(model, m, weights[m], above.eta)
        found.append(total[record.outputs[l] > 0])
    return np.concatenate(found)


def _mean_sum(
    model: IntegerModel, records: Sequence[reference.WindowRecord], labels: Sequence[int], l: int
) -> float:
    """Mean |S| of weights with one, at rate shift 0 and before any clamp."""
    pairs = zip(records, _errors(model, records, labels, l), strict=True)
    sums = np.stack([np.abs(_raw_sums(model, l, r, e)) for r, e in pairs])
    return float(sums[sums > 0].mean()) if sums.any() else 1.0


def _sizes(errors: Sequence[reference.LayerErrors]) -> Integers:
    """|e| where it is not 0: the largest carry most of S."""
    return np.concatenate([np.abs(e.e[e.e != 0]) for e in errors])


def _down_shift(inter: Integers, limit: int) -> int:
    """The least shift that leaves all but a thousandth of the errors within half of their range."""
    if inter.size == 0:
        return 8
    high = float(np.quantile(np.abs(inter), 0.999))
    return min(31, max(0, math.ceil(math.log2(max(high, 1.0) / (limit / 2)))))


def _input_shift(windows: Sequence[Integers]) -> int:
    """About the size of an input, so that S grows with events as it does for spikes."""
    size = float(np.mean([np.abs(w).mean() for w in windows]))
    return min(15, max(0, round(math.log2(max(size, 1.0)))))


def _raw_sums(
    model: IntegerModel, l: int, record: reference.WindowRecord, errors: reference.LayerErrors
) -> Array:
    """S at rate shift 0, unclamped, (fan_in, fan_out), float."""
    total = reference.raw_sums(model, l, record, errors.eta)
    return total / 2.0 ** model.layers[l].input_shift


def _replaced(model: IntegerModel, l: int, **changes: Any) -> IntegerModel:
    layers = list(model.layers)
    layers[l] = replace(layers[l], **changes)
    return replace(model, layers=tuple(layers))


def _with_capacities(
    layers: Sequence[IntegerLayer], window: int, capacities: Mapping[int, int]
) -> tuple[IntegerLayer, ...]:
    """Capacities where layers need one; all that can fire where none is given."""
    found = []
    for l, layer in enumerate(layers):
        most = layer.neurons * window
        enough = most if most <= SMALL else max(1, capacities.get(l, most))
        capacity = min(most, enough) if needs_capacity(layers, l) else 0
        found.append(replace(layer, capacity=capacity))
    return tuple(found)


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
