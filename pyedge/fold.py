"""Folding: batch norm and weight standardization disappear into weights and biases, as deployment needs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pyedge.errors import ConfigError
from pyedge.layers import BatchNorm, Conv, Dense, Dropout, Layer, Residual
from pyedge.layers.layer import local, numbered, prefixed
from pyedge.layers.norm import affine
from pyedge.layers.weights import effective_weight
from pyedge.model import Network
from pyedge.ops import Array


def fold(network: Network, params: Mapping[str, Array]) -> tuple[Network, dict[str, Array]]:
    """The same function in evaluation, of plain weights: no batch norm, weight standardization or dropout.

    W' = W scale and b' = b scale + shift of every output channel; names stay, as layers are numbered by kind.
    Raises ConfigError where a batch norm does not follow a layer with weights.
    """
    layers, folded = _fold(network.layers, params)
    return replace(network, layers=layers), folded


def _fold(layers: Sequence[Layer], params: Mapping[str, Array]) -> tuple[tuple[Layer, ...], dict[str, Array]]:
    kept: list[Layer] = []
    found: list[dict[str, Array]] = []
    for name, layer in zip(numbered(layers), layers, strict=True):
        own = local(params, name)
        if isinstance(layer, BatchNorm):
            if not kept or not isinstance(kept[-1], Dense | Conv):
                raise ConfigError(f"layer {name} follows no layer with weights; it cannot be folded")
            scale, shift = affine(own, layer.eps)
            weights = found[-1]
            kept[-1] = replace(kept[-1], bias=True)
            found[-1] = {
                "weight": weights["weight"] * scale,
                "bias": weights.get("bias", 0) * scale + shift,
            }
        elif isinstance(layer, Dense | Conv):
            kept.append(replace(layer, standardize=False))
            bias = {"bias": own["bias"]} if layer.bias else {}
            found.append({"weight": effective_weight(own), **bias})
        elif isinstance(layer, Residual):
            sides = {side: _fold(getattr(layer, side), local(own, side)) for side in ("branch", "shortcut")}
            kept.append(replace(layer, branch=sides["branch"][0], shortcut=sides["shortcut"][0]))
            found.append({k: v for side, (_, p) in sides.items() for k, v in prefixed(side, p).items()})
        elif not isinstance(layer, Dropout):
            kept.append(layer)
            found.append(own)
    named = zip(numbered(kept), found, strict=True)
    return tuple(kept), {key: value for name, own in named for key, value in prefixed(name, own).items()}
