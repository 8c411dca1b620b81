"""The largest network of the EMG family that a board can hold: 16-H-5, T = 39, worked out by the planner.

Nothing is built: memory comes from docs/image.md section 5, what firmware takes for itself from the registry.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from pyedge.boards.registry import BoardSpec
from pyedge.encode import EncoderConfig
from pyedge.image import write
from pyedge.plan import plan, round_up
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind, Surrogate

WINDOW, CLASSES = 39, 5
ENCODER = EncoderConfig(
    kind="difference", channels=8, hop=10, mode="last", threshold=16
)  # recipes/fingers.toml
MOST = 65532  # neurons that an image can state

# The link's server keeps these beside the net (docs/link.md): a state's header, and counts of every layer.
STATE_HEADER, COUNTS = 24, 24


@dataclass(frozen=True)
class Capacity:
    """Hidden neurons H of the largest 16-H-5 that infers, and that learns all its weights; 0: none does."""

    infers: int
    learns: int


@dataclass(frozen=True)
class Needs:
    """Bytes of one network: its image, and the work memory in which the firmware runs it."""

    image: int
    work: int


def emg_model(hidden: int, learns: bool) -> IntegerModel:
    """16-H-5 as the fingers recipe trains it, without its weights."""
    none, nothing = np.zeros(hidden), np.zeros(CLASSES)
    layer = IntegerLayer(
        NeuronKind.LIF, np.zeros((ENCODER.inputs, hidden), np.int8), none, none + 256, none + 1,
        learns=learns, surrogate=Surrogate.RECTANGULAR if learns else Surrogate.NONE, gate_width=int(learns),
    )  # fmt: skip
    readout = IntegerLayer(
        NeuronKind.LINEAR, np.zeros((hidden, CLASSES), np.int8), nothing, nothing, nothing, learns=learns
    )
    return IntegerModel(
        WINDOW, InputKind.SPIKES, (layer, readout), score_mult=1, score_shift=20, encoder=ENCODER
    )


@cache
def needs(hidden: int, learns: bool, ring: int) -> Needs:
    """Bytes of 16-H-5 with a ring of so many samples."""
    model = emg_model(hidden, learns)
    memory = plan(model)
    state = round_up(STATE_HEADER + memory.learned_weights, 8) if learns else 0
    arena = memory.learning if learns else memory.inference
    return Needs(len(write(model)), state + arena + stream_bytes(model, ring) + COUNTS * len(model.layers))


def stream_bytes(model: IntegerModel, ring: int) -> int:
    """Ring and rows, as edge_stream_size says."""
    from pyedge._edge import lib
    from pyedge.runtime import Model

    return int(lib.edge_stream_size(Model(write(model)).c, ring))


def capacity(spec: BoardSpec) -> Capacity:
    """The largest networks of a board, H a multiple of four."""
    return Capacity(_largest(spec, learns=False), _largest(spec, learns=True))


def _fits(spec: BoardSpec, hidden: int, learns: bool) -> bool:
    need = needs(hidden, learns, spec.ring)
    return need.image <= spec.bank and need.work <= spec.ram - spec.own


def _largest(spec: BoardSpec, learns: bool) -> int:
    if _fits(spec, MOST, learns):
        return MOST
    low, high = 0, MOST // 4
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _fits(spec, 4 * middle, learns) else (low, middle)
    return 4 * low
