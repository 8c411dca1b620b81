"""The C runtime, in this process: the code a board runs, through cffi.

Every claim about a board can so be a test on a desk. Objects own the memory that C is given; an error of the
runtime becomes the exception that error.h's one list names.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyedge import errors, image
from pyedge._edge import ffi, lib
from pyedge.errors import EdgeError
from pyedge.quant.model import InputKind, IntegerModel

Mode = Literal["infer", "learn"]
MODES = {"infer": lib.EDGE_INFER, "learn": lib.EDGE_LEARN}


# Errors that mean what one of Python's own means can be caught as either.
_ALIKE: dict[str, type[errors.PyEdgeError]] = {
    "EDGE_ERR_TRUNCATED": errors.ImageTruncatedError,
    "EDGE_ERR_MAGIC": errors.ImageMagicError,
    "EDGE_ERR_VERSION": errors.ImageVersionError,
    "EDGE_ERR_CRC": errors.ImageChecksumError,
    "EDGE_ERR_FORMAT": errors.ImageError,
    "EDGE_ERR_BOUND": errors.ImageError,
    "EDGE_ERR_MODE": errors.ModeError,
    "EDGE_ERR_LABEL": errors.LabelError,
    "EDGE_ERR_CAPACITY": errors.CapacityError,
}


def _error_classes() -> Iterator[tuple[int, type[EdgeError]]]:
    code = -1
    while name := ffi.string(lib.edge_error_name(code)).decode():
        word = name.removeprefix("EDGE_ERR_").capitalize()
        bases = (EdgeError, _ALIKE[name]) if name in _ALIKE else (EdgeError,)
        text = ffi.string(lib.edge_error_text(code)).decode()
        members = {"code": code, "name": name, "meaning": text, "__module__": __name__}
        yield code, type(f"Edge{word}Error", bases, members)
        code -= 1


ERRORS: dict[int, type[EdgeError]] = dict(_error_classes())


def check(result: int, detail: str = "") -> int:
    """The result of a C call, or its exception."""
    if result < 0:
        raise ERRORS.get(result, EdgeError)(detail)
    return result


def memory(size: int) -> Any:
    """At least `size` zeroed bytes, 8-byte aligned, that live as long as the object."""
    return ffi.new("uint64_t[]", max(1, -(-size // 8)))


class Model:
    """A checked image in this process's memory.

    window, inputs, layers : as the image states them.
    classes : of a fresh net; spare : rows of the readout that may become further ones.
    input_kind                      : what a net takes at every step.
    """

    def __init__(self, blob: bytes) -> None:
        """Opens a copy of an image. Raises EdgeError (its subclasses are ImageErrors)."""
        self.blob = bytes(memoryview(blob))
        self._image = memory(len(self.blob))
        ffi.memmove(self._image, self.blob, len(self.blob))
        self.c = ffi.new("edge_model_t *")
        check(lib.edge_model_open(self.c, self._image, len(self.blob)))
        self.window = int(lib.edge_model_window(self.c))
        self.classes = int(lib.edge_model_classes(self.c))
        self.spare = int(lib.edge_model_spare(self.c))
        self.inputs = int(lib.edge_model_inputs(self.c))
        self.layers = int(lib.edge_model_layers(self.c))
        self.input_kind = InputKind(lib.edge_model_input_kind(self.c))

    @classmethod
    def open(cls, source: bytes | IntegerModel) -> Self:
        """From an image's bytes, or a model that is written to an image first."""
        return cls(image.write(source) if isinstance(source, IntegerModel) else source)

    def step_bytes(self, x: NDArray[Any]) -> NDArray[Any]:
        """The bytes of encoded steps, (steps, bytes). x : (steps, inputs), integers. Raises DataError."""
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise errors.DataError(f"a step has {self.inputs} inputs, this one shape {x.shape[1:]}")
        if x.dtype.kind not in "biu":
            raise errors.DataError(f"inputs are integers, these {x.dtype}; encode them first")
        spikes = self.input_kind == InputKind.SPIKES
        low, high = (0, 1) if spikes else (-128, 127)
        if x.min() < low or x.max() > high:
            raise errors.DataError(f"inputs lie in {low} .. {high}, these in {x.min()} .. {x.max()}")
        if spikes:
            return np.packbits(x.astype(bool), axis=1, bitorder="little")
        return np.ascontiguousarray(x, np.int8)

    @property
    def class_names(self) -> tuple[str, ...]:
        """One a class; empty where the image has none."""
        return tuple(ffi.string(lib.edge_model_class_name(self.c, c)).decode() for c in range(self.classes))

    @property
    def weights_size(self) -> int:
        """Bytes of learned weights and carry; 0 where nothing learns."""
        return int(lib.edge_model_weights_size(self.c))

    def arena_size(self, mode: Mode = "infer") -> int:
        """Bytes of scratch that a net needs; 0 for "learn" where nothing learns."""
        return int(lib.edge_model_arena_size(self.c, MODES[mode]))


class Prediction(NamedTuple):
    """What a net says of the window so far."""

    label: int  # class index
    confidence: int  # probability of the label in 1 / 32768


@dataclass(frozen=True)
class LayerStats:
    """Counts of one layer since `Net.clear_stats`, modulo 2^32 (edge_stats_t in edge/edge.h)."""

    spikes_in: int
    spikes_out: int
    forward_sops: int
    error_sops: int
    update_sops: int
    moved: int


class Net:
    """A model at work: windows in, predictions out, and learning from labels.

    Not safe for several threads at once; any number of nets can run side by side.
    """

    def __init__(self, model: Model, mode: Mode = "infer", weights: bytes | None = None) -> None:
        """weights : learned weights (`learned_bytes` of another net) to run with in "infer" mode.

        Raises EdgeError: ModeError for "learn" where nothing learns.
        """
        if mode not in MODES:
            raise errors.ConfigError(f"mode is {mode!r}; choose {' or '.join(map(repr, MODES))}")
        self.model, self.mode = model, mode
        size = model.arena_size(mode)
        self._arena = memory(size)
        self._weights = memory(model.weights_size) if mode == "learn" or weights is not None else ffi.NULL
        if weights is not None:
            if mode == "learn" or len(weights) != model.weights_size:
                raise errors.DataError(
                    f"learned weights go with mode 'infer' and have {model.weights_size} bytes; "
                    f"these have {len(weights)}"
                )
            ffi.memmove(self._weights, weights, len(weights))
        self.c = ffi.new("edge_net_t *")
        check(lib.edge_net_init(self.c, model.c, self._weights, self._arena, size, MODES[mode]))
        self._stats = ffi.new("edge_stats_t[]", model.layers)
        lib.edge_net_count(self.c, self._stats)

    # Inference

    def begin(self) -> None:
        """Starts a window from rest."""
        check(lib.edge_net_begin(self.c))

    def step(self, x: ArrayLike | None) -> None:
        """One time step. x : (inputs,), spikes 0 or 1, else int8; static: None after the first step."""
        if x is None:
            check(lib.edge_net_step(self.c, ffi.NULL))
        else:
            rows = self.model.step_bytes(np.asarray(x)[None])
            check(lib.edge_net_step(self.c, ffi.from_buffer(rows)))

    def run_window(self, window: ArrayLike) -> Prediction:
        """A whole window from rest. window : (T, inputs), or (inputs,) if static. Raises DataError."""
        x = np.asarray(window)
        static = self.model.input_kind == InputKind.STATIC
        shape = (self.model.inputs,) if static else (self.model.window, self.model.inputs)
        if x.shape != shape:
            kind = self.model.input_kind.name.lower()
            raise errors.DataError(f"a window of {kind} has shape {shape}, this one {x.shape}")
        rows = self.model.step_bytes(x[None] if static else x)
        at, stride = ffi.from_buffer("char[]", rows), 0 if static else rows.shape[1]
        self.begin()
        for t in range(self.model.window):
            check(lib.edge_net_step(self.c, at + t * stride))
        return self.predict()

    @property
    def steps(self) -> int:
        """Steps taken in the current window."""
        return int(lib.edge_net_steps(self.c))

    def predict(self) -> Prediction:
        """The class of the window so far."""
        confidence = ffi.new("int32_t *")
        label = check(lib.edge_net_predict(self.c, confidence))
        return Prediction(label, int(confidence[0]))

    def scores(self) -> NDArray[np.int32]:
        """The scores of the window so far, (classes,)."""
        scores = np.zeros(self.classes, np.int32)
        check(lib.edge_net_scores(self.c, ffi.from_buffer("int32_t[]", scores)))
        return scores

    def likelihood(self, label: int) -> int:
        """Log likelihood of a class for the window so far, in 1/64 bit, -65535 .. 0."""
        value = ffi.new("int32_t *")
        check(lib.edge_net_likelihood(self.c, label, value))
        return int(value[0])

    # Learning

    def learn(self, label: int, budget: int | None = None) -> int:
        """One update from the window just seen, in slices of `budget` synapses. Returns the slices."""
        self.learn_begin(label)
        slices = 1
        while self.learn_run(2**32 - 1 if budget is None else budget):
            slices += 1
        return slices

    def learn_begin(self, label: int) -> None:
        """Starts an update. LabelError, ModeError, CapacityError or another EdgeError leave all as it was."""
        check(lib.edge_net_learn_begin(self.c, label))

    def learn_run(self, budget: int) -> bool:
        """Does part of the update. Returns whether more is left."""
        return bool(check(lib.edge_net_learn_run(self.c, budget)))

    def rate_decay(self, decay: int) -> None:
        """Halves the learning rate `decay` (0 .. 15) times from now on."""
        check(lib.edge_net_rate_decay(self.c, decay))

    @property
    def updates(self) -> int:
        """Updates completed, modulo 2^32."""
        return int(lib.edge_net_updates(self.c))

    # Classes

    @property
    def classes(self) -> int:
        """Classes: the image's, and those added since."""
        return int(lib.edge_net_classes(self.c))

    def add_class(self) -> int:
        """Makes the next spare row of the readout a class. Returns its index; EdgeError if none is left."""
        return check(lib.edge_net_add_class(self.c))

    # What learning changed

    def save(self) -> bytes:
        """The state as bytes (docs/image.md section 6)."""
        size = int(lib.edge_net_state_size(self.c))
        state = memory(size)
        check(lib.edge_net_save(self.c, state, size))
        return bytes(ffi.buffer(state, size))

    def load(self, state: bytes) -> None:
        """Goes on from a state that `save` gave for the same image."""
        buffer = memory(len(state))
        ffi.memmove(buffer, state, len(state))
        check(lib.edge_net_load(self.c, buffer, len(state)))

    def learned_bytes(self) -> bytes:
        """Learned weights and carry, canonical (docs/image.md section 5); empty where there are none."""
        return b"" if self._weights == ffi.NULL else bytes(ffi.buffer(self._weights, self.model.weights_size))

    def weights_hash(self) -> str:
        """SHA-256 of `learned_bytes`, in hexadecimal: the same on every machine after the same learning."""
        return hashlib.sha256(self.learned_bytes()).hexdigest()

    def weights(self) -> tuple[NDArray[Any], ...]:
        """The weights in use of every layer, (fan_in, fan_out), int8 or int16."""
        return tuple(w for w, _ in self._learned())

    def carry(self) -> tuple[NDArray[np.uint8] | None, ...]:
        """The carry of every layer, (fan_in, fan_out), or None where it has none."""
        return tuple(c for _, c in self._learned())

    def _learned(self) -> Iterator[tuple[NDArray[Any], NDArray[np.uint8] | None]]:
        learned, at = self.learned_bytes(), 0
        for layer in image.read(self.model.blob).layers:
            dtype = np.dtype("i1" if layer.bits == 8 else "<i2")
            rows = (layer.fan_in, -(-layer.fan_out // 4) * 4)
            weights, carry = layer.weights.astype(dtype), None
            if layer.learns and learned:
                count = rows[0] * rows[1]
                weights = np.frombuffer(learned, dtype, count, at).reshape(rows)[:, : layer.fan_out]
                at += -(-count * dtype.itemsize // 8) * 8
                if layer.carry:
                    carry = np.frombuffer(learned, np.uint8, count, at).reshape(rows)[:, : layer.fan_out]
                    at += -(-count // 8) * 8
            yield weights, carry

    # Statistics

    def stats(self) -> tuple[LayerStats, ...]:
        """Exact counts of every layer. All zero in a runtime built with EDGE_NO_STATS."""
        fields = LayerStats.__dataclass_fields__
        return tuple(LayerStats(**{f: int(getattr(s, f)) for f in fields}) for s in self._stats)

    def clear_stats(self) -> None:
        lib.edge_net_stats_clear(self.c)
