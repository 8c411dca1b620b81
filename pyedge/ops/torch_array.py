"""A torch tensor that speaks NumPy: what layers, rules, losses and optimizers ask of an array.

NumPy's own protocols (`__array_ufunc__`, `__array_function__`) bring its functions here; what is not listed
raises TypeError. Nothing is differentiated by torch: it is an array engine.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.lib.mixins import NDArrayOperatorsMixin
from torch import Tensor

DTYPES: dict[str, torch.dtype] = {
    "bool": torch.bool,
    "int32": torch.int32,
    "int64": torch.int64,
    "float32": torch.float32,
    "float64": torch.float64,
}
BACK = {value: np.dtype(name) for name, value in DTYPES.items()}


def dtype_of(dtype: Any) -> torch.dtype:
    return DTYPES[np.dtype(dtype).name]


class TorchArray(NDArrayOperatorsMixin):
    """Wraps `tensor`; equality of shapes, types and results with the NumPy array of the same values."""

    __array_priority__ = 100

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    @property
    def dtype(self) -> np.dtype[Any]:
        return BACK[self.tensor.dtype]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def ndim(self) -> int:
        return self.tensor.ndim

    @property
    def size(self) -> int:
        return self.tensor.numel()

    def __len__(self) -> int:
        return len(self.tensor)

    def __float__(self) -> float:
        return float(self.tensor)

    def __bool__(self) -> bool:
        return bool(self.tensor)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return self.tensor.detach().cpu().numpy().astype(dtype or self.dtype, copy=False)

    def __getitem__(self, index: Any) -> "TorchArray":
        return TorchArray(self.tensor[self._index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tensor[self._index(index)] = self.like(value).to(self.tensor.dtype)

    def _index(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        found = tuple(
            self.like(part) if isinstance(part, TorchArray | np.ndarray) and part.ndim else part
            for part in parts
        )
        return found if isinstance(index, tuple) else found[0]

    def like(self, value: Any) -> Tensor:
        """The value as a tensor on this one's device."""
        return tensor(value, self.tensor.device)

    def astype(self, dtype: Any, copy: bool = True) -> "TorchArray":
        return TorchArray(self.tensor.to(dtype_of(dtype), copy=copy))

    def copy(self) -> "TorchArray":
        return TorchArray(self.tensor.clone())

    def reshape(self, *shape: Any) -> "TorchArray":
        return TorchArray(self.tensor.reshape(*shape))

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> "TorchArray":
        kind = None if dtype is None else dtype_of(dtype)
        if axis is None:
            return TorchArray(self.tensor.sum(dtype=kind))
        return TorchArray(self.tensor.sum(axis, keepdim=keepdims, dtype=kind))

    def mean(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> "TorchArray":
        wide = self.tensor if self.tensor.is_floating_point() else self.tensor.double()
        kind = None if dtype is None else dtype_of(dtype)
        if axis is None:
            return TorchArray(wide.mean(dtype=kind))
        return TorchArray(wide.mean(axis, keepdim=keepdims, dtype=kind))

    def max(self, axis: Any = None, keepdims: bool = False) -> "TorchArray":
        return TorchArray(self.tensor.max() if axis is None else self.tensor.amax(axis, keepdim=keepdims))

    def argmax(self, axis: int) -> "TorchArray":
        return TorchArray(first_argmax(self.tensor, axis))

    def any(self, axis: Any = None) -> "TorchArray":
        return TorchArray(self.tensor.any() if axis is None else self.tensor.any(axis))

    def all(self, axis: Any = None) -> "TorchArray":
        return TorchArray(self.tensor.all() if axis is None else self.tensor.all(axis))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        if method != "__call__" or kwargs or ufunc.__name__ not in UFUNCS:
            return NotImplemented
        values = [x if isinstance(x, bool | int | float) else self.like(x) for x in inputs]
        found = UFUNCS[ufunc.__name__](*values)
        if out is None:
            return TorchArray(found)
        out[0].tensor.copy_(found)
        return out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function.__name__ not in FUNCTIONS:
            return NotImplemented
        return TorchArray(FUNCTIONS[function.__name__](self, *args, **kwargs))


def tensor(value: Any, device: torch.device | str) -> Tensor:
    """A tensor of whatever is given, on that device; NumPy's types are kept."""
    if isinstance(value, TorchArray):
        return value.tensor.to(device)
    if isinstance(value, Tensor):
        return value.to(device)
    array = np.asarray(value)
    if array.dtype.name not in DTYPES:
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array).to(device)


def first_argmax(x: Tensor, axis: int) -> Tensor:
    """Index of the first of equal largest values, which torch does not promise."""
    largest = x == x.amax(axis, keepdim=True)
    places = torch.arange(x.shape[axis], device=x.device)
    places = places.reshape([-1 if d == axis % x.ndim else 1 for d in range(x.ndim)])
    return torch.where(largest, places, x.shape[axis]).amin(axis)


def _invert(x: Tensor) -> Tensor:
    return torch.logical_not(x) if x.dtype == torch.bool else torch.bitwise_not(x)


def _pair(function: Callable[..., Tensor]) -> Callable[[Any, Any], Tensor]:
    """A function of two that takes Python's numbers beside tensors, as torch's maximum does not."""

    def of(a: Any, b: Any) -> Tensor:
        given = a if isinstance(a, Tensor) else b
        return function(*(x if isinstance(x, Tensor) else torch.full_like(given, x) for x in (a, b)))

    return of


UFUNCS: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.true_divide,
    "true_divide": torch.true_divide,
    "negative": torch.neg,
    "power": torch.pow,
    "square": torch.square,
    "sqrt": torch.sqrt,
    "exp": torch.exp,
    "log": torch.log,
    "absolute": torch.abs,
    "sign": torch.sign,
    "maximum": _pair(torch.maximum),
    "minimum": _pair(torch.minimum),
    "invert": _invert,
    "isfinite": torch.isfinite,
    "equal": torch.eq,
    "not_equal": torch.ne,
    "less": torch.lt,
    "less_equal": torch.le,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "bitwise_and": torch.bitwise_and,
    "bitwise_or": torch.bitwise_or,
}


def _filled(value: int | None) -> Callable[..., Tensor]:
    def of(self: TorchArray, prototype: Any, dtype: Any = None, shape: Any = None) -> Tensor:
        kind = dtype_of(prototype.dtype if dtype is None else dtype)
        size = prototype.shape if shape is None else shape
        if value is None:
            return torch.empty(size, dtype=kind, device=self.tensor.device)
        return torch.full(size, value, dtype=kind, device=self.tensor.device)

    return of


def _where(self: TorchArray, condition: Any, a: Any, b: Any) -> Tensor:
    a, b = (x if isinstance(x, bool | int | float) else self.like(x) for x in (a, b))
    return torch.where(self.like(condition), a, b)


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "empty_like": _filled(None),
    "zeros_like": _filled(0),
    "ones_like": _filled(1),
    "where": _where,
    "concatenate": lambda self, parts, axis=0: torch.cat([self.like(x) for x in parts], axis),
    "broadcast_to": lambda self, x, shape: self.like(x).expand(shape),
    "mean": lambda self, x, **how: x.mean(**how).tensor,
    "sum": lambda self, x, **how: x.sum(**how).tensor,
}
