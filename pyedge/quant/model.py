"""What an integer network is: the numbers of docs/arithmetic.md as frozen dataclasses that check themselves.

Names are those of docs/image.md. An IntegerModel that exists keeps every range and bound of both pages, so
the arithmetic in `reference.py` needs no check of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyedge.encode import EncoderConfig
from pyedge.errors import FieldError

Integers = NDArray[Any]  # any integer type; documented where the width matters

Kind = TypeVar("Kind", bound=IntEnum)

MEMBRANE_LIMIT = 2**30
THRESHOLD_LIMIT = 2**31 - 256
CLASSES_LIMIT = 256  # with the spare rows
COUNT_LIMIT = 255
ADDS_LIMIT = 8
MAP_LIMIT = 2**20


class InputKind(IntEnum):
    SPIKES = 1
    FRAMES = 2
    STATIC = 3


class NeuronKind(IntEnum):
    LIF = 0
    IF = 1
    LINEAR = 2
    CURRENTS = 3


class Pooling(IntEnum):
    NONE = 0
    MAX = 1
    SUM = 2


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


class Map(NamedTuple):
    """A shape of signals; the index of (y, x, c) is (y * width + x) * channels + c."""

    height: int
    width: int
    channels: int

    @property
    def size(self) -> int:
        return self.height * self.width * self.channels


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """Weights, neurons, and what follows them. Ranges: docs/image.md section 2.

    weights : (fan_in, fan_out) integers, w[r, i] from row r to output (channel) i, within `bits`.
    bias    : (fan_out,) int32.
    theta0, alpha : (fan_out,) with 8 fractional bits; 0 without neurons.
    kernel, stride, padding : of a convolution over a map of `height` and `width`; 0 in a dense layer.
    pooling, pool_size : after the neurons.
    source  : the layer that it takes, None for the one before (the network's input in layer 0).
    value_pool, value_shift : not 0, the source's currents come in as values, instead of its outputs.
    add     : the layer whose outputs are added to the spikes.
    current : the layer whose currents are added to the current, shifted by current_shift.
    input_down, add_down, current_down : shifts of the errors that go the same three ways back.
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
    height: int = 0
    width: int = 0
    kernel: int = 0
    stride: int = 0
    padding: int = 0
    pooling: Pooling = Pooling.NONE
    pool_size: int = 0
    source: int | None = None
    value_pool: int = 0
    value_shift: int = 0
    input_down: int = 0
    add: int | None = None
    add_down: int = 0
    current: int | None = None
    current_shift: int = 0
    current_down: int = 0

    def __post_init__(self) -> None:
        weights = np.array(self.weights, np.int32)
        if weights.ndim != 2:
            raise FieldError("weights", "have shape (fan_in, fan_out)")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "neuron", _member(NeuronKind, "neuron", self.neuron))
        object.__setattr__(self, "surrogate", _member(Surrogate, "surrogate", self.surrogate))
        object.__setattr__(self, "pooling", _member(Pooling, "pooling", self.pooling))
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
        return self.neuron in (NeuronKind.LIF, NeuronKind.IF)

    @property
    def conv(self) -> bool:
        return self.kernel > 0

    @property
    def map(self) -> Map:
        """Positions and channels of the neurons, before pooling."""
        if not self.conv:
            return Map(1, 1, self.fan_out)
        height, width = (
            (n + 2 * self.padding - self.kernel) // self.stride + 1 for n in (self.height, self.width)
        )
        return Map(height, width, self.fan_out)

    @property
    def positions(self) -> int:
        return self.map.height * self.map.width

    @property
    def neurons(self) -> int:
        return self.map.size

    @property
    def outputs(self) -> Map:
        """What other layers see, after pooling."""
        z = self.pool_size or 1
        return Map(self.map.height // z, self.map.width // z, self.fan_out)

    @property
    def weight_limits(self) -> tuple[int, int]:
        """The smallest and the largest weight."""
        return (-128, 127) if self.bits == 8 else (-512, 511)

    @property
    def error_limit(self) -> int:
        """E1: errors that this layer carries keep reach * fan_out * Wmax * E1 below 2^31 (section 3.1)."""
        reach = (-(-self.kernel // self.stride)) ** 2 if self.conv else 1
        return min(32767, (2**31 - 1) // (reach * self.fan_out * -self.weight_limits[0]))


@dataclass(frozen=True, eq=False)
class IntegerModel:
    """A whole integer network: what an image holds (docs/image.md) and all that the arithmetic needs.

    window          : T, steps.
    score_mult, score_shift : K and Z of the softmax (section 2.6).
    desired, others, count_mult : D, U and Q of the spike-count loss (section 3.1).
    spare           : rows of the readout that are no class yet.
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
    spare: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_kind", _member(InputKind, "input kind", self.input_kind))
        object.__setattr__(self, "loss", _member(Loss, "loss", self.loss))
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        _check_model(self)

    @property
    def inputs(self) -> int:
        return incoming(self.layers, 0).size

    @property
    def classes(self) -> int:
        """Classes active at the start."""
        return self.layers[-1].fan_out - self.spare

    @property
    def lowest_learning(self) -> int | None:
        """Index of the lowest layer that learns."""
        return next((l for l, layer in enumerate(self.layers) if layer.learns), None)

    @cached_property
    def reached(self) -> tuple[bool, ...]:
        """Whether errors pass each layer: it learns, or it takes something from one that errors pass."""
        return reached(self.layers)

    def passes(self, l: int) -> bool:
        return self.reached[l]

    def takers(self, l: int) -> tuple[int, ...]:
        """Layers that take the outputs of layer l, as their source or by a spike add."""
        return takers(self.layers, l)

    def keeps_error_sums(self, l: int) -> bool:
        """Whether layer l keeps error sums at spikes: errors pass it, and not from the readout alone."""
        return keeps_error_sums(self.layers, l)

    def keeps_terms(self, l: int) -> bool:
        """Whether layer l keeps the sum of the terms that come down to it beside those of one layer."""
        added = any(layer.add == l for layer in self.layers)
        return self.keeps_error_sums(l) and (added or len(self.takers(l)) > 1)

    def needs_capacity(self, l: int) -> bool:
        """Whether what layer l keeps for learning grows with its spikes (docs/image.md section 4)."""
        return needs_capacity(self.layers, l)

    @cached_property
    def largest_inputs(self) -> tuple[int, ...]:
        """Xmax of every layer."""
        return largest_inputs(self.layers, self.input_kind)

    @cached_property
    def largest_outputs(self) -> tuple[int, ...]:
        """The largest output of every layer: 1 for spikes, more for counts."""
        return _largest(self.layers, self.input_kind)[1]

    @cached_property
    def largest_currents(self) -> tuple[int, ...]:
        """M of every layer (section 2.4)."""
        return current_bounds(self.layers, self.largest_inputs)

    def update_limit(self, l: int) -> int:
        """E2 of section 3.5."""
        reach = self.window * self.largest_inputs[l] * self.layers[l].positions
        return min(32767 // self.window, (2**31 - 1) // reach)

    @property
    def chain(self) -> bool:
        """Whether version 1 of the image holds it: dense layers, one after the other, and no spare row."""
        plain = all(
            not layer.conv
            and layer.neuron != NeuronKind.CURRENTS
            and layer.source in (None, l - 1)
            and not (layer.value_pool or layer.input_down)
            and layer.add is None
            and layer.current is None
            for l, layer in enumerate(self.layers)
        )
        return plain and self.spare == 0 and self.inputs <= 65535


def source(layers: Sequence[IntegerLayer], l: int) -> int:
    """The layer that layer l takes; -1 is the network's input."""
    found = layers[l].source
    return l - 1 if found is None else found


def incoming(layers: Sequence[IntegerLayer], l: int) -> Map:
    """The map that layer l's weights expect."""
    layer = layers[l]
    if layer.conv:
        return Map(layer.height, layer.width, layer.fan_in // layer.kernel**2)
    return Map(1, 1, layer.fan_in)


def given(layers: Sequence[IntegerLayer], l: int) -> Map:
    """The map that the source of layer l > 0 gives it."""
    before, z = layers[source(layers, l)], layers[l].value_pool
    if not z:
        return before.outputs
    return Map(before.map.height // z, before.map.width // z, before.fan_out)


def reached(layers: Sequence[IntegerLayer]) -> tuple[bool, ...]:
    """Whether errors pass each layer (section 3.2)."""
    found: list[bool] = []
    for l, layer in enumerate(layers):
        taken = [source(layers, l), layer.add, layer.current]
        found.append(layer.learns or any(found[k] for k in taken if k is not None and k >= 0))
    return tuple(found)


def takers(layers: Sequence[IntegerLayer], l: int) -> tuple[int, ...]:
    """`IntegerModel.takers`, before there is a model."""
    return tuple(
        m
        for m in range(l + 1, len(layers))
        if (source(layers, m) == l and not layers[m].value_pool) or layers[m].add == l
    )


def currents_taken(layers: Sequence[IntegerLayer]) -> set[int]:
    """Layers whose currents another layer adds, or takes as values."""
    found = {layer.current for layer in layers if layer.current is not None}
    return found | {source(layers, l) for l, layer in enumerate(layers) if layer.value_pool}


def keeps_error_sums(layers: Sequence[IntegerLayer], l: int) -> bool:
    """`IntegerModel.keeps_error_sums`, before there is a model."""
    last = len(layers) - 1
    return l < last and reached(layers)[l] and any(m != last for m in takers(layers, l))


def needs_capacity(layers: Sequence[IntegerLayer], l: int) -> bool:
    """`IntegerModel.needs_capacity`, before there is a model."""
    if not layers[l].spiking or not reached(layers)[l]:
        return False
    return layers[l].surrogate == Surrogate.LINEAR or keeps_error_sums(layers, l)


def largest_inputs(layers: Sequence[IntegerLayer], input_kind: InputKind) -> tuple[int, ...]:
    """Xmax of every layer, before there is a model."""
    return _largest(layers, input_kind)[0]


def _largest(
    layers: Sequence[IntegerLayer], input_kind: InputKind
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Xmax and the largest output of every layer."""
    inputs: list[int] = []
    outputs: list[int] = []
    for l, layer in enumerate(layers):
        if l == 0:
            inputs.append(1 if input_kind == InputKind.SPIKES else 128)
        else:
            inputs.append(128 if layer.value_pool else outputs[source(layers, l)])
        most = 1 if layer.add is None else 1 + outputs[layer.add]
        outputs.append(most * layer.pool_size**2 if layer.pooling == Pooling.SUM else most)
    return tuple(inputs), tuple(outputs)


def current_bounds(layers: Sequence[IntegerLayer], largest_inputs: Sequence[int]) -> tuple[int, ...]:
    """M of every layer: the largest |I| (section 2.4)."""
    found: list[int] = []
    for layer, x_max in zip(layers, largest_inputs, strict=True):
        m = layer.fan_in * x_max * -layer.weight_limits[0] + int(np.abs(layer.bias).max(initial=0))
        if layer.current is not None:
            n = layer.current_shift
            m += -(-found[layer.current] >> n) if n > 0 else found[layer.current] << -n
        found.append(m)
    return tuple(found)


def membrane_bound(window: int, layer: IntegerLayer, m: int) -> int:
    """The largest |u| (or score) that `layer` can reach with currents up to m (section 2.4 and 2.5)."""
    if layer.neuron == NeuronKind.CURRENTS:
        return m
    return 2 * m if layer.neuron == NeuronKind.LIF else window * m


def _within(where: str, name: str, value: int, low: int, high: int) -> None:
    if not low <= int(value) <= high:
        raise FieldError(where + name, f"is {value}; it lies in {low} .. {high}")


def _bytes_of(text: Any) -> bytes | None:
    """A text as an image holds it; None where it cannot."""
    try:
        return text.encode() if isinstance(text, str) and "\0" not in text else None
    except UnicodeEncodeError:
        return None


def _check_model(model: IntegerModel) -> None:
    """Raise FieldError unless every range of docs/image.md and bound of docs/arithmetic.md holds."""
    _within("", "layers", len(model.layers), 1, 64)
    _within("", "T", model.window, 1, 1024)
    _within("", "classes", model.classes, 2, CLASSES_LIMIT)
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
    if any(_bytes_of(name) is None for name in model.class_names):
        raise FieldError("class names", "are text in UTF-8 without a zero byte")
    name = _bytes_of(model.name)
    if name is None or len(name) > 31:
        raise FieldError("model name", "is text of at most 31 bytes of UTF-8 without a zero byte")
    _within("", "spare rows", model.spare, 0, model.layers[-1].fan_out - 2)
    for l in range(len(model.layers)):
        _check_shape(model, l)
    _within("", "inputs", model.inputs, 1, MAP_LIMIT)
    for l in range(len(model.layers)):
        _check_layer(model, l)
        _check_ways_back(model, l)
    if model.encoder is not None:
        _check_encoder(model, model.encoder)


def _check_shape(model: IntegerModel, l: int) -> None:
    """Layer l's place in the net: its map, what it takes, what it adds. The layers below are checked."""
    layers, layer, where = model.layers, model.layers[l], f"layer {l} "
    last = l + 1 == len(layers)
    if layer.neuron == NeuronKind.LINEAR and not last:
        raise FieldError(where + "neuron", "is a linear readout; only the last layer may be one")
    if layer.neuron == NeuronKind.CURRENTS and (last or l == 0):
        raise FieldError(where + "neuron", "is currents only; the first and the last layer may not be")
    if last and layer.conv:
        raise FieldError(where + "kernel", "makes the last layer a convolution; the readout is dense")
    _within(where, "fan_in", layer.fan_in, 1, 65535)
    _within(where, "fan_out", layer.fan_out, 1, CLASSES_LIMIT if last else 65535)
    conv = int(layer.conv)
    _within(where, "kernel", layer.kernel, 0, 255)
    _within(where, "stride", layer.stride, conv, 255 * conv)
    _within(where, "padding", layer.padding, 0, max(0, layer.kernel - 1))
    _within(where, "height", layer.height, conv, 65535 * conv)
    _within(where, "width", layer.width, conv, 65535 * conv)
    if conv:
        if layer.fan_in % layer.kernel**2:
            raise FieldError(where + "fan_in", f"is {layer.fan_in}, no multiple of {layer.kernel} squared")
        for name, size in (("height", layer.height), ("width", layer.width)):
            if size + 2 * layer.padding < layer.kernel:
                raise FieldError(where + name, f"is {size}; a kernel of {layer.kernel} does not fit")
    if layer.neurons > MAP_LIMIT:
        raise FieldError(where + "fan_out", f"makes {layer.neurons} neurons; there are at most {MAP_LIMIT}")
    plain = last or layer.neuron == NeuronKind.CURRENTS
    if plain and layer.pooling != Pooling.NONE:
        raise FieldError(where + "pooling", "does not go with the last layer or currents only")
    pooled = layer.pooling != Pooling.NONE
    top = min(255, layer.map.height, layer.map.width) if pooled else 0
    _within(where, "pool size", layer.pool_size, 2 if pooled else 0, top)
    _check_taken(where, "source", layer.source, l)
    if l:
        _check_source(model, l)
    elif layer.value_pool or layer.source is not None:
        raise FieldError(where + "source", "is set, but layer 0 takes the network's input")
    _within(where, "value_shift", layer.value_shift, 0, 30 if layer.value_pool else 0)
    _within(where, "input_down", layer.input_down, 0, 31)
    for name, k, down in (
        ("spike add", layer.add, layer.add_down),
        ("current add", layer.current, layer.current_down),
    ):
        _check_taken(where, name, k, l)
        if k is None:
            continue
        if last or (name == "spike add" and plain):
            raise FieldError(where + name, "does not go with the last layer or currents only")
        found = layers[k].outputs if name == "spike add" else layers[k].map
        if found != layer.map:
            raise FieldError(
                where + name, f"takes {tuple(found)} of layer {k}; this one has {tuple(layer.map)}"
            )
        if name == "spike add" and not layers[k].spiking:
            raise FieldError(where + name, f"takes layer {k}, which has no outputs")
        _within(where, "add_down" if name == "spike add" else "current_down", down, -15, 31)
    if layer.add is not None and layer.pooling == Pooling.MAX:
        raise FieldError(where + "pooling", "is max, which does not go with a spike add")
    _within(where, "add_down", layer.add_down, *((0, 0) if layer.add is None else (-15, 31)))
    _within(where, "current_down", layer.current_down, *((0, 0) if layer.current is None else (-15, 31)))
    _within(where, "current_shift", layer.current_shift, *((0, 0) if layer.current is None else (-15, 30)))


def _check_taken(where: str, name: str, k: int | None, l: int) -> None:
    if k is not None and not 0 <= k < l:
        raise FieldError(where + name, f"is layer {k}; a layer takes from earlier ones")


def _check_source(model: IntegerModel, l: int) -> None:
    layers, layer, where = model.layers, model.layers[l], f"layer {l} "
    k = source(layers, l)
    before = layers[k]
    if not layer.value_pool and not before.spiking:
        raise FieldError(where + "source", f"is layer {k}, which has no outputs; value_pool takes currents")
    top = min(255, before.map.height, before.map.width)
    _within(where, "value_pool", layer.value_pool, 0, top)
    found, wanted = given(layers, l), incoming(layers, l)
    if layer.conv and found[:2] != wanted[:2]:
        name = "height" if found.height != wanted.height else "width"
        raise FieldError(where + name, f"is {getattr(wanted, name)}; the source's is {getattr(found, name)}")
    if found.size != wanted.size:
        raise FieldError(
            where + "fan_in", f"is {layer.fan_in}; the source (layer {k}) has {found.size} outputs"
        )


def _check_layer(model: IntegerModel, l: int) -> None:
    layer, where = model.layers[l], f"layer {l} "
    if layer.bits not in (8, 10):
        raise FieldError(where + "bits", f"is {layer.bits}; weights have 8 or 10")
    if layer.carry and not layer.learns:
        raise FieldError(where + "flags", "ask for carry without learning")
    if model.passes(l) and (layer.value_pool or layer.neuron == NeuronKind.CURRENTS):
        name, what = ("value_pool", "takes values") if layer.value_pool else ("neuron", "is currents only")
        raise FieldError(where + name, f"{what}; this layer and all that it takes from may not learn")
    if layer.neuron == NeuronKind.CURRENTS and l not in currents_taken(model.layers):
        raise FieldError(where + "neuron", "is currents only, but no layer takes them")
    if layer.surrogate == Surrogate.NONE and layer.spiking and model.passes(l):
        raise FieldError(where + "surrogate", "is none, but errors pass this layer")
    if layer.surrogate != Surrogate.NONE and not layer.spiking:
        raise FieldError(where + "surrogate", "does not go with a layer without neurons")
    last, x_max = l + 1 == len(model.layers), model.largest_inputs[l]
    _within(where, "down_shift", layer.down_shift, 0, 0 if last else 31)
    _within(where, "rate_shift", layer.rate_shift, -15, 31)
    _within(where, "input_shift", layer.input_shift, 0, 15 if x_max > 1 or layer.conv else 0)
    _within(where, "reset_mult", layer.reset_mult, 0, 65535)
    _within(where, "reset_shift", layer.reset_shift, 0, 62)
    _within(where, "gate_shift", layer.gate_shift, 0, 47)
    linear, rectangular = layer.surrogate == Surrogate.LINEAR, layer.surrogate == Surrogate.RECTANGULAR
    _within(where, "gate_mult", layer.gate_mult, int(linear), 65535 if linear else 0)
    _within(where, "gate_width", layer.gate_width, int(rectangular), 2**31 - 1 if rectangular else 0)
    needs = model.needs_capacity(l)
    _within(where, "spike capacity", layer.capacity, int(needs), layer.neurons * model.window if needs else 0)
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
        raise FieldError(where + "theta0", "or alpha is not 0, but there are no neurons")
    if (layer.theta0 + layer.alpha * (model.window + 1)).max() > THRESHOLD_LIMIT:
        raise FieldError(where + "theta0", "+ alpha (T + 1) exceeds 2^31 - 256")
    if model.largest_outputs[l] > COUNT_LIMIT:
        raise FieldError(
            where + "pooling", f"and adds make counts up to {model.largest_outputs[l]}; they end at 255"
        )
    m = model.largest_currents[l]
    bound = max(m, membrane_bound(model.window, layer, m))
    if bound >= MEMBRANE_LIMIT:
        raise FieldError(
            where + "bias" if np.abs(layer.bias).max() else where + "fan_in",
            f"lets a membrane potential or score reach {bound}; it must stay below 2^30",
        )
    if layer.value_pool and layer.value_pool**2 * model.largest_currents[source(model.layers, l)] >= 2**31:
        raise FieldError(where + "value_pool", "lets a sum of currents reach 2^31")


def _check_ways_back(model: IntegerModel, l: int) -> None:
    """Errors come back to layer l on simple ways (section 3.2)."""
    layers, later = model.layers, range(l + 1, len(model.layers))
    k: int | None = l
    for _ in range(ADDS_LIMIT):
        k = None if k is None else layers[k].add
    if k is not None:
        raise FieldError(f"layer {l} spike add", f"adds up more than {ADDS_LIMIT} layers")
    if not model.passes(l):
        return
    for name, adders in (
        ("spike add", [m for m in later if layers[m].add == l]),
        ("current add", [m for m in later if layers[m].current == l]),
    ):
        if len(adders) > 1:
            raise FieldError(f"layer {adders[1]} {name}", f"takes layer {l}, as layer {adders[0]} does")
    for m in later:
        if layers[m].add == l and max(model.takers(l)) > m:
            last = max(model.takers(l))
            raise FieldError(f"layer {m} spike add", f"comes before layer {last} takes layer {l}")


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
