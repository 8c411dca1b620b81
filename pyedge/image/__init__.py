"""The model image of docs/image.md: an integer model to bytes and back, and what an image holds in words."""

from pyedge.image.layout import (
    CHECKED_FROM,
    ENCODER,
    ENCODER_SIZE,
    GRAPH,
    HEADER,
    HEADER_SIZE,
    LAYER,
    LAYER_SIZES,
    MAGIC,
    VERSION,
)
from pyedge.image.reader import read
from pyedge.image.words import describe, text
from pyedge.image.writer import canonical, write

__all__ = [
    "CHECKED_FROM",
    "ENCODER",
    "ENCODER_SIZE",
    "GRAPH",
    "HEADER",
    "HEADER_SIZE",
    "LAYER",
    "LAYER_SIZES",
    "MAGIC",
    "VERSION",
    "canonical",
    "describe",
    "read",
    "text",
    "write",
]
