"""Variations of EMG windows: how another day, or another arm, would have recorded the same gesture."""

from dataclasses import dataclass

import numpy as np

from pyedge.errors import ConfigError
from pyedge.ops import Array


@dataclass(frozen=True)
class LogJitter:
    """Small random rotations of the armband, gains and noise on log frames, one draw a window.

    rotation : standard deviation in electrodes; neighbours are mixed linearly, circularly, as the board's
               alignment does.
    gain     : standard deviation in octaves, of each channel and once more of all channels together.
    noise    : standard deviation in octaves, of every value.
    unit     : row values an octave (32 where the encoder's shift is 3).
    Frames are (T, batch, 2 * channels): first the mean absolute values, then the waveform lengths.
    """

    channels: int = 8
    rotation: float = 0.25
    gain: float = 0.2
    noise: float = 0.05
    unit: float = 32.0

    def __post_init__(self) -> None:
        if min(self.rotation, self.gain, self.noise) < 0 or not self.unit > 0 or self.channels < 1:
            raise ConfigError(
                "jitter needs rotation, gain and noise of 0 or more, a positive unit and a channel"
            )

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        steps, batch, values = x.shape
        blocks = x.reshape(steps, batch, values // self.channels, self.channels).astype(np.float32)
        turn = rng.normal(0, self.rotation, batch)
        whole = np.floor(turn).astype(np.int64)
        part = (turn - whole).astype(np.float32)[None, :, None, None]
        near = (np.arange(self.channels) + whole[:, None]) % self.channels
        far = (near + 1) % self.channels

        def pick(electrode: Array) -> Array:
            return np.take_along_axis(blocks, np.broadcast_to(electrode[None, :, None, :], blocks.shape), 3)

        turned = pick(near) * (1 - part) + pick(far) * part
        gains = rng.normal(0, self.gain, (batch, self.channels)) + rng.normal(0, self.gain, (batch, 1))
        turned += (gains * self.unit).astype(np.float32)[None, :, None, :]
        turned += rng.standard_normal(turned.shape, np.float32) * np.float32(self.noise * self.unit)
        return turned.reshape(x.shape), y
