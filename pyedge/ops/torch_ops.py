"""The torch backend: the reference's operations on tensors, for a GPU; torch differentiates nothing.

Arrays are `TorchArray`s, which layers, rules, losses and optimizers treat as NumPy's; parameters stay on the
device from the first update on. A neuron or rule of the user's own runs in NumPy, and says so once in the
log ("pyedge.ops.torch_ops").
"""

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import grad

from pyedge.errors import ConfigError
from pyedge.ops.numpy_ops import NumpyOps, Split, _for_inputs, _for_weights
from pyedge.ops.torch_array import TorchArray, dtype_of, first_argmax, tensor

if TYPE_CHECKING:
    from pyedge.neuron import Neuron, Spike
    from pyedge.ops import Geometry
    from pyedge.rules import Rule

NUMPY = NumpyOps()
log = logging.getLogger(__name__)


def _exact() -> AbstractContextManager[None]:
    """float32 as it is: without it, convolutions on a GPU may round inputs to 10 bits (TF32)."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


class TorchOps(NumpyOps):
    """device : as torch names it ("cpu", "cuda", "cuda:1"). Raises ConfigError where it is not there."""

    def __init__(self, device: str) -> None:
        try:
            self.device = torch.empty(0, device=device).device
        except (RuntimeError, AssertionError) as error:
            what = str(error).splitlines()[0]
            raise ConfigError(f"torch has no device {device!r} here ({what}); choose 'cpu'") from None
        self.name = f"torch:{device}"
        self._said: set[str] = set()

    def _t(self, x: Any) -> Tensor:
        return tensor(x, self.device)

    def _note(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            log.warning("the torch backend leaves %s to NumPy", what)

    def array(self, x: Any, dtype: Any = None) -> Any:
        found = self._t(x)
        return TorchArray(found if dtype is None else found.to(dtype_of(dtype)))

    def numpy(self, x: Any) -> Any:
        return np.asarray(x)

    def neuron(self, neuron: "Neuron", current: Any, window: int) -> "Spike":
        from pyedge.neuron import IF, LIF, Spike

        if type(neuron) in (LIF, IF):
            return self._window(neuron, self._t(current), window)
        self._note(f"neurons of kind {type(neuron).__name__}")
        return Spike(*(self.array(part) for part in neuron.run(np.asarray(current), window)))

    def _window(self, neuron: Any, current: Tensor, window: int) -> "Spike":
        """`pyedge.neuron.aft_window`."""
        from pyedge.neuron import Spike

        tau, table = neuron.params(window, TorchArray(current).dtype)
        theta = self._t(table)
        u = torch.zeros_like(current[0])
        age = torch.ones_like(u, dtype=torch.int64)
        steps = []
        for t in range(window):
            u = tau * u + current[t if len(current) > 1 else 0]
            least = theta[age]
            fired = u >= least
            steps.append((fired, u, least))
            u, age = u * ~fired, age * ~fired + 1
        return Spike(*(TorchArray(torch.stack(parts)) for parts in zip(*steps, strict=True)))  # type: ignore[arg-type]

    def rule(self, rule: "Rule", run: "Spike", neuron: "Neuron", spike_error: Any) -> Any:
        from pyedge.neuron import Spike
        from pyedge.rules import MPDED, STDED, Surrogate

        known = type(rule) is STDED or (type(rule) is MPDED and type(rule.surrogate) is Surrogate)
        if known:
            return rule(run, neuron, self.array(spike_error))
        self._note(f"the backward pass of {type(rule).__name__}")
        found = rule(Spike(*(np.asarray(part) for part in run)), neuron, np.asarray(spike_error))
        return Split(*map(self.array, found)) if isinstance(found, Split) else self.array(found)

    def bias_gradient(self, error: Any) -> Any:
        found = self._t(_for_weights(error))
        return TorchArray(found.sum(tuple(range(found.ndim - 1))))

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        w = self._t(weight)
        return TorchArray(F.linear(self._t(x).to(w.dtype), w.T, None if bias is None else self._t(bias)))

    def linear_weight_gradient(self, x: Any, error: Any) -> Any:
        e = self._t(_for_weights(error))
        flat = self._t(x).reshape(-1, x.shape[-1]).to(e.dtype)
        return TorchArray(flat.T @ e.reshape(-1, e.shape[-1]))

    def linear_input_error(self, error: Any, weight: Any, only: Any) -> Any:
        return TorchArray(self._t(_for_inputs(error)) @ self._t(weight).T)

    def conv(self, x: Any, weight: Any, bias: Any, g: "Geometry") -> Any:
        w = self._t(weight)
        images = self._images(x).to(w.dtype)
        with _exact():
            out = F.conv2d(images, _kernel(w), None if bias is None else self._t(bias), g.stride, g.padding)
        return self._back(out, x.shape[:2])

    def conv_weight_gradient(self, x: Any, error: Any, g: "Geometry") -> Any:
        e = self._images(_for_weights(error))
        images = self._images(x).to(e.dtype)
        size = (e.shape[1], images.shape[1], g.size, g.size)
        with _exact():
            found = grad.conv2d_weight(images, size, e, g.stride, g.padding)
        return TorchArray(found.permute(2, 3, 1, 0).contiguous())

    def conv_input_error(
        self, error: Any, weight: Any, shape: tuple[int, ...], g: "Geometry", only: Any
    ) -> Any:
        found = _for_inputs(error)
        e, (h, w, channels) = self._images(found), shape
        with _exact():
            below = grad.conv2d_input(
                (len(e), channels, h, w), _kernel(self._t(weight)), e, g.stride, g.padding
            )
        return self._back(below, found.shape[:2])

    def _images(self, x: Any) -> Tensor:
        """(T, batch, h, w, channels) as (T * batch, channels, h, w)."""
        found = self._t(x)
        return found.reshape(-1, *found.shape[2:]).permute(0, 3, 1, 2)

    def _back(self, images: Tensor, lead: tuple[int, ...]) -> TorchArray:
        found = images.permute(0, 2, 3, 1)
        return TorchArray(found.reshape(*lead, *found.shape[1:]).contiguous())

    def batch_norm(self, x: Any, gamma: Any, beta: Any, eps: float) -> Any:
        from pyedge.ops.numpy_ops import Normalized

        found = self._t(x)
        axes = tuple(range(found.ndim - 1))
        variance, mean = torch.var_mean(found, axes, correction=0)
        x_hat = (found - mean) / torch.sqrt(variance + eps)
        out = self._t(gamma) * x_hat + self._t(beta)
        return Normalized(*(TorchArray(part) for part in (out, x_hat, mean, variance)))  # type: ignore[arg-type]

    def max_pool(self, x: Any, size: int) -> Any:
        from pyedge.ops.numpy_ops import Pooled

        windows = _windows(self._t(x), size)
        winner = first_argmax(windows.to(torch.uint8) if windows.dtype == torch.bool else windows, -2)
        out = torch.take_along_dim(windows, winner.unsqueeze(-2), -2).squeeze(-2)
        return Pooled(TorchArray(out), TorchArray(winner))  # type: ignore[arg-type]

    def max_pool_error(self, pooled: Any, error: Any, shape: tuple[int, ...], size: int) -> Any:
        e, winner = self._t(error), self._t(pooled.winner)
        return self._unpooled(shape, size, e, lambda i: e * (winner == i))

    def mean_pool(self, x: Any, size: int, dtype: Any) -> Any:
        return TorchArray(_windows(self._t(x).to(dtype_of(dtype)), size).mean(-2))

    def mean_pool_error(self, error: Any, shape: tuple[int, ...], size: int) -> Any:
        share = self._t(error) * (1 / size**2)
        return self._unpooled(shape, size, share, lambda i: share)

    def adjusted_pool_error(self, x: Any, error: Any, size: int) -> Any:
        e = self._t(error)
        spikes = (self._t(x) != 0).to(e.dtype)
        share = e / _windows(spikes, size).sum(-2).clamp(min=1)
        return self._unpooled(spikes.shape[2:], size, e, lambda i: share * _strided(spikes, size, i))

    def _unpooled(self, shape: Any, size: int, error: Tensor, part: Any) -> TorchArray:
        below = torch.zeros((*error.shape[:2], *shape), dtype=error.dtype, device=error.device)
        for i in range(size * size):
            _strided(below, size, i).copy_(part(i))
        return TorchArray(below)

    def norm(self, arrays: Iterable[Any]) -> float:
        return float(sum((self._t(x).double() ** 2).sum() for x in arrays)) ** 0.5

    def finite(self, x: Any) -> bool:
        return bool(torch.isfinite(self._t(x)).all())

    def update(
        self, optimizer: Any, params: Any, grads: Any, state: Any, factor: float, limit: float | None
    ) -> Any:
        on_device = [{name: self.array(x) for name, x in group.items()} for group in (params, grads)]
        held = {name: x if name == "step" else self.array(x) for name, x in state.items()}
        return super().update(optimizer, on_device[0], on_device[1], held, factor, limit)


def _kernel(weight: Tensor) -> Tensor:
    """(h, w, in, out) as torch has it, (out, in, h, w)."""
    return weight.permute(3, 2, 0, 1)


def _strided(x: Tensor, size: int, i: int) -> Tensor:
    """A view of the i-th input of every pooling window."""
    h, w = x.shape[2] // size * size, x.shape[3] // size * size
    return x[:, :, i // size : h : size, i % size : w : size]


def _windows(x: Tensor, size: int) -> Tensor:
    return torch.stack([_strided(x, size, i) for i in range(size * size)], -2)
