"""What an integer network is: the numbers of docs/arithmetic.md as frozen dataclasses that check themselves.

Names are those of docs/image.md. An IntegerModel that exists keeps every range and bound of both pages, so
the arithmetic in `reference.py` needs no check of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyedge.encode import EncoderConfig
from pyedge.errors import FieldError

Integers = NDArray[Any]  # any integer type; documented where the width matters

Kind = TypeVar("Kind", bound=IntEnum)

MEMBRANE_LIMIT = 2**30
THRESHOLD_LIMIT = 2**31 - 256


class InputKind(IntEnum):
    SPIKES = 1
    FRAMES = 2
    STATIC = 3


class NeuronKind(IntEnum):
    LIF = 0
    IF = 1
    LINEAR = 2


class Surrogate(IntEnum):
    NONE = 0
    RECTANGULAR = 1
    LINEAR = 2


class Loss(IntEnum):
    CROSS_ENTROPY = 1
    SPIKE_COUNT = 2


def _member(kind: type[Kind], field: str, value: int) -> Kind:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(f"{k.value} {k.name.lower().replace('_', ' ')}" for k in kind)
        raise FieldError(field, f"is {value}; {choices}") from None


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """One dense layer. Ranges: docs/image.md section 2.

    weights : (fan_in, fan_out) integers, w[j, i] from input j to output i, within `bits`.
    bias    : (fan_out,) int32.
    theta0, alpha : (fan_out,) with 8 fractional bits; 0 for a linear readout.
    scale   : float value of one weight LSB, for tools.
    """

    neuron: NeuronKind
    weights: Integers
    bias: Integers
    theta0: Integers
    alpha: Integers
    bits: int = 8
    learns: bool = False
    carry: bool = False
    surrogate: Surrogate = Surrogate.NONE
    down_shift: int = 0
    rate_shift: int = 0
    input_shift: int = 0
    reset_mult: int = 0
    reset_shift: int = 0
    gate_shift: int = 0
    gate_mult: int = 0
    gate_width: int = 0
    capacity: int = 0
    scale: float = 1.0

    def __post_init__(self) -> None:
        weights = np.array(self.weights, np.int32)
        if weights.ndim != 2:
            raise FieldError("weights", "have shape (fan_in, fan_out)")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "neuron", _member(NeuronKind, "neuron", self.neuron))
        object.__setattr__(self, "surrogate", _member(Surrogate, "surrogate", self.surrogate))
        with np.errstate(over="ignore"):
            object.__setattr__(self, "scale", float(np.float32(self.scale)))
        for name in ("bias", "theta0", "alpha"):
            value = np.array(np.broadcast_to(np.asarray(getattr(self, name)), (self.fan_out,)), np.int64)
            object.__setattr__(self, name, value)
        for array in (self.weights, self.bias, self.theta0, self.alpha):
            array.setflags(write=False)

    @property
    def fan_in(self) -> int:
        return int(self.weights.shape[0])

    @property
    def fan_out(self) -> int:
        return int(self.weights.shape[1])

    @property
    def spiking(self) -> bool:
        return self.neuron != NeuronKind.LINEAR

    @property
    def weight_limits(self) -> tuple[int, int]:
        """The smallest and the largest weight."""
        return (-128, 127) if self.bits == 8 else (-512, 511)

    @property
    def error_limit(self) -> int:
        """E1: errors that this layer carries keep fan_out * Wmax * E1 below 2^31 (section 3.1)."""
        return min(32767, (2**31 - 1) // (self.fan_out * -self.weight_limits[0]))


@dataclass(frozen=True, eq=False)
class IntegerModel:
    """A whole integer network: what an image holds (docs/image.md) and all that the arithmetic needs.

    window          : T, steps.
    score_mult, score_shift : K and Z of the softmax (section 2.6).
    desired, others, count_mult : D, U and Q of the spike-count loss (section 3.1).
    class_names     : one a class, or none.
    metadata        : JSON for tools.
    """

    window: int
    input_kind: InputKind
    layers: tuple[IntegerLayer, ...]
    loss: Loss = Loss.CROSS_ENTROPY
    score_mult: int = 1
    score_shift: int = 0
    seed: int = 0
    desired: int = 0
    others: int = 0
    count_mult: int = 0
    encoder: EncoderConfig | None = None
    class_names: tuple[str, ...] = ()
    name: str = ""
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_kind", _member(InputKind, "input kind", self.input_kind))
        object.__setattr__(self, "loss", _member(Loss, "loss", self.loss))
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        _check_model(self)

    @property
    def inputs(self) -> int:
        return self.layers[0].fan_in

    @property
    def classes(self) -> int:
        return self.layers[-1].fan_out

    @property
    def lowest_learning(self) -> int | None:
        """Index of the lowest layer that learns: errors pass it and every layer above."""
        return next((l for l, layer in enumerate(self.layers) if layer.learns), None)

    def passes(self, l: int) -> bool:
        """Whether errors pass layer l: it learns, or a layer below it does."""
        return any(layer.learns for layer in self.layers[: l + 1])

    def keeps_error_sums(self, l: int) -> bool:
        """Whether layer l keeps error sums at spikes: errors pass it and the layer above is hidden too."""
        return self.passes(l) and l + 2 < len(self.layers)

    def needs_capacity(self, l: int) -> bool:
        """Whether what layer l keeps for learning grows with its spikes (docs/image.md section 4)."""
        return needs_capacity(self.layers, l)


def needs_capacity(layers: Sequence[IntegerLayer], l: int) -> bool:
    """The same before there is a model."""
    if not any(layer.learns for layer in layers[: l + 1]):
        return False
    return (layers[l].spiking and layers[l].surrogate == Surrogate.LINEAR) or l + 2 < len(layers)


def membrane_bound(window: int, layer: IntegerLayer, x_max: int) -> int:
    """The largest |u| (or score) that `layer` can reach (section 2.4 and 2.5)."""
    m = layer.fan_in * x_max * -layer.weight_limits[0] + int(np.abs(layer.bias).max(initial=0))
    return 2 * m if layer.neuron == NeuronKind.LIF else window * m


def input_limit(model: IntegerModel, l: int) -> int:
    """Xmax: the largest |input| of layer l."""
    return 128 if l == 0 and model.input_kind != InputKind.SPIKES else 1


def _within(where: str, name: str, value: int, low: int, high: int) -> None:
    if not low <= int(value) <= high:
        raise FieldError(where + name, f"is {value}; it lies in {low} .. {high}")


def _check_model(model: IntegerModel) -> None:
    """Raise FieldError unless every range of docs/image.md and bound of docs/arithmetic.md holds."""
    _within("", "layers", len(model.layers), 1, 64)
    _within("", "T", model.window, 1, 1024)
    _within("", "classes", model.classes, 2, 256)
    _within("", "score shift", model.score_shift, 0, 47)
    _within("", "score multiplier", model.score_mult, 1, 65535)
    _within("", "seed", model.seed, 0, 2**32 - 1)
    _within("", "desired spikes", model.desired, 0, 65535)
    _within("", "others' spikes", model.others, 0, 65535)
    spike_count = model.loss == Loss.SPIKE_COUNT
    _within("", "spike-count multiplier", model.count_mult, int(spike_count), 65535)
    if spike_count and not model.layers[-1].spiking:
        raise FieldError("loss", "counts spikes, but the readout is linear")
    if model.class_names and len(model.class_names) != model.classes:
        raise FieldError("class names", f"are {len(model.class_names)}; there are {model.classes} classes")
    if any("\0" in name for name in model.class_names):
        raise FieldError("class names", "hold a zero byte")
    if "\0" in model.name or len(model.name.encode()) > 31:
        raise FieldError("model name", "has at most 31 bytes of UTF-8 and no zero byte")
    for l in range(len(model.layers)):
        _check_layer(model, l)
    if model.encoder is not None:
        _check_encoder(model, model.encoder)


def _check_layer(model: IntegerModel, l: int) -> None:
    layer, where = model.layers[l], f"layer {l} "
    if not layer.spiking and l + 1 < len(model.layers):
        raise FieldError(where + "neuron", "is a linear readout; only the last layer may be one")
    if layer.bits not in (8, 10):
        raise FieldError(where + "bits", f"is {layer.bits}; weights have 8 or 10")
    if layer.carry and not layer.learns:
        raise FieldError(where + "flags", "ask for carry without learning")
    if layer.surrogate == Surrogate.NONE and layer.spiking and model.passes(l):
        raise FieldError(where + "surrogate", "is none, but errors pass this layer")
    if layer.surrogate != Surrogate.NONE and not layer.spiking:
        raise FieldError(where + "surrogate", "does not go with a linear readout")
    last, spikes_in = l + 1 == len(model.layers), l > 0 or model.input_kind == InputKind.SPIKES
    _within(where, "down_shift", layer.down_shift, 0, 0 if last else 31)
    _within(where, "rate_shift", layer.rate_shift, -15, 31)
    _within(where, "input_shift", layer.input_shift, 0, 0 if spikes_in else 15)
    _within(where, "reset_mult", layer.reset_mult, 0, 65535)
    _within(where, "reset_shift", layer.reset_shift, 0, 62)
    _within(where, "gate_shift", layer.gate_shift, 0, 47)
    linear, rectangular = layer.surrogate == Surrogate.LINEAR, layer.surrogate == Surrogate.RECTANGULAR
    _within(where, "gate_mult", layer.gate_mult, int(linear), 65535 if linear else 0)
    _within(where, "gate_width", layer.gate_width, int(rectangular), 2**31 - 1 if rectangular else 0)
    _within(where, "fan_in", layer.fan_in, 1, 65535)
    _within(where, "fan_out", layer.fan_out, 1, 65535)
    if l and layer.fan_in != model.layers[l - 1].fan_out:
        raise FieldError(
            where + "fan_in", f"is {layer.fan_in}; the layer before has {model.layers[l - 1].fan_out} outputs"
        )
    needs = model.needs_capacity(l)
    _within(where, "spike capacity", layer.capacity, int(needs), layer.fan_out * model.window if needs else 0)
    if not (np.isfinite(layer.scale) and layer.scale > 0):
        raise FieldError(where + "scale", f"is {layer.scale}; it is finite and positive in 32 bits")
    low, high = layer.weight_limits
    if layer.weights.min() < low or layer.weights.max() > high:
        raise FieldError(where + "weights", f"go beyond {low} .. {high}")
    if np.abs(layer.bias).max() > 2**31 - 1:
        raise FieldError(where + "bias", "goes beyond 32 bits")
    if layer.theta0.min() < 0 or layer.alpha.min() < 0:
        raise FieldError(where + "theta0" if layer.theta0.min() < 0 else where + "alpha", "is negative")
    if not layer.spiking and (layer.theta0.any() or layer.alpha.any()):
        raise FieldError(where + "theta0", "or alpha is not 0, but the readout is linear")
    if (layer.theta0 + layer.alpha * (model.window + 1)).max() > THRESHOLD_LIMIT:
        raise FieldError(where + "theta0", "+ alpha (T + 1) exceeds 2^31 - 256")
    bound = membrane_bound(model.window, layer, input_limit(model, l))
    if bound >= MEMBRANE_LIMIT:
        raise FieldError(
            where + "bias" if np.abs(layer.bias).max() else where + "fan_in",
            f"lets a membrane potential or score reach {bound}; it must stay below 2^30",
        )


def _check_encoder(model: IntegerModel, encoder: EncoderConfig) -> None:
    """The encoder's own ranges are its own; here it must feed this network."""
    kind = InputKind.SPIKES if encoder.spikes else InputKind.FRAMES
    if kind != model.input_kind or encoder.inputs != model.inputs:
        raise FieldError(
            "encoder kind",
            f"{encoder.kind} gives {encoder.inputs} {kind.name.lower()}; "
            f"the network takes {model.inputs} {model.input_kind.name.lower()}",
        )
    if encoder.profile and len(encoder.profile) != model.classes:
        raise FieldError("encoder profile", f"has {len(encoder.profile)} classes of {model.classes}")
