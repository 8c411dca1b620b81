"""A small builder of ONNX graphs: nodes named by what they do, constants kept once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 9  # of that opset's time; every runtime that knows the one reads the other

Dims = Sequence[int | str]


def elem_type(dtype: Any) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def value_info(name: str, dtype: Any, dims: Dims) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, elem_type(dtype), list(dims))


class Graph:
    """Nodes and initializers as they are added. parent : of a body, whose constants it uses and fills."""

    def __init__(self, parent: "Graph | None" = None, prefix: str = "") -> None:
        self.nodes: list[NodeProto] = []
        self.parent = parent
        self.prefix = prefix
        self._initializers: dict[str, TensorProto] = {} if parent is None else parent._initializers
        self._constants: dict[Any, str] = {} if parent is None else parent._constants
        self._count = 0

    def tensor(self, name: str, value: NDArray[Any]) -> str:
        """An initializer of that name."""
        self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def constant(self, value: Any, dtype: Any) -> str:
        """An initializer by its value; the same value is kept once."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.tensor(f"constant{len(self._constants)}", array)
        return self._constants[key]

    def op(self, kind: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        """Adds a node of one output, called `to` or numbered, and returns the output's name."""
        self._count += 1
        name = to or f"{self.prefix}{kind.lower()}{self._count}"
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"{name}:{kind}", **given))
        return name

    def cast(self, x: str, dtype: Any, to: str | None = None) -> str:
        self._count += 1
        name = to or f"{self.prefix}cast{self._count}"
        self.nodes.append(helper.make_node("Cast", [x], [name], name=f"{name}:Cast", to=elem_type(dtype)))
        return name

    def reshape(self, x: str, dims: Sequence[int], to: str | None = None) -> str:
        """0 keeps a dimension, -1 takes what is left."""
        return self.op("Reshape", x, self.constant(list(dims), np.int64), to=to)

    @property
    def initializers(self) -> list[TensorProto]:
        return list(self._initializers.values())

    def proto(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> GraphProto:
        """The graph; a body's constants stay with its parent."""
        initializers = self.initializers if self.parent is None else []
        return helper.make_graph(self.nodes, name, list(inputs), list(outputs), initializers)
