"""Import: our own exports exactly, and what of other people's graphs is a network of LIF-like cells."""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from pyedge import checkpoint, image
from pyedge.errors import CheckpointError, ImageError
from pyedge.interop.onnx.foreign import OnnxError, recognize
from pyedge.model import CLASSES, Network, Params, misfits
from pyedge.quant.model import IntegerModel

DAMAGED = (KeyError, ValueError, TypeError, CheckpointError, ImageError, zlib.error)  # what a bad text causes


@dataclass(frozen=True)
class Imported:
    """What a file held: an integer model, or a float network with its parameters.

    notes : what was understood in a way worth knowing ("u > theta is read as u >= theta").
    """

    model: IntegerModel | None = None
    network: Network | None = None
    params: Params | None = None
    notes: tuple[str, ...] = ()


def load(
    source: str | PathLike[str] | bytes | onnx.ModelProto,
    window: int | None = None,
    classes: Mapping[str, type] | None = None,
) -> Imported:
    """A model from an ONNX file, its bytes, or the model itself.

    window  : T of a foreign graph, which is one step and does not say it.
    classes : a user's own layers and neurons by name, as for `load_model`.
    Raises OnnxError: not a whole ONNX file, or operators that are not understood, which it lists.
    """
    proto = _read(source)
    about = {entry.key: entry.value for entry in proto.metadata_props}
    try:
        weights = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    except (onnx.checker.ValidationError, ValueError, TypeError, OSError) as error:
        raise OnnxError(f"a tensor cannot be read ({error}); export or copy it again") from error
    kind = about.get("pyedge.kind")
    if kind is None:
        return Imported(None, *recognize(proto, weights, window))
    try:
        if kind == "integer":
            return Imported(_integers(about["pyedge.image"], weights))
        described = json.loads(about["pyedge.network"])
        network = checkpoint.rebuild(described, CLASSES | dict(classes or {}))
        fresh = network.init(0)
        if wrong := misfits(fresh, weights):
            raise OnnxError(f"pyedge wrote the file, but {'; '.join(wrong)}; export it again")
        return Imported(None, network, {name: weights[name] for name in fresh})
    except DAMAGED as error:
        raise OnnxError(
            f"pyedge wrote the file, but its description is damaged ({error}); export it again"
        ) from error


def _read(source: Any) -> onnx.ModelProto:
    if isinstance(source, onnx.ModelProto):
        return source
    name = "these bytes" if isinstance(source, bytes) else fspath(source)
    try:
        blob = source if isinstance(source, bytes) else Path(source).read_bytes()
        proto = onnx.load_model_from_string(blob)
        if not isinstance(source, bytes):  # weights may lie in files beside it
            onnx.load_external_data_for_model(proto, str(Path(source).parent))
        onnx.checker.check_model(proto)
    except OSError as error:
        raise OnnxError(f"{name}: {error.strerror}; name an ONNX file that can be read") from error
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise OnnxError(f"{name}: not a whole ONNX model ({first}); export or copy it again") from error
    return proto


def _integers(packed: str, weights: Mapping[str, np.ndarray[Any, Any]]) -> IntegerModel:
    """The image that lies in the file without its weights, with them."""
    model = image.read(zlib.decompress(base64.b64decode(packed, validate=True)))
    layers = tuple(
        replace(layer, weights=weights[f"layer{l}.weight"].reshape(layer.weights.shape))
        for l, layer in enumerate(model.layers)
    )
    return replace(model, layers=layers)
