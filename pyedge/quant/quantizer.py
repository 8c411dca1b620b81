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
from pyedge.layers import Dense, Spiking
from pyedge.model import Network, Params
from pyedge.neuron import IF, LIF
from pyedge.ops import Array
from pyedge.quant import reference
from pyedge.quant.model import (
    InputKind,
    IntegerLayer,
    IntegerModel,
    Integers,
    Loss,
    NeuronKind,
    Surrogate,
    needs_capacity,
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
        if self.margin < 1 or self.calibration < 1 or self.evaluation < 1:
            raise ConfigError("margin, calibration and evaluation are at least 1")
        if self.surrogate not in ("nearest", "linear", "rectangular"):
            raise ConfigError(f"surrogate is {self.surrogate!r}; boards have 'linear' and 'rectangular'")


@dataclass(frozen=True)
class Quantized:
    model: IntegerModel
    report: Report


@dataclass(frozen=True)
class FloatLayer:
    """One layer of neurons (or a linear readout) with its incoming weights."""

    name: str
    weight: Array  # (fan_in, fan_out), of inputs as the integers have them (an input scale is folded in)
    bias: Array  # (fan_out,)
    neuron: LIF | IF | None


def float_layers(network: Network, params: Mapping[str, Array]) -> tuple[FloatLayer, ...]:
    """The network as pairs of weights and neurons. Raises ConfigError for what boards cannot run."""
    found: list[FloatLayer] = []
    for name, layer in zip(network.names, network.layers, strict=True):
        if isinstance(layer, Dense):
            weight = np.asarray(params[f"{name}.weight"], np.float64)
            bias = np.asarray(params.get(f"{name}.bias", np.zeros(weight.shape[1])), np.float64)
            if found and found[-1].neuron is None:
                raise ConfigError(f"layer {name} follows a linear layer; boards need neurons in between")
            found.append(FloatLayer(name, weight if found else weight / network.input.scale, bias, None))
        elif isinstance(layer, Spiking) and found and found[-1].neuron is None:
            neuron = layer.neuron
            if not isinstance(neuron, (LIF, IF)):
                raise ConfigError(f"layer {name} has {type(neuron).__name__} neurons; boards have LIF and IF")
            if isinstance(neuron, LIF) and neuron.tau != 0.5:
                raise ConfigError(f"layer {name} has tau {neuron.tau}; boards have 0.5 (LIF) and 1 (IF)")
            found[-1] = replace(found[-1], neuron=neuron)
        else:
            raise ConfigError(
                f"layer {name} is a {layer.kind} layer; boards take dense layers, each with neurons"
            )
    return tuple(found)


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
    network, params = fold(network, params)
    x, y = _checked(network, x, y)
    floats = float_layers(network, params)
    notes: list[str] = []
    learning = _learning(config, len(floats))
    lowest = min(learning, default=len(floats))

    scales, layers = [], []
    peaks = []  # g(0) of the float surrogate, which error units absorb
    for l, layer in enumerate(floats):
        last = l + 1 == len(floats)
        bits = (config.readout_bits or config.bits) if last else config.bits
        channels = config.per_channel and not last and l < lowest
        s = _scale(layer.weight, bits, channels, config.head_room)
        integer, peak = _layer(
            layer, l, s, bits, rule, config, network.window, l in learning, l >= lowest, notes
        )
        input_scale = network.input.scale if l == 0 else 1.0
        layers.append(replace(integer, scale=float(np.max(s)) * input_scale))
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
    )
    chosen = _spaced(len(y), config.calibration)
    windows = [x[i] if network.input.kind == "static" else x[:, i] for i in chosen]
    model, units = _calibrate(
        model, windows, y[chosen], config, scales, peaks, error_unit, network.input.scale, notes
    )
    shown = _spaced(len(y), config.evaluation)
    found = report(
        network,
        params,
        model,
        x[shown] if network.input.kind == "static" else x[:, shown],
        y[shown],
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
        if w.shape != layer.weight.shape:
            raise DataError(
                f"weights of {layer.name} have shape {w.shape}; the network has {layer.weight.shape}"
            )
        if integer.learns:
            key = f"{layer.name}.weight"
            out[key] = (w * integer.scale).astype(params[key].dtype)
    return out


# Scales, thresholds, surrogate


def _scale(weight: Array, bits: int, channels: bool, head_room: float) -> Array:
    """s, the current of one LSB: (fan_out,) or one for the layer."""
    top = 127 if bits == 8 else 511
    largest = np.abs(weight).max()
    if not np.isfinite(largest):
        raise DataError("a weight is not finite; train again")
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
        return IntegerLayer(neuron=NeuronKind.LINEAR, theta0=np.zeros(1), alpha=np.zeros(1), **common), 1.0

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
    input_scale: float,
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
    for l in range(len(model.layers) - 1, lowest - 1, -1):
        layer = model.layers[l]
        if l + 1 < len(model.layers):
            down = _down_shift(_arriving(model, records, wrong, l), layer.error_limit)
            unit *= float(scales[l + 1]) * 2.0**down
            model = _replaced(model, l, down_shift=down)
        unit *= peaks[l]  # e is gated by a surrogate of height 1
        if layer.learns:
            input_shift = _input_shift(windows) if l == 0 and model.input_kind != InputKind.SPIKES else 0
            model = _replaced(model, l, input_shift=input_shift)
            size = _mean_sum(model, records, wrong, l)
            # S = 32768 lr / LSB * dL/dw, in which e counts `unit` and an input of 1 counts 1 / input_scale.
            per_rate = 32768 * unit / layer.scale * 2.0**input_shift / (input_scale if l == 0 else 1.0)
            if config.rates is not None and l in config.rates:
                shift = -math.log2(config.rates[l] * per_rate)
            else:
                step = config.readout_step if l + 1 == len(model.layers) else config.step
                shift = math.log2(size / (step * 32768))
                least = _unclamped(_errors(model, records, wrong, l), model.update_limit(l))
                if round(shift) < least:
                    note = f"layer {l}: its largest errors allow a smaller step than {step:g} only"
                    _note(notes, note)
                shift = max(round(shift), least)
            rate_shift = min(31, max(-15, round(shift)))
            model = _replaced(model, l, rate_shift=rate_shift)
            units[l] = unit, 2.0**-rate_shift / per_rate
        else:
            units[l] = unit, 0.0
    counts = {l: max(int(r.fired[l].sum()) for r in records) for l in range(len(model.layers))}
    if any(model.layers[l].spiking and not counts[l] for l in range(lowest, len(model.layers))):
        _note(
            notes, "a layer that errors pass did not fire in the calibration windows; its shifts are guesses"
        )
    capacities = {l: math.ceil(config.margin * n / 8) * 8 for l, n in counts.items()}
    return replace(model, layers=_with_capacities(model.layers, model.window, capacities)), units


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
    model: IntegerModel, records: Sequence[reference.WindowRecord], labels: Sequence[int], l: int
) -> Integers:
    """What comes down to layer l at its spikes, before its shift."""
    pairs = zip(records, _errors(model, records, labels, l), strict=True)
    return np.concatenate([e.inter[r.fired[l]] for r, e in pairs if e.inter is not None])


def _mean_sum(
    model: IntegerModel, records: Sequence[reference.WindowRecord], labels: Sequence[int], l: int
) -> float:
    """Mean |S| of weights with one, at rate shift 0 and before any clamp."""
    pairs = zip(records, _errors(model, records, labels, l), strict=True)
    sums = np.stack([np.abs(_raw_sums(model, l, r, e)) for r, e in pairs])
    return float(sums[sums > 0].mean()) if sums.any() else 1.0


def _unclamped(errors: Sequence[reference.LayerErrors], limit: int) -> int:
    """The least rate shift that clamps no more than two in a thousand errors: the largest carry most of S."""
    sizes = np.concatenate([np.abs(e.e[e.e != 0]) for e in errors])
    return math.ceil(math.log2(float(np.quantile(sizes, 0.998)) / limit)) if sizes.size else -15


def _down_shift(inter: Integers, limit: int) -> int:
    """The least shift that leaves all but a thousandth of the errors within half of their range."""
    if inter.size == 0:
        return 8
    high = float(np.quantile(np.abs(inter), 0.999))
    return min(31, max(0, math.ceil(math.log2(max(high, 1.0) / (limit / 2)))))


def _input_shift(windows: list[Integers]) -> int:
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
        most = layer.fan_out * window
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
    x, y = np.asarray(x), np.asarray(y)
    lead = () if network.input.kind == "static" else (network.window,)
    inputs = int(np.prod(network.input.shape))
    if (
        x.shape[: len(lead)] != lead
        or x.ndim < len(lead) + 2
        or int(np.prod(x.shape[len(lead) + 1 :])) != inputs
    ):
        raise DataError(f"calibration data has shape {x.shape}; it is {(*lead, 'samples', inputs)}")
    x = x.reshape(*x.shape[: len(lead) + 1], inputs)
    if x.shape[len(lead)] != len(y) or not len(y):
        raise DataError(f"there are {x.shape[len(lead)]} calibration windows and {len(y)} labels")
    whole = np.rint(x)
    if not np.array_equal(whole, x):
        raise DataError(
            "calibration data holds fractions; give the encoder's integers (the network scales them)"
        )
    if y.min() < 0 or y.max() >= network.classes:
        raise DataError(f"labels lie in {y.min()} .. {y.max()}; the network has {network.classes} classes")
    return whole.astype(np.int64), y.astype(np.int64)


def _spaced(count: int, most: int) -> Integers:
    """Indices of at most `most` windows, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))
