"""The native backend: C kernels that visit only spikes and the errors at spikes, on all cores.

Operations give arrays that need not exist (`lazy`): a layer's currents are never written when neurons of a
known kind take them, errors of a known rule stay lists of events. Whatever is not known here, a user's own
neuron or rule, float64, shapes beyond the kernels' limits, is the reference's work; the first time it is
said in the log ("pyedge.ops.native").
"""

import logging
from collections.abc import Iterable
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from pyedge._train import lib
from pyedge.ops.native import conv, pooling
from pyedge.ops.native.dense import DenseCurrents, DenseErrors, ReadoutErrors, readout_gradient
from pyedge.ops.native.dropout import DroppedErrors, dropout
from pyedge.ops.native.lazy import Bits, Lazy, Multiples, Spikes
from pyedge.ops.native.loss import tet
from pyedge.ops.native.neurons import Epsilon, run_neurons
from pyedge.ops.native.standard import standardize, standardize_error
from pyedge.ops.native.threads import POOL
from pyedge.ops.native.updates import adamw, square_sum
from pyedge.ops.numpy_ops import Array, Normalized, NumpyOps, Pooled, Standardized, Updated, _for_inputs

if TYPE_CHECKING:
    from pyedge.losses import Loss, LossResult
    from pyedge.neuron import Neuron, Spike
    from pyedge.ops import Geometry
    from pyedge.optim import Optimizer
    from pyedge.rules import Rule

__all__ = ["OPS", "NativeOps", "isa", "use_isa", "use_threads"]

NUMPY = NumpyOps()
LIMIT = 1 << 16  # features of a layer, in lists of 16-bit numbers
LARGEST = 15  # windows of pooled counts: bytes
log = logging.getLogger(__name__)


def _plain(x: Any) -> Any:
    return x.array if isinstance(x, Lazy) else x


class NativeOps(NumpyOps):
    name = "native"

    def __init__(self) -> None:
        self._said: set[str] = set()

    def _note(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            log.warning("the native backend leaves %s to NumPy", what)

    def array(self, x: Any, dtype: Any = None) -> Array:
        if isinstance(x, Lazy):
            return x if dtype is None or np.dtype(dtype) == x.dtype else np.asarray(x.array, dtype)  # type: ignore[return-value]
        return np.asarray(x, dtype)

    def numpy(self, x: Any) -> Array:
        return _plain(x)

    def neuron(self, neuron: "Neuron", current: Any, window: int) -> "Spike":
        from pyedge.neuron import IF, LIF

        if type(neuron) not in (LIF, IF):
            self._note(f"neurons of kind {type(neuron).__name__}")
        elif current.dtype != np.float32:
            self._note(f"{current.dtype}")
        else:
            return run_neurons(neuron, current, window)
        return super().neuron(neuron, _plain(current), window)

    def rule(self, rule: "Rule", run: "Spike", neuron: "Neuron", spike_error: Any) -> Any:
        from pyedge.neuron import Spike
        from pyedge.rules import MPDED, STDED, Surrogate

        fired: Any = run.fired
        if isinstance(fired, Spikes) and fired.run is not None:
            if type(rule) is MPDED:
                known = rule.masked and rule.recursion == "full" and type(rule.surrogate) is Surrogate
            else:
                known = type(rule) is STDED and rule.slope == "potential" and neuron.decay == 1
            if known:
                return Epsilon(fired, rule, neuron, spike_error)  # type: ignore[arg-type]
            self._note(f"the backward pass of {type(rule).__name__} as configured")
        return super().rule(rule, Spike(*(_plain(part) for part in run)), neuron, _plain(spike_error))

    def dense(self, error: Any) -> Array:
        return super().dense(error.array if isinstance(error, Epsilon) else error)

    def over_time(self, error: Any) -> Any:
        return error.over_time if isinstance(error, Epsilon) else super().over_time(_plain(error))

    def bias_gradient(self, error: Any) -> Array:
        if isinstance(error, Epsilon):
            return error.bias_gradient
        if isinstance(error, np.ndarray) and error.dtype == np.float32 and error.shape[-1] <= 4096:
            return conv.column_sums(error)
        return super().bias_gradient(error)

    def linear(self, x: Any, weight: Array, bias: Array | None) -> Any:
        x = self._spikes(x)
        if isinstance(x, Spikes | Multiples) and weight.dtype == np.float32 and max(weight.shape) <= LIMIT:
            return DenseCurrents(x, weight, bias)
        return super().linear(_plain(x), weight, bias)

    def linear_weight_gradient(self, x: Any, error: Any) -> Array:
        x = self._spikes(x)
        if isinstance(x, Spikes | Multiples) and x.bits.features <= LIMIT:
            if isinstance(error, Epsilon) and error.features <= LIMIT:
                return error.weight_gradient(x)
            narrow = isinstance(error, np.ndarray) and error.dtype == np.float32 and error.shape[-1] <= 64
            if narrow and isinstance(x.bits, Bits):
                return readout_gradient(x, error)
        return super().linear_weight_gradient(_plain(x), _plain(error))

    def linear_input_error(self, error: Any, weight: Array, only: Any) -> Any:
        if weight.dtype == np.float32 and max(weight.shape) <= LIMIT:
            if isinstance(error, Epsilon):
                return DenseErrors(error, weight)
            plain = isinstance(error, np.ndarray) and error.ndim == 3
            if plain and (only is not None or error.shape[-1] <= 64):
                return ReadoutErrors(error, weight)
        return super().linear_input_error(_plain(_for_inputs(error)), weight, _plain(only))

    def conv(self, x: Any, weight: Array, bias: Array | None, g: "Geometry") -> Any:
        x = self._spikes(x)
        if conv.fits(x.shape, weight, g):
            return conv.ConvCurrents(x, weight, bias, g)
        self._note(f"convolutions of padding {g.padding}, {weight.dtype} or this width")
        return super().conv(_plain(x), weight, bias, g)

    def conv_weight_gradient(self, x: Any, error: Any, g: "Geometry") -> Array:
        x = self._spikes(x)
        if g.padding < g.size and getattr(error, "dtype", None) == np.float32:
            if isinstance(error, Epsilon) and error.features > LIMIT:
                error = error.array
            return conv.weight_gradient(x, error, g)
        return super().conv_weight_gradient(_plain(x), _plain(error), g)

    def conv_input_error(
        self, error: Any, weight: Array, shape: tuple[int, ...], g: "Geometry", only: Any
    ) -> Any:
        error = _for_inputs(error)
        if conv.fits((*error.shape[:2], *shape), weight, g):
            if isinstance(error, Epsilon) and error.features > LIMIT:
                error = error.array
            return conv.input_error(error, weight, shape, g)
        return super().conv_input_error(_plain(error), weight, shape, g, _plain(only))

    def standardize(self, weight: Array, gain: Array) -> Standardized:
        if weight.dtype == np.float32:
            return standardize(weight, gain)
        return super().standardize(weight, gain)

    def standardize_error(
        self, done: Standardized, weight: Array, gain: Array, error: Array
    ) -> tuple[Array, Array]:
        if weight.dtype == error.dtype == np.float32:
            return standardize_error(done, weight, gain, error)
        return super().standardize_error(done, weight, gain, error)

    def max_pool(self, x: Any, size: int) -> Pooled:
        return pooling.max_pool(x, size) if isinstance(x, Spikes) else super().max_pool(_plain(x), size)

    def max_pool_error(self, pooled: Pooled, error: Any, shape: tuple[int, ...], size: int) -> Any:
        winner: Any = pooled.winner
        if isinstance(winner, pooling.Winners) and error.dtype == np.float32:
            return pooling.max_pool_error(winner, error)
        return super().max_pool_error(Pooled(*(_plain(p) for p in pooled)), _plain(error), shape, size)

    def mean_pool(self, x: Any, size: int, dtype: Any) -> Any:
        if isinstance(x, Spikes) and size <= LARGEST and np.dtype(dtype) == np.float32:
            return x.pooled(size)
        return super().mean_pool(_plain(x), size, dtype)

    def mean_pool_error(self, error: Any, shape: tuple[int, ...], size: int) -> Any:
        if isinstance(error, Lazy) and error.dtype == np.float32:
            return pooling.mean_pool_error(error, shape, size)
        return super().mean_pool_error(_plain(error), shape, size)

    def adjusted_pool_error(self, x: Any, error: Any, size: int) -> Any:
        if isinstance(x, Spikes) and size <= LARGEST and error.dtype == np.float32:
            return pooling.adjusted_pool_error(x, error, size)
        return super().adjusted_pool_error(_plain(x), _plain(error), size)

    def dropout(self, x: Any, mask: Array) -> Any:
        x = self._spikes(x)
        if isinstance(x, Spikes | Multiples) and mask.dtype == np.float32:
            return dropout(x, mask)
        return super().dropout(_plain(x), mask)

    def dropout_error(self, error: Any, mask: Array) -> Any:
        if isinstance(error, Lazy) and mask.dtype == error.dtype == np.float32:
            return DroppedErrors(error, mask)
        return super().dropout_error(_plain(error), mask)

    def batch_norm(self, x: Any, gamma: Array, beta: Array, eps: float) -> Normalized:
        return super().batch_norm(_plain(x), gamma, beta, eps)

    def batch_norm_error(self, done: Normalized, error: Any, gamma: Array, eps: float) -> Array:
        return super().batch_norm_error(done, _plain(error), gamma, eps)

    def loss(self, loss: "Loss", outputs: Any, labels: Array) -> "LossResult":
        from pyedge.losses import TET

        outputs = _plain(outputs)
        narrow = outputs.dtype == np.float32 and outputs.ndim == 3 and outputs.shape[2] <= 64
        if type(loss) is TET and loss.lam == 0 and narrow and labels.ndim == 1:
            return tet(outputs, labels)
        return super().loss(loss, outputs, labels)

    def norm(self, arrays: Iterable[Array]) -> float:
        found = [_plain(x) for x in arrays]
        if all(x.dtype == np.float32 for x in found):
            return sqrt(square_sum(found))
        return super().norm(found)

    def finite(self, x: Array) -> bool:
        return bool(np.isfinite(square_sum([x]))) if x.dtype == np.float32 else super().finite(x)

    def update(
        self,
        optimizer: "Optimizer",
        params: dict[str, Array],
        grads: dict[str, Array],
        state: dict[str, Array],
        factor: float,
        limit: float | None,
    ) -> Updated:
        from pyedge.optim import AdamW

        if type(optimizer) is AdamW and all(p.dtype == np.float32 for p in params.values()):
            return adamw(optimizer, params, grads, state, factor, limit)
        self._note(f"the updates of {type(optimizer).__name__}")
        return super().update(optimizer, params, grads, state, factor, limit)

    def spikes(self, x: Any) -> Any:
        return self._spikes(x)

    def _spikes(self, x: Any) -> Any:
        """Spikes as bits, whatever they come as."""
        return Spikes.pack(x) if isinstance(x, np.ndarray) and x.dtype == bool else x


OPS = NativeOps()


def isa() -> str:
    """The instruction set that the kernels use: "avx512", "avx2" or "plain"."""
    from pyedge._train import ffi

    return str(ffi.string(lib.train_isa()).decode())


def use_isa(name: str) -> bool:
    """Takes another one, for tests; False where this processor lacks it."""
    return bool(lib.train_use_isa(name.encode()) == 0)


def use_threads(count: int) -> None:
    """From now on that many threads; 0: $PYEDGE_THREADS, else all cores."""
    POOL.use(count)
