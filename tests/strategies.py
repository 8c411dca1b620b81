"""Hypothesis strategies of every parity test: random integer models, windows and labels, extremes among them.

Arrays come from one drawn seed through NumPy, so that large models cost little to draw and shrink to small
shapes.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pyedge.encode import KINDS, MODES, EncoderConfig
from pyedge.errors import FieldError
from pyedge.quant.model import (
    InputKind,
    IntegerLayer,
    IntegerModel,
    Integers,
    Loss,
    Map,
    NeuronKind,
    Pooling,
    Surrogate,
    currents_taken,
    largest_inputs,
    needs_capacity,
    source,
)

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def sizes(draw: st.DrawFn, largest: int = 40) -> int:
    """Layer sizes: mostly small, odd ones and multiples of four alike, sometimes as large as asked."""
    return draw(st.one_of(st.integers(1, min(13, largest)), st.integers(1, largest)))


@st.composite
def encoders(draw: st.DrawFn, classes: int, channels: int = 4) -> EncoderConfig:
    """An encoder of any kind, with alignment and, for some, a profile."""
    kind = draw(st.sampled_from(KINDS))
    log, events, levels = (
        kind in ("log_frames", "log_spikes"),
        kind in ("difference", "delta"),
        kind == "log_spikes",
    )
    c = draw(st.integers(1, channels))
    int8 = st.integers(-128, 127)
    row = st.tuples(*[int8] * c)
    return EncoderConfig(
        kind=kind,
        channels=c,
        hop=draw(st.integers(1, 12)),
        hops=draw(st.integers(1, 6)) if log else 1,
        shift=draw(st.integers(0, 8)),
        mode=draw(st.sampled_from(MODES)) if kind == "difference" else MODES[0],
        levels=draw(st.integers(2, 16)) if levels else 0,
        level_low=draw(int8) if levels else 0,
        level_width=draw(st.integers(0, 7)) if levels else 0,
        threshold=draw(st.integers(1, 127)) if events else 0,
        centre0=draw(st.integers(0, 3000)) if log else 0,
        centre1=draw(st.integers(-3000, 3000)) if log else 0,
        rate_hz=draw(st.sampled_from([1, 200, 65535])),
        stride=draw(st.integers(1, 20)),
        span=draw(st.integers(0, 64)),
        penalty=draw(st.integers(0, 255)),
        gain_limit=draw(st.integers(0, 127)),
        rotation=draw(int8),
        gains=draw(st.just(()) | row),
        profile=draw(st.just(()) | st.tuples(*[row] * classes)),
    )


@st.composite
def models(
    draw: st.DrawFn,
    learning: bool | None = None,
    encoder: bool = False,
    largest: int = 40,
    hidden_layers: int = 3,
    longest: int = 40,
    input_kinds: tuple[InputKind, ...] = tuple(InputKind),
) -> IntegerModel:
    """A random integer model that is alive: thresholds near what its currents reach, errors that move some.

    learning : True, at least one layer learns; False, none; None, either.
    encoder  : with an encoder that feeds it.
    """
    rng = np.random.default_rng(draw(SEEDS))
    window = draw(st.integers(1, longest))
    kind = draw(st.sampled_from(input_kinds))
    depth = draw(st.integers(0, hidden_layers))
    shape = [draw(sizes(largest)) for _ in range(depth + 1)] + [draw(st.integers(2, 12))]
    feeding = draw(encoders(shape[-1])) if encoder else None
    if feeding is not None:
        kind, shape[0] = InputKind.SPIKES if feeding.spikes else InputKind.FRAMES, feeding.inputs
    linear = draw(st.booleans())
    learns = (
        [draw(st.booleans()) for _ in range(depth + 1)] if learning is not False else [False] * (depth + 1)
    )
    if learning and not any(learns):
        learns[draw(st.integers(0, depth))] = True
    lowest = learns.index(True) if any(learns) else depth + 1
    layers = []
    for l in range(depth + 1):
        last = l == depth
        neuron = (
            NeuronKind.LINEAR if last and linear else draw(st.sampled_from([NeuronKind.LIF, NeuronKind.IF]))
        )
        values = kind != InputKind.SPIKES and l == 0
        layers.append(
            _layer(draw, rng, shape[l], shape[l + 1], neuron, window, learns[l], l >= lowest, last, values)
        )
    spike_count = not linear and draw(st.booleans())
    return IntegerModel(
        window=window,
        input_kind=kind,
        layers=tuple(_with_capacity(layers, l, lowest, window, draw) for l in range(depth + 1)),
        loss=Loss.SPIKE_COUNT if spike_count else Loss.CROSS_ENTROPY,
        score_mult=draw(st.integers(1, 65535)),
        score_shift=draw(st.integers(6, 12) if not linear else st.integers(14, 24)),
        seed=draw(SEEDS),
        desired=draw(st.integers(0, window)),
        others=draw(st.integers(0, 3)),
        count_mult=draw(st.integers(1, 65535)) if spike_count else draw(st.sampled_from([0, 7])),
        encoder=feeding,
        class_names=tuple(f"gesture {c}" for c in range(shape[-1])) if draw(st.booleans()) else (),
        name=draw(st.sampled_from(["", "random", "ärmband"])),
        metadata=draw(st.sampled_from([None, {}, {"data": "random", "rates": [0.1, 0.2]}])),
    )


def _layer(
    draw: st.DrawFn,
    rng: np.random.Generator,
    fan_in: int,
    fan_out: int,
    neuron: NeuronKind,
    window: int,
    learns: bool,
    passes: bool,
    last: bool,
    values: bool,
) -> IntegerLayer:
    bits = draw(st.sampled_from([8, 10]))
    low, high = (-128, 127) if bits == 8 else (-512, 511)
    style = draw(
        st.sampled_from(["normal", "normal", "small", "uniform", "uniform", "saturated", "positive"])
    )
    if style == "normal":
        weights = np.clip(np.rint(rng.normal(0, high / 3, (fan_in, fan_out))), low, high)
    elif style == "small":  # so that u, thresholds and gates often meet exactly
        weights = rng.integers(-3, 4, (fan_in, fan_out))
    elif style == "uniform":
        weights = rng.integers(low, high + 1, (fan_in, fan_out))
    elif style == "saturated":
        weights = rng.choice([low, high], (fan_in, fan_out))
    else:
        weights = np.full((fan_in, fan_out), high)
    reach = (
        (2 if style == "small" else high / 3) * max(1.0, (fan_in * 0.2) ** 0.5) * (60 if values else 1)
    )  # of typical currents
    bias: Any = 0
    if draw(st.booleans()):
        bias = rng.integers(-int(reach), int(reach) + 1, fan_out) // draw(st.sampled_from([1, 8]))

    theta0: Any = 0
    alpha: Any = 0
    if neuron != NeuronKind.LINEAR:
        theta0 = int(256 * reach * draw(st.sampled_from([0, 0.1, 0.5, 1, 2])))
        alpha = draw(st.sampled_from([0, -(-theta0 // window), theta0 // (3 * window), theta0]))
        alpha = min(alpha, (2**31 - 256 - theta0) // (window + 1))
        if draw(st.booleans()):
            theta0 = rng.integers(0, theta0 + 1, fan_out)
            alpha = rng.integers(0, alpha + 1, fan_out)
    surrogate = Surrogate.NONE
    if neuron != NeuronKind.LINEAR and (passes or draw(st.booleans())):
        surrogate = draw(st.sampled_from([Surrogate.RECTANGULAR, Surrogate.LINEAR]))
    wild = draw(st.sampled_from([False, False, False, True]))  # anything in range; else as quantizers choose
    reset_mult = draw(st.sampled_from([0, 1, 255, 65535]) | st.integers(0, 65535))
    gate_mult = draw(st.integers(1, 65535))
    threshold = max(1, int(np.max(theta0)) * max(reset_mult, 1)).bit_length()
    reach_gate = max(1, int(reach * gate_mult) >> 7).bit_length()
    return IntegerLayer(
        neuron=neuron,
        weights=weights.astype(np.int32),
        bias=np.asarray(bias),
        theta0=np.asarray(theta0),
        alpha=np.asarray(alpha),
        bits=bits,
        learns=learns,
        carry=learns and draw(st.booleans()),
        surrogate=surrogate,
        down_shift=0 if last else draw(st.integers(0, 31) if wild else st.integers(3, 9)),
        rate_shift=draw(st.integers(-15, 31) if wild else st.integers(-9, 0)),
        input_shift=draw(st.integers(0, 15) if wild else st.sampled_from([0, 3, 4, 5, 6, 7, 8]))
        if values
        else 0,
        reset_mult=reset_mult,
        reset_shift=draw(st.integers(0, 62) if wild else st.integers(max(0, threshold - 2), threshold + 3)),
        gate_shift=draw(st.integers(0, 47) if wild else st.integers(max(0, reach_gate - 2), reach_gate + 1)),
        gate_mult=gate_mult if surrogate == Surrogate.LINEAR else 0,
        gate_width=draw(st.integers(int(reach), int(4 * reach) + 1) | st.sampled_from([1, 2**31 - 1]))
        if surrogate == Surrogate.RECTANGULAR
        else 0,
        scale=draw(st.sampled_from([1.0, 0.0078125, 3.5e-3])),
    )


def _with_capacity(
    layers: list[IntegerLayer], l: int, lowest: int, window: int, draw: st.DrawFn
) -> IntegerLayer:
    """Mostly room for every spike, sometimes for few."""
    layer = layers[l]
    passes = l >= lowest
    needs = passes and ((layer.spiking and layer.surrogate == Surrogate.LINEAR) or l + 2 < len(layers))
    if not needs:
        return layer
    room = layer.fan_out * window
    return replace(layer, capacity=room if draw(st.integers(0, 5)) else draw(st.integers(1, room)))


@st.composite
def graphs(
    draw: st.DrawFn,
    learning: bool | None = None,
    longest: int = 16,
    input_kinds: tuple[InputKind, ...] = tuple(InputKind),
    convolutions: int = 4,
) -> IntegerModel:
    """A random integer model of convolutions, pools, both kinds of adds, values, dense layers and spare rows.

    learning : True, at least one layer learns; False, none; None, either.
    """
    rng = np.random.default_rng(draw(SEEDS))
    window = draw(st.integers(1, longest))
    kind = draw(st.sampled_from(input_kinds))
    layers: list[IntegerLayer] = []
    shape = Map(draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(0, convolutions))):
        layers += draw(_blocks(rng, layers, shape, window, kind))
    for _ in range(draw(st.integers(0, 1))):
        fan_in = layers[-1].outputs.size if layers else shape.size
        layers.append(draw(_drawn(rng, fan_in, draw(sizes(20)), window, _values(kind, layers))))
    fan_in = layers[-1].outputs.size if layers else shape.size
    rows = draw(st.integers(2, 7))
    linear = draw(st.integers(0, 2)) > 0
    neurons = (NeuronKind.LINEAR,) if linear else SPIKING
    layers.append(draw(_drawn(rng, fan_in, rows, window, _values(kind, layers), neurons)))
    layers = _learning(draw, layers, kind, window, learning)
    spike_count = not linear and draw(st.booleans())
    return IntegerModel(
        window=window,
        input_kind=kind,
        layers=tuple(layers),
        loss=Loss.SPIKE_COUNT if spike_count else Loss.CROSS_ENTROPY,
        score_mult=draw(st.integers(1, 65535)),
        score_shift=draw(st.integers(14, 24) if linear else st.integers(6, 12)),
        seed=draw(SEEDS),
        desired=draw(st.integers(0, window)),
        others=draw(st.integers(0, 3)),
        count_mult=draw(st.integers(1, 65535)) if spike_count else 0,
        spare=draw(st.integers(0, rows - 2)),
    )


SPIKING = (NeuronKind.LIF, NeuronKind.IF)


def _values(kind: InputKind, layers: list[IntegerLayer]) -> bool:
    return kind != InputKind.SPIKES and not layers


@st.composite
def _drawn(
    draw: st.DrawFn,
    rng: np.random.Generator,
    fan_in: int,
    fan_out: int,
    window: int,
    values: bool,
    neurons: tuple[NeuronKind, ...] = SPIKING,
    surrogates: bool = True,
) -> IntegerLayer:
    neuron = draw(st.sampled_from(neurons))
    found = _layer(draw, rng, fan_in, fan_out, neuron, window, False, surrogates, False, values)
    return found if surrogates else replace(found, surrogate=Surrogate.NONE, gate_mult=0, gate_width=0)


@st.composite
def _blocks(
    draw: st.DrawFn,
    rng: np.random.Generator,
    before: list[IntegerLayer],
    shape: Map,
    window: int,
    kind: InputKind,
) -> list[IntegerLayer]:
    """A convolution with what may follow it, or one whose spikes or currents take a shortcut."""
    incoming = before[-1].outputs if before else shape
    style = draw(st.sampled_from(["plain", "plain", "spike add", "current add", "values", "two takers"]))
    first = len(before)
    fan_out = draw(st.integers(1, 9))

    def conv(into: Map, channels: int, geometry: tuple[int, int, int], values: bool) -> IntegerLayer:
        kernel, stride, padding = geometry
        layer = draw(_drawn(rng, kernel * kernel * into.channels, channels, window, values))
        return replace(
            layer,
            height=into.height,
            width=into.width,
            kernel=kernel,
            stride=stride,
            padding=padding,
            input_shift=draw(st.sampled_from([0, 0, 1, 3, 6])),
        )

    def geometry(into: Map) -> tuple[int, int, int]:
        kernel = draw(st.integers(1, 3))
        padding = draw(st.integers(0, kernel - 1))
        if min(into.height, into.width) + 2 * padding < kernel:
            return 1, draw(st.integers(1, 2)), 0
        return kernel, draw(st.integers(1, 3)), padding

    def pooled(layer: IntegerLayer, *kinds: Pooling) -> IntegerLayer:
        most = min(layer.map.height, layer.map.width, 3)
        if most < 2 or draw(st.booleans()):
            return layer
        return replace(layer, pooling=draw(st.sampled_from(kinds)), pool_size=draw(st.integers(2, most)))

    stem = conv(incoming, fan_out, geometry(incoming), _values(kind, before))
    if style == "plain":
        return [pooled(stem, Pooling.MAX, Pooling.SUM)]
    same = (3, 1, 1) if draw(st.booleans()) else (1, 1, 0)
    shifts = st.integers(-2, 4)
    second = conv(stem.map, fan_out, same, False)
    if style == "spike add":
        second = replace(second, add=first, add_down=draw(shifts), input_down=draw(st.integers(0, 3)))
        return [stem, pooled(second, Pooling.SUM)]
    if style == "current add":
        second = replace(second, current=first, current_shift=draw(shifts), current_down=draw(shifts))
        return [stem, pooled(second, Pooling.MAX, Pooling.SUM)]
    if style == "two takers":
        third = replace(conv(stem.map, fan_out, same, False), source=first, add=first + 1)
        return [stem, second, pooled(third, Pooling.SUM)]
    z = draw(st.integers(1, min(stem.map.height, stem.map.width, 2)))
    into = Map(stem.map.height // z, stem.map.width // z, fan_out)
    channels = draw(st.integers(1, 6))
    shortcut = replace(
        conv(into, channels, (1, 1, 0), True),
        neuron=NeuronKind.CURRENTS,
        theta0=np.zeros(channels),
        alpha=np.zeros(channels),
        surrogate=Surrogate.NONE,
        gate_mult=0,
        gate_width=0,
        value_pool=z,
        value_shift=draw(st.integers(0, 12)),
        source=draw(st.sampled_from([None, first])),
    )
    branch = conv(stem.map, channels, (z, z, 0), False)
    branch = replace(branch, source=first, current=first + 1, current_shift=draw(st.integers(-1, 5)))
    return [stem, shortcut, pooled(branch, Pooling.MAX, Pooling.SUM)]


def _learning(
    draw: st.DrawFn, layers: list[IntegerLayer], kind: InputKind, window: int, learning: bool | None
) -> list[IntegerLayer]:
    """Layers that may learn do, some of them; shifts and capacities as that allows."""
    barred = {l for l, layer in enumerate(layers) if layer.value_pool}  # and all that they take from
    for l in range(len(layers) - 1, -1, -1):
        if l in barred:
            taken = (source(layers, l), layers[l].add, layers[l].current)
            barred |= {k for k in taken if k is not None}
    may = [l for l in range(len(layers)) if l not in barred]
    most = range(len(layers)) if learning is not False else ()
    learns = {l for l in most if l in may and draw(st.integers(0, 2))}
    if learning and not learns:
        learns = {draw(st.sampled_from(may))}
    layers = [
        replace(layer, learns=l in learns, carry=l in learns and draw(st.booleans()))
        for l, layer in enumerate(layers)
    ]
    counts = largest_inputs(layers, kind)
    found = []
    for l, layer in enumerate(layers):
        last = l + 1 == len(layers)
        room = layer.neurons * window
        needs = needs_capacity(layers, l)
        if draw(st.integers(0, 3)):  # a gate that all errors pass, so that some come far
            width = 2**31 - 1 if layer.surrogate == Surrogate.RECTANGULAR else 0
            layer = replace(layer, gate_width=width, gate_shift=47)
        found.append(
            replace(
                layer,
                down_shift=0 if last else min(layer.down_shift, draw(st.sampled_from([31, 5, 2]))),
                input_shift=layer.input_shift if layer.conv or counts[l] > 1 else 0,
                capacity=(room if draw(st.integers(0, 9)) else draw(st.integers(1, room))) if needs else 0,
            )
        )
    return found


@st.composite
def tangles(
    draw: st.DrawFn, learning: bool | None = None, longest: int = 12, depth: int = 5, side: int = 9
) -> IntegerModel:
    """A random network whose layers take, add and pool whatever fits: stranger ones than `graphs`.

    learning : True, at least one layer learns; False, none; None, either.
    """
    rng = np.random.default_rng(draw(SEEDS))
    window = draw(st.integers(1, longest))
    kind = draw(st.sampled_from(tuple(InputKind)))
    given = Map(draw(st.integers(1, side)), draw(st.integers(1, side)), draw(st.integers(1, 5)))
    made: list[IntegerLayer] = []
    for _ in range(draw(st.integers(1, depth))):
        made.append(_tangled(draw, rng, made, given, window, kind, last=False))
    made.append(_tangled(draw, rng, made, given, window, kind, last=True))
    taken = currents_taken(made)
    for l, layer in enumerate(made):
        if layer.neuron == NeuronKind.CURRENTS and l not in taken:
            made[l] = replace(layer, neuron=NeuronKind.IF, surrogate=Surrogate.RECTANGULAR, gate_width=9)
    spare = draw(st.integers(0, min(3, made[-1].fan_out - 2)))
    linear = not made[-1].spiking
    spike_count = not linear and draw(st.booleans())
    learns = [learning is not False and draw(st.integers(0, 2)) > 0 for _ in made]
    if learning:
        learns[-1] = True
    while True:
        chosen = [
            replace(layer, learns=on, carry=on and layer.carry)
            for layer, on in zip(made, learns, strict=True)
        ]
        chosen = [_with_room(chosen, l, window, draw) for l in range(len(chosen))]
        try:
            return IntegerModel(
                window=window,
                input_kind=kind,
                layers=tuple(chosen),
                loss=Loss.SPIKE_COUNT if spike_count else Loss.CROSS_ENTROPY,
                score_mult=draw(st.integers(1, 65535)),
                score_shift=draw(st.integers(6, 12) if not linear else st.integers(14, 24)),
                seed=draw(SEEDS),
                desired=draw(st.integers(0, window)),
                others=draw(st.integers(0, 3)),
                count_mult=draw(st.integers(1, 65535)) if spike_count else 0,
                spare=spare,
            )
        except FieldError:  # errors that have no simple way back: let fewer layers learn
            if not any(learns):
                raise
            learns[learns.index(True)] = False


def _tangled(
    draw: st.DrawFn,
    rng: np.random.Generator,
    made: list[IntegerLayer],
    inputs: Map,
    window: int,
    kind: InputKind,
    last: bool,
) -> IntegerLayer:
    """Another layer on top of those made, of any kind that fits."""
    l = len(made)
    below = l - 1
    if l and draw(st.integers(0, 2)) == 0:
        below = draw(st.integers(0, l - 1))
    value_pool = 0
    before = inputs if l == 0 else made[below].outputs
    if l and (not made[below].spiking or draw(st.integers(0, 5)) == 0):
        whole = made[below].map
        value_pool = draw(st.integers(1, min(3, whole.height, whole.width)))
        before = Map(whole.height // value_pool, whole.width // value_pool, whole.channels)
    fields: dict[str, Any] = {"source": None if below == l - 1 else below, "value_pool": value_pool}
    if value_pool:
        fields["value_shift"] = draw(st.integers(0, 8))
    conv = not last and draw(st.integers(0, 3)) > 0
    fan_in, fan_out = before.size, draw(st.integers(2, 12) if last else sizes(33))
    if conv:
        side = min(before.height, before.width)
        kernel = draw(st.integers(1, min(5, side + 4)))
        low = max(0, -(-(kernel - side) // 2))
        same = draw(st.booleans()) and kernel % 2 == 1
        padding = kernel // 2 if same else draw(st.integers(low, max(low, kernel - 1)))
        stride = 1 if same else draw(st.integers(1, 3))
        if kernel > side + 2 * padding or padding >= kernel:
            kernel, padding, stride = 1, 0, 1
        fan_in = kernel * kernel * before.channels
        if draw(st.booleans()):
            fan_out = before.channels
        fields |= {
            "height": before.height,
            "width": before.width,
            "kernel": kernel,
            "stride": stride,
            "padding": padding,
        }
    elif draw(st.booleans()) and l and not last:
        fan_out = made[below].fan_out
    choices = (
        [NeuronKind.LINEAR, NeuronKind.LIF, NeuronKind.IF]
        if last
        else [NeuronKind.LIF, NeuronKind.LIF, NeuronKind.IF]
    )
    if l and not last and conv:
        choices.append(NeuronKind.CURRENTS)
    neuron = draw(st.sampled_from(choices))
    largest = _largest_outputs(made)
    x_max = 128 if value_pool or (l == 0 and kind != InputKind.SPIKES) else largest[below] if l else 1
    plain = NeuronKind.LINEAR if neuron == NeuronKind.CURRENTS else neuron
    layer = _layer(draw, rng, fan_in, fan_out, plain, window, True, True, last, x_max == 128)
    layer = replace(layer, neuron=neuron, **fields)
    layer = replace(
        layer,
        input_shift=draw(st.integers(0, 8)) if conv or x_max > 1 else 0,
        input_down=draw(st.integers(0, 2)),
    )
    if last:
        return layer
    found = [k for k in range(l) if made[k].map == layer.map]
    if found and draw(st.integers(0, 2)) > 0:
        k = draw(st.sampled_from(found))
        layer = replace(
            layer, current=k, current_shift=draw(st.integers(-2, 4)), current_down=draw(st.integers(-2, 4))
        )
    if neuron == NeuronKind.CURRENTS:
        return layer
    found = [k for k in range(l) if made[k].spiking and made[k].outputs == layer.map and largest[k] < 255]
    most = 1
    if found and draw(st.integers(0, 3)) > 0:
        k = draw(st.sampled_from(found))
        most += largest[k]
        layer = replace(layer, add=k, add_down=draw(st.integers(-2, 3)))
    room = min(3, layer.map.height, layer.map.width)
    if room > 1 and draw(st.booleans()):
        z = draw(st.integers(2, room))
        if most * z * z <= 255 and (most > 1 or draw(st.booleans())):
            layer = replace(layer, pooling=Pooling.SUM, pool_size=z)
        elif most == 1:
            layer = replace(layer, pooling=Pooling.MAX, pool_size=z)
    return layer


def _largest_outputs(layers: list[IntegerLayer]) -> list[int]:
    """The largest output of every layer."""
    found: list[int] = []
    for layer in layers:
        most = 1 if layer.add is None else 1 + found[layer.add]
        found.append(most * layer.pool_size**2 if layer.pooling == Pooling.SUM else most)
    return found


def _with_room(layers: list[IntegerLayer], l: int, window: int, draw: st.DrawFn) -> IntegerLayer:
    """A capacity where one is needed: mostly room for every spike, sometimes for few."""
    layer = layers[l]
    if not needs_capacity(layers, l):
        return replace(layer, capacity=0)
    room = layer.neurons * window
    return replace(layer, capacity=room if draw(st.integers(0, 7)) else draw(st.integers(1, room)))


@st.composite
def windows(draw: st.DrawFn, model: IntegerModel) -> Integers:
    """One window, int64: (T, inputs), or (inputs,) for static inputs; silent and all-firing ones too."""
    rng = np.random.default_rng(draw(SEEDS))
    shape = (model.inputs,) if model.input_kind == InputKind.STATIC else (model.window, model.inputs)
    if model.input_kind == InputKind.SPIKES:
        return (rng.random(shape) < draw(st.sampled_from([0.3, 0.1, 0.03, 0.3, 0.7, 1.0, 0.0]))).astype(
            np.int64
        )
    style = draw(st.sampled_from(["uniform", "uniform", "small", "extreme", "zero"]))
    if style == "uniform":
        return rng.integers(-128, 128, shape)
    if style == "small":
        return rng.integers(-4, 5, shape)
    return rng.choice([-128, 127], shape) if style == "extreme" else np.zeros(shape, np.int64)


def labels(model: IntegerModel) -> st.SearchStrategy[int]:
    """A class of the model."""
    return st.integers(0, model.classes - 1)


@st.composite
def lessons(draw: st.DrawFn, model: IntegerModel, most: int = 5) -> list[tuple[Integers, int]]:
    """Windows with labels to learn from, one after the other."""
    return [(draw(windows(model)), draw(labels(model))) for _ in range(draw(st.integers(1, most)))]


def saturated_model(
    fan_in: int = 1024,
    fan_out: int = 33,
    classes: int = 5,
    window: int = 39,
    bits: int = 8,
    neuron: NeuronKind = NeuronKind.LIF,
) -> IntegerModel:
    """The bounds driven: every weight at an end of its range, thresholds that let all neurons fire."""
    low, high = (-128, 127) if bits == 8 else (-512, 511)
    sign = np.where(np.arange(fan_out) % 2, low, high)
    hidden = IntegerLayer(
        neuron,
        np.broadcast_to(sign, (fan_in, fan_out)),
        np.zeros(fan_out),
        np.full(fan_out, 256),
        np.full(fan_out, 1),
        bits=bits,
        learns=True,
        surrogate=Surrogate.RECTANGULAR,
        gate_width=2**31 - 1,
        reset_mult=65535,
        reset_shift=24,
        down_shift=10,
        rate_shift=-15,
    )
    readout = IntegerLayer(
        NeuronKind.LINEAR,
        np.where(np.arange(fan_out)[:, None] % 2, high, low) * np.ones((1, classes)),
        np.zeros(classes),
        np.zeros(classes),
        np.zeros(classes),
        bits=bits,
        learns=True,
        rate_shift=-15,
    )
    return IntegerModel(window, InputKind.SPIKES, (hidden, readout), score_mult=1, score_shift=20, seed=7)


def saturated_convolutions(
    bits: int, neuron: NeuronKind, pooling: Pooling, channels: int = 64, fan_out: int = 33
) -> IntegerModel:
    """A convolution over many channels, a pooling, another convolution over what that gives, a readout."""
    dense = saturated_model(channels * 16, fan_out, 5, 9, bits, neuron)
    hidden, readout = dense.layers
    low, high = hidden.weight_limits
    size = 0 if pooling == Pooling.NONE else 2
    side = 5 // max(size, 1)
    room = fan_out * 25 * 9
    first = replace(
        hidden,
        height=6,
        width=6,
        kernel=4,
        stride=1,
        padding=1,
        input_shift=3,
        pooling=pooling,
        pool_size=size,
        capacity=room,
    )
    sign = np.where(np.arange(12) % 3, high, low)
    second = replace(
        hidden,
        weights=np.broadcast_to(sign, (fan_out * 4, 12)),
        **{name: getattr(hidden, name)[:1] * np.ones(12, int) for name in ("bias", "theta0", "alpha")},
        height=side,
        width=side,
        kernel=2,
        stride=1,
        padding=1,
        input_shift=2,
    )
    outputs = 12 * (side + 1) ** 2
    last = replace(readout, weights=np.where(np.arange(outputs)[:, None] % 2, high, low) * np.ones((1, 5)))
    return replace(dense, layers=(first, second, last))
