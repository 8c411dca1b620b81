"""Optimizers and schedules, as pure functions over flat dicts of arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi, sqrt
from typing import Protocol

import numpy as np

from pyedge.errors import ConfigError
from pyedge.ops import Array

Params = dict[str, Array]
State = dict[str, Array]  # moments by "<what>/<parameter>", and "step", an integer


class Optimizer(Protocol):
    @property
    def lr(self) -> float: ...

    def init(self, params: Mapping[str, Array]) -> State: ...

    def update(
        self, params: Mapping[str, Array], grads: Mapping[str, Array], state: State, factor: float = 1.0
    ) -> tuple[Params, State]:
        """New parameters and state; only what has a gradient moves. factor : the schedule's, on lr."""


def decays(name: str) -> bool:
    """Whether weight decay acts on a parameter, by its name: on weights, not on biases, gains and norms."""
    return name.endswith("weight")


def _check(lr: float, weight_decay: float) -> None:
    if not lr > 0:
        raise ConfigError(f"lr is {lr}; the learning rate must be positive")
    if weight_decay < 0:
        raise ConfigError(f"weight_decay is {weight_decay}; it must not be negative")


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019); biases do not decay."""

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        _check(self.lr, self.weight_decay)

    def init(self, params: Mapping[str, Array]) -> State:
        state = {f"{m}/{name}": np.zeros_like(p) for name, p in params.items() for m in ("m", "v")}
        return state | {"step": np.zeros((), np.int64)}

    def update(
        self, params: Mapping[str, Array], grads: Mapping[str, Array], state: State, factor: float = 1.0
    ) -> tuple[Params, State]:
        step = int(state["step"]) + 1
        lr = self.lr * factor
        root = sqrt(1 - self.beta2**step)
        size = lr * root / (1 - self.beta1**step)
        new, moved = dict(params), dict(state)
        for name, g in grads.items():
            m = self.beta1 * state[f"m/{name}"] + (1 - self.beta1) * g
            v = self.beta2 * state[f"v/{name}"] + (1 - self.beta2) * (g * g)
            p = params[name]
            if self.weight_decay and decays(name):
                p = p * p.dtype.type(1 - lr * self.weight_decay)
            new[name] = p - size * m / (np.sqrt(v) + self.eps * root)
            moved[f"m/{name}"], moved[f"v/{name}"] = m, v
        moved["step"] = np.asarray(step, np.int64)
        return new, moved


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: velocity <- momentum velocity + g + decay w; biases do not decay."""

    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check(self.lr, self.weight_decay)
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum is {self.momentum}; it lies in [0, 1)")

    def init(self, params: Mapping[str, Array]) -> State:
        state = {f"velocity/{name}": np.zeros_like(p) for name, p in params.items()} if self.momentum else {}
        return state | {"step": np.zeros((), np.int64)}

    def update(
        self, params: Mapping[str, Array], grads: Mapping[str, Array], state: State, factor: float = 1.0
    ) -> tuple[Params, State]:
        new, moved = dict(params), dict(state)
        for name, g in grads.items():
            if self.weight_decay and decays(name):
                g = g + self.weight_decay * params[name]
            if self.momentum:
                g = moved[f"velocity/{name}"] = self.momentum * state[f"velocity/{name}"] + g
            new[name] = params[name] - self.lr * factor * g
        moved["step"] = np.asarray(int(state["step"]) + 1, np.int64)
        return new, moved


class Schedule(Protocol):
    def __call__(self, step: int, steps: int) -> float:
        """Factor on the learning rate at update `step` (from 0) of `steps`."""


@dataclass(frozen=True)
class Constant:
    """Factor 1, after a linear warm-up over the first `warmup` updates."""

    warmup: int = 0

    def __call__(self, step: int, steps: int) -> float:
        return min(1.0, (step + 1) / (self.warmup + 1))


@dataclass(frozen=True)
class Cosine:
    """From 1 to `floor` along half a cosine, after a linear warm-up over the first `warmup` updates."""

    warmup: int = 0
    floor: float = 0.0

    def __call__(self, step: int, steps: int) -> float:
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        share = (step - self.warmup) / max(steps - self.warmup, 1)
        return self.floor + (1 - self.floor) * 0.5 * (1 + cos(pi * min(share, 1.0)))
