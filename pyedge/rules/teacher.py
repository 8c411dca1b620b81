"""The training-only teacher spike: a silent target neuron fires once, so that an error can enter it."""

import numpy as np

from pyedge.neuron import Spike
from pyedge.ops import Array


def force_silent_targets(run: Spike, labels: Array) -> Spike:
    """The output layer's window with one spike added for every sample whose target neuron was silent.

    The spike stands where u came nearest to theta (the first of equals), and counts as one that just reached
    it: u is taken as theta there. Nothing else in the window changes, later steps included.
    run : (T, batch, classes); labels : (batch,).
    Source: the supervisory spike of Zhu et al. (NeurIPS 2022), which takes the last rise of u instead; with a
    threshold that falls, "nearest" is well defined for every window.
    """
    batch = np.arange(run.u.shape[1])
    silent = batch[~run.fired[:, batch, labels].any(axis=0)]
    if len(silent) == 0:
        return run
    targets = labels[silent]
    step = (run.u - run.theta)[:, silent, targets].argmax(axis=0)
    fired, u = run.fired.copy(), run.u.copy()
    fired[step, silent, targets] = True
    u[step, silent, targets] = run.theta[step, silent, targets]
    return Spike(fired, u, run.theta)
