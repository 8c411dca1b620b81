"""The trainer's heavy work as one interface, `Ops`: what a backend (numpy, native, torch) must provide.

Layouts, for every backend
--------------------------
Arrays are time-first and channels-last: (T, batch, features) for dense layers, (T, batch, height, width,
channels) for convolutions; weights have one row an input: (inputs, outputs) and (height, width, channels in,
channels out). T is 1 where a value is the same at every step (static inputs).
Spikes are bool; everything else has the parameters' floating type (float32 to train, float64 to check).
Where an operation takes `x`, spikes or floats may come.

What a backend may and may not do
---------------------------------
* `NumpyOps` is the reference and complete. A backend subclasses it and overrides what it does better; for a
  neuron, rule or shape it does not know it calls the reference, so a user's own neurons and rules work.
* Functions are pure: no argument is written to (but by `update`), nothing is remembered between calls.
* What `rule` returns goes only into the same backend's `*_input_error`, `*_weight_gradient`,
  `bias_gradient`, `over_time` and, through `dense`, into everything else. So it may be a type of the
  backend's own (events, differences in time). From a rule of the reference it is an array, or a `Split`: two
  errors, of which weight gradients take the first and input errors the second.
* `only`, where given, marks the inputs that are spikes: an event-driven rule never looks at the error
  elsewhere, so a backend may leave it 0 there. The reference computes it everywhere.
* Spikes and gradients equal the reference's: exactly where sums are exact (dyadic weights), else to rounding.
"""

from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from pyedge.errors import ConfigError
from pyedge.ops.numpy_ops import (
    Array,
    Normalized,
    NumpyOps,
    Pooled,
    Split,
    Standardized,
    Updated,
    distribute,
    log_softmax,
)

if TYPE_CHECKING:
    from pyedge.losses import Loss, LossResult
    from pyedge.neuron import Neuron, Spike
    from pyedge.optim import Optimizer
    from pyedge.rules import Rule

__all__ = [
    "NUMPY",
    "Array",
    "Geometry",
    "Normalized",
    "NumpyOps",
    "Ops",
    "Pooled",
    "Split",
    "Standardized",
    "Updated",
    "backend",
    "distribute",
    "log_softmax",
]


class Geometry(NamedTuple):
    """Where a square convolution's or pooling's windows stand."""

    size: int  # height and width of the window
    stride: int
    padding: int  # zeros on every side

    def out(self, length: int) -> int:
        """How many windows fit into `length` inputs."""
        return (length + 2 * self.padding - self.size) // self.stride + 1


class Ops(Protocol):
    """See the module's text for layouts and duties."""

    @property
    def name(self) -> str: ...

    def array(self, x: Any, dtype: Any = None) -> Array:
        """x (NumPy) as this backend's array."""

    def numpy(self, x: Array) -> Array:
        """This backend's array as NumPy."""

    def neuron(self, neuron: "Neuron", current: Array, window: int) -> "Spike":
        """A layer's window from rest, `neuron.run`. current : (T or 1, batch, ...)."""

    def rule(self, rule: "Rule", run: "Spike", neuron: "Neuron", spike_error: Array) -> Any:
        """The error of the currents, `rule(run, neuron, spike_error)`: (T, batch, ...)."""

    def dense(self, error: Any) -> Array:
        """What `rule` returned as a plain array."""

    def over_time(self, error: Any) -> Any:
        """The sum over time of what `rule` returned, T kept as 1 (a static current's error)."""

    def bias_gradient(self, error: Any) -> Array:
        """The sum of an error over all but its last axis."""

    def linear(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """x W + b at every step: (T, batch, in) x (in, out) -> (T, batch, out)."""

    def linear_weight_gradient(self, x: Array, error: Any) -> Array:
        """The sum over time and batch of x (outer) error: (in, out)."""

    def linear_input_error(self, error: Any, weight: Array, only: Array | None) -> Array:
        """error W^T: (T, batch, in). only : bool, of that shape."""

    def conv(self, x: Array, weight: Array, bias: Array | None, g: Geometry) -> Array:
        """Cross-correlation at every step: (T, batch, h, w, in) -> (T, batch, g.out(h), g.out(w), out)."""

    def conv_weight_gradient(self, x: Array, error: Any, g: Geometry) -> Array:
        """(g.size, g.size, in, out)."""

    def conv_input_error(
        self, error: Any, weight: Array, shape: tuple[int, ...], g: Geometry, only: Array | None
    ) -> Array:
        """(T, batch, *shape), shape being (h, w, in)."""

    def batch_norm(self, x: Array, gamma: Array, beta: Array, eps: float) -> "Normalized":
        """gamma x_hat + beta, x_hat of mean 0 and variance 1 a channel (the last axis) over all else."""

    def batch_norm_error(self, done: "Normalized", error: Array, gamma: Array, eps: float) -> Array:
        """dL/dx of `batch_norm`; that of gamma is the sum of error * x_hat, that of beta `bias_gradient`."""

    def standardize(self, weight: Array, gain: Array) -> "Standardized":
        """Every output channel's weights less their mean, over their standard deviation, times its gain."""

    def standardize_error(
        self, done: "Standardized", weight: Array, gain: Array, error: Array
    ) -> tuple[Array, Array]:
        """dL/d(weight, gain) from the error of `standardize`'s out."""

    def max_pool(self, x: Array, size: int) -> "Pooled":
        """Largest of every size x size window (OR of spikes); rows and columns left over are dropped."""

    def max_pool_error(self, pooled: "Pooled", error: Array, shape: tuple[int, ...], size: int) -> Array:
        """The error goes to the first of equals, in row-major order: (T, batch, *shape)."""

    def mean_pool(self, x: Array, size: int, dtype: Any) -> Array:
        """Mean of every window; rows and columns left over are dropped."""

    def mean_pool_error(self, error: Array, shape: tuple[int, ...], size: int) -> Array:
        """Every input gets 1 / size^2 of its window's error: (T, batch, *shape)."""

    def adjusted_pool_error(self, x: Array, error: Array, size: int) -> Array:
        """Every spike gets its window's error over the window's number of spikes: the shape of x."""

    def dropout(self, x: Array, mask: Array) -> Array:
        """x times mask (batch, ...), which is 0 or one other number: (T, batch, ...), floats."""

    def dropout_error(self, error: Array, mask: Array) -> Array:
        """dL/dx of `dropout`."""

    def loss(self, loss: "Loss", outputs: Array, labels: Array) -> "LossResult":
        """loss(outputs, labels), the error as NumPy or this backend's."""

    def norm(self, arrays: Iterable[Array]) -> float:
        """Euclidean norm of all numbers together; not finite where one is not."""

    def finite(self, x: Array) -> bool:
        """Whether every number is."""

    def update(
        self,
        optimizer: "Optimizer",
        params: dict[str, Array],
        grads: dict[str, Array],
        state: dict[str, Array],
        factor: float,
        limit: float | None,
    ) -> Updated:
        """`optimizer.update`, the gradients scaled down together where their norm exceeds `limit`.

        grads and state are given away, to be written over; params are not. A gradient that was not finite is
        not finite afterwards.
        """

    def spikes(self, x: Array) -> Array:
        """Spikes, bool (T, samples, ...), as samples are best taken from: `x.take(which, axis=1)`."""


@cache
def _torch(device: str) -> Ops:
    import torch

    found = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return cast(Ops, import_module("pyedge.ops.torch_ops").TorchOps(found))


NUMPY = NumpyOps()
_BACKENDS: dict[str, Callable[[], Ops]] = {
    "numpy": lambda: NUMPY,
    "native": lambda: import_module("pyedge.ops.native").OPS,
    "torch": lambda: _torch(""),
    "auto": lambda: _native_or(NUMPY),
}


def _native_or(other: Ops) -> Ops:
    try:
        return cast(Ops, import_module("pyedge.ops.native").OPS)
    except ImportError:
        return other


def backend(name: str) -> Ops:
    """The backend of that name.

    "auto" is native where it was built, else numpy; "torch" is a GPU where there is one, else torch on the
    CPU; "torch:cuda:1" is that device. Raises ConfigError where it is unknown, or not there.
    """
    kind, _, device = name.partition(":")
    if kind not in _BACKENDS or (device and kind != "torch"):
        raise ConfigError(f"backend {name!r} is unknown; choose from {', '.join(_BACKENDS)}")
    try:
        return _torch(device) if device else _BACKENDS[kind]()
    except ImportError as error:
        raise ConfigError(f"backend {name!r} is not available here ({error}); choose 'numpy'") from error
