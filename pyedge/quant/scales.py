"""Weights, thresholds, surrogate and loss of a float network in integers, from scales alone."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyedge import losses, rules
from pyedge.errors import ConfigError
from pyedge.model import Network
from pyedge.neuron import LIF
from pyedge.ops import Array
from pyedge.quant.lower import FloatLayer
from pyedge.quant.model import IntegerLayer, Loss, NeuronKind, Surrogate
from pyedge.rules.surrogate import DEFAULT_WIDTHS

# Of a surrogate of width and scale 1, at the threshold.
HEIGHTS = {"constant": 1.0, "rectangular": 0.5, "linear": 1.0, "exponential": 0.5, "sigmoid": 0.25}


def scale(weight: Array, bits: int, channels: bool, head_room: float) -> Array:
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
    width = DEFAULT_WIDTHS[surrogate.shape] if surrogate.width is None else surrogate.width
    area = math.inf if surrogate.shape == "constant" else 0.5 * surrogate.scale
    return Shape(surrogate.shape, HEIGHTS[surrogate.shape] * surrogate.scale / width, area)


def integer_layer(layer: FloatLayer, s: Array, bits: int, window: int, last: bool) -> IntegerLayer:
    """Weights and neurons of a layer, nothing of learning. Raises ConfigError."""
    top = 127 if bits == 8 else 511
    weights = np.clip(np.rint(layer.weight / s), -top - 1, top)
    bias = np.rint(layer.bias / s)
    if layer.neuron is None:
        kind = NeuronKind.LINEAR if last else NeuronKind.CURRENTS
        return IntegerLayer(kind, weights, bias, np.zeros(1), np.zeros(1), bits)
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
    return IntegerLayer(NeuronKind.LIF if leaky else NeuronKind.IF, weights, bias, theta0, slope, bits)


def with_surrogate(
    layer: IntegerLayer, s: float, rule: rules.Rule, wanted: str, notes: list[str]
) -> tuple[IntegerLayer, float]:
    """A layer of neurons with gate and reset, near to those of `rule`; the peak of its float surrogate.

    wanted : QuantizeConfig.surrogate. Raises ConfigError.
    """
    surrogate = getattr(rule, "surrogate", None)
    if not isinstance(surrogate, rules.Surrogate):
        surrogate = rules.Surrogate()
        note(notes, "the learning rule has no known surrogate; boards learn with the linear one of width 1")
    if getattr(rule, "masked", True) is False:
        note(notes, "trained with an unmasked surrogate; boards learn with errors at spikes only")
    if getattr(rule, "reset", "threshold") == "on":
        note(notes, "trained with the reset's own u; boards take the threshold for it")
    shape = surrogate_shape(surrogate)
    if wanted == "nearest":
        wanted = "rectangular" if shape.name in ("rectangular", "constant") else "linear"
    if wanted == "linear" and math.isinf(shape.area):
        raise ConfigError(
            "a constant surrogate has no linear counterpart; quantize with 'rectangular' or 'nearest'"
        )
    if wanted != shape.name:
        note(
            notes,
            f"trained with a {shape.name} surrogate; boards learn with a {wanted} one of its height and area",
        )
    leaky = layer.neuron == NeuronKind.LIF
    return replace(layer, **_gate(shape, wanted, s), **_reset(rule, leaky, s, shape.peak)), shape.peak


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


def note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)


# Loss


@dataclass(frozen=True)
class IntegerLoss:
    """A loss as the image states it (docs/image.md, section 1), and dL/d(output) for one unit of e."""

    kind: Loss
    score_mult: int
    score_shift: int
    error_unit: float
    desired: int = 0
    others: int = 0
    count_mult: int = 0


def integer_loss(loss: losses.Loss, network: Network, s: float, notes: list[str]) -> IntegerLoss:
    """The board's loss; s : the readout's scale. Raises ConfigError."""
    window, spiking = network.window, network.readout == "spiking"
    if isinstance(loss, (losses.SpikeCount, losses.EnhancedSpikeCount)):
        if not spiking:
            raise ConfigError("a spike-count loss needs a spiking readout")
        if isinstance(loss, losses.EnhancedSpikeCount) or not loss.overshoot_is_free:
            note(notes, f"trained with {type(loss).__name__}; boards learn with the plain spike-count loss")
        q = max(1, round(32768 / window))
        desired, others = round(loss.desired), round(loss.undesired)
        return IntegerLoss(Loss.SPIKE_COUNT, *_softmax(1.0), 1 / (q * window), desired, others, q)
    if isinstance(loss, losses.CountCrossEntropy):
        factor = loss.scale * window  # on the mean over the window
    elif isinstance(loss, losses.ScoreCrossEntropy):
        factor = loss.scale
    else:
        factor = 1.0
        note(
            notes,
            f"trained with {type(loss).__name__}; boards learn with the cross-entropy of the window's score",
        )
    logit = factor / window * (1.0 if spiking else s)
    return IntegerLoss(Loss.CROSS_ENTROPY, *_softmax(logit), factor / window / 32768)


def _softmax(logit: float) -> tuple[int, int]:
    """K and Z, where a logit rises by `logit` for one unit of score."""
    return fraction(logit * math.log2(math.e) * 64, 47, "score multiplier")
