"""The executable specification: inference and learning in integers, as docs/arithmetic.md states them.

Written to be read beside runtime_c/src: same names, same order. Pure functions over int64 arrays; time comes
first in every array, and row t - 1 of an array is step t of the page. Maps are flat, in the page's order.
`step` and what it calls take any leading axes beside the last, so that many windows run at once.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pyedge.encode import log2
from pyedge.errors import CapacityError, DataError, LabelError, ModeError
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
    incoming,
    source,
)

EXP2 = np.array([round(32768 * 2 ** (-f / 64)) for f in range(64)])


class WindowState(NamedTuple):
    """Where a window stands after some steps."""

    step: int  # steps taken, 0 .. T
    u: tuple[Integers, ...]  # a layer: membrane potentials (a linear readout: its scores), (neurons,)
    last: tuple[Integers, ...]  # a layer: k, the step of the last spike, (neurons,)
    counts: Integers  # spikes of a spiking readout, (rows,)
    static: Integers | None = None  # of static inputs: what layer 0's weights make of them, (neurons,)


class LayerStep(NamedTuple):
    """What one step of one layer did."""

    fired: Integers  # bool, (neurons,); without neurons never
    distance: Integers  # u before the reset minus the threshold's ceiling where it fired, else 0, (neurons,)
    outputs: Integers  # spikes or counts, (outputs,)
    currents: Integers  # I, (neurons,)


class WindowRecord(NamedTuple):
    """A whole window: all that learning needs, and the counts that statistics want."""

    inputs: Integers  # (T, inputs), or (inputs,) for static inputs
    fired: tuple[Integers, ...]  # a layer: bool, (T, neurons)
    distance: tuple[Integers, ...]  # a layer: (T, neurons)
    outputs: tuple[Integers, ...]  # a layer: (T, outputs)
    scores: Integers  # (rows,)
    sops: tuple[int, ...]  # a layer: weights added for its inputs, a count's as often (static: once a window)


class NetState(NamedTuple):
    """What learning changes, and all of it that must survive."""

    weights: tuple[Integers, ...]  # every layer's, those that do not learn as in the image
    carry: tuple[Integers | None, ...]  # (fan_in, fan_out) in 0 .. 255, None without carry
    update: int  # updates completed, modulo 2^32
    rate_decay: int  # 0 .. 15: the learning rate is halved this often
    classes: int  # active rows of the readout


class LayerErrors(NamedTuple):
    """What passes one layer in learning, (T, neurons) each unless said."""

    inter: Integers | None  # what comes down by weights (section 3.2), of all takers; None for the last layer
    d: Integers  # at every step; only used where the layer fired
    e: Integers  # at spikes, else 0; of a linear readout (rows,), the same at every step
    eps: Integers  # over time (section 3.4)
    eta: Integers  # of the currents


class Update(NamedTuple):
    """One update: the new state, and what tests and reports look at."""

    state: NetState
    errors: tuple[LayerErrors | None, ...]  # None for layers that errors do not pass
    sums: tuple[Integers | None, ...]  # S, (fan_in, fan_out), of layers that learn


# Section 1: rounding


def trunc(x: Integers, n: int | Integers) -> Integers:
    """x / 2^n, rounded towards zero."""
    return np.sign(x) * (np.abs(x) >> n)


def rnd(x: Integers, n: int) -> Integers:
    """x / 2^n, to the nearest, halves away from zero. |x| <= 2^62, n 0 .. 62."""
    return x if n == 0 else np.sign(x) * ((np.abs(x) + (1 << n - 1)) >> n)


def shifted(x: Integers, n: int) -> Integers:
    """x / 2^n, rounded for n > 0, exact for n <= 0."""
    return rnd(x, n) if n >= 0 else x << -n


def sat(x: Integers, bound: int) -> Integers:
    """x, saturated at -bound and bound."""
    return np.clip(x, -bound, bound)


def product(a: Integers, b: Integers) -> Integers:
    """a @ b for integers: exact, because every sum here is far below the 2^53 that float64 holds.

    Where b comes in floats already, in those: they hold its sums.
    """
    b = b if b.dtype.kind == "f" else b.astype(np.float64)
    return (a.astype(b.dtype) @ b).astype(np.int64)


# Section 2: inference


def threshold(layer: IntegerLayer, age: Integers) -> Integers:
    """theta at `age` (steps since the last spike, or since the window's start), 8 fractional bits."""
    decays = age if layer.neuron == NeuronKind.IF else age - 1
    return np.maximum(0, per_neuron(layer, layer.theta0) - per_neuron(layer, layer.alpha) * decays)


def ceiling(theta: Integers) -> Integers:
    """The least integer membrane potential that fires."""
    return (theta + 255) >> 8


def windows_of(layer: IntegerLayer, shape: Map, x: Integers) -> Integers:
    """What each position of a convolution sees, (..., positions, fan_in); x : (..., inputs) of that shape."""
    q, k, stride = layer.padding, layer.kernel, layer.stride
    image = x.reshape(*x.shape[:-1], *shape)
    edge = [(0, 0)] * (x.ndim - 1)
    image = np.pad(image, [*edge, (q, q), (q, q), (0, 0)])
    views = sliding_window_view(image, (k, k), axis=(-3, -2))[..., ::stride, ::stride, :, :, :]
    views = np.moveaxis(views, -3, -1)  # (..., y, x, ky, kx, channel)
    return views.reshape(*x.shape[:-1], layer.positions, layer.fan_in)


def weighted(model: IntegerModel, l: int, w: Integers, x: Integers) -> Integers:
    """What layer l's weights make of its inputs, (..., neurons); x : (..., inputs)."""
    layer = model.layers[l]
    if layer.conv:
        found = product(windows_of(layer, incoming(model.layers, l), x), w)
        return found.reshape(*x.shape[:-1], layer.neurons)
    if x.ndim > 1 or w.dtype.kind == "f":
        return product(x, w)
    lines = np.flatnonzero(x)
    return x[lines].astype(np.int64) @ w[lines].astype(np.int64)


def per_neuron(layer: IntegerLayer, values: Integers) -> Integers:
    """What channels have, (fan_out,), for neurons, (neurons,)."""
    return np.tile(values, layer.positions)


def in_pools(layer: IntegerLayer, size: int, x: Integers) -> Integers:
    """Neurons in their pooling windows, (..., height, width, channels, size * size); x : (..., neurons)."""
    height, width, channels = layer.map
    whole = x.reshape(*x.shape[:-1], height, width, channels)
    whole = whole[..., : height // size * size, : width // size * size, :]
    split = whole.reshape(*x.shape[:-1], height // size, size, width // size, size, channels)
    split = np.moveaxis(np.moveaxis(split, -2, -1), -4, -2)  # (..., y, x, channel, in y, in x)
    return split.reshape(*split.shape[:-2], size * size)


def pooled(layer: IntegerLayer, a: Integers) -> Integers:
    """Outputs, (..., outputs), of spikes or counts, (..., neurons)."""
    if layer.pooling == Pooling.NONE:
        return a
    found = in_pools(layer, layer.pool_size, a)
    found = found.max(axis=-1) if layer.pooling == Pooling.MAX else found.sum(axis=-1)
    return found.reshape(*a.shape[:-1], layer.outputs.size)


def values(model: IntegerModel, l: int, currents: Integers) -> Integers:
    """Currents of layer l's source, (..., neurons), as the values that layer l takes, (..., inputs)."""
    layer, before = model.layers[l], model.layers[source(model.layers, l)]
    found = in_pools(before, layer.value_pool, currents).sum(axis=-1)
    found = np.clip(rnd(found, layer.value_shift), -128, 127)
    return found.reshape(*currents.shape[:-1], incoming(model.layers, l).size)


def begin(model: IntegerModel, lead: tuple[int, ...] = ()) -> WindowState:
    """The start of a window (of many, with leading axes): as if every neuron had just fired."""
    zeros = tuple(np.zeros((*lead, layer.neurons), np.int64) for layer in model.layers)
    return WindowState(0, zeros, zeros, zeros[-1])


def step(
    model: IntegerModel, weights: tuple[Integers, ...], state: WindowState, x: Integers
) -> tuple[WindowState, tuple[LayerStep, ...]]:
    """One time step of the whole network. x : (inputs,) in its kind's range; static: the same each step."""
    t = state.step + 1
    static = state.static
    u_after, last_after = [], []
    steps: list[LayerStep] = []
    for l, (layer, w, u, last) in enumerate(zip(model.layers, weights, state.u, state.last, strict=True)):
        if l:
            before = steps[source(model.layers, l)]
            x = values(model, l, before.currents) if layer.value_pool else before.outputs
        if l == 0 and model.input_kind == InputKind.STATIC:
            static = weighted(model, l, w, x) if static is None else static
            current = static
        else:
            current = weighted(model, l, w, x)
        current = current + per_neuron(layer, layer.bias)
        if layer.current is not None:
            current = current + shifted(steps[layer.current].currents, layer.current_shift)
        fired, distance = np.zeros(current.shape, bool), np.zeros(current.shape, np.int64)
        if layer.neuron == NeuronKind.LINEAR:
            u = u + current
        elif layer.spiking:
            u = (u >> 1 if layer.neuron == NeuronKind.LIF else u) + current
            least = ceiling(threshold(layer, t - last))
            fired = u >= least
            distance = np.where(fired, u - least, 0)
            u = np.where(fired, 0, u)
            last = np.where(fired, t, last)
        a = fired.astype(np.int64)
        if layer.add is not None:
            a = a + steps[layer.add].outputs
        u_after.append(u)
        last_after.append(last)
        steps.append(LayerStep(fired, distance, pooled(layer, a), current))
    counts = state.counts + steps[-1].outputs
    return WindowState(t, tuple(u_after), tuple(last_after), counts, static), tuple(steps)


def scores(model: IntegerModel, state: WindowState) -> Integers:
    """o of every row, (..., rows): sums of a linear readout, or spike counts."""
    return state.u[-1] if model.layers[-1].neuron == NeuronKind.LINEAR else state.counts


def check_window(model: IntegerModel, inputs: Integers) -> Integers:
    """The window as integers, or DataError."""
    inputs = np.asarray(inputs)
    static = model.input_kind == InputKind.STATIC
    shape = (model.inputs,) if static else (model.window, model.inputs)
    if inputs.shape != shape:
        raise DataError(
            f"a window of {model.input_kind.name.lower()} has shape {shape}, this one {inputs.shape}"
        )
    if inputs.dtype.kind not in "biu":
        raise DataError(f"a window holds integers, this one {inputs.dtype}; encode it first")
    low, high = (0, 1) if model.input_kind == InputKind.SPIKES else (-128, 127)
    if inputs.size and (inputs.min() < low or inputs.max() > high):
        raise DataError(f"inputs lie in {low} .. {high}, these in {inputs.min()} .. {inputs.max()}")
    return inputs.astype(np.int64)


def run_window(model: IntegerModel, weights: tuple[Integers, ...], inputs: Integers) -> WindowRecord:
    """A whole window from rest. inputs : (T, inputs), or (inputs,) for static inputs. Raises DataError."""
    inputs = check_window(model, inputs)
    state, record = begin(model), []
    for t in range(model.window):
        state, steps = step(model, weights, state, inputs if inputs.ndim == 1 else inputs[t])
        record.append(steps)

    def all_steps(name: str) -> tuple[Integers, ...]:
        return tuple(np.array([getattr(steps[l], name) for steps in record]) for l in layers)

    layers = range(len(model.layers))
    fired, distance, outputs = (all_steps(name) for name in ("fired", "distance", "outputs"))
    sops = tuple(_sops(model, l, inputs, outputs) for l in layers)
    return WindowRecord(inputs, fired, distance, outputs, scores(model, state), sops)


def _sops(model: IntegerModel, l: int, inputs: Integers, outputs: tuple[Integers, ...]) -> int:
    """Weights that layer l added in a window: a value's once, a count's as often as it counts."""
    layer, before = model.layers[l], source(model.layers, l)
    if layer.value_pool:
        x = np.ones((model.window, incoming(model.layers, l).size), np.int64)
    else:
        x = (inputs != 0).astype(np.int64) if before < 0 else outputs[before]
    if layer.conv:
        x = windows_of(layer, incoming(model.layers, l), x)
    return int(x.sum()) * layer.fan_out


def run_windows(model: IntegerModel, weights: tuple[Integers, ...], inputs: Integers) -> Integers:
    """Scores of many windows at once, (samples, rows).

    inputs : (samples, T, inputs), static ones (samples, inputs). Raises DataError.
    """
    inputs = np.stack([check_window(model, window) for window in inputs])
    held = tuple(_held(model, l, w) for l, w in enumerate(weights))
    state = begin(model, (len(inputs),))
    for t in range(model.window):
        state, _ = step(model, held, state, inputs if inputs.ndim == 2 else inputs[:, t])
    return scores(model, state)


def _held(model: IntegerModel, l: int, w: Integers) -> Integers:
    """Weights in floats that hold every sum of layer l exactly."""
    most = model.layers[l].fan_in * model.largest_inputs[l] * -model.layers[l].weight_limits[0]
    return w.astype(np.float32 if most < 2**24 else np.float64)


def octaves(model: IntegerModel, o: Integers) -> tuple[Integers, Integers]:
    """q and E of section 2.6 from the scores, (classes,) each."""
    d = o.max() - o
    q = d * model.score_mult >> model.score_shift
    return q, np.where(q >= 1024, 0, EXP2[q % 64] >> np.minimum(q // 64, 63))


def softmax(model: IntegerModel, o: Integers) -> Integers:
    """p, (classes,), in 1 / 32768; o : scores of the classes."""
    _, e = octaves(model, o)
    total = e.sum()
    return (32768 * e + total // 2) // total


def active(model: IntegerModel, o: Integers, classes: int | None = None) -> Integers:
    """Scores of the classes, (classes,), of those of all rows."""
    return o[: model.classes if classes is None else classes]


def predict(model: IntegerModel, o: Integers, classes: int | None = None) -> tuple[int, int]:
    """The class with the largest score (of equal ones the lowest), and its probability in 1 / 32768.

    o : scores of all rows; classes : the active ones, None for those of the start.
    """
    o = active(model, o, classes)
    label = int(o.argmax())
    return label, int(softmax(model, o)[label])


def log_likelihood(model: IntegerModel, o: Integers) -> Integers:
    """Log likelihood of every class, (classes,), in 1 / 64 bit; o : scores of the classes."""
    q, e = octaves(model, o)
    return np.maximum(-65535, -q - ((log2(e.sum()) - 3840) >> 2))


# Section 3: learning


def score_errors(model: IntegerModel, o: Integers, label: int, classes: int | None = None) -> Integers:
    """e of section 3.1, (rows,), 0 for spare rows."""
    rows = len(o)
    o = active(model, o, classes)
    target = np.arange(len(o)) == label
    if model.loss == Loss.CROSS_ENTROPY:
        e = sat(np.where(target, 32768, 0) - softmax(model, o), 32767)
    else:
        wanted = np.where(target, model.desired, model.others)
        wrong = np.where(target, o < wanted, o > wanted)
        e = np.where(wrong, sat((wanted - o) * model.count_mult, 32767), 0)
    return np.pad(e, (0, rows - len(e)))


def gate(layer: IntegerLayer, ds: Integers, distance: Integers) -> Integers:
    """The surrogate: how much of ds passes a spike that was `distance` above the threshold."""
    if layer.surrogate == Surrogate.RECTANGULAR:
        return np.where(distance < layer.gate_width, ds, 0)
    g = 255 - np.minimum(255, distance * layer.gate_mult >> layer.gate_shift)
    return rnd(ds * (g + g // 128), 8)


def spike_errors(layer: IntegerLayer, fired: Integers, distance: Integers, d: Integers) -> Integers:
    """e of section 3.3 at every spike, else 0, (T, fan_out), from the last spike to the first."""
    t_all = np.arange(1, len(fired) + 1)[:, None]
    last = np.maximum.accumulate(np.where(fired, t_all, 0), axis=0)
    before = np.vstack([np.zeros_like(last[:1]), last[:-1]])
    theta = threshold(layer, t_all - before)

    e = np.zeros(fired.shape, np.int64)
    e_later = np.zeros(fired.shape[1], np.int64)  # 0 without a later spike: then ds = d
    t_later = np.zeros(fired.shape[1], np.int64)
    for t in range(len(fired), 0, -1):
        f = fired[t - 1]
        eps = e_later
        if layer.neuron == NeuronKind.LIF:
            back = np.maximum(t_later - t - 1, 0)
            eps = np.where(back <= 7, trunc(e_later, np.minimum(back, 7)), 0)
        z = rnd(theta[t - 1] * eps * layer.reset_mult, layer.reset_shift)
        ds = sat(d[t - 1] - z, 32767)
        e[t - 1] = np.where(f, sat(gate(layer, ds, distance[t - 1]), layer.error_limit), 0)
        e_later = np.where(f, e[t - 1], e_later)
        t_later = np.where(f, t, t_later)
    return e


def error_over_time(layer: IntegerLayer, fired: Integers, e: Integers) -> Integers:
    """eps of section 3.4, (T, fan_out): each spike's error reaches back to the spike before."""
    eps = np.zeros(fired.shape, np.int64)
    error = np.zeros(fired.shape[1], np.int64)
    back = np.zeros(fired.shape[1], np.int64)
    for t in range(len(fired) - 1, -1, -1):
        error = np.where(fired[t], e[t], error)
        back = np.where(fired[t], 0, back + 1)
        if layer.neuron == NeuronKind.LIF:
            eps[t] = np.where(back <= 7, trunc(error, np.minimum(back, 7)), 0)
        else:
            eps[t] = error
    return eps


def spread(layer: IntegerLayer, fired: Integers, e: Integers) -> Integers:
    """An error over the window: eps of section 3.4, or a linear readout's, the same at every step."""
    if layer.neuron == NeuronKind.LINEAR:
        return np.broadcast_to(e, fired.shape)
    return error_over_time(layer, fired, e)


def unpooled(layer: IntegerLayer, fired: Integers, d: Integers) -> Integers:
    """d of outputs, (T, outputs), at the neurons that made them, (T, neurons) (section 3.2)."""
    if layer.pooling == Pooling.NONE:
        return d
    steps, z, (height, width, channels) = len(fired), layer.pool_size, layer.map
    shape = (steps, *layer.outputs)
    to = np.broadcast_to(d.reshape(*shape, 1), (*shape, z * z))
    if layer.pooling == Pooling.MAX:
        spikes = in_pools(layer, z, fired)
        to = to * (spikes & (spikes.cumsum(axis=-1) == 1))
    found = np.zeros((steps, height, width, channels), np.int64)
    to = np.moveaxis(to.reshape(*shape, z, z), (-2, -1), (2, 4))  # (T, y, in y, x, in x, channel)
    covered = (shape[1] * z, shape[2] * z)
    found[:, : covered[0], : covered[1]] = to.reshape(steps, *covered, channels)
    return found.reshape(steps, -1)


def sent_down(model: IntegerModel, l: int, w: Integers, eta: Integers) -> Integers:
    """inter of section 3.2: errors of layer l's currents, (T, neurons), at its inputs, (T, inputs)."""
    layer = model.layers[l]
    if not layer.conv:
        return product(eta, w.T)
    steps, q, k, stride = len(eta), layer.padding, layer.kernel, layer.stride
    height, width, channels = incoming(model.layers, l)
    out_height, out_width, _ = layer.map
    rows = product(eta.reshape(steps, layer.positions, layer.fan_out), w.T)
    rows = rows.reshape(steps, out_height, out_width, k, k, channels)
    padded = np.zeros((steps, height + 2 * q, width + 2 * q, channels), np.int64)
    for ky in range(k):
        for kx in range(k):
            seen = padded[:, ky : ky + stride * out_height : stride, kx : kx + stride * out_width : stride]
            seen += rows[:, :, :, ky, kx]
    return padded[:, q : q + height, q : q + width].reshape(steps, -1)


def backward(
    model: IntegerModel,
    weights: tuple[Integers, ...],
    record: WindowRecord,
    label: int,
    classes: int | None = None,
) -> tuple[LayerErrors | None, ...]:
    """The errors of every layer that they pass (sections 3.1 to 3.4), from the readout down."""
    errors: list[LayerErrors | None] = [None] * len(model.layers)
    terms: dict[int, Integers] = {}  # of a layer's outputs: the sum of what came from those above
    inters: dict[int, Integers] = {}
    added: dict[int, Integers] = {}  # of a layer's currents

    def give(to: dict[int, Integers], k: int, what: Integers) -> None:
        to[k] = to[k] + what if k in to else what

    for l in range(len(model.layers) - 1, -1, -1):
        if not model.passes(l):
            continue
        layer, fired = model.layers[l], record.fired[l]
        inter = None
        if l + 1 == len(model.layers):
            d = score_errors(model, record.scores, label, classes)
        else:
            nothing = np.zeros(record.outputs[l].shape, np.int64)
            inter = unpooled(layer, fired, inters.get(l, nothing))
            d = unpooled(layer, fired, sat(terms.get(l, nothing), 32767))
        if layer.neuron == NeuronKind.LINEAR:
            e = sat(d, layer.error_limit)
        else:
            d = np.broadcast_to(d, fired.shape)
            e = spike_errors(layer, fired, record.distance[l], d)
        eps = spread(layer, fired, e)
        eta = sat(eps + added[l], layer.error_limit) if l in added else eps
        errors[l] = LayerErrors(inter, d, e, eps, eta)

        below = source(model.layers, l)
        if below >= 0 and model.passes(below):
            down = sent_down(model, l, weights[l], eta)
            give(inters, below, down)
            give(terms, below, sat(rnd(down, model.layers[below].down_shift + layer.input_down), 32767))
        if layer.add is not None and model.passes(layer.add):
            give(terms, layer.add, sat(shifted(d, layer.add_down), 32767))
        if layer.current is not None and model.passes(layer.current):
            give(added, layer.current, sat(shifted(eta, layer.current_down), 32767))
    return tuple(errors)


def update_unit(model: IntegerModel, l: int, e: Integers, rate_decay: int) -> Integers:
    """e2 (or eta2) of section 3.5: an error of layer l in 2^-15 of a weight's LSB."""
    return sat(shifted(e, model.layers[l].rate_shift + rate_decay), model.update_limit(l))


def update_errors(
    model: IntegerModel, l: int, record: WindowRecord, errors: LayerErrors, rate_decay: int
) -> Integers:
    """eta2 of section 3.5, (T, neurons)."""
    layer = model.layers[l]
    if any(above.current == l and model.passes(m) for m, above in enumerate(model.layers)):
        return update_unit(model, l, errors.eta, rate_decay)
    return spread(layer, record.fired[l], update_unit(model, l, errors.e, rate_decay))


def weight_sums(model: IntegerModel, l: int, record: WindowRecord, eta2: Integers) -> Integers:
    """S of section 3.5 for layer l, (fan_in, fan_out)."""
    layer = model.layers[l]
    return sat(rnd(raw_sums(model, l, record, eta2), layer.input_shift), 32767)


def raw_sums(model: IntegerModel, l: int, record: WindowRecord, eta2: Integers) -> Integers:
    """The sums of section 3.5 before shift and saturation, (fan_in, fan_out)."""
    layer, before = model.layers[l], source(model.layers, l)
    x = record.inputs if before < 0 else record.outputs[before]
    if x.ndim == 1:  # static
        x, eta2 = x[None], eta2.sum(axis=0, keepdims=True)
    if layer.conv:
        x = windows_of(layer, incoming(model.layers, l), x)
    return product(x.reshape(-1, layer.fan_in).T, eta2.reshape(-1, layer.fan_out))


def lowbias32(x: Integers) -> Integers:
    """The hash of section 3.6 on uint32 arrays (products wrap)."""
    x = x ^ x >> np.uint32(16)
    x = x * np.uint32(0x7FEB352D)
    x = x ^ x >> np.uint32(15)
    x = x * np.uint32(0x846CA68B)
    return x ^ x >> np.uint32(16)


def row_and_column_keys(
    seed: int, update: int, l: int, fan_in: int, groups: int
) -> tuple[Integers, Integers]:
    """Odd uint32 keys of the rows, (fan_in,), and of the groups of four outputs, (groups,)."""
    k0 = lowbias32(np.array([(seed + 0x9E3779B9 * (update + 1)) % 2**32], np.uint32))
    k1 = lowbias32(k0 ^ np.uint32(0x85EBCA6B * (l + 1) % 2**32))
    row = lowbias32(k1 + 2 * np.arange(fan_in, dtype=np.uint32)) | np.uint32(1)
    column = lowbias32(k1 + 2 * np.arange(groups, dtype=np.uint32) + np.uint32(1)) | np.uint32(1)
    return row, column


def random16(seed: int, update: int, l: int, fan_in: int, fan_out: int) -> Integers:
    """r16 of section 3.6 for every weight of layer l, (fan_in, fan_out) in 0 .. 65535."""
    row, column = row_and_column_keys(seed, update, l, fan_in, -(-fan_out // 4))
    a = np.multiply.outer(row, column)
    a ^= a >> np.uint32(16)
    rotated = [a, *((a >> np.uint32(8 * k)) | (a << np.uint32(32 - 8 * k)) for k in (1, 2, 3))]
    return (np.stack(rotated, axis=-1) & np.uint32(0xFFFF)).reshape(fan_in, -1)[:, :fan_out].astype(np.int64)


def move(
    layer: IntegerLayer, w: Integers, carry: Integers | None, s: Integers, r16: Integers
) -> tuple[Integers, Integers | None]:
    """Section 3.7: new weights and carry."""
    low, high = layer.weight_limits
    if carry is None:
        return np.clip(w + ((s + (r16 >> 1)) >> 15), low, high).astype(w.dtype), None
    v = 256 * w.astype(np.int64) + carry
    v = np.clip(v + ((s + (r16 >> 9)) >> 7), 256 * low, 256 * high + 255)
    return (v >> 8).astype(w.dtype), v & 255


def fresh(model: IntegerModel) -> NetState:
    """The state of a net that has learned nothing."""
    carry = tuple(
        np.full(layer.weights.shape, 128, np.int64) if layer.carry else None for layer in model.layers
    )
    return NetState(tuple(layer.weights for layer in model.layers), carry, 0, 0, model.classes)


def activate(model: IntegerModel, state: NetState) -> NetState:
    """The state with one more row of the readout as a class. Raises LabelError where no row is spare."""
    if state.classes == model.layers[-1].fan_out:
        raise LabelError(
            f"all {state.classes} rows of the readout are classes; quantize with spare rows for more"
        )
    return state._replace(classes=state.classes + 1)


def learn(model: IntegerModel, state: NetState, record: WindowRecord, label: int) -> Update:
    """One update from a window and its label (section 3). record : run_window's, with state.weights.

    Raises LabelError, ModeError (no layer learns) or CapacityError (more spikes than the capacity); no error
    changes the state given.
    """
    if not 0 <= label < state.classes:
        raise LabelError(f"label is {label}; the classes are 0 .. {state.classes - 1}")
    if model.lowest_learning is None:
        raise ModeError("no layer of this model learns; quantize it with learning layers")
    for l, layer in enumerate(model.layers):
        if model.needs_capacity(l) and (spikes := int(record.fired[l].sum())) > layer.capacity:
            raise CapacityError(
                f"layer {l} fired {spikes} times in the window; "
                f"learning holds {layer.capacity} (the image's spike capacity)"
            )

    errors = backward(model, state.weights, record, label, state.classes)
    sums: list[Integers | None] = [None] * len(model.layers)
    weights, carry = list(state.weights), list(state.carry)
    for l, (layer, error) in enumerate(zip(model.layers, errors, strict=True)):
        if layer.learns and error is not None:
            eta2 = update_errors(model, l, record, error, state.rate_decay)
            sums[l] = s = weight_sums(model, l, record, eta2)
            r16 = random16(model.seed, state.update, l, layer.fan_in, layer.fan_out)
            weights[l], carry[l] = move(layer, state.weights[l], state.carry[l], s, r16)

    after = state._replace(weights=tuple(weights), carry=tuple(carry), update=(state.update + 1) % 2**32)
    return Update(after, errors, tuple(sums))
