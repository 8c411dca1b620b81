"""The reference backend, in NumPy; `pyedge.ops` says what each operation is and how arrays lie."""

from collections.abc import Iterable
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyedge.errors import ConfigError

if TYPE_CHECKING:
    from pyedge.losses import Loss, LossResult
    from pyedge.neuron import Neuron, Spike
    from pyedge.ops import Geometry
    from pyedge.optim import Optimizer
    from pyedge.rules import Rule

Array: TypeAlias = NDArray[Any]

EPS = 1e-5  # of weight standardization, the lineage's
_PATCHES = 1 << 24  # numbers of an unrolled convolution held at a time (64 MiB in float32)


class Pooled(NamedTuple):
    out: Array
    winner: Array  # index of the first of equals within its window, row-major


class Normalized(NamedTuple):
    out: Array
    x_hat: Array
    mean: Array  # of each channel
    variance: Array  # of each channel, over n rather than n - 1


class Standardized(NamedTuple):
    out: Array
    mean: Array  # of each output channel's weights
    deviation: Array  # the square root of their (unbiased) variance + EPS


class Updated(NamedTuple):
    params: dict[str, Array]
    state: dict[str, Array]
    gradients: bool  # whether they were all finite; if not, nothing else here counts
    weights: bool  # whether the new ones are


class Split(NamedTuple):
    """Errors of a rule whose currents act on weights and on spike times through different kernels."""

    weights: Array  # dL/dI, for weight and bias gradients
    inputs: Array  # what stands in for it on the way to the layer below


class NumpyOps:
    name = "numpy"

    def array(self, x: Any, dtype: Any = None) -> Array:
        return np.asarray(x, dtype)

    def numpy(self, x: Array) -> Array:
        return x

    def neuron(self, neuron: "Neuron", current: Array, window: int) -> "Spike":
        return neuron.run(current, window)

    def rule(self, rule: "Rule", run: "Spike", neuron: "Neuron", spike_error: Array) -> Any:
        return rule(run, neuron, spike_error)

    def dense(self, error: Any) -> Array:
        if isinstance(error, Split):
            raise ConfigError(
                "a rule with the alpha kernel needs weights right below its neurons (weight standardization, "
                "not batch norm or membrane shortcuts)"
            )
        return error

    def over_time(self, error: Any) -> Any:
        if isinstance(error, Split):
            return Split(*(e.sum(axis=0, keepdims=True) for e in error))
        return error.sum(axis=0, keepdims=True)

    def bias_gradient(self, error: Any) -> Array:
        error = _for_weights(error)
        return error.sum(axis=tuple(range(error.ndim - 1)))

    def linear(self, x: Array, weight: Array, bias: Array | None) -> Array:
        flat = x.reshape(-1, x.shape[-1]).astype(weight.dtype, copy=False)
        y = (flat @ weight).reshape(*x.shape[:-1], weight.shape[1])
        if bias is not None:
            y += bias
        return y

    def linear_weight_gradient(self, x: Array, error: Any) -> Array:
        error = _for_weights(error)
        flat = x.reshape(-1, x.shape[-1]).astype(error.dtype, copy=False)
        return flat.T @ error.reshape(-1, error.shape[-1])

    def linear_input_error(self, error: Any, weight: Array, only: Array | None) -> Array:
        error = _for_inputs(error)
        return (error.reshape(-1, error.shape[-1]) @ weight.T).reshape(*error.shape[:-1], weight.shape[0])

    def conv(self, x: Array, weight: Array, bias: Array | None, g: "Geometry") -> Array:
        lead, (h, w, channels) = x.shape[:2], x.shape[2:]
        flat, images = weight.reshape(-1, weight.shape[-1]), x.reshape(-1, h, w, channels)
        y = np.empty((len(images), g.out(h), g.out(w), weight.shape[-1]), weight.dtype)
        for part in _parts(len(images), y[0, :, :, 0].size * len(flat)):
            patches = _patches(images[part].astype(weight.dtype, copy=False), g)
            np.matmul(patches, flat, out=y[part].reshape(-1, weight.shape[-1]))
        if bias is not None:
            y += bias
        return y.reshape(*lead, *y.shape[1:])

    def conv_weight_gradient(self, x: Array, error: Any, g: "Geometry") -> Array:
        error = _for_weights(error)
        (h, w, channels), out = x.shape[2:], error.shape[-1]
        images, errors = x.reshape(-1, h, w, channels), error.reshape(-1, *error.shape[2:])
        total = np.zeros((g.size * g.size * channels, out), error.dtype)
        for part in _parts(len(images), errors[0, :, :, 0].size * len(total)):
            patches = _patches(images[part].astype(error.dtype, copy=False), g)
            total += patches.T @ errors[part].reshape(-1, out)
        return total.reshape(g.size, g.size, channels, out)

    def conv_input_error(
        self, error: Any, weight: Array, shape: tuple[int, ...], g: "Geometry", only: Array | None
    ) -> Array:
        error = _for_inputs(error)
        (h, w, channels), (oh, ow, out) = shape, error.shape[2:]
        errors = error.reshape(-1, oh, ow, out)
        flat = weight.reshape(-1, out).T
        p, s = g.padding, g.stride
        padded = np.zeros((len(errors), h + 2 * p, w + 2 * p, channels), error.dtype)
        for part in _parts(len(errors), oh * ow * flat.shape[1]):
            spread = (errors[part].reshape(-1, out) @ flat).reshape(-1, oh, ow, g.size, g.size, channels)
            into = padded[part]
            for y in range(g.size):
                for x in range(g.size):
                    into[:, y : y + s * oh : s, x : x + s * ow : s] += spread[:, :, :, y, x]
        return padded[:, p : p + h, p : p + w].reshape(*error.shape[:2], *shape)

    def batch_norm(self, x: Array, gamma: Array, beta: Array, eps: float) -> Normalized:
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axis=axes), x.var(axis=axes)
        x_hat = (x - mean) / np.sqrt(variance + eps)
        return Normalized(gamma * x_hat + beta, x_hat, mean, variance)

    def batch_norm_error(self, done: Normalized, error: Array, gamma: Array, eps: float) -> Array:
        axes = tuple(range(error.ndim - 1))
        centred = error - error.mean(axis=axes) - done.x_hat * (error * done.x_hat).mean(axis=axes)
        return centred * (gamma / np.sqrt(done.variance + eps))

    def standardize(self, weight: Array, gain: Array) -> Standardized:
        axes = tuple(range(weight.ndim - 1))
        n = int(np.prod(weight.shape[:-1]))
        mean = weight.mean(axis=axes)
        centred = weight - mean
        deviation = (((centred**2).sum(axis=axes) / max(n - 1, 1)) + EPS) ** 0.5
        return Standardized(centred / deviation * gain, mean, deviation)

    def standardize_error(
        self, done: Standardized, weight: Array, gain: Array, error: Array
    ) -> tuple[Array, Array]:
        axes = tuple(range(error.ndim - 1))
        n = int(np.prod(error.shape[:-1]))
        standard = (weight - done.mean) / done.deviation
        along = (error * standard).sum(axis=axes)
        centred = error - error.mean(axis=axes) - standard * (along / max(n - 1, 1))
        return centred * (gain / done.deviation), along

    def max_pool(self, x: Array, size: int) -> Pooled:
        windows = _windows(x, size)
        winner = windows.argmax(axis=-2)
        return Pooled(np.take_along_axis(windows, winner[..., None, :], -2)[..., 0, :], winner)

    def max_pool_error(self, pooled: Pooled, error: Array, shape: tuple[int, ...], size: int) -> Array:
        below = np.zeros((*error.shape[:2], *shape), error.dtype)
        for i in range(size * size):
            _strided(below, size, i)[...] = error * (pooled.winner == i)
        return below

    def mean_pool(self, x: Array, size: int, dtype: Any) -> Array:
        return _windows(x, size).mean(axis=-2, dtype=dtype)

    def mean_pool_error(self, error: Array, shape: tuple[int, ...], size: int) -> Array:
        below = np.zeros((*error.shape[:2], *shape), error.dtype)
        for i in range(size * size):
            _strided(below, size, i)[...] = error * error.dtype.type(1 / size**2)
        return below

    def adjusted_pool_error(self, x: Array, error: Array, size: int) -> Array:
        spikes = (x != 0).astype(error.dtype)
        share = error / np.maximum(_windows(spikes, size).sum(axis=-2), 1)
        below = np.zeros(x.shape, error.dtype)
        for i in range(size * size):
            _strided(below, size, i)[...] = share * _strided(spikes, size, i)
        return below

    def dropout(self, x: Array, mask: Array) -> Array:
        return x * mask

    def dropout_error(self, error: Array, mask: Array) -> Array:
        return error * mask

    def loss(self, loss: "Loss", outputs: Array, labels: Array) -> "LossResult":
        return loss(self.numpy(outputs), labels)

    def norm(self, arrays: Iterable[Array]) -> float:
        found = list(arrays)
        with np.errstate(over="ignore", invalid="ignore"):
            total = sum(float(np.vdot(x, x)) for x in found)
        if not np.isfinite(total):  # of the sum in float32, not always of a number
            total = sum(float(np.vdot(x, x)) for x in (x.astype(np.float64) for x in found))
        return sqrt(total) if np.isfinite(total) else total

    def finite(self, x: Array) -> bool:
        return bool(np.isfinite(x).all())

    def update(
        self,
        optimizer: "Optimizer",
        params: dict[str, Array],
        grads: dict[str, Array],
        state: dict[str, Array],
        factor: float,
        limit: float | None,
    ) -> Updated:
        norm = self.norm(grads.values())
        if not isfinite(norm):
            return Updated(params, state, False, True)
        if limit is not None and norm > limit:
            grads = {name: g * g.dtype.type(limit / norm) for name, g in grads.items()}
        new, moved = optimizer.update(params, grads, state, factor)
        return Updated(new, moved, True, isfinite(self.norm(new[name] for name in grads)))

    def spikes(self, x: Array) -> Array:
        return x


def _for_weights(error: Any) -> Array:
    return error.weights if isinstance(error, Split) else error


def _for_inputs(error: Any) -> Array:
    return error.inputs if isinstance(error, Split) else error


def _parts(count: int, size: int) -> list[slice]:
    """Slices of `count` images, each of at most `_PATCHES` numbers if one image has `size` of them."""
    step = max(1, _PATCHES // size)
    return [slice(i, min(i + step, count)) for i in range(0, count, step)]


def _patches(images: Array, g: "Geometry") -> Array:
    """Every window of every image as a row, (images * out_h * out_w, size * size * channels)."""
    p = g.padding
    padded = np.pad(images, ((0, 0), (p, p), (p, p), (0, 0))) if p else images
    windows = np.lib.stride_tricks.sliding_window_view(padded, (g.size, g.size), axis=(1, 2))
    windows = windows[:, :: g.stride, :: g.stride].transpose(0, 1, 2, 4, 5, 3)
    return windows.reshape(-1, g.size * g.size * images.shape[-1])


def _windows(x: Array, size: int) -> Array:
    """(T, batch, h // size, w // size, size * size, channels): every pooling window, row-major."""
    return np.stack([_strided(x, size, i) for i in range(size * size)], axis=-2)


def _strided(x: Array, size: int, i: int) -> Array:
    """A view of the i-th input of every pooling window."""
    h, w = x.shape[2] // size * size, x.shape[3] // size * size
    return x[:, :, i // size : h : size, i % size : w : size]


def log_softmax(logits: Array) -> Array:
    """log softmax over the last axis; finite for any finite logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def distribute(value: Array, window: int) -> Array:
    """A value constant over the window, (batch, n), as a read-only view of shape (window, batch, n)."""
    return np.broadcast_to(value, (window, *value.shape))
