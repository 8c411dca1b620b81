"""How a network is quantized."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pyedge.errors import ConfigError

SMALL = 2048  # spikes: learning that never meets its capacity is worth as many bytes


@dataclass(frozen=True)
class QuantizeConfig:
    """How to quantize.

    learn       : which layers learn on the board: "all", "last", "none", or their indices.
    bits        : of hidden weights; readout_bits : of the readout's, None for the same.
    head_room   : largest weight of readouts and of layers that errors pass, as a share of the range.
    per_channel : one scale per output channel in hidden layers that no error passes.
    spare       : rows of the readout for classes to come; each starts as the mean of the others.
    carry       : a carry byte for every weight that learns.
    surrogate   : on the board; "nearest" to the one trained with.
    step        : learning rate of hidden layers, and readout_step of the readout: the expected move, in LSBs,
                  of a weight with an active input, in a window that was taken for another class.
    rates       : float learning rates by layer index, in place of steps.
    margin      : spike capacities, as a multiple of the most spikes that a calibration window had; where all
                  neurons firing at every step make SMALL spikes at most, room for those.
    calibration : windows that shifts and capacities are chosen from; evaluation : windows in the report.
    """

    learn: Literal["all", "last", "none"] | tuple[int, ...] = "all"
    bits: int = 8
    readout_bits: int | None = None
    head_room: float = 100 / 127
    per_channel: bool = True
    spare: int = 0
    carry: bool = False
    surrogate: Literal["nearest", "linear", "rectangular"] = "nearest"
    step: float = 0.03
    readout_step: float = 0.03
    rates: Mapping[int, float] | None = None
    margin: float = 1.5
    calibration: int = 64
    evaluation: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for bits in (self.bits, self.readout_bits):
            if bits not in (8, 10, None):
                raise ConfigError(f"weights have 8 or 10 bits, not {bits}")
        if not 0 < self.head_room <= 1:
            raise ConfigError(
                f"head_room is {self.head_room}; it is a share of the weights' range, in (0, 1]"
            )
        if not (self.step > 0 and self.readout_step > 0):
            raise ConfigError("steps are positive: the expected move of a weight, in its LSBs")
        if not all(rate > 0 for rate in (self.rates or {}).values()):
            raise ConfigError("rates are positive; learn names the layers that stay as they are")
        if self.spare < 0:
            raise ConfigError(f"spare is {self.spare}; it is a number of rows")
        if self.margin < 1 or self.calibration < 1 or self.evaluation < 1:
            raise ConfigError("margin, calibration and evaluation are at least 1")
        if self.surrogate not in ("nearest", "linear", "rectangular"):
            raise ConfigError(f"surrogate is {self.surrogate!r}; boards have 'linear' and 'rectangular'")
