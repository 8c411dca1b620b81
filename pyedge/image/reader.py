"""The bytes of an image to an integer model.

Reading trusts nothing: whatever the bytes, it returns a model that keeps every bound, or raises an ImageError
that names the field and its offset.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pyedge.encode import KINDS, MODES, EncoderConfig
from pyedge.errors import (
    FieldError,
    ImageChecksumError,
    ImageMagicError,
    ImageRangeError,
    ImageTruncatedError,
    ImageVersionError,
)
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
    VERSION,
    unpack,
)
from pyedge.plan import plan, round_up
from pyedge.quant.model import MAP_LIMIT, IntegerLayer, IntegerModel, Integers, NeuronKind

Bad = Callable[[str, str], ImageRangeError]  # of a field and what is wrong with it


def read(blob: bytes) -> IntegerModel:
    """The model of an image. Raises an ImageError that says what is wrong and where."""
    blob = bytes(blob)
    if blob[:4] != MAGIC and (len(blob) >= 4 or not MAGIC.startswith(blob)):
        raise ImageMagicError("not a pyedge model image; write one with `pyedge quantize`")
    if len(blob) < HEADER_SIZE:
        raise ImageTruncatedError(
            f"the image has {len(blob)} bytes, its header alone {HEADER_SIZE}; copy it again"
        )
    header = unpack(HEADER, blob, 0)
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
            raise ImageRangeError(name, HEADER[name][0], f"is {value}; it lies in {low} .. {high}")

    def part(self, field: str, field_at: int, offset: int, size: int) -> bytes:
        """The bytes that an offset field points to."""
        if offset % 8 or offset == 0:
            raise ImageRangeError(field, field_at, f"is {offset}; it is a multiple of 8, not 0")
        if offset + size > len(self.blob):
            raise ImageRangeError(
                field, field_at, f"leads to bytes {offset} .. {offset + size} of {len(self.blob)}"
            )
        return self.blob[offset : offset + size]

    def model(self) -> IntegerModel:
        h = self.header
        check_reserved(h, lambda name, reason: ImageRangeError(name, HEADER[name][0], reason))
        self.within("layers", 1, 64)
        self.within("T", 1, 1024)
        self.within("inputs", 1, 65535 if h["version"] == 1 else MAP_LIMIT)
        self.within("classes", 2, 256)
        table, size = h["layer table"], self.layer_size
        self.part("layer table", HEADER["layer table"][0], table, size * h["layers"])
        layers = [self.layer(l, table + size * l) for l in range(h["layers"])]
        spare = layers[-1].fan_out - h["classes"]
        if spare < 0 or (spare and h["version"] == 1):
            raise ImageRangeError(
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
            raise ImageRangeError(error.field, self.offset(error.field), error.reason) from error
        if h["inputs"] != model.inputs:
            raise ImageRangeError(
                "inputs", HEADER["inputs"][0], f"is {h['inputs']}; layer 0 takes {model.inputs}"
            )
        memory = plan(model)
        for name, need in (
            ("arena for inference", memory.inference),
            ("arena for learning", memory.learning),
            ("learned weights", memory.learned_weights),
        ):
            if h[name] != need:
                raise ImageRangeError(name, HEADER[name][0], f"is {h[name]} bytes; this model needs {need}")
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
        f = unpack(self.fields, self.blob, at)

        def bad(name: str, reason: str) -> ImageRangeError:
            return ImageRangeError(f"layer {l} {name}", at + self.fields[name][0], reason)

        def tensor(name: str, code: str, count: int) -> Integers:
            size = count * np.dtype(code).itemsize
            part = self.part(f"layer {l} {name}", at + LAYER[name][0], f[name], size)
            return np.frombuffer(part, code)

        self.check_layer(f, bad)
        fan_in, fan_out = f["fan_in"], f["fan_out"]
        m4 = round_up(fan_out, 4)
        rows = tensor("weights", "<i1" if f["bits"] == 8 else "<i2", fan_in * m4).reshape(fan_in, m4)
        if rows[:, fan_out:].any():
            raise bad("weights", "has padding weights that are not 0")
        per_channel = f["theta0 tensor"] != 0
        try:
            return IntegerLayer(
                weights=rows[:, :fan_out],
                bias=tensor("bias", "<i4", fan_out) if f["bias"] else np.zeros(fan_out, np.int64),
                theta0=tensor("theta0 tensor", "<i4", fan_out) if per_channel else np.asarray(f["theta0"]),
                alpha=tensor("alpha tensor", "<i4", fan_out) if per_channel else np.asarray(f["alpha"]),
                learns=bool(f["flags"] & LEARNS),
                carry=bool(f["flags"] & CARRY),
                capacity=f["spike capacity"],
                **self.graph(f),
                **{name: f[name] for name in ALIKE if name in f},
            )
        except FieldError as error:
            raise bad(error.field, error.reason) from error

    def check_layer(self, f: Mapping[str, Any], bad: Bad) -> None:
        """Raise what `bad` makes of the first field with a value that no layer has."""
        first = self.header["version"] == 1
        kinds = (DENSE,) if first else (DENSE, CONV)
        if f["kind"] not in kinds:
            raise bad("kind", f"is {f['kind']}; 1 dense" + ", 2 convolution" * (len(kinds) - 1))
        if f["neuron"] not in tuple(NeuronKind) or (first and f["neuron"] == NeuronKind.CURRENTS):
            raise bad("neuron", f"is {f['neuron']}; 0 LIF, 1 IF, 2 linear readout, 3 currents only")
        if f["bits"] not in (8, 10):
            raise bad("bits", f"is {f['bits']}; weights have 8 or 10")
        if f["flags"] not in (0, LEARNS, LEARNS | CARRY):
            raise bad("flags", f"is {f['flags']}; 1 learns, 2 carry (needs 1)")
        check_reserved(f, bad)
        if "kernel" in f and bool(f["kernel"]) != (f["kind"] == CONV):
            raise bad("kernel", f"is {f['kernel']}; it is not 0 for a convolution, 0 for a dense layer")
        for name in ("fan_in", "fan_out"):
            if not 1 <= f[name] <= 65535:
                raise bad(name, f"is {f[name]}; it lies in 1 .. 65535")
        theta0, alpha = f["theta0 tensor"], f["alpha tensor"]
        if bool(theta0) != bool(alpha):
            raise bad("alpha tensor", f"is {alpha}, theta0's {theta0}; both are 0 or neither")
        if theta0 and f["neuron"] in (NeuronKind.LINEAR, NeuronKind.CURRENTS):
            raise bad("theta0 tensor", "does not go with a layer without neurons")
        if theta0 and (f["theta0"] or f["alpha"]):
            raise bad("theta0" if f["theta0"] else "alpha", "is not 0, but there is a tensor")

    def graph(self, f: Mapping[str, Any]) -> dict[str, Any]:
        """What version 2 adds to a layer under another name, as IntegerLayer has it."""
        if self.header["version"] == 1:
            return {}

        def taken(name: str) -> int | None:
            return f[name] - 1 if f[name] else None

        return {
            "pool_size": f["pool size"],
            "source": taken("source"),
            "add": taken("spike add"),
            "current": taken("current add"),
        }

    def sized(self, name: str) -> bytes:
        """A part of the header that has an offset and a size."""
        offset, size = self.header[name], self.header[f"{name} size"]
        if bool(offset) != bool(size):
            raise ImageRangeError(
                f"{name} size",
                HEADER[f"{name} size"][0],
                f"is {size} at offset {offset}; both are 0 or neither",
            )
        return self.part(name, HEADER[name][0], offset, size) if offset else b""

    def text(self, name: str, part: bytes) -> str:
        try:
            return part.decode()
        except UnicodeDecodeError as error:
            raise ImageRangeError(name, HEADER[name][0], f"is not UTF-8: {error}") from error

    def name(self) -> str:
        raw = self.header["model name"]
        used = raw.rstrip(b"\0")
        if raw[-1] or b"\0" in used:
            raise ImageRangeError("model name", HEADER["model name"][0], "is not zero padded")
        return self.text("model name", used)

    def class_names(self) -> tuple[str, ...]:
        part = self.sized("class names")
        if part and part[-1]:
            raise ImageRangeError("class names", HEADER["class names"][0], "does not end with a zero byte")
        return tuple(self.text("class names", name) for name in part.split(b"\0")[:-1])

    def metadata(self) -> dict[str, Any] | None:
        text = self.text("metadata", self.sized("metadata"))
        if not text:
            return None
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise ImageRangeError("metadata", HEADER["metadata"][0], f"is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise ImageRangeError("metadata", HEADER["metadata"][0], "is not a JSON object")
        return value

    def encoder(self) -> EncoderConfig | None:
        at = self.header["encoder"]
        if not at:
            return None
        self.part("encoder", HEADER["encoder"][0], at, ENCODER_SIZE)
        f = unpack(ENCODER, self.blob, at)

        def bad(name: str, reason: str) -> ImageRangeError:
            return ImageRangeError(f"encoder {name}", at + ENCODER[name][0], reason)

        check_reserved(f, bad)
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
            return EncoderConfig(**{name: value for name, value in f.items() if "reserved" not in name})
        except FieldError as error:
            raise bad(error.field, error.reason) from error


def check_reserved(f: Mapping[str, Any], bad: Bad) -> None:
    """Raise what `bad` makes of a reserved field that is not 0."""
    for name, value in f.items():
        if name.startswith("reserved") and (any(value) if isinstance(value, bytes) else value):
            raise bad(name, "is not 0")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
