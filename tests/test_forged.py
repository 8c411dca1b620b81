"""Images of networks that no library writes, well sealed: C and Python refuse each (about 5 s)."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pyedge import errors, image
from pyedge.encode import KINDS, EncoderConfig
from pyedge.image import writer
from pyedge.plan import plan
from pyedge.quant import model as integers
from pyedge.quant.model import (
    InputKind,
    IntegerLayer,
    IntegerModel,
    Loss,
    Map,
    NeuronKind,
    Pooling,
    Surrogate,
)
from pyedge.runtime import Model

LIF, CURRENTS = NeuronKind.LIF, NeuronKind.CURRENTS


def dense(fan_in: int, fan_out: int, neuron: NeuronKind = LIF, **fields: Any) -> IntegerLayer:
    return IntegerLayer(neuron, np.ones((fan_in, fan_out)), 0, 0, 0, **fields)


def conv(given: Map, neuron: NeuronKind = LIF, **fields: Any) -> IntegerLayer:
    """One channel out, a kernel of one unless told otherwise."""
    kernel = fields.setdefault("kernel", 1)
    shape = {"stride": 1, "height": given.height, "width": given.width} | fields
    return dense(kernel**2 * given.channels, 1, neuron, **shape)


def readout(fan_in: int, **fields: Any) -> IntegerLayer:
    return dense(fan_in, 2, NeuronKind.LINEAR, **fields)


TEACH = {"learns": True, "surrogate": Surrogate.RECTANGULAR, "gate_width": 9, "capacity": 6 * 4}
GRID, ROW = Map(2, 3, 1), Map(1, 4, 1)
WIDE = Map(16, 16, 1)

NETWORKS: dict[str, tuple[IntegerLayer, ...]] = {
    "a convolution as readout": (
        conv(GRID), readout(1, kernel=1, stride=1, height=2, width=3),
    ),
    "a pool of the readout": (conv(GRID), readout(6, pooling=Pooling.MAX, pool_size=2)),
    "spikes of currents": (
        conv(GRID), conv(GRID, CURRENTS), conv(GRID, source=0, current=1, add=1), readout(6),
    ),
    "an add of another width": (
        conv(GRID), conv(GRID, kernel=2, padding=1, stride=2, add=0), readout(4),
    ),
    "currents of another width": (
        conv(ROW), conv(ROW, kernel=5, padding=4, stride=4, current=0), readout(4),
    ),
    "ten outputs in one sum": (
        dense(2, 2), *(dense(2, 2, add=l) for l in range(9)), readout(2),
    ),
    "counts above 255": (conv(WIDE, pooling=Pooling.SUM, pool_size=16), readout(1)),
    "currents that learn": (
        conv(GRID), conv(GRID, CURRENTS, learns=True), conv(GRID, source=0, current=1), readout(6),
    ),
    "currents that nobody takes": (conv(GRID), conv(GRID, CURRENTS), readout(6, source=0)),
    "outputs taken after they were added": (
        conv(GRID, **TEACH), conv(GRID, add=0), conv(GRID, source=0), readout(6),
    ),
    "currents added twice": (
        conv(GRID, **TEACH), conv(GRID, current=0), conv(GRID, current=0), readout(6),
    ),
    "sums of inputs beyond a membrane": (readout(16400, bits=10),),
    "an added current that is scaled beyond a membrane": (
        replace(conv(GRID), bias=np.array([1 << 20])), conv(GRID, current=0, current_shift=-15), readout(6),
    ),
    "a sum of currents beyond 31 bits": (
        replace(conv(Map(3, 3, 1)), bias=np.array([300_000_000])),
        conv(Map(1, 1, 1), value_pool=3), readout(1),
    ),
    "a threshold beyond its range": (replace(dense(2, 2), theta0=np.array([2**31 - 1] * 2)), readout(2)),
}  # fmt: skip


def forged(layers: tuple[IntegerLayer, ...], kind: InputKind = InputKind.SPIKES, **fields: Any) -> bytes:
    """The image of a network, whatever it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(integers, "_check_model", lambda _: None)
        return image.write(IntegerModel(4, kind, layers, **fields))


def resealed(blob: bytes, change: Callable[[bytearray], None]) -> bytes:
    """A changed image with its length and checksum right again."""
    changed = bytearray(blob)
    change(changed)
    struct.pack_into("<I", changed, image.HEADER["image size"][0], len(changed))
    struct.pack_into("<I", changed, image.HEADER["checksum"][0], zlib.crc32(changed[image.CHECKED_FROM :]))
    return bytes(changed)


def refused(blob: bytes, *named: type[Exception]) -> None:
    """C and Python refuse it."""
    with pytest.raises(named or (errors.ImageError,)):
        Model(blob)
    with pytest.raises(errors.PyEdgeError):
        image.read(blob)


def plain(**fields: Any) -> bytes:
    return forged((dense(2, 2), readout(2)), **fields)


def test_what_is_forged_from_is_sound() -> None:
    """Else every test here could pass for another reason."""
    for blob in (plain(), forged((conv(GRID), conv(GRID, add=0), readout(6))), encoded(InputKind.FRAMES)):
        assert Model(resealed(blob, lambda _: None)).window == 4
        image.read(blob)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_beyond_the_format_is_refused(name: str) -> None:
    layers = NETWORKS[name]
    kind = InputKind.FRAMES if layers[0].fan_in == 16400 else InputKind.SPIKES
    refused(forged(layers, kind))


def with_bias(bias: int, neuron: NeuronKind, theta0: int = 0, alpha: int = 0) -> bytes:
    """Two inputs of spikes, so that 256 of a current's reach are weights."""
    layer = IntegerLayer(neuron, np.ones((2, 2)), np.array([0, -bias]), theta0, alpha)
    return forged((layer,) if neuron == NeuronKind.LINEAR else (layer, readout(2)))


@pytest.mark.parametrize(
    ("neuron", "steps"), [(NeuronKind.LIF, 2), (NeuronKind.IF, 4), (NeuronKind.LINEAR, 4)], ids=str
)
def test_a_membrane_may_reach_up_to_its_bound(neuron: NeuronKind, steps: int) -> None:
    least = 2**30 // steps - 256
    Model(with_bias(least - 1, neuron))
    image.read(with_bias(least - 1, neuron))
    refused(with_bias(least, neuron))


def test_a_threshold_may_reach_up_to_its_bound() -> None:
    most = 2**31 - 256 - 5 * 1000  # a window of 4
    Model(with_bias(0, NeuronKind.IF, most, 1000))
    image.read(with_bias(0, NeuronKind.IF, most, 1000))
    refused(with_bias(0, NeuronKind.IF, most + 1, 1000))


def encoded(kind: InputKind) -> bytes:
    """An encoder of frames, whatever the network takes."""
    return forged((readout(2),), kind, encoder=EncoderConfig("direct", channels=2, shift=6, stride=4))


def test_an_encoder_of_another_kind_of_input_is_refused() -> None:
    refused(encoded(InputKind.SPIKES))


EVENTS, LOGS = ("difference", "delta"), ("log_frames", "log_spikes")


def ranges(kind: str) -> dict[str, tuple[int, int]]:
    """docs/image.md, section 3: what fields of an encoder may hold; the others have every value."""
    log, events, levels = kind in LOGS, kind in EVENTS, kind == "log_spikes"
    return {
        "channels": (1, 64),
        "hop": (1, 256),
        "hops": (1, 32 if log else 1),
        "shift": (0, 15),
        "mode": (0, int(kind == "difference")),
        "levels": (2, 16) if levels else (0, 0),
        "level_low": (-128, 127) if levels else (0, 0),
        "level_width": (0, 7 * levels),
        "threshold": (1, 127) if events else (0, 0),
        "span": (0, 64),
        "centre0": (-32768, 32767) if log else (0, 0),
        "centre1": (-32768, 32767) if log else (0, 0),
    }


def block_of(blob: bytes) -> int:
    """Where the encoder's block stands."""
    return int(struct.unpack_from("<I", blob, image.HEADER["encoder"][0])[0])


def with_encoder(kind: Any, field: str, value: int) -> bytes:
    """An encoder with that in a field, and a network of as many inputs as it has then."""
    levels = 2 * (kind == "log_spikes")
    encoder = EncoderConfig(kind, channels=2, levels=levels, threshold=int(kind in EVENTS))
    if field in ("channels", "levels") and value > 0:
        object.__setattr__(encoder, field, value)
    source = InputKind.SPIKES if encoder.spikes else InputKind.FRAMES
    blob = forged((readout(encoder.inputs),), source, encoder=encoder)
    at, form = image.ENCODER[field]
    return resealed(blob, lambda changed: struct.pack_into(f"<{form}", changed, block_of(blob) + at, value))


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_has_every_value_of_its_ranges_and_none_beside(kind: str) -> None:
    for field, (low, high) in ranges(kind).items():
        for value in {low, high}:
            blob = with_encoder(kind, field, value)
            Model(blob)
            image.read(blob)
        size = 8 * struct.calcsize(image.ENCODER[field][1])
        signed = image.ENCODER[field][1].islower()
        least, most = (-(1 << size - 1), (1 << size - 1) - 1) if signed else (0, (1 << size) - 1)
        for value in {low - 1, high + 1, least, *(1 << bit for bit in range(size))}:
            if least <= value <= most and not low <= value <= high:
                blob = with_encoder(kind, field, value)
                refused(blob)
                with pytest.raises(errors.ImageRangeError) as caught:
                    image.read(blob)
                assert caught.value.field == f"encoder {field}"
                assert caught.value.offset == block_of(blob) + image.ENCODER[field][0]


def test_spikes_that_a_readout_cannot_count_are_refused() -> None:
    refused(plain(loss=Loss.SPIKE_COUNT, count_mult=1))


def test_a_name_without_an_end_and_a_length_that_is_no_multiple_of_eight_are_refused() -> None:
    name = image.HEADER["model name"][0]

    def fill(blob: bytearray) -> None:
        blob[name : name + 32] = b"n" * 32

    refused(resealed(plain(), fill))
    refused(resealed(plain(), lambda blob: blob.extend(b"\0")))


@pytest.mark.parametrize("short", [None, 0, 16])
def test_a_network_whose_memory_no_word_counts_is_refused(short: int | None) -> None:
    """A million neurons that may spike a thousand times each.

    The image says the most that a word holds, or what its memory comes to for one who forgets what a word
    drops, in all or once its two largest areas are cut to a word.
    """
    grid = Map(1024, 1024, 1)
    first = conv(grid, pooling=Pooling.MAX, pool_size=16, **TEACH | {"capacity": 1 << 30})
    first = replace(first, surrogate=Surrogate.LINEAR, gate_width=0, gate_mult=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(integers, "_check_model", lambda _: None)
        model = IntegerModel(1024, InputKind.SPIKES, (first, readout(64 * 64)))
        needed = plan(model)
        learning = 2**32 - 8 if short is None else needed.learning % 2**32 - short
        stated = replace(needed, learning=learning)
        patch.setattr(writer, "plan", lambda _: stated)
        blob = image.write(model)
    refused(blob)
