"""Moving pictures about: crops, flips, rolls, rotations and holes, of images and of frames alike.

Images are (batch, C, H, W), frames (T, batch, C, H, W). Every sample has its own draw; all its steps and
channels move together. Values are only moved or filled, never mixed, so counts stay counts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pyedge.errors import ConfigError, DataError
from pyedge.ops import Array

Augment = Callable[[Array, Array, np.random.Generator], tuple[Array, Array]]
Fill = float | tuple[float, ...]  # for uncovered pixels: one value, or one a channel (Images.black)


@dataclass(frozen=True)
class Chain:
    """Several variations, one after the other."""

    steps: tuple[Augment, ...]

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        for step in self.steps:
            x, y = step(x, y, rng)
        return x, y


@dataclass(frozen=True)
class RandomCrop:
    """Shifts by up to `padding` pixels each way: what padding and cropping to the old size comes to."""

    padding: int = 4
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        _at_least(self.padding, 0, "padding")

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        batch, _, height, width = _shape(x)
        shift = rng.integers(-self.padding, self.padding + 1, (2, batch, 1))
        return _picked(x, np.arange(height) + shift[0], np.arange(width) + shift[1], self.fill), y


@dataclass(frozen=True)
class RandomFlip:
    """Mirrors a share of the samples left to right."""

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"share is {self.share}; 0 to 1 is possible")

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        flipped = rng.random(_shape(x)[0]) < self.share
        return np.where(flipped[:, None, None, None], x[..., ::-1], x), y


@dataclass(frozen=True)
class Cutout:
    """Fills one square a sample; its centre may be anywhere, so that it may reach beyond the border."""

    size: int = 16
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        _at_least(self.size, 1, "size")

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        batch, channels, height, width = _shape(x)
        half = self.size // 2
        row = np.arange(height) - rng.integers(0, height, (batch, 1))
        column = np.arange(width) - rng.integers(0, width, (batch, 1))
        inside_row, inside_column = ((-half <= d) & (d < self.size - half) for d in (row, column))
        hole = inside_row[:, None, :, None] & inside_column[:, None, None, :]
        return np.where(hole, _filling(self.fill, channels, x.dtype), x), y


@dataclass(frozen=True)
class RandomRoll:
    """Shifts by up to `pixels` each way; what leaves on one side comes back on the other."""

    pixels: int = 5

    def __post_init__(self) -> None:
        _at_least(self.pixels, 0, "pixels")

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        batch, _, height, width = _shape(x)
        shift = rng.integers(-self.pixels, self.pixels + 1, (2, batch, 1))
        rows, columns = (np.arange(height) - shift[0]) % height, (np.arange(width) - shift[1]) % width
        return _picked(x, rows, columns, 0.0), y


@dataclass(frozen=True)
class RandomRotation:
    """Turns by up to `degrees` either way about the centre; each pixel takes the nearest one's value."""

    degrees: float = 30.0
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        _at_least(self.degrees, 0, "degrees")

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        return rotated(x, rng.uniform(-self.degrees, self.degrees, _shape(x)[0]), self.fill), y


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random rectangle stretched to the whole picture, each pixel taking the nearest one's value.

    scale : least and largest share of the area. ratio : least and largest width to height, log-uniform.
    Of ten draws the first that fits is taken; if none does, the whole picture.
    """

    scale: tuple[float, float] = (0.6, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1 or not 0 < self.ratio[0] <= self.ratio[1]:
            raise ConfigError(f"scale {self.scale}, ratio {self.ratio}: rising pairs above 0, scale up to 1")

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        batch, _, height, width = _shape(x)
        area = rng.uniform(*self.scale, (batch, 10)) * height * width
        ratio = np.exp(rng.uniform(np.log(self.ratio[0]), np.log(self.ratio[1]), (batch, 10)))
        tall, wide = (np.rint(np.sqrt(a)).astype(np.int64) for a in (area / ratio, area * ratio))
        fits = (tall > 0) & (tall <= height) & (wide > 0) & (wide <= width)
        each, first = np.arange(batch), fits.argmax(1)
        any_fits = fits.any(1)
        tall = np.where(any_fits, tall[each, first], height)[:, None]
        wide = np.where(any_fits, wide[each, first], width)[:, None]
        top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
        rows = top + np.arange(height) * tall // height
        columns = left + np.arange(width) * wide // width
        return _picked(x, rows, columns, 0.0), y


def rotated(x: Array, degrees: Array, fill: Fill = 0.0) -> Array:
    """Each sample turned counter-clockwise about its centre by its own angle, (batch,) degrees."""
    batch, channels, height, width = _shape(x)
    angle = np.deg2rad(degrees)[:, None, None]
    down = np.arange(height)[:, None] - (height - 1) / 2
    right = np.arange(width) - (width - 1) / 2
    rows = np.rint(np.sin(angle) * right + np.cos(angle) * down + (height - 1) / 2).astype(np.int64)
    columns = np.rint(np.cos(angle) * right - np.sin(angle) * down + (width - 1) / 2).astype(np.int64)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    filling = _filling(fill, channels, x.dtype)
    out = np.empty_like(x)
    for n in range(batch):
        sample = x[..., n, :, :, :]
        moved = sample[..., rows[n].clip(0, height - 1), columns[n].clip(0, width - 1)]
        out[..., n, :, :, :] = np.where(inside[n], moved, filling)
    return out


def _picked(x: Array, rows: Array, columns: Array, fill: Fill) -> Array:
    """Pixel (i, j) of sample n takes its pixel (rows[n, i], columns[n, j]); beyond the border, `fill`."""
    batch, channels, height, width = _shape(x)
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[
        :, None, None, :
    ]
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    out = np.empty_like(x)
    for n in range(batch):
        out[..., n, :, :, :] = x[..., n, :, :, :].take(rows[n], -2).take(columns[n], -1)
    return out if inside.all() else np.where(inside, out, _filling(fill, channels, x.dtype))


def _shape(x: Array) -> tuple[int, int, int, int]:
    if x.ndim not in (4, 5):
        raise DataError(f"inputs have shape {x.shape}; (batch, C, H, W) or (T, batch, C, H, W) is needed")
    batch, channels, height, width = x.shape[-4:]
    return batch, channels, height, width


def _filling(fill: Fill, channels: int, dtype: np.dtype[np.generic]) -> Array:
    values = np.asarray(fill, dtype)
    if values.ndim and len(values) != channels:
        raise ConfigError(f"fill has {len(values)} values for {channels} channels")
    return values.reshape(-1, 1, 1)


def _at_least(value: float, least: float, name: str) -> None:
    if not value >= least:
        raise ConfigError(f"{name} is {value}; it must be at least {least}")
