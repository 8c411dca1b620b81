"""The executable specification: inference and learning in integers, as docs/arithmetic.md states them.

Written to be read beside runtime_c/src: same names, same order. Pure functions over int64 arrays; time comes
first in every array, and row t - 1 of an array is step t of the page.
"""

from typing import NamedTuple

import numpy as np

from pyedge.encode import log2
from pyedge.errors import CapacityError, DataError, LabelError, ModeError
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, Integers, Loss, NeuronKind, Surrogate

EXP2 = np.array([round(32768 * 2 ** (-f / 64)) for f in range(64)])


class WindowState(NamedTuple):
    """Where a window stands after some steps."""

    step: int  # steps taken, 0 .. T
    u: tuple[Integers, ...]  # a layer: membrane potentials (a linear readout: its scores), (fan_out,)
    last: tuple[Integers, ...]  # a layer: k, the step of the last spike, (fan_out,)
    counts: Integers  # spikes of a spiking readout, (classes,)


class LayerStep(NamedTuple):
    """What one step of one layer did."""

    fired: Integers  # bool, (fan_out,); a linear readout never fires
    distance: Integers  # u before the reset minus the threshold's ceiling where it fired, else 0, (fan_out,)


class WindowRecord(NamedTuple):
    """A whole window: all that learning needs, and the counts that statistics want."""

    inputs: Integers  # (T, inputs), or (inputs,) for static inputs
    fired: tuple[Integers, ...]  # a layer: bool, (T, fan_out)
    distance: tuple[Integers, ...]  # a layer: (T, fan_out)
    scores: Integers  # (classes,)
    sops: tuple[int, ...]  # a layer: nonzero inputs times fan_out (static inputs: once a window)


class NetState(NamedTuple):
    """What learning changes, and all of it that must survive."""

    weights: tuple[Integers, ...]  # every layer's, those that do not learn as in the image
    carry: tuple[Integers | None, ...]  # (fan_in, fan_out) in 0 .. 255, None without carry
    update: int  # updates completed, modulo 2^32
    rate_decay: int  # 0 .. 15: the learning rate is halved this often


class LayerErrors(NamedTuple):
    """What passes one layer in learning, (T, fan_out) each unless said."""

    inter: Integers | None  # what comes down (section 3.2), at every step; None for the last layer
    d: Integers  # at every step; only used where the layer fired
    e: Integers  # at spikes, else 0; of a linear readout (fan_out,), the same at every step
    eps: Integers  # over time (section 3.4)


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


def sat(x: Integers, bound: int) -> Integers:
    return np.clip(x, -bound, bound)


def product(a: Integers, b: Integers) -> Integers:
    """a @ b for integers: exact, because every sum here is far below the 2^53 that float64 holds."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


# Section 2: inference


def threshold(layer: IntegerLayer, age: Integers) -> Integers:
    """theta at `age` (steps since the last spike, or since the window's start), 8 fractional bits."""
    decays = age if layer.neuron == NeuronKind.IF else age - 1
    return np.maximum(0, layer.theta0 - layer.alpha * decays)


def ceiling(theta: Integers) -> Integers:
    """The least integer membrane potential that fires."""
    return (theta + 255) >> 8


def begin(model: IntegerModel) -> WindowState:
    """The start of a window: as if every neuron had just fired."""
    zeros = tuple(np.zeros(layer.fan_out, np.int64) for layer in model.layers)
    return WindowState(0, zeros, zeros, zeros[-1])


def step(
    model: IntegerModel, weights: tuple[Integers, ...], state: WindowState, x: Integers
) -> tuple[WindowState, tuple[LayerStep, ...]]:
    """One time step of the whole network. x : (inputs,) in its kind's range; static: the same each step."""
    t = state.step + 1
    u_after, last_after, steps = [], [], []
    for layer, w, u, last in zip(model.layers, weights, state.u, state.last, strict=True):
        lines = np.flatnonzero(x)
        current = x[lines].astype(np.int64) @ w[lines] + layer.bias
        if layer.neuron == NeuronKind.LINEAR:
            u = u + current
            fired, distance = np.zeros(layer.fan_out, bool), np.zeros(layer.fan_out, np.int64)
        else:
            u = (u >> 1 if layer.neuron == NeuronKind.LIF else u) + current
            least = ceiling(threshold(layer, t - last))
            fired = u >= least
            distance = np.where(fired, u - least, 0)
            u = np.where(fired, 0, u)
            last = np.where(fired, t, last)
        u_after.append(u)
        last_after.append(last)
        steps.append(LayerStep(fired, distance))
        x = fired.astype(np.int64)
    return WindowState(t, tuple(u_after), tuple(last_after), state.counts + x), tuple(steps)


def scores(model: IntegerModel, state: WindowState) -> Integers:
    """o, (classes,): sums of a linear readout, or spike counts."""
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
    weights = tuple(w.astype(np.int64) for w in weights)
    state, record = begin(model), []
    for t in range(model.window):
        state, steps = step(model, weights, state, inputs if inputs.ndim == 1 else inputs[t])
        record.append(steps)
    fired = tuple(np.array([steps[l].fired for steps in record]) for l in range(len(model.layers)))
    distance = tuple(np.array([steps[l].distance for steps in record]) for l in range(len(model.layers)))
    sops = tuple(
        int(np.count_nonzero(x)) * layer.fan_out
        for x, layer in zip((inputs, *fired[:-1]), model.layers, strict=True)
    )
    return WindowRecord(inputs, fired, distance, scores(model, state), sops)


def octaves(model: IntegerModel, o: Integers) -> tuple[Integers, Integers]:
    """q and E of section 2.6 from the scores, (classes,) each."""
    d = o.max() - o
    q = d * model.score_mult >> model.score_shift
    return q, np.where(q >= 1024, 0, EXP2[q % 64] >> np.minimum(q // 64, 63))


def softmax(model: IntegerModel, o: Integers) -> Integers:
    """p, (classes,), in 1 / 32768."""
    _, e = octaves(model, o)
    total = e.sum()
    return (32768 * e + total // 2) // total


def predict(model: IntegerModel, o: Integers) -> tuple[int, int]:
    """The class with the largest score (of equal ones the lowest), and its probability in 1 / 32768."""
    label = int(o.argmax())
    return label, int(softmax(model, o)[label])


def log_likelihood(model: IntegerModel, o: Integers) -> Integers:
    """Log likelihood of every class, (classes,), in 1 / 64 bit."""
    q, e = octaves(model, o)
    return np.maximum(-65535, -q - ((log2(e.sum()) - 3840) >> 2))


# Section 3: learning


def score_errors(model: IntegerModel, o: Integers, label: int) -> Integers:
    """e of section 3.1, (classes,)."""
    target = np.arange(model.classes) == label
    if model.loss == Loss.CROSS_ENTROPY:
        return sat(np.where(target, 32768, 0) - softmax(model, o), 32767)
    wanted = np.where(target, model.desired, model.others)
    wrong = np.where(target, o < wanted, o > wanted)
    return np.where(wrong, sat((wanted - o) * model.count_mult, 32767), 0)


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


def backward(
    model: IntegerModel, weights: tuple[Integers, ...], record: WindowRecord, label: int
) -> tuple[LayerErrors | None, ...]:
    """The errors of every layer that they pass (sections 3.1 to 3.4), from the readout down."""
    errors: list[LayerErrors | None] = [None] * len(model.layers)
    inter: Integers | None = None
    d = score_errors(model, record.scores, label)
    for l in range(len(model.layers) - 1, -1, -1):
        if not model.passes(l):
            break
        layer, fired = model.layers[l], record.fired[l]
        above = errors[l + 1] if l + 1 < len(model.layers) else None
        if above is not None:
            inter = product(above.eps, weights[l + 1].T)
            d = sat(rnd(inter, layer.down_shift), 32767)
        if layer.neuron == NeuronKind.LINEAR:
            e = sat(d, layer.error_limit)
        else:
            d = np.broadcast_to(d, fired.shape)
            e = spike_errors(layer, fired, record.distance[l], d)
        errors[l] = LayerErrors(inter, d, e, spread(layer, fired, e))
    return tuple(errors)


def update_unit(model: IntegerModel, layer: IntegerLayer, e: Integers, rate_decay: int) -> Integers:
    """e2 of section 3.5: the error in 2^-15 of a weight's LSB."""
    r = layer.rate_shift + rate_decay
    return sat(rnd(e, r) if r >= 0 else e << -r, 32767 // model.window)


def weight_sums(model: IntegerModel, l: int, record: WindowRecord, eps2: Integers) -> Integers:
    """S of section 3.5 for layer l, (fan_in, fan_out)."""
    if l > 0 or model.input_kind == InputKind.SPIKES:
        x = record.fired[l - 1] if l else record.inputs
        return product(x.T, eps2)
    x = record.inputs
    total = np.outer(x, eps2.sum(axis=0)) if model.input_kind == InputKind.STATIC else product(x.T, eps2)
    return sat(rnd(total, model.layers[l].input_shift), 32767)


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
    return NetState(tuple(layer.weights for layer in model.layers), carry, 0, 0)


def learn(model: IntegerModel, state: NetState, record: WindowRecord, label: int) -> Update:
    """One update from a window and its label (section 3). record : run_window's, with state.weights.

    Raises LabelError, ModeError (no layer learns) or CapacityError (more spikes than the capacity); no error
    changes the state given.
    """
    if not 0 <= label < model.classes:
        raise LabelError(f"label is {label}; the classes are 0 .. {model.classes - 1}")
    if model.lowest_learning is None:
        raise ModeError("no layer of this model learns; quantize it with learning layers")
    for l, layer in enumerate(model.layers):
        if model.needs_capacity(l) and (spikes := int(record.fired[l].sum())) > layer.capacity:
            raise CapacityError(
                f"layer {l} fired {spikes} times in the window; "
                f"learning holds {layer.capacity} (the image's spike capacity)"
            )

    errors = backward(model, state.weights, record, label)
    sums: list[Integers | None] = [None] * len(model.layers)
    weights, carry = list(state.weights), list(state.carry)
    for l, (layer, error) in enumerate(zip(model.layers, errors, strict=True)):
        if layer.learns and error is not None:
            e2 = update_unit(model, layer, error.e, state.rate_decay)
            sums[l] = s = weight_sums(model, l, record, spread(layer, record.fired[l], e2))
            r16 = random16(model.seed, state.update, l, layer.fan_in, layer.fan_out)
            weights[l], carry[l] = move(layer, state.weights[l], state.carry[l], s, r16)

    after = NetState(tuple(weights), tuple(carry), (state.update + 1) % 2**32, state.rate_decay)
    return Update(after, errors, tuple(sums))
