"""A network: an immutable description, with pure functions from parameters and inputs to gradients.

Parameters are one flat dict of arrays, "dense1.weight", "dense1.bias", "dense2.weight" and so on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any, Literal, NamedTuple

import numpy as np

from pyedge import checkpoint
from pyedge.errors import CheckpointError, ConfigError, DataError
from pyedge.layers import (
    Backward,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Forward,
    Layer,
    MaxPool,
    MeanPool,
    Residual,
    Shape,
    Spiking,
)
from pyedge.layers.layer import (
    forward_all,
    init_all,
    leaves,
    local,
    neurons,
    numbered,
    prefixed,
    runs,
    shapes_through,
)
from pyedge.losses import scores
from pyedge.neuron import IF, LIF, SRM, Neuron, Spike
from pyedge.ops import NUMPY, Array, Ops
from pyedge.rules import Rule
from pyedge.rules.teacher import force_silent_targets

Params = dict[str, Array]


@dataclass(frozen=True)
class Input:
    """What enters the first layer.

    kind     : "spikes", (T, batch, ...) of bool or 0 and 1;
               "frames", (T, batch, ...), values that change every step;
               "static", (batch, ...), values that are the same at every step (direct coding).
    shape    : of one sample at one step, (features,) for dense layers.
    scale    : frames and static values are divided by it (an int8 encoder's value of one unit); 1 for spikes.
    channels : where an image's channels stand in `shape`; layers have them last, so "first" is turned.
    """

    kind: Literal["spikes", "frames", "static"]
    shape: Shape
    scale: float = 1.0
    channels: Literal["first", "last"] = "last"

    def __post_init__(self) -> None:
        if self.kind not in ("spikes", "frames", "static"):
            raise ConfigError(f"input kind is {self.kind!r}; choose 'spikes', 'frames' or 'static'")
        if not isinstance(self.shape, tuple) or not self.shape or min(self.shape) < 1:
            raise ConfigError(f"input shape is {self.shape}; a tuple of sizes, at least 1 each, is needed")
        if not self.scale > 0 or (self.kind == "spikes" and self.scale != 1):
            raise ConfigError(f"input scale is {self.scale}; it must be positive, and 1 for spikes")
        if self.channels not in ("first", "last") or (self.channels == "first" and len(self.shape) != 3):
            raise ConfigError(
                f"channels {self.channels!r}, shape {self.shape}: 'last', or 'first' of an image"
            )

    @property
    def inner(self) -> Shape:
        """Shape of one sample at one step, as the first layer sees it."""
        return self.shape if self.channels == "last" else (*self.shape[1:], self.shape[0])


@dataclass(frozen=True)
class Activity:
    """A penalty on hidden layers' firing: weight * sum over layers of max(rate - target, 0) ** power.

    rate is the layer's mean over steps, batch and neurons; its derivative enters as an error of every spike.
    """

    weight: float = 0.0
    target: float = 0.0
    power: Literal[1, 2] = 1

    def __call__(self, fired: Array) -> tuple[float, float]:
        """The penalty of one layer, and its derivative with respect to each of the layer's spikes."""
        excess = float(fired.mean()) - self.target
        if excess <= 0:
            return 0.0, 0.0
        if self.power == 1:
            return self.weight * excess, self.weight / fired.size
        return self.weight * excess**2, 2 * self.weight * excess / fired.size


class Record(NamedTuple):
    """One forward pass: everything the backward pass needs."""

    outputs: Array  # (T, batch, classes): spikes (bool) or the linear readout
    caches: tuple[Any, ...]  # by layer
    ops: Ops = NUMPY  # that made it


@dataclass(frozen=True)
class Network:
    """Layers in order, from the input to the readout.

    A last layer of neurons is a spiking readout, a last linear layer a linear one: o[t] = W s[t] + b.
    window : T, the steps of one sample.
    """

    input: Input
    layers: tuple[Layer, ...]
    window: int

    def __post_init__(self) -> None:
        if not isinstance(self.window, int | np.integer) or self.window < 1:
            raise ConfigError(f"the window has {self.window} steps; it needs a whole number, at least 1")
        if all(isinstance(layer, Spiking) for layer in self.layers):
            raise ConfigError("a network needs at least one layer with weights")
        _ = self.shapes

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for every layer: its kind and its number among its kind, from 1."""
        return numbered(self.layers)

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of one sample at one step, before each layer and after the last."""
        return shapes_through(self.layers, self.input.inner)

    @property
    def readout(self) -> str:
        return "spiking" if isinstance(self.layers[-1], Spiking) else "linear"

    @property
    def classes(self) -> int:
        return int(np.prod(self.shapes[-1]))

    @cached_property
    def spiking(self) -> tuple[str, ...]:
        """Names of the layers of neurons."""
        pairs = zip(self.names, self.layers, strict=True)
        return tuple(found for name, layer in pairs for found, _ in neurons(name, layer))

    @property
    def hidden_spiking(self) -> tuple[str, ...]:
        """Names of the hidden layers of neurons."""
        return tuple(name for name in self.spiking if name != self.names[-1])

    def init(self, seed: int | np.random.Generator, dtype: Any = np.float32) -> Params:
        """Fresh parameters."""
        return init_all(self.layers, np.random.default_rng(seed), self.input.inner, np.dtype(dtype))

    def forward(
        self,
        params: Mapping[str, Array],
        x: Array,
        training: bool = False,
        rng: np.random.Generator | None = None,
        ops: Ops = NUMPY,
    ) -> Record:
        """One window from rest.

        x        : as `Input` says. Raises DataError if its shape is not the network's.
        training : batch norm takes the batch's own statistics, and dropout drops what `rng` draws.
        """
        dtype = next(iter(params.values())).dtype
        x = ops.array(self.currents(x, dtype))
        x, caches = forward_all(self.layers, params, x, Forward(self.window, dtype, ops, training, rng))
        x = x.reshape(*x.shape[:2], -1)
        if len(x) != self.window:  # a linear readout straight on a static input
            x = np.broadcast_to(x, (self.window, *x.shape[1:]))
        return Record(x, caches, ops)

    def currents(self, x: Array, dtype: np.dtype) -> Array:
        """Inputs as the first layer takes them: time first, channels last, scaled. Raises DataError."""
        static = self.input.kind == "static"
        lead = 1 if static else 2
        if x.shape[lead:] != self.input.shape or (not static and len(x) != self.window):
            each = ("batch", *self.input.shape) if static else (self.window, "batch", *self.input.shape)
            want = ", ".join(map(str, each))
            raise DataError(f"input has shape {x.shape}; this network takes ({want}) of {self.input.kind}")
        x = (x[None] if static else x).astype(bool if self.input.kind == "spikes" else dtype, copy=False)
        if self.input.channels == "first":
            x = np.ascontiguousarray(np.moveaxis(x, -3, -1))
        return x if self.input.scale == 1 else x * dtype.type(1 / self.input.scale)

    def backward(
        self,
        params: Mapping[str, Array],
        record: Record,
        error: Array,
        rule: Rule,
        learn: Iterable[str] | None = None,
        activity: Activity | None = None,
    ) -> Params:
        """Gradients of the loss (and the activity penalty) for the layers that learn.

        error : dL/d(outputs), (T, batch, classes).
        learn : names of the layers whose gradients are wanted; None is all. The pass stops below the lowest.
        """
        wanted = self.learning_layers(learn)
        dtype = next(iter(params.values())).dtype
        error = error.astype(dtype, copy=False)
        grads: Params = {}
        if not wanted:
            return grads
        hidden = Backward(rule, record.ops)
        if activity is not None and activity.weight:
            hidden = hidden._replace(penalty=lambda fired: dtype.type(activity(fired)[1]))
        last, lowest = len(self.layers) - 1, min(self.names.index(name) for name in wanted)
        error = error.reshape(*error.shape[:2], *self.shapes[-1])
        for i in range(last, lowest - 1, -1):
            name, layer, cache = self.names[i], self.layers[i], record.caches[i]
            how = Backward(rule, record.ops) if i == last else hidden
            error, found = layer.backward(local(params, name), cache, error, how, name in wanted, i > lowest)
            grads |= prefixed(name, found)
        return grads

    @cached_property
    def _observing(self) -> bool:
        """Whether any layer has running statistics."""
        pairs = zip(self.names, self.layers, strict=True)
        return any(isinstance(part.layer, BatchNorm) for name, layer in pairs for part in leaves(name, layer))

    def observed(
        self, params: Mapping[str, Array], record: Record, learn: Iterable[str] | None = None
    ) -> Params:
        """New running statistics of the layers that learn, after a forward pass in training."""
        moved: Params = {}
        if not self._observing:
            return moved
        wanted = self.learning_layers(learn)
        for name, layer, cache in zip(self.names, self.layers, record.caches, strict=True):
            for part in leaves(name, layer, cache) if name in wanted else ():
                if isinstance(part.layer, BatchNorm):
                    moved |= prefixed(part.name, part.layer.observed(local(params, part.name), part.cache))
        return moved

    def learning_layers(self, learn: Iterable[str] | None) -> frozenset[str]:
        """The named layers, checked; None is all."""
        if learn is None:
            return frozenset(self.names)
        chosen = frozenset(learn)
        if unknown := chosen - set(self.names):
            raise ConfigError(
                f"no layer is called {', '.join(sorted(unknown))}; layers: {', '.join(self.names)}"
            )
        return chosen

    def runs(self, record: Record) -> dict[str, Spike]:
        """The windows of every layer of neurons, by name."""
        triples = zip(self.names, self.layers, record.caches, strict=True)
        return {found: run for name, layer, cache in triples for found, run in runs(name, layer, cache)}

    def firing_rates(self, record: Record) -> dict[str, float]:
        """Spikes a neuron and step, by layer of neurons."""
        return {name: float(run.fired.mean()) for name, run in self.runs(record).items()}

    def activity_penalty(self, record: Record, activity: Activity) -> float:
        found = self.runs(record)
        return sum(activity(found[name].fired)[0] for name in self.hidden_spiking)

    def with_teacher(self, record: Record, labels: Array) -> Record:
        """The record with the teacher spikes of `force_silent_targets` (spiking readouts, training only)."""
        run, static = record.caches[-1]
        forced = force_silent_targets(run, labels)
        return record._replace(outputs=forced.fired, caches=(*record.caches[:-1], (forced, static)))

    def scores(self, params: Mapping[str, Array], x: Array) -> Array:
        """(batch, classes): spike counts, or the linear readout's mean over the window."""
        return scores(self.forward(params, x).outputs, self.readout)

    def predict(self, params: Mapping[str, Array], x: Array) -> Array:
        """(batch,) class indices; the lowest class of equal scores."""
        return self.scores(params, x).argmax(axis=1)


def dense_network(
    input: Input,
    hidden: Iterable[int],
    classes: int,
    window: int,
    readout: Literal["linear", "spiking"] = "linear",
    neuron: Neuron | None = None,
    bias: bool = True,
    gain: float = 1.0,
) -> Network:
    """Dense layers of neurons and a readout, such as 16-256-8."""
    if readout not in ("linear", "spiking"):
        raise ConfigError(f"readout is {readout!r}; choose 'linear' or 'spiking'")
    layers: list[Layer] = []
    neuron = neuron or LIF()
    for size in hidden:
        layers += [Dense(size, bias, gain=gain), Spiking(neuron)]
    layers.append(Dense(classes, bias))
    if readout == "spiking":
        layers.append(Spiking(neuron))
    return Network(input, tuple(layers), window)


CLASSES: dict[str, type] = {
    c.__name__: c
    for c in (
        *(Network, Input, Dense, Conv, Spiking, BatchNorm, MaxPool, MeanPool, Flatten, Dropout, Residual),
        *(LIF, IF, SRM),
    )
}


def save_model(
    path: str | PathLike[str], network: Network, params: Mapping[str, Array], **extra: Any
) -> None:
    """A trained network in one .npz file; `extra` is anything JSON can hold. Raises StorageError."""
    meta = {"content": "model", "network": checkpoint.describe(network), "extra": extra}
    checkpoint.write(path, meta, checkpoint.grouped("params", params))


def misfits(fresh: Mapping[str, Array], params: Mapping[str, Array]) -> list[str]:
    """What of a network's `fresh` parameters is not there, or has another shape; of many, the first three."""
    found = []
    for name, wanted in fresh.items():
        if name not in params:
            found.append(f"{name} is missing")
        elif params[name].shape != wanted.shape:
            found.append(f"{name} has shape {params[name].shape}, not {wanted.shape}")
    more = len(found) - 3
    return [*found[:3], f"{more} more"] if more > 1 else found


def load_model(
    path: str | PathLike[str], classes: Mapping[str, type] | None = None
) -> tuple[Network, Params, dict[str, Any]]:
    """The network, parameters and extra that `save_model` wrote; also reads a training checkpoint's network.

    classes : a user's own layer and neuron classes by name. Raises CheckpointError.
    """
    meta, arrays = checkpoint.read(path)
    if "network" not in meta:
        raise CheckpointError(f"{path} holds no network")
    network = checkpoint.rebuild(meta["network"], CLASSES | dict(classes or {}))
    params = checkpoint.group(arrays, "params")
    if wrong := misfits(network.init(0), params):
        raise CheckpointError(f"{path} does not hold a whole network: {'; '.join(wrong)}")
    return network, params, meta.get("extra", {})
