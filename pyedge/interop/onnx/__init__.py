"""ONNX: models as graphs of standard operators, and back.

`export` writes a float network or an integer model as a whole window (a `Scan` over its steps) or as one step
with explicit state; `load` reads those back, and plain dense or convolutional networks of LIF-like cells.
Needs the package `onnx` (`pip install pyedge[onnx]`).
"""

from pyedge.interop.onnx.export import export
from pyedge.interop.onnx.foreign import OnnxError
from pyedge.interop.onnx.load import Imported, load

__all__ = ["Imported", "OnnxError", "export", "load"]
