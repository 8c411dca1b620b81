"""Networks by name ("MS-ResNet-18") and in the paper's notation ("32C5-P2-64C5-P2-1024", "34x34x2-200-10").

nCk      convolution of n channels and kernel k; nCkp0s2 with padding 0 and stride 2 (k // 2 and 1 else)
Pk       pooling k x k, of the kind in `Style`; APk mean and MPk max pooling
n        dense layer of n neurons
HxWxC    first token: the input's shape; the last token is then the readout, else the readout is added
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pyedge.errors import ConfigError
from pyedge.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Layer,
    MaxPool,
    MeanPool,
    Residual,
    Spiking,
)
from pyedge.layers.layer import shapes_through
from pyedge.model import Input, Network
from pyedge.neuron import LIF, Neuron


@dataclass(frozen=True)
class Style:
    """What a network's string leaves open.

    pool    : of Pk: "max" (MPD-ED), "adjusted" average (STD-ED) or plain "mean".
    norm    : of layers before neurons: "batch" norm, "weight" standardization, or "none".
    dropout : after each pooling and hidden dense layer (after the last pooling in MS-ResNet-18).
    readout : "linear", or "spiking" neurons.
    bias    : biases where there is no batch norm; the linear readout has one anyway.
    gain    : factor on the initial weights.
    learn_gain : weight standardization: whether the gains learn too.
    """

    neuron: Neuron = field(default_factory=LIF)
    pool: Literal["max", "adjusted", "mean"] = "max"
    norm: Literal["batch", "weight", "none"] = "batch"
    dropout: float = 0.0
    readout: Literal["linear", "spiking"] = "linear"
    bias: bool = True
    gain: float = 1.0
    learn_gain: bool = True

    def __post_init__(self) -> None:
        for name, choices in (
            ("pool", ("max", "adjusted", "mean")),
            ("norm", ("batch", "weight", "none")),
            ("readout", ("linear", "spiking")),
        ):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose from {', '.join(choices)}")

    def conv(
        self, channels: int, size: int, stride: int = 1, padding: int | None = None
    ) -> tuple[Layer, ...]:
        """A convolution and its norm."""
        layer = Conv(channels, size, stride, padding, **self._weights)
        return (layer, BatchNorm()) if self.norm == "batch" else (layer,)

    def dense(self, outputs: int) -> tuple[Layer, ...]:
        """A dense layer and its norm."""
        layer = Dense(outputs, **self._weights)
        return (layer, BatchNorm()) if self.norm == "batch" else (layer,)

    def pooling(self, size: int) -> Layer:
        return MaxPool(size) if self.pool == "max" else MeanPool(size, self.pool == "adjusted")

    def dropped(self) -> tuple[Layer, ...]:
        return (Dropout(self.dropout),) if self.dropout else ()

    def last(self, classes: int) -> tuple[Layer, ...]:
        """The readout."""
        if self.readout == "linear":
            return (Dense(classes, init_scheme="lecun_normal"),)
        return (*self.dense(classes), Spiking(self.neuron))

    @property
    def _weights(self) -> dict[str, Any]:
        return {
            "bias": self.bias and self.norm != "batch",
            "init_scheme": "he_normal",
            "gain": self.gain,
            "standardize": self.norm == "weight",
            "learn_gain": self.learn_gain,
        }


STRINGS = {
    "CIFARNet": "128C3-256C3-P2-512C3-P2-1024C3-512C3-1024-512",
    "VGG11*": "64C3-128C3-P2-256C3-256C3-P2-512C3-512C3-P2-512C3-512C3-P2",
    "VGG11": "128C3-128C3-P2-256C3-256C3-256C3-P2-512C3-512C3-512C3-P2-2048-2048",
    "VGG11(w/o.FC)": "128C3-128C3-P2-256C3-256C3-256C3-P2-512C3-512C3-512C3-P2",
}


def build(
    spec: str, input: Input | None, classes: int | None, window: int, style: Style | None = None
) -> Network:
    """The network of a name or a string.

    input   : may be None where the string begins with a shape (it is then frames); else the two must agree.
    classes : may be None where the string begins with a shape, and so ends in the readout.
    Raises ConfigError, which points at the token that cannot be.
    """
    style = style or Style()
    if spec in NAMES and (input is None or classes is None):
        raise ConfigError(f"{spec} needs an input and a number of classes")
    if spec in BLOCKS and input is not None and classes is not None:
        hidden = BLOCKS[spec](style, input)
        return Network(input, (*hidden, *style.last(classes)), window)
    return _from_string(STRINGS.get(spec, spec), input, classes, window, style)


_CONV = re.compile(r"(\d+)C(\d+)(?:p(\d+))?(?:s(\d+))?")
_POOL = re.compile(r"(A|M)?P(\d+)")
_SHAPE = re.compile(r"\d+(?:x\d+)+")


def _from_string(spec: str, input: Input | None, classes: int | None, window: int, style: Style) -> Network:
    tokens = spec.split("-")
    hidden = range(len(tokens))
    if _SHAPE.fullmatch(tokens[0]):
        shape = tuple(map(int, tokens[0].split("x")))
        if input is not None and input.inner != shape:
            raise _at(tokens, 0, f"the input's shape is {'x'.join(map(str, input.inner))}")
        if not re.fullmatch(r"\d+", tokens[-1]) or (classes is not None and int(tokens[-1]) != classes):
            wanted = "the number of classes" if classes is None else f"{classes}, the number of classes"
            raise _at(tokens, len(tokens) - 1, f"a string that begins with a shape ends in {wanted}")
        hidden, classes = range(1, len(tokens) - 1), int(tokens[-1])
        input = input or Input("frames", shape)
    if input is None or classes is None:
        raise _at(
            tokens, 0, "the string must begin with the input's shape, as 34x34x2, or both must be given"
        )
    layers: list[Layer] = []
    shape = input.inner
    for i in hidden:
        try:
            found = _layers(tokens[i], style)
            shape = shapes_through(found, shape)[-1]
        except ConfigError as error:
            raise _at(tokens, i, str(error)) from None
        layers += found
    return Network(input, (*layers, *style.last(classes)), window)


def _layers(token: str, style: Style) -> tuple[Layer, ...]:
    neurons = Spiking(style.neuron)
    if found := _CONV.fullmatch(token):
        channels, size, padding, stride = (int(n) if n else None for n in found.groups())
        return (*style.conv(channels or 0, size or 0, stride if stride is not None else 1, padding), neurons)
    if found := _POOL.fullmatch(token):
        size = int(found[2])
        pools: dict[str | None, Layer] = {"A": MeanPool(size), "M": MaxPool(size), None: style.pooling(size)}
        return (pools[found[1]], *style.dropped())
    if re.fullmatch(r"\d+", token):
        return (*style.dense(int(token)), neurons, *style.dropped())
    raise ConfigError("no layer: nCk (with pN, sN), Pk, APk, MPk and n are, and HxWxC in the first place")


def _at(tokens: list[str], index: int, reason: str) -> ConfigError:
    """The error, with the string and a line of ^ under the token."""
    before = sum(len(token) + 1 for token in tokens[:index])
    mark = " " * before + "^" * max(len(tokens[index]), 1)
    return ConfigError(
        f"network token {index + 1}, {tokens[index]!r}: {reason}\n  {'-'.join(tokens)}\n  {mark}"
    )


def _sew_resnet_14(style: Style, input: Input) -> tuple[Layer, ...]:
    """5x5 stem, three stages of two blocks; 1 + 12 + 1 weighted layers without the shortcuts'.

    Source: Fang et al., NeurIPS 2021; widths, strides and pooling as in Zhu et al., NeurIPS 2022.
    """
    neurons = Spiking(style.neuron)
    adjusted = style.pool == "adjusted"
    layers: list[Layer] = [*style.conv(128, 5), neurons]
    for channels in (128, 256, 512):
        for stride in (2, 1):
            branch = (*style.conv(channels, 3, stride), neurons, *style.conv(channels, 3), neurons)
            shortcut = (*style.conv(channels, 1, stride, 0), neurons) if stride == 2 else ()
            layers.append(Residual(branch, shortcut, adjusted))
    return (*layers, *_whole_image_mean(layers, input, adjusted), *style.dropped())


def _ms_resnet_18(style: Style, input: Input) -> tuple[Layer, ...]:
    """3x3 stem, four stages of two membrane-shortcut blocks. Source: Hu et al., arXiv 2112.08954.

    The second norm of a block starts at gamma 0, where the norm is batch norm.
    """
    neurons = Spiking(style.neuron)

    def silent(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        return tuple(BatchNorm(gamma=0.0) if isinstance(layer, BatchNorm) else layer for layer in layers)

    layers: list[Layer] = [*style.conv(64, 3)]
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            branch = (neurons, *style.conv(channels, 3, stride), neurons, *silent(style.conv(channels, 3)))
            shortcut = (MeanPool(2), *style.conv(channels, 1, 1, 0)) if stride == 2 else ()
            layers.append(Residual(branch, shortcut))
    layers.append(neurons)
    return (*layers, *_whole_image_mean(layers, input, style.pool == "adjusted"), *style.dropped())


def _whole_image_mean(layers: list[Layer], input: Input, adjusted: bool) -> tuple[Layer, ...]:
    return (MeanPool(shapes_through(layers, input.inner)[-1][0], adjusted),)


BLOCKS: dict[str, Callable[[Style, Input], tuple[Layer, ...]]] = {
    "SEW-ResNet-14": _sew_resnet_14,
    "MS-ResNet-18": _ms_resnet_18,
}

NAMES = (*STRINGS, *BLOCKS)
