"""An integer model to the bytes of an image."""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from pyedge.encode import KINDS, MODES, EncoderConfig
from pyedge.errors import FieldError
from pyedge.image.layout import (
    ALIKE,
    CARRY,
    CHECKED_FROM,
    CONV,
    DENSE,
    ENCODER,
    ENCODER_SIZE,
    GRAPH,
    HEADER,
    HEADER_SIZE,
    LAYER,
    LAYER_SIZES,
    LEARNS,
    MAGIC,
    pack,
)
from pyedge.plan import plan
from pyedge.quant.model import IntegerLayer, IntegerModel, Integers


class _Blob:
    """Bytes that grow, every part 8-byte aligned."""

    def __init__(self, size: int) -> None:
        self.bytes = bytearray(size)

    def add(self, part: bytes) -> int:
        """Where the part went."""
        at = len(self.bytes)
        self.bytes += part + bytes(-len(part) % 8)
        return at


def canonical(weights: Integers, bits: int) -> bytes:
    """Weights, (fan_in, fan_out), in canonical order (docs/arithmetic.md 2.2): images, hashes, read-back."""
    padded = np.pad(weights, ((0, 0), (0, -weights.shape[1] % 4)))
    return padded.astype("<i1" if bits == 8 else "<i2").tobytes()


def write(model: IntegerModel) -> bytes:
    """The image of a model: the same model, the same bytes, of the lowest version that holds it.

    Raises FieldError where metadata is not JSON.
    """
    memory = plan(model)
    version = 1 if model.chain else 2
    size = LAYER_SIZES[version]
    blob = _Blob(HEADER_SIZE + size * len(model.layers))
    names = b"".join(name.encode() + b"\0" for name in model.class_names)
    metadata = b"" if model.metadata is None else _metadata_bytes(model.metadata)
    header = {
        "magic": MAGIC,
        "version": version,
        "header size": HEADER_SIZE,
        "T": model.window,
        "layers": len(model.layers),
        "input kind": model.input_kind,
        "inputs": model.inputs,
        "classes": model.classes,
        "loss": model.loss,
        "score shift": model.score_shift,
        "seed": model.seed,
        "score multiplier": model.score_mult,
        "desired spikes": model.desired,
        "others' spikes": model.others,
        "spike-count multiplier": model.count_mult,
        "layer table": HEADER_SIZE,
        "encoder": 0 if model.encoder is None else _add_encoder(blob, model.encoder),
        "class names": blob.add(names) if names else 0,
        "class names size": len(names),
        "metadata": blob.add(metadata) if metadata else 0,
        "metadata size": len(metadata),
        "arena for inference": memory.inference,
        "arena for learning": memory.learning,
        "learned weights": memory.learned_weights,
        "model name": model.name.encode(),
    }
    for l, layer in enumerate(model.layers):
        at = HEADER_SIZE + size * l
        values = _layer_values(blob, layer) | (_graph_values(layer, l) if version > 1 else {})
        blob.bytes[at : at + size] = pack(LAYER | GRAPH, size, values)
    header["image size"] = len(blob.bytes)
    blob.bytes[:HEADER_SIZE] = pack(HEADER, HEADER_SIZE, header)
    struct.pack_into("<I", blob.bytes, HEADER["checksum"][0], zlib.crc32(blob.bytes[CHECKED_FROM:]))
    return bytes(blob.bytes)


def _metadata_bytes(metadata: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(
            dict(metadata), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FieldError("metadata", f"is not JSON: {error}") from error


def _layer_values(blob: _Blob, layer: IntegerLayer) -> dict[str, Any]:
    scalar = bool((layer.theta0 == layer.theta0[0]).all() and (layer.alpha == layer.alpha[0]).all())
    return {name: getattr(layer, name) for name in ALIKE if name in LAYER} | {
        "kind": CONV if layer.conv else DENSE,
        "flags": LEARNS * layer.learns + CARRY * layer.carry,
        "fan_in": layer.fan_in,
        "fan_out": layer.fan_out,
        "weights": blob.add(canonical(layer.weights, layer.bits)),
        "bias": blob.add(layer.bias.astype("<i4").tobytes()) if layer.bias.any() else 0,
        "theta0 tensor": 0 if scalar else blob.add(layer.theta0.astype("<i4").tobytes()),
        "alpha tensor": 0 if scalar else blob.add(layer.alpha.astype("<i4").tobytes()),
        "theta0": int(layer.theta0[0]) if scalar else 0,
        "alpha": int(layer.alpha[0]) if scalar else 0,
        "spike capacity": layer.capacity,
    }


def _graph_values(layer: IntegerLayer, l: int) -> dict[str, int]:
    def number(k: int | None) -> int:
        return 0 if k is None else k + 1

    return {name: getattr(layer, name) for name in ALIKE if name in GRAPH} | {
        "source": 0 if layer.source == l - 1 else number(layer.source),
        "pool size": layer.pool_size,
        "spike add": number(layer.add),
        "current add": number(layer.current),
    }


def _add_encoder(blob: _Blob, encoder: EncoderConfig) -> int:
    at = blob.add(bytes(ENCODER_SIZE))
    values = {name: getattr(encoder, name) for name in ENCODER if not name.startswith("reserved")}
    values["kind"] = 1 + KINDS.index(encoder.kind)
    values["mode"] = MODES.index(encoder.mode)
    for name in ("gains", "profile"):
        tensor = np.array(values[name], np.int8)
        values[name] = blob.add(tensor.tobytes()) if tensor.size else 0
    blob.bytes[at : at + ENCODER_SIZE] = pack(ENCODER, ENCODER_SIZE, values)
    return at
