"""Where every field of an image stands (docs/image.md)."""

import struct
from collections.abc import Mapping
from typing import Any

from pyedge.quant.model import IntegerLayer

MAGIC = b"EDGE"
VERSION = 2
HEADER_SIZE = 128
LAYER_SIZES = {1: 72, 2: 96}
ENCODER_SIZE = 48
CHECKED_FROM = 16  # the checksum covers what stands behind it

# Field: offset and struct format. Names are those that FieldError uses.
HEADER = {
    "magic": (0, "4s"),
    "version": (4, "H"),
    "header size": (6, "H"),
    "image size": (8, "I"),
    "checksum": (12, "I"),
    "T": (16, "H"),
    "layers": (18, "B"),
    "input kind": (19, "B"),
    "inputs": (20, "I"),
    "classes": (24, "H"),
    "loss": (26, "B"),
    "score shift": (27, "B"),
    "seed": (28, "I"),
    "score multiplier": (32, "H"),
    "desired spikes": (34, "H"),
    "others' spikes": (36, "H"),
    "spike-count multiplier": (38, "H"),
    "layer table": (40, "I"),
    "encoder": (44, "I"),
    "class names": (48, "I"),
    "class names size": (52, "I"),
    "metadata": (56, "I"),
    "metadata size": (60, "I"),
    "arena for inference": (64, "I"),
    "arena for learning": (68, "I"),
    "learned weights": (72, "I"),
    "model name": (76, "32s"),
    "reserved": (108, "20s"),
}
LAYER = {
    "kind": (0, "B"),
    "neuron": (1, "B"),
    "bits": (2, "B"),
    "flags": (3, "B"),
    "surrogate": (4, "B"),
    "down_shift": (5, "B"),
    "rate_shift": (6, "b"),
    "input_shift": (7, "B"),
    "reset_mult": (8, "H"),
    "reset_shift": (10, "B"),
    "gate_shift": (11, "B"),
    "gate_mult": (12, "H"),
    "reserved": (14, "H"),
    "gate_width": (16, "i"),
    "fan_in": (20, "I"),
    "fan_out": (24, "I"),
    "weights": (28, "I"),
    "bias": (32, "I"),
    "theta0 tensor": (36, "I"),
    "alpha tensor": (40, "I"),
    "theta0": (44, "i"),
    "alpha": (48, "i"),
    "spike capacity": (52, "I"),
    "scale": (56, "f"),
    "reserved end": (60, "12s"),
}
GRAPH = {  # what version 2 adds to a layer
    "height": (72, "H"),
    "width": (74, "H"),
    "kernel": (76, "B"),
    "stride": (77, "B"),
    "padding": (78, "B"),
    "pooling": (79, "B"),
    "pool size": (80, "B"),
    "source": (81, "B"),
    "value_pool": (82, "B"),
    "value_shift": (83, "B"),
    "input_down": (84, "B"),
    "spike add": (85, "B"),
    "add_down": (86, "b"),
    "current add": (87, "B"),
    "current_shift": (88, "b"),
    "current_down": (89, "b"),
    "reserved graph": (90, "6s"),
}
ENCODER = {
    "kind": (0, "B"),
    "channels": (1, "B"),
    "hop": (2, "H"),
    "hops": (4, "B"),
    "shift": (5, "B"),
    "mode": (6, "B"),
    "levels": (7, "B"),
    "level_low": (8, "b"),
    "level_width": (9, "B"),
    "threshold": (10, "B"),
    "span": (11, "B"),
    "centre0": (12, "h"),
    "centre1": (14, "h"),
    "rate_hz": (16, "H"),
    "stride": (18, "H"),
    "penalty": (20, "B"),
    "gain_limit": (21, "B"),
    "rotation": (22, "b"),
    "reserved": (23, "B"),
    "gains": (24, "I"),
    "profile": (28, "I"),
    "reserved end": (32, "16s"),
}
LEARNS, CARRY = 1, 2
DENSE, CONV = 1, 2

Fields = Mapping[str, tuple[int, str]]

# Fields of a layer that IntegerLayer has by the same name and with the same value.
ALIKE = tuple(
    name
    for name in LAYER | GRAPH
    if name in IntegerLayer.__dataclass_fields__
    and name not in ("weights", "bias", "theta0", "alpha", "source")
)


def pack(fields: Fields, size: int, values: Mapping[str, Any]) -> bytes:
    """A block of that size with these values; the others are 0."""
    block = bytearray(size)
    for name, value in values.items():
        offset, code = fields[name]
        struct.pack_into("<" + code, block, offset, value)
    return bytes(block)


def unpack(fields: Fields, blob: bytes, at: int) -> dict[str, Any]:
    """The values of a block that begins at byte `at`."""
    return {
        name: struct.unpack_from("<" + code, blob, at + offset)[0] for name, (offset, code) in fields.items()
    }
