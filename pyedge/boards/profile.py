"""What a model costs on a board, by layer and phase: instructions and SOPs exactly, time as an estimate.

Instructions come from icount (the board's own code under its emulator), split where the runtime turns to the
next layer; SOPs from the runtime's counters on the same windows; bytes from the memory plan.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pyedge import plots
from pyedge.boards import batch, icount
from pyedge.boards.build import batch_firmware, tool
from pyedge.boards.registry import board
from pyedge.errors import BatchError
from pyedge.image import read
from pyedge.plan import plan
from pyedge.quant.model import InputKind, IntegerModel, Integers

WHOLE = 1 << 30  # budget of a slice: the update in one

# The calls by which the runtime turns to a layer: caller and callee, one place each in the code.
FORWARD_LAYER = ("edge_net_step", "edge_walk_next")
LEARNED_LAYER = ("edge_net_learn_run", "edge_lesson_open")


@dataclass(frozen=True)
class Core:
    """Cycles of a core beyond one an instruction: for each load and store, and for branches at their share.

    bytes : of an instruction on average, for fetches from slow flash.
    """

    access: float
    branch: float
    bytes: float


# Loads and stores: 2 cycles, pipelined in part on M3 and M4; a branch refills the pipeline (2 to 3 cycles),
# for one instruction in ten. Arm's technical reference manuals; M55 and RISC-V cores differ by make.
CORES = {
    "cortex-m0": Core(1.0, 0.2, 2.0),
    "cortex-m3": Core(0.7, 0.2, 2.9),
    "cortex-m4": Core(0.6, 0.2, 2.9),
    "cortex-m7": Core(0.0, -0.3, 2.9),
    "cortex-m33": Core(0.4, 0.2, 2.9),
    "cortex-m55": Core(0.3, 0.1, 3.4),
    "rv32imac": Core(0.6, 0.2, 3.0),
}
UNCERTAINTY = 0.3  # of estimated time, either way


@dataclass(frozen=True)
class Phase:
    """One layer (None: around the layers) in one phase: means over the windows."""

    phase: str
    layer: int | None
    instructions: float
    loads: float
    stores: float
    sops: float
    cycles: float
    microseconds: float


@dataclass(frozen=True)
class Profile:
    """A model on a board.

    phases : "infer" and, if it learns, "learn".
    bytes  : of each layer: weights in flash, RAM of inference, further RAM of learning, learned weights.
    """

    board: str
    core: str
    windows: int
    clock_hz: int
    wait_states: int
    fetch_bytes: int
    phases: list[Phase]
    bytes: list[dict[str, int]] = field(default_factory=list)

    def total(self, phase: str) -> Phase:
        """The sum of a phase."""
        rows = [p for p in self.phases if p.phase == phase]
        sums = [
            sum(getattr(p, name) for p in rows)
            for name in ("instructions", "loads", "stores", "sops", "cycles", "microseconds")
        ]
        return Phase(phase, None, *sums)

    def json(self) -> dict[str, Any]:
        """Everything, with what is exact and what is estimated."""
        return {
            **asdict(self),
            "totals": {
                name: asdict(self.total(name)) for name in dict.fromkeys(p.phase for p in self.phases)
            },
            "exact": ["instructions", "loads", "stores", "sops", "bytes"],
            "estimated": {"fields": ["cycles", "microseconds"], "uncertainty": UNCERTAINTY, "method": METHOD},
        }


METHOD = (
    "cycles = instructions (1 + branch) + access (loads + stores) + wait states x instructions x bytes / "
    "fetch;\nbranch, access and bytes of the core are in pyedge/boards/profile.py; no cache"
)


def random_windows(model: IntegerModel, count: int, rate: float, seed: int = 0) -> list[Integers]:
    """Windows of random inputs, of which a share `rate` spikes, or has a value of 8 bits that is not zero."""
    rng = np.random.default_rng(seed)
    steps = () if model.input_kind == InputKind.STATIC else (model.window,)
    shape = (count, *steps, model.inputs)
    fires = rng.random(shape) < rate
    if model.input_kind == InputKind.SPIKES:
        return list(fires.astype(np.int64))
    return list(np.where(fires, rng.integers(-127, 128, shape), 0))


def profile(
    blob: bytes,
    name: str,
    windows: Sequence[Integers],
    labels: Sequence[int] | None = None,
    clock_hz: int | None = None,
    wait_states: int = 0,
    fetch_bytes: int = 16,
) -> Profile:
    """Run windows on an emulated board and say where the instructions went.

    windows     : encoded inputs, (T, inputs) each, or (inputs,) for static inputs.
    labels      : learn every window after it ran; None: only infer.
    clock_hz    : of the processor (the board's own if None).
    wait_states, fetch_bytes : of its flash, cycles for each fetch of so many bytes.
    Raises EdgeError for a bad image or a window that cannot be learned, and what icount.measure raises.
    """
    model = read(blob)
    icount.check_labels(windows, labels)
    operations = [batch.open_image(blob, labels is not None)]
    for k, inputs in enumerate(windows):
        operations.append(batch.window(model.input_kind, inputs))
        if labels is not None:
            operations.append(batch.learn(labels[k], WHOLE))
    results, regions = icount.measure(name, operations, _marks(name))
    for result in results:
        batch.require(result)
    spec = board(name)
    core, clock = CORES[spec.core], clock_hz or spec.clock_hz
    sops = _sops(blob, model, windows, labels)
    depth = len(model.layers)
    taught = [l for l in range(depth) if sops["learn"][l]] if labels is not None else []
    phases = []
    for phase, layers in (("infer", list(range(depth))), ("learn", taught[::-1])):
        visits = [region for region in regions if region.name == phase]
        for layer, c in _by_layer(visits, layers).items():
            n = len(visits)
            i, loads, stores = c.instructions / n, c.loads / n, c.stores / n
            waits = wait_states * i * core.bytes / fetch_bytes
            cycles = i * (1 + core.branch) + core.access * (loads + stores) + waits
            done = sops[phase][layer] / n if layer is not None else 0.0
            phases.append(Phase(phase, layer, i, loads, stores, done, cycles, cycles / clock * 1e6))
    bytes_ = [
        {"weights": b.weights, "ram_infer": b.inference, "ram_learn": b.learning, "learned": b.learned}
        for b in plan(model).layers
    ]
    return Profile(name, spec.core, len(windows), clock, wait_states, fetch_bytes, phases, bytes_)


def _marks(name: str) -> list[tuple[str, int]]:
    """Where the runtime turns to the next step and layer, in a board's test firmware."""
    elf, prefix = batch_firmware(name), board(name).prefix
    code = subprocess.run(
        [tool(prefix + "objdump"), "-d", "--no-show-raw-insn", str(elf)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    bodies = dict(re.findall(r"^[0-9a-f]+ <([\w.$]+)>:\n((?:.+\n)*)", code, re.MULTILINE))
    marks = []
    for caller, callee in (FORWARD_LAYER, LEARNED_LAYER):
        calls = re.findall(
            rf"^ *([0-9a-f]+):.*[ \t][0-9a-f]+ <{callee}>", bodies.get(caller, ""), re.MULTILINE
        )
        if len(calls) != 1:
            raise BatchError(
                f"{caller} calls {callee} at {len(calls)} places in the firmware of {name}, not one"
            )
        marks.append(("layer", int(calls[0], 16)))
    starts = {symbol: at for symbol, at, _ in icount.symbols_of(prefix, elf)}
    return [*marks, ("around", starts["edge_net_step"]), ("around", starts["edge_net_predict"])]


def _by_layer(visits: Sequence[icount.Region], layers: Sequence[int]) -> dict[int | None, icount.Counts]:
    """Sums over visits, in the order in which the runtime turns to layers. Raises BatchError for another."""
    sums: dict[int | None, list[int]] = {layer: [0, 0, 0] for layer in (*sorted(layers), None)}
    for visit in visits:
        last = len(layers) if visit.name == "infer" else len(layers) - 1  # a step's last call finds no layer
        at: int | None = None
        for name, c in visit.parts:
            if name != "layer":
                at = None
            else:
                at = 0 if at is None else at + 1
                if at > last:
                    raise BatchError(
                        f"{visit.name} turns to more layers than {len(layers)}; parts cannot be told apart"
                    )
            row = sums[None if at is None or at == len(layers) else layers[at]]
            row[0] += c.instructions
            row[1] += c.loads
            row[2] += c.stores
    return {layer: icount.Counts(*row) for layer, row in sums.items()} if visits else {}


def _sops(
    blob: bytes, model: IntegerModel, windows: Sequence[Integers], labels: Sequence[int] | None
) -> dict[str, list[int]]:
    """Synaptic operations of each layer: forward, and errors with updates."""
    from pyedge.runtime import Model, Net

    net = Net(Model(blob), "learn" if labels is not None else "infer")
    for k, inputs in enumerate(windows):
        net.run_window(inputs)
        if labels is not None:
            net.learn(labels[k])
    stats = net.stats()
    learned = [s.error_sops + s.update_sops for s in stats]
    return {"infer": [s.forward_sops for s in stats], "learn": learned}


def text(p: Profile) -> str:
    """A profile, to read."""
    from pyedge.cli.console import table

    rows = []
    for phase in dict.fromkeys(row.phase for row in p.phases):
        whole = p.total(phase)
        for r in [*(r for r in p.phases if r.phase == phase), whole]:
            layer = "all" if r is whole else "around" if r.layer is None else r.layer
            each = f"{r.instructions / r.sops:.2f}" if r.sops else "-"
            share = f"{100 * r.instructions / whole.instructions:.1f} %"
            rows.append((phase, layer, round(r.instructions), share, round(r.sops), each,
                         round(r.loads + r.stores), round(r.cycles), round(r.microseconds)))  # fmt: skip
    head = ("phase", "layer", "instructions", "share", "SOPs", "per SOP", "accesses", "~cycles", "~us")
    memory = table(
        ("layer", "weights", "RAM to infer", "more to learn", "learned weights"),
        [(l, b["weights"], b["ram_infer"], b["ram_learn"], b["learned"]) for l, b in enumerate(p.bytes)],
    )
    estimate = f"{p.clock_hz / 1e6:g} MHz, {p.wait_states} wait states a fetch of {p.fetch_bytes} bytes"
    return (
        f"{p.board} ({p.core}), a window, mean of {p.windows}\n\n{table(head, rows)}\n\n{memory}\n\n"
        f"Instructions, SOPs, accesses and bytes are exact. ~: estimated, good to {UNCERTAINTY:.0%}, at\n"
        f"{estimate}:\n{METHOD}."
    )


def plot(p: Profile, path: Path) -> None:
    """Bars of instructions, a row a phase. Raises ConfigError without matplotlib."""
    phases = list(dict.fromkeys(row.phase for row in p.phases))
    figure, axes = plots.figure_of(len(phases), 7, 1 + 0.45 * len(p.phases))
    for axis, phase in zip(axes, phases, strict=True):
        rows = [r for r in p.phases if r.phase == phase][::-1]
        names = ["around" if r.layer is None else f"layer {r.layer}" for r in rows]
        bars = axis.barh(names, [r.instructions for r in rows], color=plots.ACCENT)
        axis.bar_label(bars, [f"{r.instructions:,.0f}" for r in rows], padding=3)
        axis.set(title=f"{phase}: {p.total(phase).instructions:,.0f} instructions", xmargin=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    plots.save(figure, path)
