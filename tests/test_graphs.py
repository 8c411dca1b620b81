"""Convolutions, pools, adds and spare rows in integers: laws of the reference (25 s)."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs, labels, lessons, models, windows

from pyedge import image
from pyedge.errors import CapacityError, FieldError, ImageRangeError, LabelError
from pyedge.quant import reference
from pyedge.quant.model import (
    InputKind,
    IntegerLayer,
    IntegerModel,
    NeuronKind,
    Pooling,
    incoming,
    membrane_bound,
    source,
)


def unrolled(model, l, w):
    """A convolution's weights as those of the dense layer that does the same, (inputs, neurons)."""
    layer, shape = model.layers[l], incoming(model.layers, l)
    seen = reference.windows_of(layer, shape, np.eye(shape.size, dtype=np.int64))
    return np.einsum("jpr,ri->jpi", seen, w).reshape(shape.size, layer.neurons)


@given(graphs(learning=False), st.data())
@settings(max_examples=80)
def test_a_convolution_is_the_dense_layer_of_its_unrolled_weights(model, data):
    weights = reference.fresh(model).weights
    record = reference.run_window(model, weights, data.draw(windows(model)))
    for l, layer in enumerate(model.layers):
        if not layer.conv or layer.value_pool:
            continue
        x = np.atleast_2d(record.inputs if l == 0 else record.outputs[source(model.layers, l)])
        dense = unrolled(model, l, weights[l])
        assert np.array_equal(reference.weighted(model, l, weights[l], x), x @ dense)


@given(graphs(), st.data())
@settings(max_examples=80)
def test_errors_and_sums_of_a_convolution_are_those_of_its_unrolled_weights(model, data):
    record = reference.run_window(model, reference.fresh(model).weights, data.draw(windows(model)))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    for l, layer in enumerate(model.layers):
        if not layer.conv or layer.value_pool:
            continue
        eta = rng.integers(-100, 100, (model.window, layer.neurons))
        dense = unrolled(model, l, layer.weights)
        assert np.array_equal(reference.sent_down(model, l, layer.weights, eta), eta @ dense.T)
        x = record.inputs if l == 0 else record.outputs[source(model.layers, l)]
        x = np.broadcast_to(x, (model.window, x.shape[-1]))
        sums = x.T @ eta  # of every input with every neuron
        seen = reference.windows_of(layer, incoming(model.layers, l), np.eye(x.shape[1], dtype=np.int64))
        sums = np.einsum("jpr,jpi->ri", seen, sums.reshape(x.shape[1], layer.positions, layer.fan_out))
        assert np.array_equal(reference.raw_sums(model, l, record, eta), sums)


@given(models(learning=True, largest=9, longest=14), st.data())
@settings(max_examples=100)
def test_dense_layers_are_convolutions_over_one_pixel(model, data):
    convolved = replace(
        model,
        layers=tuple(
            layer
            if l + 1 == len(model.layers)
            else replace(layer, height=1, width=1, kernel=1, stride=1)
            for l, layer in enumerate(model.layers)
        ),
    )
    states = [reference.fresh(one) for one in (model, convolved)]
    for inputs, label in data.draw(lessons(model, most=2)):
        found = []
        for i, one in enumerate((model, convolved)):
            record = reference.run_window(one, states[i].weights, inputs)
            try:
                found.append(reference.learn(one, states[i], record, label))
                states[i] = found[-1].state
            except CapacityError:
                found.append(None)
        assert (found[0] is None) == (found[1] is None)
        for a, b in zip(*(s.weights for s in states), strict=True):
            assert np.array_equal(a, b)


@given(graphs(), st.data())
@settings(max_examples=100)
def test_everything_stays_within_the_bounds_of_the_page(model, data):
    weights = reference.fresh(model).weights
    inputs = data.draw(windows(model))
    state = reference.begin(model)
    for t in range(model.window):
        state, steps = reference.step(model, weights, state, inputs if inputs.ndim == 1 else inputs[t])
        for l, layer in enumerate(model.layers):
            m = model.largest_currents[l]
            assert np.abs(steps[l].currents).max() <= m
            assert np.abs(state.u[l]).max() <= membrane_bound(model.window, layer, m) < 2**30
            assert steps[l].outputs.min() >= 0 and steps[l].outputs.max() <= model.largest_outputs[l] <= 255
    record = reference.run_window(model, weights, inputs)
    assert np.array_equal(record.scores, reference.scores(model, state))
    assert np.array_equal(reference.run_windows(model, weights, inputs[None])[0], record.scores)
    if model.lowest_learning is None:
        return
    errors = reference.backward(model, weights, record, data.draw(labels(model)))
    for l, (layer, e) in enumerate(zip(model.layers, errors, strict=True)):
        assert (e is not None) == model.passes(l)
        if e is None:
            continue
        assert np.abs(e.eta).max() <= layer.error_limit
        full = np.full((1, layer.neurons), layer.error_limit)
        low = np.full(layer.weights.shape, layer.weight_limits[0])
        assert np.abs(reference.sent_down(model, l, low, full)).max() < 2**31
        if layer.learns:
            eta2 = reference.update_errors(model, l, record, e, 0)
            assert np.abs(eta2).max() <= model.update_limit(l)
            reach = model.window * model.largest_inputs[l] * layer.positions
            assert model.update_limit(l) * reach < 2**31


@given(graphs(learning=True), st.data())
@settings(max_examples=60)
def test_spare_rows_take_no_part_until_they_are_classes(model, data):
    state, rows = reference.fresh(model), model.layers[-1].fan_out
    first = state.weights[-1]
    while True:
        with pytest.raises(LabelError):
            reference.learn(model, state, run(model, state, data), state.classes)
        record = run(model, state, data)
        label, _ = reference.predict(model, record.scores, state.classes)
        assert label < state.classes
        try:
            update = reference.learn(model, state, record, data.draw(st.integers(0, state.classes - 1)))
        except CapacityError:
            return
        e = update.errors[-1].e
        assert not e[..., state.classes :].any()
        assert np.array_equal(update.state.weights[-1][:, state.classes :], first[:, state.classes :])
        state = update.state
        if state.classes == rows:
            break
        state = reference.activate(model, state)
    with pytest.raises(LabelError):
        reference.activate(model, state)


def run(model, state, data):
    return reference.run_window(model, state.weights, data.draw(windows(model)))


@given(graphs())
@settings(max_examples=60)
def test_an_image_holds_every_network(model):
    blob = image.write(model)
    again = image.read(blob)
    assert image.write(again) == blob
    assert blob[4] == (1 if model.chain else 2)
    for a, b in zip(model.layers, again.layers, strict=True):
        for name in IntegerLayer.__dataclass_fields__:
            if name != "source":
                assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert [source(again.layers, l) for l in range(len(again.layers))] == [
        source(model.layers, l) for l in range(len(model.layers))
    ]


def residual():
    """A small net with every kind of layer, for what is refused."""
    def conv(rows, channels, **changes):
        return IntegerLayer(
            NeuronKind.LIF,
            np.ones((rows, channels)),
            np.zeros(channels),
            np.full(channels, 512),
            np.zeros(channels),
            **{"height": 4, "width": 4, "kernel": 1, "stride": 1, **changes},
        )

    readout = IntegerLayer(NeuronKind.LINEAR, np.ones((8, 3)), np.zeros(3), np.zeros(3), np.zeros(3))
    shortcut = replace(
        conv(2, 2, height=2, width=2), neuron=NeuronKind.CURRENTS, theta0=0, alpha=0, value_pool=2, source=1
    )
    return IntegerModel(
        *(5, InputKind.SPIKES),
        (
            conv(1, 2),
            conv(2, 2, add=0),
            shortcut,
            conv(2, 2, stride=2, source=1, current=2),
            replace(readout, learns=True),
        ),
    )


@pytest.mark.parametrize(
    ("l", "changes", "field"),
    [
        (0, {"source": 0}, "source"),
        (0, {"kernel": 5}, "fan_in"),
        (0, {"stride": 0}, "stride"),
        (0, {"padding": 1}, "padding"),
        (0, {"pooling": Pooling.SUM}, "pool size"),
        (0, {"pooling": Pooling.MAX, "pool_size": 5}, "pool size"),
        (0, {"neuron": NeuronKind.CURRENTS, "theta0": 0}, "neuron"),
        (0, {"input_shift": 16}, "input_shift"),
        (1, {"add": 1}, "spike add"),
        (1, {"add": 2}, "spike add"),
        (1, {"pooling": Pooling.MAX, "pool_size": 2}, "pooling"),
        (1, {"add_down": 32}, "add_down"),
        (1, {"height": 3}, "height"),
        (2, {"value_pool": 0}, "height"),
        (2, {"value_pool": 5}, "value_pool"),
        (2, {"value_shift": 31}, "value_shift"),
        (2, {"learns": True}, "value_pool"),
        (3, {"current": 0}, "current add"),
        (3, {"current_shift": 31}, "current_shift"),
        (3, {"current": None, "current_shift": 1}, "current_shift"),
        (3, {"source": 2}, "source"),
        (4, {"kernel": 1, "stride": 1, "height": 1, "width": 1}, "kernel"),
        (4, {"add": 3}, "spike add"),
        (4, {"pooling": Pooling.SUM, "pool_size": 2}, "pooling"),
    ],
)
def test_what_cannot_be_is_refused_by_name(l, changes, field):
    model = residual()
    layers = list(model.layers)
    with pytest.raises(FieldError) as caught:
        layers[l] = replace(layers[l], **changes)
        replace(model, layers=tuple(layers))
    assert caught.value.field.endswith(field)


# What layer 3 of `residual`, a convolution with a source and a current add, may not have.
REFUSED = {
    "kind": [0, 1, 3],
    "neuron": [2, 4],
    "height": [0, 3],
    "width": [0, 5],
    "kernel": [0, 2, 255],
    "stride": [0, 1, 4],
    "padding": [1, 255],
    "pooling": [1, 3],
    "pool size": [2, 255],
    "source": [4, 5, 255],
    "value_pool": [2, 255],
    "value_shift": [1],
    "input_down": [32, 255],
    "spike add": [4, 255],
    "add_down": [1, -1],
    "current add": [4, 255],
    "current_shift": [31, -16],
    "current_down": [32, -16],
    "reserved graph": [b"\1" + bytes(5), bytes(5) + b"\1"],
}


@pytest.mark.parametrize("name", REFUSED)
def test_every_range_of_version_2_is_refused(name):
    fields = image.LAYER | image.GRAPH
    offset, code = fields[name]
    for value in REFUSED[name]:
        blob = bytearray(image.write(residual()))
        struct.pack_into("<" + code, blob, 128 + 3 * 96 + offset, value)
        struct.pack_into("<I", blob, 12, zlib.crc32(blob[16:]))
        with pytest.raises(ImageRangeError) as caught:
            image.read(bytes(blob))
        assert caught.value.field.startswith("layer ")
        assert caught.value.field[8:] in (*fields, name)


@given(graphs(), st.data())
@settings(max_examples=150)
def test_no_bytes_make_a_model_that_breaks_its_bounds(model, data):
    """Whatever a layer table says, it is refused by name, or the model runs within its bounds."""
    blob = bytearray(image.write(model))
    size = 96 if blob[4] == 2 else 72
    table = 128 + size * len(model.layers)
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(128, table - 1))] = data.draw(st.integers(0, 255))
    struct.pack_into("<I", blob, 12, zlib.crc32(blob[16:]))
    try:
        found = image.read(bytes(blob))
    except ImageRangeError as error:
        assert error.field
        return
    assert image.read(image.write(found)).largest_currents == found.largest_currents


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (5, 2), (3, 2), (2, 2)])
def test_the_largest_error_down_a_convolution_just_fits(kernel, stride):
    """Every weight and every error at an end of its range: the sum fits 32 bits, and no bit is wasted."""
    channels, side = 80, 9
    conv = IntegerLayer(
        NeuronKind.LIF,
        np.full((kernel * kernel, channels), -512),
        *(np.zeros(channels), np.full(channels, 512), np.zeros(channels)),
        bits=10, height=side, width=side, kernel=kernel, stride=stride,
    )
    readout = IntegerLayer(NeuronKind.LINEAR, np.ones((conv.neurons, 2)), *[np.zeros(2)] * 3)
    model = IntegerModel(5, InputKind.SPIKES, (conv, readout))
    error = np.full((1, conv.neurons), conv.error_limit)
    most = np.abs(reference.sent_down(model, 0, conv.weights, error)).max()
    assert most < 2**31
    assert conv.error_limit == 32767 or most > 2**31 - channels * 25 * 512


def test_counts_end_at_255():
    model = residual()
    wide = replace(model.layers[1], pooling=Pooling.SUM, pool_size=2)
    first = replace(model.layers[0], height=32, width=32)
    second = replace(wide, height=32, width=32, pool_size=16)
    readout = replace(model.layers[-1], weights=np.ones((8, 3)))
    with pytest.raises(FieldError, match="255"):
        replace(model, layers=(first, second, readout))


def test_a_version_1_image_still_opens():
    """Kept bytes of the first format; the model that they hold is written as them again."""
    kept = (Path(__file__).parent / "data" / "version1" / "model.edge").read_bytes()
    model = image.read(kept)
    assert kept[4] == 1 and model.chain
    assert image.write(model) == kept
