"""Updates of parameters in the native backend."""

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from pyedge._train import ffi, lib
from pyedge.ops.native.lazy import pointer
from pyedge.ops.native.threads import POOL
from pyedge.ops.numpy_ops import Array

if TYPE_CHECKING:
    from pyedge.optim import AdamW


def square_sum(arrays: list[Array]) -> float:
    """The sum of all squares in double precision; not finite where a number is not."""
    arrays = [np.ascontiguousarray(x) for x in arrays]
    pointers = ffi.new("float *[]", [pointer("float *", x) for x in arrays])
    counts = ffi.new("int64_t[]", [x.size for x in arrays])
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
    new, moved, jobs = dict(params), dict(state), []
    for name, g in grads.items():
        p, m, v, g = (
            np.ascontiguousarray(x) for x in (params[name], state[f"m/{name}"], state[f"v/{name}"], g)
        )
        after = np.empty_like(p), g if g.flags.writeable else np.empty_like(p), np.empty_like(p)
        job = {
            "count": p.size,
            **{key: pointer("float *", x) for key, x in zip("pgmv", (p, g, m, v), strict=True)},
            **{f"new_{key}": pointer("float *", x) for key, x in zip("pmv", after, strict=True)},
            "scale": clip,
            "beta1": o.beta1,
            "rest1": 1 - o.beta1,
            "beta2": o.beta2,
            "rest2": 1 - o.beta2,
            "decay": 1 - lr * o.weight_decay if o.weight_decay and _decays(name) else 1.0,
            "size": lr * root / (1 - o.beta1**step),
            "floor": o.eps * root,
        }
        jobs.append(job)
        new[name], moved[f"m/{name}"], moved[f"v/{name}"] = after
    with POOL as pool:
        lib.train_adamw_run(pool, ffi.new("train_adamw[]", jobs), len(jobs))
    moved["step"] = np.asarray(step, np.int64)
    return new, moved
