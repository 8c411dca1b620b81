"""The image: what is written is read back, and whatever the bytes, reading is safe (6 s)."""

import struct
import zlib
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import models, saturated_model

from pyedge import image
from pyedge.errors import (
    FieldError,
    ImageChecksumError,
    ImageError,
    ImageMagicError,
    ImageRangeError,
    ImageTruncatedError,
    ImageVersionError,
)
from pyedge.plan import plan
from pyedge.quant import reference
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind, Surrogate

small = models(largest=12, longest=12) | models(largest=12, longest=12, encoder=True)


def same(a: object, b: object) -> bool:
    """Equality of models, arrays by value."""
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (IntegerModel, IntegerLayer)):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return a == b


def sealed(blob: bytearray) -> bytes:
    """The blob with a checksum that holds, so that what is behind the checksum is reached."""
    struct.pack_into("<I", blob, 12, zlib.crc32(blob[16:]))
    return bytes(blob)


@given(small)
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_back(model):
    blob = image.write(model)
    assert same(image.read(blob), model)
    assert image.write(image.read(blob)) == blob
    assert len(blob) % 8 == 0


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_named_error(blob):
    with pytest.raises(ImageError):
        image.read(blob)


@given(small, st.data())
@settings(max_examples=60, deadline=None)
def test_one_changed_byte_is_always_detected(model, data):
    blob = bytearray(image.write(model))
    for _ in range(20):
        at = data.draw(st.integers(0, len(blob) - 1))
        flip = data.draw(st.integers(1, 255))
        blob[at] ^= flip
        with pytest.raises(ImageError):
            image.read(bytes(blob))
        blob[at] ^= flip


@given(small, st.data())
@settings(max_examples=60, deadline=None)
def test_every_shorter_or_longer_image_is_refused(model, data):
    blob = image.write(model)
    with pytest.raises(ImageTruncatedError):
        image.read(blob[: data.draw(st.integers(0, len(blob) - 1))])
    with pytest.raises(ImageTruncatedError):
        image.read(blob + data.draw(st.binary(min_size=1, max_size=9)))


@given(small, st.data())
@settings(max_examples=300, deadline=None)
def test_hostile_bytes_behind_a_good_checksum_are_refused_or_safe(model, data):
    blob = bytearray(image.write(model))
    tables = min(128 + 72 * len(model.layers) + 48, len(blob))  # an encoder's block comes next
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(16, tables - 1) | st.integers(16, len(blob) - 1))
        blob[at] = data.draw(st.integers(0, 255))
    try:
        read = image.read(sealed(blob))
    except ImageError:
        return
    shape = (read.inputs,) if read.input_kind == InputKind.STATIC else (read.window, read.inputs)
    assume(np.prod(shape) < 10**6)
    record = reference.run_window(
        read, tuple(layer.weights for layer in read.layers), np.zeros(shape, np.int64)
    )
    assert np.abs(record.scores).max() < 2**30
    assert same(image.read(image.write(read)), read)


# Values that a reader refuses, by field, in an image that is otherwise `plain_model`'s.
REFUSED_IN_HEADER = {
    "version": [0],
    "header size": [0, 127, 136],
    "T": [0, 1025, 65535],
    "layers": [0, 65, 255],
    "input kind": [0, 4, 255],
    "inputs": [0, 65536, 2**32 - 1],
    "classes": [0, 1, 257, 65535],
    "loss": [0, 2, 3],
    "score shift": [48, 255],
    "score multiplier": [0],
    "layer table": [0, 4, 129, 2**32 - 8],
    "encoder": [4, 2**32 - 8],
    "class names": [0, 4, 2**32 - 8],
    "class names size": [0, 1, 2**32 - 1],
    "metadata": [0, 4, 2**32 - 8],
    "metadata size": [0, 2**32 - 1],
    "arena for inference": [0, 2**32 - 1],
    "arena for learning": [0, 2**32 - 1],
    "learned weights": [0, 2**32 - 1],
    "model name": [b"a" * 32, b"a\0b" + bytes(29), b"\xff" + bytes(31)],
    "reserved": [b"\1" + bytes(19), bytes(19) + b"\1"],
}
REFUSED_IN_LAYER = {
    "kind": [0, 2, 255],
    "neuron": [2, 3, 255],
    "bits": [0, 7, 9, 16],
    "flags": [2, 4, 255],
    "surrogate": [0, 3, 255],
    "down_shift": [32, 255],
    "rate_shift": [-16, -128, 32, 127],
    "input_shift": [1, 255],
    "reset_shift": [63, 255],
    "gate_shift": [48, 255],
    "gate_mult": [1, 65535],
    "reserved": [1],
    "gate_width": [0, -1, -(2**31)],
    "fan_in": [0, 65536, 2**32 - 1],
    "fan_out": [0, 65536, 2**32 - 1],
    "weights": [0, 4, 2**32 - 8],
    "bias": [4, 2**32 - 8],
    "theta0 tensor": [4, 128, 2**32 - 8],
    "alpha tensor": [4, 128, 2**32 - 8],
    "theta0": [-1, 2**31 - 1],
    "alpha": [-1, 2**31 - 1],
    "spike capacity": [1, 2**32 - 1],
    "scale": [0.0, -1.0, float("inf"), float("nan")],
    "reserved end": [b"\1" + bytes(11), bytes(11) + b"\1"],
}


def plain_model() -> IntegerModel:
    """Every scalar in its ordinary place: one hidden layer, a linear readout, names, metadata."""
    hidden = IntegerLayer(
        NeuronKind.LIF,
        np.ones((6, 5)),
        np.zeros(5),
        np.full(5, 256),
        np.full(5, 9),
        learns=True,
        surrogate=Surrogate.RECTANGULAR,
        gate_width=9,
    )
    readout = IntegerLayer(
        NeuronKind.LINEAR, np.ones((5, 3)), np.ones(3), np.zeros(3), np.zeros(3), learns=True
    )
    return IntegerModel(
        8, InputKind.SPIKES, (hidden, readout), class_names=("a", "b", "c"), name="plain", metadata={"a": 1}
    )


@pytest.mark.parametrize(
    "name",
    sorted(
        set(image.HEADER)
        - {
            "magic",
            "image size",
            "checksum",
            "seed",
            "desired spikes",
            "others' spikes",
            "spike-count multiplier",
        }
    ),
)
def test_every_header_range_is_refused_by_name_and_offset(name):
    offset, code = image.HEADER[name]
    for value in REFUSED_IN_HEADER[name]:
        blob = bytearray(image.write(plain_model()))
        struct.pack_into("<" + code, blob, offset, value)
        with pytest.raises(ImageRangeError) as caught:
            image.read(sealed(blob))
        named = {
            "loss": ("loss", "spike-count multiplier"),
            "inputs": ("inputs", "layer 0 fan_in"),
            "metadata": ("metadata", "metadata size"),
            "class names": ("class names", "class names size"),
            "class names size": ("class names", "class names size"),
            "metadata size": ("metadata", "metadata size"),
            "layers": ("layers", "layer 2 kind"),
        }
        assert caught.value.field in named.get(name, (name,))


@pytest.mark.parametrize("name", sorted(set(image.LAYER) - {"reset_mult"}))
def test_every_layer_range_is_refused_by_name_and_offset(name):
    offset, code = image.LAYER[name]
    for value in REFUSED_IN_LAYER[name]:
        blob = bytearray(image.write(plain_model()))
        struct.pack_into("<" + code, blob, 128 + offset, value)
        with pytest.raises(ImageRangeError) as caught:
            image.read(sealed(blob))
        assert str(caught.value.offset) in str(caught.value)
        named = {
            "flags": ("flags",),
            "theta0 tensor": ("alpha tensor", "theta0 tensor"),
            "alpha": ("alpha", "theta0"),
            "alpha tensor": ("alpha tensor",),
            "gate_mult": ("gate_mult",),
            "fan_in": ("fan_in", "weights"),
            "fan_out": ("fan_out", "weights", "fan_in"),
        }
        assert caught.value.field.removeprefix("layer 0 ").removeprefix("layer 1 ") in named.get(
            name, (name,)
        )


def test_foreign_and_newer_images_say_so():
    blob = bytearray(image.write(plain_model()))
    with pytest.raises(ImageMagicError, match="not a pyedge model image"):
        image.read(b"\x7fELF" + bytes(200))
    struct.pack_into("<H", blob, 4, 3)
    with pytest.raises(ImageVersionError, match="newer"):
        image.read(sealed(blob))
    blob = bytearray(image.write(plain_model()))
    blob[-1] ^= 1
    with pytest.raises(ImageChecksumError, match="damaged"):
        image.read(bytes(blob))


@pytest.mark.parametrize("text", [b"[1]     ", b'{"a":NaN}', b"\xff\xfe      ", b"[" * 3000, b"1" * 5000])
def test_metadata_that_is_not_a_json_object_is_refused(text):
    blob = bytearray(image.write(replace(plain_model(), metadata={"a": "x" * 6000})))
    (at,) = struct.unpack_from("<I", blob, 56)
    blob[at : at + len(text)] = text
    struct.pack_into("<I", blob, 60, len(text))
    with pytest.raises(ImageRangeError, match="metadata"):
        image.read(sealed(blob))


def test_padding_weights_that_are_not_zero_are_refused():
    blob = bytearray(image.write(plain_model()))
    (at,) = struct.unpack_from("<I", blob, 128 + 28)
    blob[at + 5] = 1  # row 0, output 5 of 5 outputs padded to 8
    with pytest.raises(ImageRangeError, match="padding"):
        image.read(sealed(blob))


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"window": 0},
        {"window": 1025},
        {"seed": 2**32},
        {"score_shift": 48},
        {"score_mult": 0},
        {"class_names": ("a",)},
        {"class_names": ("a", "b", "c\0")},
        {"class_names": ("a", "b", "\ud800")},
        {"class_names": (1, 2, 3)},
        {"name": "é" * 16},
        {"name": "\ud800"},
        {"name": None},
        {"loss": 2},
        {"loss": 7},
        {"input_kind": 0},
        {"layers": ()},
        {"metadata": {"a": float("nan")}},
        {"metadata": nested(5000)},
    ],
)
def test_a_model_out_of_range_is_never_built_or_written(change):
    with pytest.raises(FieldError):
        image.write(replace(plain_model(), **change))


@pytest.mark.parametrize(
    ("l", "change"),
    [
        (0, {"surrogate": Surrogate.NONE, "gate_width": 0}),
        (0, {"bits": 9}),
        (0, {"capacity": 1}),
        (0, {"rate_shift": 32}),
        (0, {"gate_width": 0}),
        (0, {"gate_mult": 1}),
        (0, {"input_shift": 1}),
        (1, {"down_shift": 1}),
        (1, {"carry": True, "learns": False}),
        (1, {"surrogate": Surrogate.LINEAR, "gate_mult": 1}),
        (1, {"theta0": np.ones(3)}),
        (0, {"bias": np.full(5, 2**29)}),
        (1, {"bias": np.full(3, 2**27)}),
        (0, {"theta0": np.full(5, 2**31 - 300)}),
        (0, {"weights": np.full((6, 5), 128)}),
        (0, {"alpha": np.full(5, -1)}),
        (0, {"neuron": NeuronKind.LINEAR}),
        (0, {"scale": 1e-60}),
    ],
)
def test_a_layer_out_of_range_is_never_built(l, change):
    model = plain_model()
    layers = list(model.layers)
    with pytest.raises(FieldError):
        layers[l] = replace(layers[l], **change)
        replace(model, layers=tuple(layers))


def test_the_plan_of_the_reference_network():
    """1024-512-10, T = 39: sizes added up by hand from docs/image.md section 5."""
    hidden = IntegerLayer(
        NeuronKind.LIF,
        np.zeros((1024, 512)),
        np.zeros(512),
        np.full(512, 256),
        np.full(512, 7),
        learns=True,
        surrogate=Surrogate.RECTANGULAR,
        gate_width=9,
    )
    readout = IntegerLayer(
        NeuronKind.LINEAR, np.zeros((512, 10)), np.zeros(10), np.zeros(10), np.zeros(10), learns=True
    )
    memory = plan(IntegerModel(39, InputKind.SPIKES, (hidden, readout)))
    scratch = 4 * 512 + 4 * 12 + 2 * 512
    assert memory.inference == scratch + 4 * 16
    kept = 1024 * 5 + 2 * 512 * 5 + 2 * 12
    tile = 2 * 39 * 64  # exceeds the scratch by less than a quarter of what is kept
    assert memory.tile_width == 64
    assert memory.learning - memory.inference == kept + tile - scratch < 12 * 1024
    assert memory.learned_weights == 1024 * 512 + 512 * 12


@given(small)
@settings(max_examples=60, deadline=None)
def test_describe_counts_what_is_there(model):
    d = image.describe(model)
    assert d["image_bytes"] == len(image.write(model))
    assert d["ram_infer_bytes"] <= d["ram_learn_bytes"] or not d["ram_learn_bytes"]
    assert sum(layer["learned_bytes"] for layer in d["layers"]) == d["learned_weights_bytes"]
    assert str(d["image_bytes"]) in image.text(model).replace(",", "")


def test_the_saturated_model_keeps_every_bound():
    for bits in (8, 10):
        for neuron in (NeuronKind.LIF, NeuronKind.IF):
            model = saturated_model(bits=bits, neuron=neuron)
            assert same(image.read(image.write(model)), model)
