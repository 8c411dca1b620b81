#!/usr/bin/env python3
"""Instructions of the kernels on emulated boards, as a page: rows, updates, samples, dense layers.

tools/kernel_costs.py [BOARD]... > docs/results/kernel_costs.md; the network is 1024-512-10, T = 39, of random
weights. Exact and repeatable (5 min for every core).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyedge import image
from pyedge.boards import icount
from pyedge.boards.registry import board
from pyedge.quant import reference
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, Integers, NeuronKind, Surrogate

INPUTS, HIDDEN, CLASSES, WINDOW, RATE = 1024, 512, 10, 39, 0.05
MACS = INPUTS * HIDDEN + HIDDEN * CLASSES
BOARDS = ("mps2-an386", "mps2-an385", "armv6m", "riscv-virt", "mps3-an547")
FORWARD = ("add_rows", "edge_leak", "list_spikes", "list_words")  # ends of functions' names
THRESHOLD = ("fire", "fire_words", "restart")
UPDATE = ("update", "update_rows", "_row", "edge_move_group", "edge_hash", "list_steps", "prepare_tests")
SPIKES = (5, 20, 60)
SHIFTS = (9, 8, 7, 6, 5, -6)  # of the learning rate: from small errors to errors nearly all at their clamp
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Known:
    """Figures measured elsewhere, on the same emulator. None: not measured.

    forward : prototypes of these kernels, instructions per SOP at 5, 20 and 60 spikes a step.
    update  : theirs per synapse of rows with a spike.
    sample  : theirs for a learned sample, millions.
    dense   : CMSIS-NN's arm_fully_connected_s8 (99f736a6), 1024 to 512, instructions per multiplication.
    floats  : a training step of AIfES 2.2.0 (07a4382), millions.
    """

    title: str
    forward: tuple[float, float, float]
    update: float | None
    sample: float | None
    dense: float | None
    floats: float | None = None


KNOWN = {
    "cortex-m4": Known("M4", (1.42, 0.93, 0.82), 4.92, 3.37, 1.923, 60.50),
    "cortex-m3": Known("M3", (1.94, 1.24, 1.09), 5.00, 3.73, 3.380, 204.36),
    "cortex-m0": Known("M0", (2.83, 1.75, 1.51), 9.58, 6.58, None),
    "rv32imac": Known("rv32imac", (2.88, 1.76, 1.51), 10.15, 6.71, None),
    "cortex-m55": Known("M55", (0.76, 0.41, 0.34), 2.84, 1.92, 0.167),
}


def network(
    threshold: float, rate_shift: int = 9, readout_learns: bool = True, rate: float = RATE
) -> IntegerModel:
    """Random weights; threshold in standard deviations of the current (1.55: a tenth of the neurons fire)."""
    rng = np.random.default_rng(0)
    theta = int(256 * 20 * np.sqrt(INPUTS * rate) * threshold)
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


def random_window(seed: int, rate: float = RATE) -> Integers:
    return (np.random.default_rng(seed).random((WINDOW, INPUTS)) < rate).astype(np.int64)


def exact_window(spikes: int) -> Integers:
    """The same number of spikes at every step."""
    rng, window = np.random.default_rng(spikes), np.zeros((WINDOW, INPUTS), np.int64)
    for step in window:
        step[rng.choice(INPUTS, spikes, replace=False)] = 1
    return window


def of(region: Any, ends: tuple[str, ...]) -> float:
    """Instructions of functions whose names end so, but for what compilers add after a full stop."""
    functions = region["functions"].items()
    return sum(cost for function, cost in functions if function.partition(".")[0].endswith(ends))


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def head(*cells: str) -> None:
    print()
    row(*cells)
    print("|---" * len(cells) + "|")


def figures(values: Sequence[float], digits: int) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in values)


def known(name: str) -> Known:
    return KNOWN[board(name).core]


HEAD = """# Instructions of the kernels

`tools/kernel_costs.py`: 1024-512-10, T = 39; executed instructions, exact, of the firmware as it is built.
Instructions are not cycles.

Prototypes, CMSIS-NN and AIfES were measured on the same emulator before; this command does not repeat them.
The prototypes kept weights biased in RAM on M3, M0 and rv32, worth a quarter of an instruction per SOP,
and left out softmax, gates and resets. CMSIS-NN on M55 was built by clang 14 (by gcc 12 it takes 0.481 a
multiplication instead of 0.167). AIfES trains the same layers in floats, with ReLU, batches of one and plain
SGD (M4F; M3 without a floating-point unit): its step sees one vector, ours a window of T. M7 and M33 run
M4's kernels."""

ROWS = """
## Rows of weights into membranes, instructions per SOP

1024 to 512, 5 / 20 / 60 spikes a step: lists, rows, widening and leak; then all of a step but the
threshold."""

LEARNING = """
## Learning: input rate 5 %, hidden rate 10 %

Columns: the mean of abs(S) in 2^-15 of a weight's least bit (the share of weights that move). On the
right nearly all errors are at their clamp."""

DENSE = """
## An inferred sample beside dense int8 layers

Millions of instructions by input rate, T = 39, hidden rate about 10 %. Dense: CMSIS-NN's figure per
multiplication times 529,408, once and T times. Last: the input rate from which dense layers are cheaper."""


def forward(boards: Sequence[str]) -> None:
    print(ROWS)
    head("core", "measured", "with the rest of the step", "prototype")
    for name in boards:
        kernels, whole = [], []
        for spikes in SPIKES:
            cost: Any = icount.count(image.write(network(1000)), [exact_window(spikes)], None, name)["infer"]
            sops = WINDOW * spikes * HIDDEN
            kernels.append(of(cost, FORWARD) / sops)
            whole.append((cost["instructions"] - of(cost, THRESHOLD)) / sops)
        row(known(name).title, figures(kernels, 3), figures(whole, 3), figures(known(name).forward, 2))


def sizes(model: IntegerModel, window: Integers) -> tuple[float, float]:
    """Mean of abs(S) where an input spiked, and the share of W1 that moved."""
    before = reference.fresh(model)
    after = reference.learn(model, before, reference.run_window(model, before.weights, window), 0)
    (sums, *_), moved = after.sums, np.mean(before.weights[0] != after.state.weights[0])
    assert sums is not None
    return float(np.abs(sums[window.any(0)]).mean()), float(moved)


def learning(boards: Sequence[str]) -> None:
    print(LEARNING)
    windows = [random_window(seed) for seed in (1, 2)]
    synapses = np.mean([window.any(0).sum() for window in windows]) * HIDDEN
    updates: dict[str, list[float]] = {}
    samples: dict[str, list[float]] = {}
    titles = []
    for shift in SHIFTS:
        mean, moved = sizes(network(1.55, shift), windows[0])
        titles.append(f"{mean:.0f} ({100 * moved:.2f} %)")
    for name in boards:
        updates[name], samples[name] = [], []
        for shift in SHIFTS:
            alone: Any = icount.count(image.write(network(1.55, shift, False)), windows, [0, 1], name)
            both: Any = icount.count(image.write(network(1.55, shift)), windows, [0, 1], name)
            updates[name].append(of(alone["learn"], UPDATE) / synapses)
            samples[name].append((both["infer"]["instructions"] + both["learn"]["instructions"]) / 1e6)
    head("update of W1 per synapse of rows with a spike", *titles, "prototype")
    for name in boards:
        row(known(name).title, *(f"{cost:.2f}" for cost in updates[name]), known(name).update)
    head("learned sample, everything included, M", *titles, "prototype", "AIfES, a step")
    for name in boards:
        costs, floats = (f"{cost:.2f}" for cost in samples[name]), known(name).floats
        row(known(name).title, *costs, known(name).sample, "" if floats is None else f"{floats:.2f}")


def crossing(costs: Sequence[float], level: float) -> str:
    """The input rate at which the cost reaches a level."""
    if level >= costs[-1]:
        return "never"
    if level <= costs[0]:
        return f"below {RATES[0]:.0%}"
    return f"{float(np.interp(level, costs, RATES)):.1%}"


def inference(boards: Sequence[str]) -> None:
    print(DENSE)
    rates = [f"{rate:.0%}" for rate in RATES]
    head("core", *rates, "dense once", "dense T times", "once wins from", "T times wins from")
    for name in boards:
        costs = []
        for rate in RATES:
            model, window = network(1.55, rate=rate), random_window(1, rate)
            cost: Any = icount.count(image.write(model), [window], None, name)["infer"]
            costs.append(cost["instructions"])
        dense = known(name).dense
        once = [] if dense is None else [dense * MACS, dense * MACS * WINDOW]
        cells = [f"{cost / 1e6:.2f}" for cost in (*costs, *once)] + [crossing(costs, level) for level in once]
        row(known(name).title, *cells, *([""] * 4 if dense is None else []))


def main(boards: Sequence[str]) -> None:
    print(HEAD)
    forward(boards)
    learning(boards)
    inference(boards)


if __name__ == "__main__":
    main(sys.argv[1:] or BOARDS)
