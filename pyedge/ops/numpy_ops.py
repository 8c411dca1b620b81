"""The reference array operations, in NumPy; every array is time-first, (T, batch, features)."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """x W + b at every step, as one matrix product: (T, batch, in) x (in, out) -> (T, batch, out)."""
    y = (x.reshape(-1, x.shape[-1]) @ weight).reshape(*x.shape[:-1], weight.shape[1])
    if bias is not None:
        y += bias
    return y


def linear_weight_gradient(x: Array, error: Array) -> Array:
    """dL/dW, the sum of x (outer) error: (T, batch, in), (T, batch, out) -> (in, out)."""
    return x.reshape(-1, x.shape[-1]).T @ error.reshape(-1, error.shape[-1])


def linear_input_error(error: Array, weight: Array) -> Array:
    """dL/dx of `linear`: (T, batch, out) x (in, out) -> (T, batch, in)."""
    return (error.reshape(-1, error.shape[-1]) @ weight.T).reshape(*error.shape[:-1], weight.shape[0])


def log_softmax(logits: Array) -> Array:
    """log softmax over the last axis; finite for any finite logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def distribute(value: Array, window: int) -> Array:
    """A value constant over the window, (batch, n), as a read-only view of shape (window, batch, n)."""
    return np.broadcast_to(value, (window, *value.shape))
