"""Export: the step of a network as nodes, alone with its state or under a Scan over the window."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol
from zlib import compress

import numpy as np
import onnx
from onnx import helper

import pyedge
from pyedge import checkpoint, image
from pyedge.fold import fold
from pyedge.interop.onnx.floats import FloatStep
from pyedge.interop.onnx.graph import IR_VERSION, OPSET, Graph, value_info
from pyedge.interop.onnx.integers import IntegerStep
from pyedge.model import Network, misfits
from pyedge.ops import Array
from pyedge.quant.model import IntegerModel

BATCH = "batch"


class Tensor(NamedTuple):
    """A tensor's name, type and shape of one sample."""

    name: str
    dtype: Any
    shape: tuple[int, ...]
    start: float = 0.0  # of a state: its value as a window begins


class Step(Protocol):
    """One time step of a network, written into a graph."""

    window: int
    static: bool  # the input is the same at every step
    input: Tensor
    states: tuple[Tensor, ...]
    spikes: tuple[Tensor, ...]  # one a layer of neurons

    def constants(self, g: Graph) -> None:
        """Adds weights."""

    def prepare(self, g: Graph, x: str) -> str:
        """What of a static input is the same at every step; elsewhere x itself."""

    def write(self, g: Graph, x: str, states: Mapping[str, str], to: Mapping[str, str]) -> None:
        """Adds one step's nodes. x : what `prepare` gave. to : names for new states and spikes."""

    def scores(self, g: Graph, states: Mapping[str, str]) -> str:
        """Adds a name for the window's scores, (batch, classes), from the states after it."""

    classes: int
    score_type: Any


def export(
    model: IntegerModel | Network,
    params: Mapping[str, Array] | None = None,
    *,
    form: str = "window",
    spikes: bool = False,
    name: str = "",
) -> onnx.ModelProto:
    """The model in standard operators, checked.

    model  : an integer model, in int32 arithmetic to the last bit, or a float network with its `params`
             (batch norm and weight standardization folded in).
    form   : "window": inputs of `Input` (time first, the batch free) to `scores` (batch, classes) and `label`
             (batch,); "step": one step, its state as inputs and outputs (x, u1, ... -> u1_next, ...,
             scores so far).
    spikes : also give every layer's spikes, (T, batch, ...) or (batch, ...).
    Raises ConfigError where a layer or neuron has no standard form.
    """
    if form not in ("window", "step"):
        raise pyedge.errors.ConfigError(f"form is {form!r}; choose 'window' or 'step'")
    step: Any
    if isinstance(model, IntegerModel):
        step = IntegerStep(model)
        blank = tuple(replace(layer, weights=np.zeros_like(layer.weights)) for layer in model.layers)
        described = image.write(replace(model, layers=blank))
        packed = base64.b64encode(compress(described, 9)).decode()
        about = {"pyedge.kind": "integer", "pyedge.image": packed}
        name = name or model.name
    else:
        if params is None:
            raise pyedge.errors.ConfigError("a float network is exported with its parameters")
        if wrong := misfits(model.init(0), params):
            raise pyedge.errors.ConfigError(f"the parameters are not this network's: {'; '.join(wrong)}")
        network, folded = fold(model, params)
        step = FloatStep(network, folded)
        about = {"pyedge.kind": "float", "pyedge.network": json.dumps(checkpoint.describe(network))}
    g = Graph()
    step.constants(g)
    graph = _window(g, step, spikes) if form == "window" else _step(g, step, spikes)
    graph.name = name or "pyedge"
    made = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="pyedge",
        producer_version=pyedge.__version__,
        ir_version=IR_VERSION,
        doc_string=f"A spiking network, {step.window} steps a window; {form} form, {about['pyedge.kind']}.",
    )
    helper.set_model_props(made, {"pyedge.form": form, "pyedge.window": str(step.window)} | about)
    onnx.checker.check_model(made, full_check=True)
    return made


def _window(g: Graph, step: Step, spikes: bool) -> onnx.GraphProto:
    lead: tuple[Any, ...] = (BATCH,) if step.static else (step.window, BATCH)
    source = value_info("x", step.input.dtype, (*lead, *step.input.shape))
    size = g.op("Gather", g.op("Shape", "x"), g.constant([len(lead) - 1], np.int64), axis=0)
    starts = []
    for state in step.states:
        dims = g.op("Concat", size, g.constant(list(state.shape), np.int64), axis=0)
        starts.append(g.op("Expand", g.constant(state.start, state.dtype), dims))
    body = Graph(g, "step/")
    inside = {state.name: f"step/{state.name}" for state in step.states}
    to = {state.name: f"step/{state.name}_next" for state in step.states}
    to |= {s.name: f"step/{s.name}" for s in step.spikes}
    if step.static:
        at, turns = step.prepare(g, "x"), g.constant(np.zeros(step.window), np.int32)
        scanned = value_info("step/t", np.int32, ())
    else:
        at, turns = "step/x", "x"
        scanned = value_info(at, step.input.dtype, (BATCH, *step.input.shape))
        at = step.prepare(body, at)
    step.write(body, at, inside, to)
    shown = step.spikes if spikes else ()
    proto = body.proto(
        "step",
        [*(value_info(inside[s.name], s.dtype, (BATCH, *s.shape)) for s in step.states), scanned],
        [value_info(to[s.name], s.dtype, (BATCH, *s.shape)) for s in (*step.states, *shown)],
    )
    ends = {state.name: f"{state.name}_end" for state in step.states}
    outputs = [*ends.values(), *(s.name for s in shown)]
    g.nodes.append(
        helper.make_node("Scan", [*starts, turns], outputs, name="window:Scan", body=proto, num_scan_inputs=1)
    )
    found = step.scores(g, ends)
    g.op("Identity", found, to="scores")
    g.op("ArgMax", "scores", axis=1, keepdims=0, to="label")
    return g.proto(
        "",
        [source],
        [
            value_info("scores", step.score_type, (BATCH, step.classes)),
            value_info("label", np.int64, (BATCH,)),
            *(value_info(s.name, s.dtype, (step.window, BATCH, *s.shape)) for s in shown),
        ],
    )


def _step(g: Graph, step: Step, spikes: bool) -> onnx.GraphProto:
    to = {state.name: f"{state.name}_next" for state in step.states}
    to |= {s.name: s.name for s in step.spikes}
    at = step.prepare(g, "x")
    step.write(g, at, {state.name: state.name for state in step.states}, to)
    g.op("Identity", step.scores(g, to), to="scores")
    shown = step.spikes if spikes else ()
    return g.proto(
        "",
        [
            value_info("x", step.input.dtype, (BATCH, *step.input.shape)),
            *(value_info(s.name, s.dtype, (BATCH, *s.shape)) for s in step.states),
        ],
        [
            value_info("scores", step.score_type, (BATCH, step.classes)),
            *(value_info(to[s.name], s.dtype, (BATCH, *s.shape)) for s in (*step.states, *shown)),
        ],
    )
