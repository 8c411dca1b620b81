"""The model image of docs/image.md: an integer model to bytes and back, and what an image holds in words.

Reading trusts nothing: whatever the bytes, it returns a model that keeps every bound, or raises an ImageError
that names the field and its offset.
"""

import json
import struct
import textwrap
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from pyedge.encode import KINDS, MODES, EncoderConfig
from pyedge.errors import (
    ConfigError,
    FieldError,
    ImageChecksumError,
    ImageMagicError,
    ImageRangeError,
    ImageTruncatedError,
    ImageVersionError,
)
from pyedge.plan import plan, round_up
from pyedge.quant.model import (
    MAP_LIMIT,
    InputKind,
    IntegerLayer,
    IntegerModel,
    Integers,
    NeuronKind,
    Pooling,
    incoming,
    source,
)

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


def _pack(fields: Fields, size: int, values: Mapping[str, Any]) -> bytes:
    block = bytearray(size)
    for name, value in values.items():
        offset, code = fields[name]
        struct.pack_into("<" + code, block, offset, value)
    return bytes(block)


def _unpack(fields: Fields, blob: bytes, at: int) -> dict[str, Any]:
    return {
        name: struct.unpack_from("<" + code, blob, at + offset)[0] for name, (offset, code) in fields.items()
    }


# Writing


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
        blob.bytes[at : at + size] = _pack(LAYER | GRAPH, size, values)
    header["image size"] = len(blob.bytes)
    blob.bytes[:HEADER_SIZE] = _pack(HEADER, HEADER_SIZE, header)
    struct.pack_into("<I", blob.bytes, HEADER["checksum"][0], zlib.crc32(blob.bytes[CHECKED_FROM:]))
    return bytes(blob.bytes)


def _metadata_bytes(metadata: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(
            dict(metadata), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()
    except (TypeError, ValueError) as error:
        raise FieldError("metadata", f"is not JSON: {error}") from error


def _layer_values(blob: _Blob, layer: IntegerLayer) -> dict[str, Any]:
    scalar = bool((layer.theta0 == layer.theta0[0]).all() and (layer.alpha == layer.alpha[0]).all())
    return {
        "kind": CONV if layer.conv else DENSE,
        "neuron": layer.neuron,
        "bits": layer.bits,
        "flags": LEARNS * layer.learns + CARRY * layer.carry,
        "surrogate": layer.surrogate,
        "down_shift": layer.down_shift,
        "rate_shift": layer.rate_shift,
        "input_shift": layer.input_shift,
        "reset_mult": layer.reset_mult,
        "reset_shift": layer.reset_shift,
        "gate_shift": layer.gate_shift,
        "gate_mult": layer.gate_mult,
        "gate_width": layer.gate_width,
        "fan_in": layer.fan_in,
        "fan_out": layer.fan_out,
        "weights": blob.add(canonical(layer.weights, layer.bits)),
        "bias": blob.add(layer.bias.astype("<i4").tobytes()) if layer.bias.any() else 0,
        "theta0 tensor": 0 if scalar else blob.add(layer.theta0.astype("<i4").tobytes()),
        "alpha tensor": 0 if scalar else blob.add(layer.alpha.astype("<i4").tobytes()),
        "theta0": int(layer.theta0[0]) if scalar else 0,
        "alpha": int(layer.alpha[0]) if scalar else 0,
        "spike capacity": layer.capacity,
        "scale": layer.scale,
    }


def _graph_values(layer: IntegerLayer, l: int) -> dict[str, int]:
    def number(k: int | None) -> int:
        return 0 if k is None else k + 1

    values = {name: getattr(layer, name) for name in GRAPH if hasattr(layer, name)}
    return values | {
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
    blob.bytes[at : at + ENCODER_SIZE] = _pack(ENCODER, ENCODER_SIZE, values)
    return at


# Reading


def read(blob: bytes) -> IntegerModel:
    """The model of an image. Raises an ImageError that says what is wrong and where."""
    blob = bytes(blob)
    if blob[:4] != MAGIC and (len(blob) >= 4 or not MAGIC.startswith(blob)):
        raise ImageMagicError("not a pyedge model image; write one with `pyedge quantize`")
    if len(blob) < HEADER_SIZE:
        raise ImageTruncatedError(
            f"the image has {len(blob)} bytes, its header alone {HEADER_SIZE}; copy it again"
        )
    header = _unpack(HEADER, blob, 0)
    if header["version"] > VERSION:
        raise ImageVersionError(f"image format {header['version']} is newer than {VERSION}; update pyedge")
    reader = _Reader(blob, header)
    reader.within("version", 1, VERSION)
    reader.within("header size", HEADER_SIZE, HEADER_SIZE)
    if header["image size"] != len(blob):
        raise ImageTruncatedError(
            f"the image says {header['image size']} bytes and has {len(blob)}; copy it again"
        )
    if len(blob) % 8:
        raise ImageRangeError("image size", HEADER["image size"][0], f"is {len(blob)}, not a multiple of 8")
    if zlib.crc32(blob[CHECKED_FROM:]) != header["checksum"]:
        raise ImageChecksumError("the image is damaged (its checksum is wrong); copy it again")
    return reader.model()


def _range(field: str, offset: int, reason: str) -> ImageRangeError:
    return ImageRangeError(field, offset, reason)


class _Reader:
    """One image whose size and checksum are right, and nothing else known."""

    def __init__(self, blob: bytes, header: dict[str, Any]) -> None:
        self.blob = blob
        self.header = header
        version = header["version"]
        self.layer_size = LAYER_SIZES.get(version, 0)
        self.fields = LAYER | (GRAPH if version > 1 else {})

    def within(self, name: str, low: int, high: int) -> None:
        value = self.header[name]
        if not low <= value <= high:
            raise _range(name, HEADER[name][0], f"is {value}; it lies in {low} .. {high}")

    def part(self, field: str, field_at: int, offset: int, size: int) -> bytes:
        """The bytes that an offset field points to."""
        if offset % 8 or offset == 0:
            raise _range(field, field_at, f"is {offset}; it is a multiple of 8, not 0")
        if offset + size > len(self.blob):
            raise _range(field, field_at, f"leads to bytes {offset} .. {offset + size} of {len(self.blob)}")
        return self.blob[offset : offset + size]

    def model(self) -> IntegerModel:
        h = self.header
        if any(h["reserved"]):
            raise _range("reserved", HEADER["reserved"][0], "is not 0")
        self.within("layers", 1, 64)
        self.within("T", 1, 1024)
        self.within("inputs", 1, 65535 if h["version"] == 1 else MAP_LIMIT)
        self.within("classes", 2, 256)
        table, size = h["layer table"], self.layer_size
        self.part("layer table", HEADER["layer table"][0], table, size * h["layers"])
        layers = [self.layer(l, table + size * l) for l in range(h["layers"])]
        spare = layers[-1].fan_out - h["classes"]
        if spare < 0 or (spare and h["version"] == 1):
            raise _range(
                "classes", HEADER["classes"][0], f"is {h['classes']}; the readout has {layers[-1].fan_out}"
            )
        try:
            model = IntegerModel(
                window=h["T"],
                input_kind=h["input kind"],
                layers=tuple(layers),
                loss=h["loss"],
                score_mult=h["score multiplier"],
                score_shift=h["score shift"],
                seed=h["seed"],
                desired=h["desired spikes"],
                others=h["others' spikes"],
                count_mult=h["spike-count multiplier"],
                encoder=self.encoder(),
                class_names=self.class_names(),
                name=self.name(),
                metadata=self.metadata(),
                spare=spare,
            )
        except FieldError as error:
            raise _range(error.field, self.offset(error.field), error.reason) from error
        if h["inputs"] != model.inputs:
            raise _range("inputs", HEADER["inputs"][0], f"is {h['inputs']}; layer 0 takes {model.inputs}")
        memory = plan(model)
        for name, need in (
            ("arena for inference", memory.inference),
            ("arena for learning", memory.learning),
            ("learned weights", memory.learned_weights),
        ):
            if h[name] != need:
                raise _range(name, HEADER[name][0], f"is {h[name]} bytes; this model needs {need}")
        return model

    def offset(self, field: str) -> int:
        """Where a FieldError's field stands."""
        if field.startswith("layer "):
            _, l, name = field.split(" ", 2)
            at = self.fields.get(name, LAYER["kind"])[0]  # version 1 has no place for what is not there
            return int(self.header["layer table"]) + self.layer_size * int(l) + at
        if field.startswith("encoder "):
            return int(self.header["encoder"]) + ENCODER[field.split(" ", 1)[1]][0]
        return HEADER[field][0]

    def layer(self, l: int, at: int) -> IntegerLayer:
        f = _unpack(self.fields, self.blob, at)

        def bad(name: str, reason: str) -> ImageRangeError:
            return _range(f"layer {l} {name}", at + self.fields[name][0], reason)

        def tensor(name: str, code: str, count: int) -> Integers:
            size = count * np.dtype(code).itemsize
            part = self.part(f"layer {l} {name}", at + LAYER[name][0], f[name], size)
            return np.frombuffer(part, code)

        kinds = (DENSE,) if self.header["version"] == 1 else (DENSE, CONV)
        if f["kind"] not in kinds:
            raise bad("kind", f"is {f['kind']}; 1 dense" + ", 2 convolution" * (len(kinds) - 1))
        if f["neuron"] not in tuple(NeuronKind) or (
            f["neuron"] == NeuronKind.CURRENTS and self.header["version"] == 1
        ):
            raise bad("neuron", f"is {f['neuron']}; 0 LIF, 1 IF, 2 linear readout, 3 currents only")
        if f["bits"] not in (8, 10):
            raise bad("bits", f"is {f['bits']}; weights have 8 or 10")
        if f["flags"] not in (0, LEARNS, LEARNS | CARRY):
            raise bad("flags", f"is {f['flags']}; 1 learns, 2 carry (needs 1)")
        for name in self.fields:
            if name.startswith("reserved") and f[name] not in (0, bytes(12), bytes(6)):
                raise bad(name, "is not 0")
        if "kernel" in f and bool(f["kernel"]) != (f["kind"] == CONV):
            raise bad("kernel", f"is {f['kernel']}; it is not 0 for a convolution, 0 for a dense layer")
        for name in ("fan_in", "fan_out"):
            if not 1 <= f[name] <= 65535:
                raise bad(name, f"is {f[name]}; it lies in 1 .. 65535")
        fan_in, fan_out = f["fan_in"], f["fan_out"]
        m4 = round_up(fan_out, 4)
        rows = tensor("weights", "<i1" if f["bits"] == 8 else "<i2", fan_in * m4).reshape(fan_in, m4)
        if rows[:, fan_out:].any():
            raise bad("weights", "has padding weights that are not 0")
        theta0: Integers | int = f["theta0"]
        alpha: Integers | int = f["alpha"]
        if bool(f["theta0 tensor"]) != bool(f["alpha tensor"]):
            raise bad(
                "alpha tensor",
                f"is {f['alpha tensor']}, theta0's {f['theta0 tensor']}; both are 0 or neither",
            )
        if f["theta0 tensor"]:
            if f["neuron"] in (NeuronKind.LINEAR, NeuronKind.CURRENTS):
                raise bad("theta0 tensor", "does not go with a layer without neurons")
            if theta0 or alpha:
                raise bad("theta0" if theta0 else "alpha", "is not 0, but there is a tensor")
            theta0, alpha = tensor("theta0 tensor", "<i4", fan_out), tensor("alpha tensor", "<i4", fan_out)
        try:
            return IntegerLayer(
                neuron=f["neuron"],
                weights=rows[:, :fan_out],
                bias=tensor("bias", "<i4", fan_out) if f["bias"] else np.zeros(fan_out, np.int64),
                theta0=np.asarray(theta0),
                alpha=np.asarray(alpha),
                bits=f["bits"],
                learns=bool(f["flags"] & LEARNS),
                carry=bool(f["flags"] & CARRY),
                surrogate=f["surrogate"],
                down_shift=f["down_shift"],
                rate_shift=f["rate_shift"],
                input_shift=f["input_shift"],
                reset_mult=f["reset_mult"],
                reset_shift=f["reset_shift"],
                gate_shift=f["gate_shift"],
                gate_mult=f["gate_mult"],
                gate_width=f["gate_width"],
                capacity=f["spike capacity"],
                scale=f["scale"],
                **self.graph(f),
            )
        except FieldError as error:
            raise bad(error.field, error.reason) from error

    def graph(self, f: Mapping[str, Any]) -> dict[str, Any]:
        """What version 2 adds to a layer, as IntegerLayer has it."""
        if self.header["version"] == 1:
            return {}

        def taken(name: str) -> int | None:
            return f[name] - 1 if f[name] else None

        found = {name: f[name] for name in GRAPH if name in IntegerLayer.__dataclass_fields__}
        return found | {
            "pool_size": f["pool size"],
            "source": taken("source"),
            "add": taken("spike add"),
            "current": taken("current add"),
        }

    def sized(self, name: str) -> bytes:
        """A part of the header that has an offset and a size."""
        offset, size = self.header[name], self.header[f"{name} size"]
        if bool(offset) != bool(size):
            raise _range(
                f"{name} size",
                HEADER[f"{name} size"][0],
                f"is {size} at offset {offset}; both are 0 or neither",
            )
        return self.part(name, HEADER[name][0], offset, size) if offset else b""

    def text(self, name: str, part: bytes) -> str:
        try:
            return part.decode()
        except UnicodeDecodeError as error:
            raise _range(name, HEADER[name][0], f"is not UTF-8: {error}") from error

    def name(self) -> str:
        raw = self.header["model name"]
        used = raw.rstrip(b"\0")
        if raw[-1] or b"\0" in used:
            raise _range("model name", HEADER["model name"][0], "is not zero padded")
        return self.text("model name", used)

    def class_names(self) -> tuple[str, ...]:
        part = self.sized("class names")
        if part and part[-1]:
            raise _range("class names", HEADER["class names"][0], "does not end with a zero byte")
        return tuple(self.text("class names", name) for name in part.split(b"\0")[:-1])

    def metadata(self) -> dict[str, Any] | None:
        text = self.text("metadata", self.sized("metadata"))
        if not text:
            return None
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise _range("metadata", HEADER["metadata"][0], f"is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise _range("metadata", HEADER["metadata"][0], "is not a JSON object")
        return value

    def encoder(self) -> EncoderConfig | None:
        at = self.header["encoder"]
        if not at:
            return None
        self.part("encoder", HEADER["encoder"][0], at, ENCODER_SIZE)
        f = _unpack(ENCODER, self.blob, at)

        def bad(name: str, reason: str) -> ImageRangeError:
            return _range(f"encoder {name}", at + ENCODER[name][0], reason)

        for name in ("reserved", "reserved end"):
            if f.pop(name) not in (0, bytes(16)):
                raise bad(name, "is not 0")
        if not 1 <= f["kind"] <= len(KINDS):
            raise bad("kind", f"is {f['kind']}; it lies in 1 .. {len(KINDS)}")
        if f["mode"] >= len(MODES):
            raise bad("mode", f"is {f['mode']}; 0 any, 1 last")
        f["kind"], f["mode"] = KINDS[f["kind"] - 1], MODES[f["mode"]]
        channels = f["channels"]
        for name, count in (("gains", channels), ("profile", self.header["classes"] * channels)):
            offset = f[name]
            values = self.part(f"encoder {name}", at + ENCODER[name][0], offset, count) if offset else b""
            f[name] = tuple(np.frombuffer(values, np.int8).tolist())
        f["profile"] = tuple(
            f["profile"][i : i + channels] for i in range(0, len(f["profile"]), channels or 1)
        )
        try:
            return EncoderConfig(**f)
        except ConfigError as error:
            name = next(
                (name for name in ENCODER if f" {name} " in str(error)), "kind"
            )  # its text names the field
            raise bad(name, f"does not fit: {error}") from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


# Words


def describe(model: IntegerModel, input_rate: float = 0.05, hidden_rate: float = 0.1) -> dict[str, Any]:
    """What a model is and needs, for --json and `text`.

    input_rate, hidden_rate : spikes a line and step at which SOPs are stated; other inputs are dense.
    """
    memory = plan(model)
    layers = []
    for l, (layer, bytes_) in enumerate(zip(model.layers, memory.layers, strict=True)):
        seen = layer.fan_in * layer.positions
        if layer.value_pool or (l == 0 and model.input_kind == InputKind.FRAMES):
            events = seen * model.window
        elif l == 0:
            static = model.input_kind == InputKind.STATIC
            events = seen if static else round(input_rate * seen * model.window)
        else:
            events = round(hidden_rate * model.largest_inputs[l] * seen * model.window)
        layers.append(
            {
                "fan_in": layer.fan_in,
                "fan_out": layer.fan_out,
                "token": _token(layer),
                "neurons": layer.neurons,
                "outputs": list(layer.outputs),
                "source": source(model.layers, l),
                "spike_add": layer.add,
                "current_add": layer.current,
                "neuron": layer.neuron.name,
                "bits": layer.bits,
                "learns": layer.learns,
                "carry": layer.carry,
                "surrogate": layer.surrogate.name.lower(),
                "scale": layer.scale,
                "spike_capacity": layer.capacity,
                "weight_bytes": bytes_.weights,
                "ram_infer_bytes": bytes_.inference,
                "ram_learn_bytes": bytes_.learning,
                "learned_bytes": bytes_.learned,
                "sops": events * layer.fan_out,
            }
        )
    return {
        "name": model.name,
        "window": model.window,
        "input_kind": model.input_kind.name.lower(),
        "inputs": model.inputs,
        "classes": model.classes,
        "spare_rows": model.spare,
        "class_names": list(model.class_names),
        "loss": model.loss.name.lower(),
        "seed": model.seed,
        "image_bytes": len(write(model)),
        "ram_infer_bytes": memory.inference,
        "ram_learn_bytes": memory.learning,
        "learned_weights_bytes": memory.learned_weights,
        "tile_width": memory.tile_width,
        "sops_per_window": sum(layer["sops"] for layer in layers),
        "sops_at": {"input_rate": input_rate, "hidden_rate": hidden_rate},
        "layers": layers,
        "encoder": None if model.encoder is None else asdict(model.encoder),
        "metadata": None if model.metadata is None else dict(model.metadata),
    }


def _input_token(model: IntegerModel) -> str:
    shape = incoming(model.layers, 0)
    return "x".join(map(str, shape)) if model.layers[0].conv else str(shape.size)


def _token(layer: IntegerLayer) -> str:
    """A layer in the notation of pyedge.architectures, with +SOURCE for what it adds."""
    found = str(layer.fan_out)
    if layer.conv:
        found += f"C{layer.kernel}"
        found += f"p{layer.padding}" if layer.padding != layer.kernel // 2 else ""
        found += f"s{layer.stride}" if layer.stride > 1 else ""
    for k in (layer.add, layer.current):
        found += "" if k is None else f"+{k}"
    if layer.pooling != Pooling.NONE:
        found += f"-{'M' if layer.pooling == Pooling.MAX else 'A'}P{layer.pool_size}"
    return found


def text(model: IntegerModel, input_rate: float = 0.05, hidden_rate: float = 0.1) -> str:
    """`describe`, to read."""
    d = describe(model, input_rate, hidden_rate)
    shape = "-".join([_input_token(model), *(layer["token"] for layer in d["layers"])])
    lines = [
        f"{d['name'] or 'unnamed'}: {shape}, T = {d['window']}, "
        f"{d['input_kind']} in, {d['loss'].replace('_', ' ')} loss",
        f"classes    {d['classes']}"
        + (f" and {d['spare_rows']} spare rows" if d["spare_rows"] else "")
        + (f": {', '.join(d['class_names'])}" if d["class_names"] else ""),
        f"image      {d['image_bytes']:,} bytes",
        f"RAM        {d['ram_infer_bytes']:,} bytes to infer"
        + (
            f", {d['ram_learn_bytes']:,} to learn, {d['learned_weights_bytes']:,} of learned weights"
            if d["ram_learn_bytes"]
            else "; nothing learns"
        ),
        f"SOPs       {d['sops_per_window']:,} a window at {input_rate:.0%} of the input lines "
        f"and {hidden_rate:.0%} of the hidden neurons firing a step",
        "",
        "layer       shape  neuron  bits  learns  surrogate       weights      SOPs",
    ]
    for l, layer in enumerate(d["layers"]):
        learns = ("carry" if layer["carry"] else "yes") if layer["learns"] else "no"
        lines.append(
            f"{l:>5} {layer['fan_in']:>5} x {layer['fan_out']:<4} {layer['neuron']:<6} {layer['bits']:>5}  "
            f"{learns:<6}  {layer['surrogate']:<11} {layer['weight_bytes']:>9,} B {layer['sops']:>9,}"
        )
    if d["encoder"]:
        shown = ", ".join(
            f"{k} {v}" for k, v in d["encoder"].items() if k not in ("gains", "profile") and v is not None
        )
        lines += ["", *_wrapped("encoder", shown, 11)]
    tables = _tables(d["metadata"] or {}, "")
    width = max((len(name) for name, _ in tables), default=0) + 2
    lines += [""] if tables else []
    for name, values in tables:
        shown = ", ".join(
            f"{k} {v if isinstance(v, str) and v else json.dumps(v)}" for k, v in values.items()
        )
        lines += _wrapped(name, shown, width)
    return "\n".join(lines)


def _tables(value: dict[str, Any], name: str, depth: int = 3) -> list[tuple[str, dict[str, Any]]]:
    """Every table of nested JSON objects by its path, and its values; below the depth tables are values."""
    plain: dict[str, Any] = {}
    inner: list[tuple[str, dict[str, Any]]] = []
    for key, v in sorted(value.items()):
        many = v if isinstance(v, list) and v and all(isinstance(e, dict) for e in v) else None
        if depth and (isinstance(v, dict) or many):
            parts = enumerate(many) if many else ((None, v),)
            for n, part in parts:
                at = key if n is None else f"{key}[{n}]"
                inner += _tables(part, f"{name}.{at}" if name else at, depth - 1)
        else:
            plain[key] = v
    return ([(name or "metadata", plain)] if plain else []) + inner


def _wrapped(title: str, text: str, width: int) -> list[str]:
    """A title and its text, in lines of at most 110 columns."""
    return textwrap.wrap(text, 110, initial_indent=title.ljust(width), subsequent_indent=" " * width)
