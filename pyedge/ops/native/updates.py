"""Updates of parameters in the native backend."""

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.lazy import UNIT, pointer
from pyedge.ops.native.memory import roomy
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array

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
    clip: float,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """`AdamW.update` of gradients times clip, to the same bits. Gradients' memory is used for what is new."""
    from pyedge.optim import _decays

    o, step = optimizer, int(state["step"]) + 1
    lr, root = o.lr * factor, sqrt(1 - o.beta2**step)
    size, floor = lr * root / (1 - o.beta1**step), o.eps * root
    rates = clip, o.beta1, 1 - o.beta1, o.beta2, 1 - o.beta2
    new, moved, jobs, alive = dict(params), dict(state), [], []
    rooms = [-(-g.size // UNIT) * UNIT for g in grads.values()]
    new_p, new_v = (roomy(sum(rooms), np.float32, filled=True) for _ in range(2))
    to_p, to_v, at = pointer("float *", new_p), pointer("float *", new_v), 0
    for (name, g), room in zip(grads.items(), rooms, strict=True):
        p, m, v = params[name], state[f"m/{name}"], state[f"v/{name}"]
        shape, count = p.shape, p.size
        if not (p.flags.c_contiguous and m.flags.c_contiguous and v.flags.c_contiguous):
            p, m, v = (np.ascontiguousarray(x) for x in (p, m, v))
        if not (g.flags.c_contiguous and g.flags.writeable):
            g = np.array(g, order="C")
        old = [pointer("float *", x) for x in (p, g, m, v)]
        decay = 1 - lr * o.weight_decay if o.weight_decay and _decays(name) else 1.0
        # In the order of train_adamw.
        jobs.append((count, *old, to_p + at, old[1], to_v + at, *rates, decay, size, floor))
        alive.append((p, g, m, v))
        new[name] = new_p[at : at + count].reshape(shape)
        moved[f"m/{name}"] = g.reshape(shape)
        moved[f"v/{name}"] = new_v[at : at + count].reshape(shape)
        at += room
    with POOL as pool:
        lib.train_adamw_run(pool, ffi.new("train_adamw[]", jobs), len(jobs))
    moved["step"] = np.asarray(step, np.int64)
    return new, moved
