#!/usr/bin/env python3
"""Instructions of the kernels on emulated boards: forward per SOP, update per synapse, whole learned samples.

tools/kernel_costs.py [BOARD]...; the network is 1024-512-10, T = 39, of random weights. Exact and repeatable.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyedge import image
from pyedge.boards import icount
from pyedge.quant import reference
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, Integers, NeuronKind, Surrogate

INPUTS, HIDDEN, CLASSES, WINDOW, RATE = 1024, 512, 10, 39, 0.05
FORWARD = ("add_rows", "edge_leak", "list_spikes", "list_words")  # ends of functions' names
THRESHOLD = ("fire",)
UPDATE = ("update", "update_rows", "_row", "edge_move_group", "edge_hash", "list_steps")
SHIFTS = (-6, 5, 6, 7, 8, 9)  # of the learning rate: from errors nearly all at their clamp to small ones


def network(threshold: float, rate_shift: int = 9, readout_learns: bool = True) -> IntegerModel:
    """Random weights; threshold in standard deviations of the current (1.55: a tenth of the neurons fire)."""
    rng = np.random.default_rng(0)
    theta = int(256 * 20 * np.sqrt(INPUTS * RATE) * threshold)
    hidden = IntegerLayer(
        NeuronKind.LIF,
        np.clip(np.rint(rng.normal(0, 20, (INPUTS, HIDDEN))), -128, 127),
        np.zeros(HIDDEN),
        np.full(HIDDEN, theta),
        np.full(HIDDEN, theta // WINDOW + 1),
        learns=True,
        surrogate=Surrogate.RECTANGULAR,
        gate_width=theta // 256,
        down_shift=6,
        rate_shift=rate_shift,
    )
    readout = IntegerLayer(
        NeuronKind.LINEAR,
        np.clip(np.rint(rng.normal(0, 30, (HIDDEN, CLASSES))), -128, 127),
        np.zeros(CLASSES),
        np.zeros(CLASSES),
        np.zeros(CLASSES),
        learns=readout_learns,
        rate_shift=rate_shift,
    )
    return IntegerModel(WINDOW, InputKind.SPIKES, (hidden, readout), score_mult=100, score_shift=16, seed=1)


def random_window(seed: int) -> Integers:
    return (np.random.default_rng(seed).random((WINDOW, INPUTS)) < RATE).astype(np.int64)


def exact_window(spikes: int) -> Integers:
    """The same number of spikes at every step."""
    rng, window = np.random.default_rng(spikes), np.zeros((WINDOW, INPUTS), np.int64)
    for step in window:
        step[rng.choice(INPUTS, spikes, replace=False)] = 1
    return window


def of(region: Any, ends: tuple[str, ...]) -> float:
    """Instructions of the functions whose names end so; a compiler may have added a suffix after a full stop."""
    functions = region["functions"].items()
    return sum(cost for function, cost in functions if function.partition(".")[0].endswith(ends))


def main(boards: Sequence[str]) -> None:
    for board in boards:
        print(f"{board}: lists, rows and leak, instructions per SOP; with everything but the threshold")
        for spikes in (5, 20, 60):
            silent = network(1000)
            cost: Any = icount.count(image.write(silent), [exact_window(spikes)], None, board)["infer"]
            sops = WINDOW * spikes * HIDDEN
            threshold = of(cost, THRESHOLD)
            whole = (cost["instructions"] - threshold) / sops
            print(f"  {spikes:3} spikes a step: {of(cost, FORWARD) / sops:.3f}   {whole:.3f}")
        windows = [random_window(seed) for seed in (1, 2)]
        synapses = np.mean([(window.sum(0) > 0).sum() for window in windows]) * HIDDEN
        print("  mean |S|, moved; update of W1 per synapse of rows with a spike; learned sample")
        for shift in SHIFTS:
            model = network(1.55, shift)
            before = reference.fresh(model)
            after = reference.learn(
                model, before, reference.run_window(model, before.weights, windows[0]), 0
            ).state
            moved = float(np.mean(before.weights[0] != after.weights[0]))
            size = moved * 32768 * INPUTS * HIDDEN / synapses
            first: Any = icount.count(image.write(network(1.55, shift, False)), windows, [0, 1], board)
            both: Any = icount.count(image.write(model), windows, [0, 1], board)
            update = of(first["learn"], UPDATE) / synapses
            sample = both["infer"]["instructions"] + both["learn"]["instructions"]
            print(f"  {size:4.0f}, {100 * moved:.2f} %: {update:.2f}   {sample / 1e6:.3f} M")


if __name__ == "__main__":
    main(sys.argv[1:] or ["mps2-an386", "mps2-an385", "armv6m"])
