"""Images kept as bytes, normalized when they are taken."""

from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..errors import ConfigError, ShapeError


class Images:
    """Images (N, C, H, W) of bytes that come as float32, (byte / 255 - mean) / std of each channel.

    Direct coding repeats these real values at every time step. `take`, indexing along N and numpy.asarray
    give arrays; `pixels` are the bytes.
    """

    def __init__(self, pixels: NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        if pixels.ndim != 4 or pixels.dtype != np.uint8:
            raise ShapeError(
                f"images are {pixels.dtype} of shape {pixels.shape}; bytes of (N, C, H, W) are needed"
            )
        if not len(mean) == len(std) == pixels.shape[1] or min(std) <= 0:
            raise ConfigError(
                f"mean {mean}, std {std}: one each for the {pixels.shape[1]} channels, std above 0"
            )
        self.pixels = pixels
        self.mean, self.std = mean, std
        self.shape = pixels.shape
        self.dtype = np.dtype(np.float32)
        levels = np.arange(256)[None] / 255
        self._table = ((levels - np.array(mean)[:, None]) / np.array(std)[:, None]).astype(np.float32)

    @property
    def ndim(self) -> int:
        return 4

    @property
    def nbytes(self) -> int:
        return self.pixels.nbytes

    @property
    def black(self) -> tuple[float, ...]:
        """What a byte of 0 becomes, by channel: the value to fill cropped borders with."""
        return tuple(map(float, self._table[:, 0]))

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, which: ArrayLike | range, axis: SupportsIndex = 0) -> NDArray[np.float32]:
        """These images, (n, C, H, W)."""
        if axis != 0:
            raise ShapeError(f"images are taken along axis 0, not along {axis}")
        return self._normalized(self.pixels[np.asarray(which, np.int64)])

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """x[part] with a slice, a mask or numbers of images."""
        if isinstance(index, tuple):
            raise ShapeError("images are indexed as x[images]; numpy.asarray(x) gives all of them")
        return self._normalized(self.pixels[np.atleast_1d(np.arange(len(self))[index])])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        images = self._normalized(self.pixels)
        return images if dtype is None else images.astype(dtype, copy=False)

    def _normalized(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        out = np.empty(pixels.shape, np.float32)
        for channel, table in enumerate(self._table):
            np.take(table, pixels[:, channel], out=out[:, channel], mode="clip")
        return out
