"""The array operations the trainer needs beyond plain arithmetic: where another backend plugs in."""

from pyedge.ops.numpy_ops import (
    Array,
    distribute,
    linear,
    linear_input_error,
    linear_weight_gradient,
    log_softmax,
)

__all__ = [
    "Array",
    "distribute",
    "linear",
    "linear_input_error",
    "linear_weight_gradient",
    "log_softmax",
]
