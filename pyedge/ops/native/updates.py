"""Updates of parameters in the native backend."""

from math import inf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.lazy import pointer
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array, Updated

if TYPE_CHECKING:
    from pyedge.optim import AdamW


def square_sum(arrays: list[Array]) -> float:
    """The sum of all squares in double precision; not finite where a number is not."""
    arrays = [x if x.flags.c_contiguous else np.ascontiguousarray(x) for x in arrays]
    pointers = [pointer("float *", x) for x in arrays]
    counts = [x.size for x in arrays]
    with POOL as pool:
        return float(lib.train_square_sum(pool, pointers, counts, len(arrays)))


def adamw(
    optimizer: "AdamW",
    params: dict[str, Array],
    grads: dict[str, Array],
    state: dict[str, Array],
    factor: float,
    limit: float | None,
) -> Updated:
    """`Ops.update` by AdamW, to the bits of `AdamW.update`.

    The moments stay where they are; new parameters take the gradients' memory.
    """
    from pyedge.optim import decays

    o, step = optimizer, int(state["step"]) + 1
    lr, root = o.lr * factor, sqrt(1 - o.beta2**step)
    size, floor = lr * root / (1 - o.beta1**step), o.eps * root
    norm = 0.0 if limit is None else sqrt(square_sum(list(grads.values())))
    clip = limit / norm if limit is not None and limit < norm < inf else 1.0
    rates = clip, o.beta1, 1 - o.beta1, o.beta2, 1 - o.beta2
    new, moved, jobs, alive = dict(params), dict(state), [], []
    for name, g in grads.items():
        p = np.ascontiguousarray(params[name])
        g, m, v = (_own(x) for x in (g, state[f"m/{name}"], state[f"v/{name}"]))
        given = [pointer("float *", x) for x in (p, g, m, v)]
        decay = 1 - lr * o.weight_decay if o.weight_decay and decays(name) else 1.0
        # In the order of train_adamw.
        jobs.append((p.size, *given, *given[1:], *rates, decay, size, floor))
        alive.append(p)
        new[name], moved[f"m/{name}"], moved[f"v/{name}"] = g, m, v
    with POOL as pool:
        wrong = lib.train_adamw_run(pool, ffi.new("train_adamw[]", jobs), len(jobs))
    moved["step"] = np.asarray(step, np.int64)
    return Updated(new, moved, not wrong & lib.TRAIN_GRADIENT, not wrong & lib.TRAIN_WEIGHT)


def _own(x: Array) -> Array:
    """An array that kernels can write over."""
    return x if x.flags.c_contiguous and x.flags.writeable else np.array(x, order="C")
