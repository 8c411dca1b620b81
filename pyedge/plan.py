"""The memory plan of docs/image.md section 5: bytes a net needs, the same on every machine."""

from dataclasses import dataclass

from pyedge.quant.model import InputKind, IntegerModel, NeuronKind, Pooling, Surrogate, currents_taken, source

TILE_WIDTHS = (64, 32, 16, 8, 4)


@dataclass(frozen=True)
class LayerMemory:
    """What one layer adds, in bytes."""

    inference: int  # of the inference arena
    learning: int  # of the learning arena beyond inference: histories, surrogate, error sums
    weights: int  # canonical, in the image
    learned: int  # weights and carry that learning changes


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of a whole net."""

    inference: int  # arena for inference
    learning: int  # arena in learning mode, inference's among it; 0 where no layer learns
    learned_weights: int  # weights (and carry) that the caller keeps
    tile_width: int  # outputs in a tile of the update
    layers: tuple[LayerMemory, ...]


def round_up(value: int, multiple: int) -> int:
    """The least multiple that is not below value."""
    return -(-value // multiple) * multiple


def area(size: int) -> int:
    """Bytes that an area of `size` takes."""
    return round_up(size, 8)


def tile_width(window: int, scratch: int, kept: int) -> int:
    """Outputs in a tile: the widest, or 4, whose errors fit the scratch it lies over and a quarter of what
    learning keeps besides (2048 bytes at least)."""
    return next((tw for tw in TILE_WIDTHS if 2 * window * tw <= max(scratch + kept // 4, 2048)), 4)


def plan(model: IntegerModel) -> MemoryPlan:
    """The memory plan of an integer model."""
    window, lowest, last = model.window, model.lowest_learning, len(model.layers) - 1
    history = -(-window // 8)  # bytes of one neuron's spikes
    recalled = _recalled(model)
    taken = currents_taken(model.layers)
    layers, scratch, sums = [], 0, []
    for l, layer in enumerate(model.layers):
        m4 = round_up(layer.fan_out, 4)
        m = layer.positions * m4
        overlaid = 0 if layer.neuron == NeuronKind.CURRENTS else 4 * m  # membranes
        overlaid += 2 * m if layer.spiking else 0  # step of the last spike
        scratch += area(overlaid)
        inference = area(overlaid)
        if l < last and layer.spiking:
            bits = layer.add is None and layer.pooling != Pooling.SUM
            size = layer.outputs.size
            inference += area(4 * -(-size // 32) if bits else size)
        elif layer.spiking:
            inference += 4 * m4
        static = l == 0 and model.input_kind == InputKind.STATIC
        if static or l in taken:
            inference += 4 * m

        learning = 0
        if l == 0 and layer.learns:
            per_input = {InputKind.SPIKES: history, InputKind.FRAMES: window, InputKind.STATIC: 1}[
                model.input_kind
            ]
            learning += area(model.inputs * per_input)
        passes = model.passes(l) and layer.spiking
        if passes or l in recalled:
            learning += area(layer.neurons * history)
        if passes:
            rectangular = layer.surrogate == Surrogate.RECTANGULAR
            learning += area(layer.neurons * history if rectangular else layer.capacity)
            learning += area(4 * layer.capacity) if model.keeps_error_sums(l) else 0
            learning += area(4 * layer.capacity) if model.keeps_terms(l) else 0
            learning += area(4 * (window * layer.positions + 1)) if model.needs_capacity(l) else 0
        if l == last and lowest is not None:
            learning += 2 * m4 if layer.neuron == NeuronKind.LINEAR else 2 * window * m4
        if layer.conv and layer.learns:
            sums.append((layer.fan_in, m4))

        stored = layer.fan_in * m4
        weights = stored * (1 if layer.bits == 8 else 2)
        learned = (area(weights) + (area(stored) if layer.carry else 0)) if layer.learns else 0
        layers.append(LayerMemory(inference, learning, weights, learned))

    total = sum(m.inference for m in layers)
    cursors = 8 * window if lowest is not None and any(layer.capacity for layer in model.layers) else 0
    kept = sum(m.learning for m in layers) + cursors
    tw = tile_width(window, scratch, kept)
    learning = 0
    if lowest is not None:
        learning = total + kept + area(max(0, 2 * window * tw - scratch))
        learning += max((4 * fan_in * min(tw, m4) for fan_in, m4 in sums), default=0)
    return MemoryPlan(total, learning, sum(m.learned for m in layers), tw, tuple(layers))


def _recalled(model: IntegerModel) -> set[int]:
    """Layers whose spikes reach a layer that learns: as its source, or through spike adds of it."""
    found = set()
    for l, layer in enumerate(model.layers):
        k: int | None = source(model.layers, l) if layer.learns else None
        while k is not None and k >= 0:
            found.add(k)
            k = model.layers[k].add
    return found
