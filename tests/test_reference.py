"""The integer reference: equal to a scalar reading of docs/arithmetic.md, and within its bounds (10 s)."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import labels, lessons, models, saturated_model, windows

from pyedge import encode
from pyedge.errors import CapacityError, DataError, LabelError, ModeError
from pyedge.quant import reference
from pyedge.quant.model import (
    InputKind,
    IntegerLayer,
    IntegerModel,
    Loss,
    NeuronKind,
    Surrogate,
    membrane_bound,
)

# A second reading of the page: Python integers, one neuron and synapse at a time, to the letter.


def floor_div(x, n):
    return x // 2**n


def trunc_div(x, n):
    return abs(x) // 2**n * (1 if x >= 0 else -1)


def rounded(x, n):
    return x if n == 0 else (abs(x) + 2 ** (n - 1)) // 2**n * (1 if x >= 0 else -1)


def clamp(x, low, high):
    return min(max(x, low), high)


def theta_at(layer, i, age):
    if layer.neuron == NeuronKind.IF:
        return max(0, int(layer.theta0[i]) - int(layer.alpha[i]) * age)
    return max(0, int(layer.theta0[i]) - int(layer.alpha[i]) * (age - 1))


def scalar_window(model, weights, inputs):
    """Spikes as {(t, i): (distance, age)} a layer, and the scores."""
    static = model.input_kind == InputKind.STATIC
    x = {t: [int(v) for v in (inputs if static else inputs[t - 1])] for t in range(1, model.window + 1)}
    layers = []
    for layer, w in zip(model.layers, weights, strict=True):
        spikes, scores, out = {}, [0] * layer.fan_out, {t: [0] * layer.fan_out for t in x}
        for i in range(layer.fan_out):
            u, k = 0, 0
            for t in range(1, model.window + 1):
                current = sum(int(w[j, i]) * x[t][j] for j in range(layer.fan_in)) + int(layer.bias[i])
                if layer.neuron == NeuronKind.LINEAR:
                    scores[i] += current
                    continue
                u = (floor_div(u, 1) if layer.neuron == NeuronKind.LIF else u) + current
                least = floor_div(theta_at(layer, i, t - k) + 255, 8)
                if u >= least:
                    spikes[t, i] = (u - least, t - k)
                    out[t][i] = 1
                    scores[i] += 1
                    u, k = 0, t
        layers.append((spikes, scores))
        x = out
    return layers


def scalar_softmax(model, o):
    exp2 = [round(32768 * 2 ** (-f / 64)) for f in range(64)]
    q = [(max(o) - value) * model.score_mult // 2**model.score_shift for value in o]
    e = [0 if v >= 1024 else exp2[v % 64] // 2 ** (v // 64) for v in q]
    return q, e, [(32768 * v + sum(e) // 2) // sum(e) for v in e]


def scalar_random(seed, n, l, j, i):
    def hash32(x):
        x %= 2**32
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    k0 = hash32(seed + 0x9E3779B9 * (n + 1))
    k1 = hash32(k0 ^ 0x85EBCA6B * (l + 1) % 2**32)
    r = (hash32(k1 + 2 * j) | 1) * (hash32(k1 + 2 * (i // 4) + 1) | 1) % 2**32
    a = r ^ r >> 16
    turn = 8 * (i % 4)
    return (a >> turn | a << 32 - turn) % 2**16


def scalar_errors(layer, spikes, arriving):
    """e at every spike, from what arrives there."""
    errors = {}
    for i in {i for _, i in spikes}:
        later = None
        for t in sorted((t for t, n in spikes if n == i), reverse=True):
            distance, age = spikes[t, i]
            ds = arriving[t, i]
            if later is not None:
                t_later, e_later = later
                back = t_later - t - 1
                eps = e_later
                if layer.neuron == NeuronKind.LIF:
                    eps = trunc_div(e_later, back) if back <= 7 else 0
                ds = clamp(
                    ds - rounded(theta_at(layer, i, age) * eps * layer.reset_mult, layer.reset_shift),
                    -32767,
                    32767,
                )
            if layer.surrogate == Surrogate.RECTANGULAR:
                e = ds if distance < layer.gate_width else 0
            else:
                g = 255 - min(255, distance * layer.gate_mult // 2**layer.gate_shift)
                e = rounded(ds * (g + g // 128), 8)
            errors[t, i] = clamp(e, -layer.error_limit, layer.error_limit)
            later = t, errors[t, i]
    return errors


def scalar_over_time(layer, window, errors):
    """eps[t, i] from e at spikes."""
    eps = {}
    for i in {i for _, i in errors}:
        before = 0
        for t in sorted(t for t, n in errors if n == i):
            for d in range(t - before):
                e = errors[t, i]
                if layer.neuron == NeuronKind.LIF:
                    e = trunc_div(e, d) if d <= 7 else 0
                eps[t - d, i] = e
            before = t
    return eps


def scalar_learn(model, state, inputs, label):
    """New weights, carry, errors at spikes (or of the readout) and sums of every layer."""
    window, steps = model.window, range(1, model.window + 1)
    layers = scalar_window(model, state.weights, inputs)
    o = layers[-1][1]
    _, _, p = scalar_softmax(model, o)
    first = []
    for c in range(model.classes):
        if model.loss == Loss.CROSS_ENTROPY:
            e = (32768 if c == label else 0) - p[c]
        elif c == label:
            e = (model.desired - o[c]) * model.count_mult if o[c] < model.desired else 0
        else:
            e = (model.others - o[c]) * model.count_mult if o[c] > model.others else 0
        first.append(clamp(e, -32767, 32767))

    weights, carry, above = list(state.weights), list(state.carry), {}
    errors_of, sums_of = [None] * len(model.layers), [None] * len(model.layers)
    lowest = min(l for l, layer in enumerate(model.layers) if layer.learns)
    for l in range(len(model.layers) - 1, lowest - 1, -1):
        layer, (spikes, _) = model.layers[l], layers[l]
        if layer.neuron == NeuronKind.LINEAR:
            limit = layer.error_limit
            errors = {(t, i): clamp(first[i], -limit, limit) for t in steps for i in range(layer.fan_out)}
            spread = dict
        else:
            if l == len(model.layers) - 1:
                arriving = {(t, i): first[i] for t, i in spikes}
            else:
                up, w = model.layers[l + 1], state.weights[l + 1]
                arriving = {}
                for t, j in spikes:
                    inter = sum(int(w[j, i]) * above.get((t, i), 0) for i in range(up.fan_out))
                    assert abs(inter) < 2**31
                    arriving[t, j] = clamp(rounded(inter, layer.down_shift), -32767, 32767)
            errors = scalar_errors(layer, spikes, arriving)

            def spread(errors, layer=layer):
                return scalar_over_time(layer, window, errors)

        above, errors_of[l] = spread(errors), errors
        if not layer.learns:
            continue
        r, limit = layer.rate_shift + state.rate_decay, 32767 // window
        update = {
            key: clamp(rounded(e, r) if r >= 0 else e * 2**-r, -limit, limit) for key, e in errors.items()
        }
        eps2 = spread(update)
        below = layers[l - 1][0] if l else None
        low, high = (-128, 127) if layer.bits == 8 else (-512, 511)
        new_w = state.weights[l].copy()
        new_carry = None if state.carry[l] is None else state.carry[l].copy()
        sums_of[l] = np.zeros(layer.weights.shape, np.int64)
        for j in range(layer.fan_in):
            for i in range(layer.fan_out):
                if l:
                    s = sum(eps2.get((t, i), 0) for t in steps if (t, j) in below)
                elif model.input_kind == InputKind.STATIC:
                    s = int(inputs[j]) * sum(eps2.get((t, i), 0) for t in steps)
                else:
                    s = sum(int(inputs[t - 1, j]) * eps2.get((t, i), 0) for t in steps)
                if l == 0 and model.input_kind != InputKind.SPIKES:
                    s = clamp(rounded(s, layer.input_shift), -32767, 32767)
                assert abs(s) <= 32767
                sums_of[l][j, i] = s
                r16 = scalar_random(model.seed, state.update, l, j, i)
                w = int(state.weights[l][j, i])
                if new_carry is None:
                    new_w[j, i] = clamp(w + (s + r16 // 2) // 32768, low, high)
                else:
                    v = 256 * w + int(state.carry[l][j, i])
                    v = clamp(v + (s + r16 // 512) // 128, 256 * low, 256 * high + 255)
                    new_w[j, i], new_carry[j, i] = v // 256, v % 256
        weights[l], carry[l] = new_w, new_carry
    return weights, carry, errors_of, sums_of


tiny = models(largest=7, longest=14, learning=True)


@given(models(largest=9, longest=14), st.data())
@settings(max_examples=150)
def test_inference_is_what_the_page_says(model, data):
    inputs = data.draw(windows(model))
    weights = reference.fresh(model).weights
    record = reference.run_window(model, weights, inputs)
    layers = scalar_window(model, weights, inputs)
    for l, (spikes, _) in enumerate(layers):
        assert {(int(t) + 1, int(i)) for t, i in np.argwhere(record.fired[l])} == set(spikes)
        assert all(record.distance[l][t - 1, i] == distance for (t, i), (distance, _) in spikes.items())
    o = layers[-1][1]
    assert record.scores.tolist() == o
    q, e, p = scalar_softmax(model, o)
    assert reference.softmax(model, record.scores).tolist() == p
    assert reference.predict(model, record.scores) == (o.index(max(o)), p[o.index(max(o))])
    log2 = int(encode.log2(np.asarray(sum(e))))
    assert reference.log_likelihood(model, record.scores).tolist() == [
        max(-65535, -v - (log2 - 3840) // 4) for v in q
    ]


@given(tiny, st.data())
@settings(max_examples=200)
def test_learning_is_what_the_page_says(model, data):
    state = reference.fresh(model)._replace(rate_decay=data.draw(st.integers(0, 3)))
    for inputs, label in data.draw(lessons(model, most=3)):
        record = reference.run_window(model, state.weights, inputs)
        try:
            update = reference.learn(model, state, record, label)
        except CapacityError:
            assert any(
                model.needs_capacity(l) and fired.sum() > layer.capacity
                for l, (layer, fired) in enumerate(zip(model.layers, record.fired, strict=True))
            )
            continue
        weights, carry, errors, sums = scalar_learn(model, state, inputs, label)
        for l in range(len(model.layers)):
            # The sums themselves: one unit of S shows in a weight once in 32768 draws only.
            assert (sums[l] is None) == (update.sums[l] is None)
            assert sums[l] is None or np.array_equal(update.sums[l], sums[l])
            error = update.errors[l]
            assert (errors[l] is None) == (error is None)
            if error is not None:
                e = np.broadcast_to(error.e, record.fired[l].shape)
                assert all(e[t - 1, i] == value for (t, i), value in errors[l].items())
                assert np.count_nonzero(e) == sum(value != 0 for value in errors[l].values())
            assert np.array_equal(update.state.weights[l], weights[l])
            assert (carry[l] is None) == (update.state.carry[l] is None)
            assert carry[l] is None or np.array_equal(update.state.carry[l], carry[l])
        assert update.state.update == state.update + 1
        state = update.state


def test_a_rectangular_gate_ends_at_its_width_and_a_linear_one_is_whole_at_the_threshold():
    model = saturated_model()
    rectangular = replace(model.layers[0], gate_width=5)
    ds, distance = np.array([-7, -7, -7]), np.array([0, 4, 5])
    assert reference.gate(rectangular, ds, distance).tolist() == [-7, -7, 0]
    linear = replace(rectangular, surrogate=Surrogate.LINEAR, gate_width=0, gate_mult=1)
    distance = np.array([0, 1, 127, 128, 254, 255, 2**31 - 1])
    passed = reference.gate(linear, np.full(7, 256), distance)
    assert passed.tolist() == [256, 255, 129, 127, 1, 0, 0]


def test_a_wide_layer_holds_its_errors_to_what_a_sum_below_can_take():
    """E1 is below 32767 from 65536 / Wmax outputs on: the readout's error and a hidden layer's alike."""
    model = replace(saturated_model(fan_in=4, fan_out=300, classes=200, bits=10), score_shift=0)
    hidden, readout = model.layers
    assert (hidden.error_limit, readout.error_limit) == (13981, 20971)
    fired, d = np.ones((39, 300), bool), np.full((39, 300), -32767)
    e = reference.spike_errors(replace(hidden, reset_mult=0), fired, 0 * d, d)
    assert (e == -13981).all()
    weights = tuple(layer.weights for layer in model.layers)
    record = reference.run_window(model, weights, np.zeros((39, 4), np.int64))
    lost = record._replace(scores=record.scores + 2**28 * (np.arange(200) == 3))
    top, below = reversed(reference.backward(model, weights, lost, 5))
    assert sorted(set(top.e.tolist())) == [-20971, 0, 20971]
    assert np.abs(below.inter).max() < 2**31


@pytest.mark.parametrize(
    ("s", "r16", "moves"),
    [(1, 65535, 1), (1, 65533, 0), (0, 65535, 0), (-1, 0, -1), (-1, 2, 0), (32767, 1, 0), (32767, 2, 1)],
)
def test_a_weight_moves_exactly_where_sum_and_draw_reach_a_bit(s, r16, moves):
    layer = saturated_model().layers[0]
    w, carry = reference.move(layer, np.array([5]), None, np.array([s]), np.array([r16]))
    assert w.tolist() == [5 + moves] and carry is None


def test_a_fresh_carry_is_half_a_bit():
    model = saturated_model()
    carrying = replace(model, layers=tuple(replace(layer, carry=True) for layer in model.layers))
    assert all((carry == 128).all() for carry in reference.fresh(carrying).carry)
    assert reference.fresh(model).carry == (None, None)


@pytest.mark.parametrize("room", [-1, 0])
def test_capacity_is_met_to_the_spike(room):
    model = saturated_model(fan_in=8, fan_out=6)
    inputs = np.ones((model.window, 8), np.int64)
    spikes = int(reference.run_window(model, reference.fresh(model).weights, inputs).fired[0].sum())
    change = {"surrogate": Surrogate.LINEAR, "gate_width": 0, "gate_mult": 1, "capacity": spikes + room}
    model = replace(model, layers=(replace(model.layers[0], **change), model.layers[1]))
    state = reference.fresh(model)
    record = reference.run_window(model, state.weights, inputs)
    if room < 0:
        with pytest.raises(CapacityError, match=f"layer 0 fired {spikes} times"):
            reference.learn(model, state, record, 0)
    else:
        assert reference.learn(model, state, record, 0).state.update == 1


def test_a_hopeless_class_has_the_lowest_log_likelihood():
    model = replace(saturated_model(), score_mult=65535, score_shift=0)
    assert (
        reference.log_likelihood(model, np.array([2**29, 0, 0, 0, -(2**29)])).tolist() == [0] + [-65535] * 4
    )


@pytest.mark.parametrize(("gap", "reaches"), [(1, 20000), (2, 10000), (8, 156), (9, 0)])
def test_an_error_reaches_seven_steps_back_and_no_further(gap, reaches):
    """The later of two spikes, in the reset term of the earlier and in the steps between."""
    layer = replace(
        saturated_model(fan_out=1).layers[0], theta0=[256], alpha=[0], reset_mult=1, reset_shift=8
    )
    fired = np.zeros((12, 1), bool)
    fired[[1, 1 + gap]] = True
    d = np.zeros((12, 1), np.int64)
    d[1 + gap] = -20000
    e = reference.spike_errors(layer, fired, np.zeros((12, 1), np.int64), d)
    assert e[1, 0] == reaches
    eps = reference.error_over_time(layer, fired, e)[2 : 2 + gap, 0]
    assert eps.tolist() == [-(20000 >> back) if back <= 7 else 0 for back in range(gap - 1, -1, -1)]


def test_the_tables_are_those_of_the_page():
    page = (Path(__file__).parent.parent / "docs/arithmetic.md").read_text()
    for name, table in (("EXP2", reference.EXP2), ("LOG2F", encode.LOG2F), ("GAIN", encode.GAIN)):
        printed = re.search(rf"`{name}` =\n\n((?:    [\d ]+\n)+)", page)
        assert printed is not None
        assert [int(v) for v in printed[1].split()] == table.tolist()


@given(models(largest=20), st.data())
@settings(max_examples=60)
def test_any_number_of_steps_keeps_the_proven_bounds(model, data):
    inputs = data.draw(windows(model))
    weights = reference.fresh(model).weights
    state = reference.begin(model)
    for t in range(model.window):
        state, _ = reference.step(model, weights, state, inputs if inputs.ndim == 1 else inputs[t])
        for l, layer in enumerate(model.layers):
            bound = membrane_bound(model.window, layer, model.largest_currents[l])
            assert np.abs(state.u[l]).max() <= bound < 2**30
    assert np.array_equal(reference.scores(model, state), reference.run_window(model, weights, inputs).scores)


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("neuron", [NeuronKind.LIF, NeuronKind.IF])
@pytest.mark.parametrize("label", [0, 4])
def test_the_bounds_hold_where_everything_is_at_its_extreme(bits, neuron, label):
    """Fan-in 1024, every weight at an end of its range, every input firing, the largest errors."""
    model = saturated_model(bits=bits, neuron=neuron)
    inputs = np.ones((model.window, model.inputs), np.int64)
    state = reference.fresh(model)
    for _ in range(3):
        record = reference.run_window(model, state.weights, inputs)
        update = reference.learn(model, state, record, label)
        for layer, error, s in zip(model.layers, update.errors, update.sums, strict=True):
            assert np.abs(error.e).max() <= layer.error_limit
            assert layer.fan_out * -layer.weight_limits[0] * layer.error_limit < 2**31
            assert np.abs(s).max() <= 32767
        assert max(np.abs(s).max() for s in update.sums) > 32000  # the extreme was reached
        for layer, w in zip(model.layers, update.state.weights, strict=True):
            assert layer.weight_limits[0] <= w.min() <= w.max() <= layer.weight_limits[1]
        state = update.state


@pytest.mark.parametrize("kind", [InputKind.FRAMES, InputKind.STATIC])
def test_the_widest_values_saturate_once_and_do_not_wrap(kind):
    layer = IntegerLayer(
        NeuronKind.LINEAR,
        np.full((1024, 3), -128),
        np.zeros(3),
        np.zeros(3),
        np.zeros(3),
        learns=True,
        rate_shift=-15,
    )
    model = IntegerModel(39, kind, (layer,), score_mult=65535, score_shift=0)
    inputs = np.full((1024,) if kind == InputKind.STATIC else (39, 1024), -128)
    state = reference.fresh(model)
    record = reference.run_window(model, state.weights, inputs)
    assert record.scores.tolist() == [39 * 1024 * 128 * 128] * 3
    update = reference.learn(model, state, record, 0)
    assert update.sums[0][0].tolist() == [-32767, 32767, 32767]


@given(tiny, st.data())
@settings(max_examples=60)
def test_a_refused_update_changes_nothing(model, data):
    inputs = data.draw(windows(model))
    state = reference.fresh(model)
    before = [w.tobytes() for w in state.weights]
    record = reference.run_window(model, state.weights, inputs)
    for label in (-1, model.classes):
        with pytest.raises(LabelError):
            reference.learn(model, state, record, label)
    assert [w.tobytes() for w in state.weights] == before


@given(tiny, st.data())
@settings(max_examples=60)
def test_layers_that_do_not_learn_stay_and_the_state_given_stays(model, data):
    inputs, label = data.draw(windows(model)), data.draw(labels(model))
    state = reference.fresh(model)
    before = [w.tobytes() for w in state.weights]
    record = reference.run_window(model, state.weights, inputs)
    try:
        after = reference.learn(model, state, record, label).state
    except CapacityError:
        after = state
    assert [w.tobytes() for w in state.weights] == before
    for layer, old, new in zip(model.layers, state.weights, after.weights, strict=True):
        assert layer.learns or np.array_equal(old, new)
        if not layer.carry:
            assert np.abs(new - old).max() <= 1


@given(models(learning=False, largest=7, longest=9), st.data())
@settings(max_examples=20)
def test_a_model_in_which_nothing_learns_says_so(model, data):
    state = reference.fresh(model)
    record = reference.run_window(model, state.weights, data.draw(windows(model)))
    with pytest.raises(ModeError):
        reference.learn(model, state, record, 0)


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((38, 1024), int),
        np.zeros((39, 1023), int),
        np.full((39, 1024), 2),
        np.full((39, 1024), -1),
        np.zeros((39, 1024)),
        np.zeros(1024, int),
    ],
)
def test_a_window_that_does_not_fit_is_refused(inputs):
    model = saturated_model()
    with pytest.raises(DataError):
        reference.run_window(model, reference.fresh(model).weights, inputs)


# Random numbers (section 3.6) and drawn updates (3.7)


def moves_of(random16, s, updates, seed=11):
    """Drawn moves of a layer with sums s, (updates, fan_in, fan_out)."""
    return np.array([(s + (random16(seed, n, 0, *s.shape) >> 1)) >> 15 for n in range(updates)])


def independent(seed, update, l, fan_in, fan_out):
    return np.random.default_rng((seed, update)).integers(0, 65536, (fan_in, fan_out))


def z_scores_of(random16):
    """Every statistic of drawn moves against independent draws, in standard deviations."""
    rng = np.random.default_rng(3)
    # Sums at which a weight moves in a tenth to nine tenths of the draws: their noise has no heavy tails.
    s = rng.integers(3277, 29492, (256, 128)) * rng.choice([-1, 1], (256, 128))
    updates = 16
    mean = s / 32768
    deviation = np.sqrt(np.abs(mean) * (1 - np.abs(mean)))
    noise = (moves_of(random16, s, updates) - mean) / deviation
    z = {"mean": noise.mean() * np.sqrt(noise.size)}
    each = noise.sum(axis=0) ** 2 / updates
    z["chi-square"] = (each.sum() - each.size) / np.sqrt(2 * each.size)
    for name, a, b in (
        ("neighbours in a row", noise[:, :, :-1], noise[:, :, 1:]),
        ("neighbours in a word", noise[:, :, ::4], noise[:, :, 2::4]),
        ("next word", noise[:, :, :-4], noise[:, :, 4:]),
        ("rows", noise[:, :-1], noise[:, 1:]),
        ("updates", noise[:-1], noise[1:]),
    ):
        z[name] = (a * b).sum() / np.sqrt((a**2 * b**2).sum())
    # Structure across rows and columns shows in the largest singular value, beside independent draws'.
    free = (moves_of(independent, s, updates) - mean) / deviation
    norms = [np.linalg.svd(frames, compute_uv=False)[:, 0] for frames in (noise, free)]
    z["rank"] = (norms[0].mean() - norms[1].mean()) / (np.sqrt(2 / updates) * norms[1].std())
    block = noise[:, :-1, :-4] * noise[:, 1:, :-4] * noise[:, :-1, 4:] * noise[:, 1:, 4:]
    z["blocks"] = block.sum() / np.sqrt((block**2).sum())
    return z


def xor_of_keys(seed, update, l, fan_in, fan_out):
    row, column = reference.row_and_column_keys(seed, update, l, fan_in, -(-fan_out // 4))
    a = np.bitwise_xor.outer(row, column)
    turned = [a, *((a >> np.uint32(8 * k)) | (a << np.uint32(32 - 8 * k)) for k in (1, 2, 3))]
    return (np.stack(turned, axis=-1) & np.uint32(0xFFFF)).reshape(fan_in, -1)[:, :fan_out].astype(np.int64)


def test_drawn_updates_agree_with_their_sums():
    for name, z in z_scores_of(reference.random16).items():
        assert abs(z) < 5, (name, z)


@pytest.mark.parametrize(
    ("generator", "caught_by"),
    [
        (xor_of_keys, "rank"),
        (lambda *a: reference.random16(*a) // 2, "mean"),
        (lambda *a: reference.random16(*a) | 0x8000, "chi-square"),
        (lambda seed, n, l, *shape: reference.random16(seed, 0, l, *shape), "updates"),
        (lambda *a: np.repeat(reference.random16(*a)[:, ::2], 2, axis=1), "neighbours in a row"),
        (lambda *a: np.repeat(reference.random16(*a)[::2], 2, axis=0), "rows"),
    ],
)
def test_a_biased_or_correlated_generator_is_caught(generator, caught_by):
    assert abs(z_scores_of(generator)[caught_by]) > 8


def test_the_product_of_keys_without_its_fold_is_caught():
    def unfolded(seed, update, l, fan_in, fan_out):
        row, column = reference.row_and_column_keys(seed, update, l, fan_in, -(-fan_out // 4))
        a = np.multiply.outer(row, column)
        turned = [a, *((a >> np.uint32(8 * k)) | (a << np.uint32(32 - 8 * k)) for k in (1, 2, 3))]
        return (
            (np.stack(turned, axis=-1) & np.uint32(0xFFFF)).reshape(fan_in, -1)[:, :fan_out].astype(np.int64)
        )

    assert max(abs(z) for z in z_scores_of(unfolded).values()) > 8


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 63),
    st.integers(1, 9),
    st.integers(1, 9),
)
@settings(max_examples=50)
def test_random_numbers_are_those_of_the_page_for_every_seed_and_update(seed, update, l, fan_in, fan_out):
    drawn = reference.random16(seed, update, l, fan_in, fan_out)
    assert all(
        drawn[j, i] == scalar_random(seed, update, l, j, i) for j in range(fan_in) for i in range(fan_out)
    )
