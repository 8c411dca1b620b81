"""What an image holds, in words and for --json."""

import json
import textwrap
from dataclasses import asdict
from typing import Any

from pyedge.image.writer import write
from pyedge.plan import plan
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, Pooling, incoming, source


def describe(model: IntegerModel, input_rate: float = 0.05, hidden_rate: float = 0.1) -> dict[str, Any]:
    """What a model is and needs, for --json and `text`.

    input_rate, hidden_rate : spikes a line and step at which SOPs are stated; other inputs are dense.
    """
    memory = plan(model)
    layers = []
    for l, (layer, bytes_) in enumerate(zip(model.layers, memory.layers, strict=True)):
        seen = layer.fan_in * layer.positions
        if layer.value_pool or (l == 0 and model.input_kind == InputKind.FRAMES):
            events = seen * model.window
        elif l == 0:
            static = model.input_kind == InputKind.STATIC
            events = seen if static else round(input_rate * seen * model.window)
        else:
            events = round(hidden_rate * model.largest_inputs[l] * seen * model.window)
        layers.append(
            {
                "fan_in": layer.fan_in,
                "fan_out": layer.fan_out,
                "token": _token(layer),
                "neurons": layer.neurons,
                "outputs": list(layer.outputs),
                "source": source(model.layers, l),
                "spike_add": layer.add,
                "current_add": layer.current,
                "neuron": layer.neuron.name,
                "bits": layer.bits,
                "learns": layer.learns,
                "carry": layer.carry,
                "surrogate": layer.surrogate.name.lower(),
                "scale": layer.scale,
                "spike_capacity": layer.capacity,
                "weight_bytes": bytes_.weights,
                "ram_infer_bytes": bytes_.inference,
                "ram_learn_bytes": bytes_.learning,
                "learned_bytes": bytes_.learned,
                "sops": events * layer.fan_out,
            }
        )
    return {
        "name": model.name,
        "window": model.window,
        "input_kind": model.input_kind.name.lower(),
        "inputs": model.inputs,
        "classes": model.classes,
        "spare_rows": model.spare,
        "class_names": list(model.class_names),
        "loss": model.loss.name.lower(),
        "seed": model.seed,
        "image_bytes": len(write(model)),
        "ram_infer_bytes": memory.inference,
        "ram_learn_bytes": memory.learning,
        "learned_weights_bytes": memory.learned_weights,
        "tile_width": memory.tile_width,
        "sops_per_window": sum(layer["sops"] for layer in layers),
        "sops_at": {"input_rate": input_rate, "hidden_rate": hidden_rate},
        "layers": layers,
        "encoder": None if model.encoder is None else asdict(model.encoder),
        "metadata": None if model.metadata is None else dict(model.metadata),
    }


def _input_token(model: IntegerModel) -> str:
    shape = incoming(model.layers, 0)
    return "x".join(map(str, shape)) if model.layers[0].conv else str(shape.size)


def _token(layer: IntegerLayer) -> str:
    """A layer in the notation of pyedge.architectures, with +SOURCE for what it adds."""
    found = str(layer.fan_out)
    if layer.conv:
        found += f"C{layer.kernel}"
        found += f"p{layer.padding}" if layer.padding != layer.kernel // 2 else ""
        found += f"s{layer.stride}" if layer.stride > 1 else ""
    for k in (layer.add, layer.current):
        found += "" if k is None else f"+{k}"
    if layer.pooling != Pooling.NONE:
        found += f"-{'M' if layer.pooling == Pooling.MAX else 'A'}P{layer.pool_size}"
    return found


def text(model: IntegerModel, input_rate: float = 0.05, hidden_rate: float = 0.1) -> str:
    """`describe`, to read."""
    d = describe(model, input_rate, hidden_rate)
    shape = "-".join([_input_token(model), *(layer["token"] for layer in d["layers"])])
    lines = [
        f"{d['name'] or 'unnamed'}: {shape}, T = {d['window']}, "
        f"{d['input_kind']} in, {d['loss'].replace('_', ' ')} loss",
        f"classes    {d['classes']}"
        + (f" and {d['spare_rows']} spare rows" if d["spare_rows"] else "")
        + (f": {', '.join(d['class_names'])}" if d["class_names"] else ""),
        f"image      {d['image_bytes']:,} bytes",
        f"RAM        {d['ram_infer_bytes']:,} bytes to infer"
        + (
            f", {d['ram_learn_bytes']:,} to learn, {d['learned_weights_bytes']:,} of learned weights"
            if d["ram_learn_bytes"]
            else "; nothing learns"
        ),
        f"SOPs       {d['sops_per_window']:,} a window at {input_rate:.0%} of the input lines "
        f"and {hidden_rate:.0%} of the hidden neurons firing a step",
        "",
        "layer       shape  neuron  bits  learns  surrogate       weights      SOPs",
    ]
    for l, layer in enumerate(d["layers"]):
        learns = ("carry" if layer["carry"] else "yes") if layer["learns"] else "no"
        lines.append(
            f"{l:>5} {layer['fan_in']:>5} x {layer['fan_out']:<4} {layer['neuron']:<6} {layer['bits']:>5}  "
            f"{learns:<6}  {layer['surrogate']:<11} {layer['weight_bytes']:>9,} B {layer['sops']:>9,}"
        )
    if d["encoder"]:
        shown = ", ".join(
            f"{k} {v}" for k, v in d["encoder"].items() if k not in ("gains", "profile") and v is not None
        )
        lines += ["", *_wrapped("encoder", shown, 11)]
    tables = _tables(d["metadata"] or {}, "")
    width = max((len(name) for name, _ in tables), default=0) + 2
    lines += [""] if tables else []
    for name, values in tables:
        shown = ", ".join(
            f"{k} {v if isinstance(v, str) and v else json.dumps(v)}" for k, v in values.items()
        )
        lines += _wrapped(name, shown, width)
    return "\n".join(lines)


def _tables(value: dict[str, Any], name: str, depth: int = 3) -> list[tuple[str, dict[str, Any]]]:
    """Every table of nested JSON objects by its path, and its values; below the depth tables are values."""
    plain: dict[str, Any] = {}
    inner: list[tuple[str, dict[str, Any]]] = []
    for key, v in sorted(value.items()):
        many = v if isinstance(v, list) and v and all(isinstance(e, dict) for e in v) else None
        if depth and (isinstance(v, dict) or many):
            parts = enumerate(many) if many else ((None, v),)
            for n, part in parts:
                at = key if n is None else f"{key}[{n}]"
                inner += _tables(part, f"{name}.{at}" if name else at, depth - 1)
        else:
            plain[key] = v
    return ([(name or "metadata", plain)] if plain else []) + inner


def _wrapped(title: str, text: str, width: int) -> list[str]:
    """A title and its text, in lines of at most 110 columns."""
    return textwrap.wrap(text, 110, initial_indent=title.ljust(width), subsequent_indent=" " * width)
