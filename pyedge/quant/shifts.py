"""Shifts of errors, learning rates and spike capacities of an integer model, from windows that it runs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pyedge.ops import Array
from pyedge.quant import reference
from pyedge.quant.config import SMALL, QuantizeConfig
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, Integers, needs_capacity, source
from pyedge.quant.scales import note


class Units(NamedTuple):
    """What integers are worth in float before shifts are chosen; by layer, but for `error`."""

    scales: Sequence[Array]  # of a weight's least significant bit, in current: (fan_out,) or ()
    peaks: Sequence[float]  # g(0) of the float surrogate, which units of error absorb
    inputs: Sequence[float]  # of one unit of what comes in
    error: float  # dL/d(output) for one unit of the readout's e


class Seen(NamedTuple):
    """Windows that the model ran, each labelled with the next class: errors as large as learning meets."""

    windows: Integers  # (n, T, inputs); static: (n, inputs)
    records: Sequence[reference.WindowRecord]
    labels: Sequence[int]


def calibrate(
    model: IntegerModel,
    windows: Integers,
    y: Integers,
    config: QuantizeConfig,
    units: Units,
    notes: list[str],
) -> tuple[IntegerModel, dict[int, tuple[float, float]]]:
    """The model with shifts, rates and capacities; by layer, its unit of error and float learning rate."""
    lowest = model.lowest_learning
    if lowest is None:
        return model, {}
    weights = reference.fresh(model).weights
    records = [reference.run_window(model, weights, window) for window in windows]
    seen = Seen(windows, records, [int(label + 1) % model.classes for label in y])
    found: dict[int, tuple[float, float]] = {}
    before_gate: dict[int, float] = {}  # unit of d
    for l in range(len(model.layers) - 1, lowest - 1, -1):
        if not model.passes(l):
            continue
        unit = units.error
        if l + 1 < len(model.layers):
            model, unit = _ways_down(model, l, seen, units.scales, found, before_gate, notes)
        before_gate[l] = unit
        unit *= units.peaks[l]  # e is gated by a surrogate of height 1
        for m, above in enumerate(model.layers):
            if above.current == l and m in found:
                down = min(31, max(-15, round(math.log2(unit / found[m][0]))))
                model = _replaced(model, m, current_down=down)
        rate = 0.0
        if model.layers[l].learns:
            model, rate = _rate(model, l, seen, config, unit, units.inputs[l], notes)
        found[l] = unit, rate
    counts = {l: max(int(r.fired[l].sum()) for r in records) for l in range(len(model.layers))}
    if any(model.layers[l].spiking and not counts[l] for l in range(lowest, len(model.layers))):
        note(
            notes, "a layer that errors pass did not fire in the calibration windows; its shifts are guesses"
        )
    capacities = {l: math.ceil(config.margin * n / 8) * 8 for l, n in counts.items()}
    return replace(model, layers=with_capacities(model.layers, model.window, capacities)), found


def _ways_down(
    model: IntegerModel,
    l: int,
    seen: Seen,
    scales: Sequence[Array],
    units: Mapping[int, tuple[float, float]],
    before_gate: Mapping[int, float],
    notes: list[str],
) -> tuple[IntegerModel, float]:
    """The model with shifts for all ways down to layer l, and the unit of d there.

    A way's raw unit times 2^shift is the unit of l, exactly where scales are powers of two.
    """
    takers = [m for m in model.takers(l) if m in units]
    by_weights = [m for m in takers if source(model.layers, m) == l]
    if not by_weights:  # only added to spikes: the unit of the sum
        return model, before_gate[takers[0]]
    raw = {m: units[m][0] * float(scales[m]) for m in by_weights}
    first = by_weights[-1]
    inter = _arriving(model, seen, l, {m: raw[m] / raw[first] for m in by_weights})
    unit = raw[first] * 2.0 ** _down_shift(inter, model.layers[l].error_limit)
    unit = max([unit, *raw.values()])
    shifts = {m: min(62, max(0, round(math.log2(unit / raw[m])))) for m in by_weights}
    common = min(31, *shifts.values()) if len(shifts) > 1 else min(31, shifts[first])
    model = _replaced(model, l, down_shift=common)
    exact = [raw[m] * 2.0 ** shifts[m] for m in by_weights]
    for m, shift in shifts.items():
        model = _replaced(model, m, input_down=min(31, shift - common))
    for m in takers:
        if model.layers[m].add == l:
            shift = min(31, max(-15, round(math.log2(unit / before_gate[m]))))
            model = _replaced(model, m, add_down=shift)
            exact.append(before_gate[m] * 2.0**shift)
    if max(exact) > 1.05 * min(exact):
        apart = max(exact) / min(exact)
        note(notes, f"layer {l}: errors that meet there have units that differ by {apart:.2f}")
    return model, unit


def _rate(
    model: IntegerModel,
    l: int,
    seen: Seen,
    config: QuantizeConfig,
    unit: float,
    in_unit: float,
    notes: list[str],
) -> tuple[IntegerModel, float]:
    """The model with the rate shift of layer l, and the float learning rate that it amounts to."""
    layer, frames = model.layers[l], l == 0 and model.input_kind != InputKind.SPIKES
    input_shift = _input_shift(seen.windows) if frames else 0
    sizes = _sizes(_errors(model, seen, l))
    largest = float(np.quantile(sizes, 0.998)) if sizes.size else 0.0
    size = _mean_sum(_replaced(model, l, input_shift=input_shift), seen, l)
    last = l + 1 == len(model.layers)
    step = config.readout_step if last else config.step
    if layer.conv or model.largest_inputs[l] > 1:
        # Sums over positions and counts are large; the sum's shift takes what errors of 16 units cannot.
        wanted = math.log2(size * 2.0**input_shift / (step * 32768))
        room = math.log2(float(sizes.mean()) / 16) if sizes.size else 0.0
        more = min(15, max(input_shift, math.ceil(wanted - max(room, -15.0))))
        size, input_shift = size * 2.0 ** (input_shift - more), more
    model = _replaced(model, l, input_shift=input_shift)
    # S = 32768 lr / LSB * dL/dw, in which e counts `unit` and an input of 1 counts `in_unit`.
    per_rate = 32768 * unit / layer.scale * 2.0**input_shift * in_unit
    if config.rates is not None and l in config.rates:
        shift = -math.log2(config.rates[l] * per_rate)
    else:
        shift = math.log2(size / (step * 32768))
        least = math.ceil(math.log2(largest / model.update_limit(l))) if largest else -15
        if round(shift) < least:
            note(notes, f"layer {l}: its largest errors allow a smaller step than {step:g} only")
        shift = max(round(shift), least)
    rate_shift = min(31, max(-15, round(shift)))
    return _replaced(model, l, rate_shift=rate_shift), 2.0**-rate_shift / per_rate


def _backward(model: IntegerModel, seen: Seen) -> Iterator[tuple[reference.LayerErrors | None, ...]]:
    """The errors of every layer, window by window."""
    weights = reference.fresh(model).weights
    for record, label in zip(seen.records, seen.labels, strict=True):
        yield reference.backward(model, weights, record, label)


def _errors(model: IntegerModel, seen: Seen, l: int) -> list[reference.LayerErrors]:
    """Those of layer l."""
    return [found for errors in _backward(model, seen) if (found := errors[l]) is not None]


def _arriving(model: IntegerModel, seen: Seen, l: int, ratios: Mapping[int, float]) -> Array:
    """What comes down to layer l at its spikes before shifts, in the unit of the way whose ratio is 1."""
    weights = reference.fresh(model).weights
    found = []
    for record, errors in zip(seen.records, _backward(model, seen), strict=True):
        total = np.zeros(record.outputs[l].shape)
        for m, ratio in ratios.items():
            above = errors[m]
            assert above is not None
            total += ratio * reference.sent_down(model, m, weights[m], above.eta)
        found.append(total[record.outputs[l] > 0])
    return np.concatenate(found)


def _mean_sum(model: IntegerModel, seen: Seen, l: int) -> float:
    """Mean |S| of weights with one, at rate shift 0 and before any clamp."""
    pairs = zip(seen.records, _errors(model, seen, l), strict=True)
    sums = np.stack([np.abs(_raw_sums(model, l, r, e)) for r, e in pairs])
    return float(sums[sums > 0].mean()) if sums.any() else 1.0


def _sizes(errors: Sequence[reference.LayerErrors]) -> Integers:
    """|e| where it is not 0: the largest carry most of S."""
    return np.concatenate([np.abs(e.e[e.e != 0]) for e in errors])


def _down_shift(inter: Integers, limit: int) -> int:
    """The least shift that leaves all but a thousandth of the errors within half of their range."""
    if inter.size == 0:
        return 8
    high = float(np.quantile(np.abs(inter), 0.999))
    return min(31, max(0, math.ceil(math.log2(max(high, 1.0) / (limit / 2)))))


def _input_shift(windows: Integers) -> int:
    """About the size of an input, so that S grows with events as it does for spikes."""
    size = float(np.mean([np.abs(w).mean() for w in windows]))
    return min(15, max(0, round(math.log2(max(size, 1.0)))))


def _raw_sums(
    model: IntegerModel, l: int, record: reference.WindowRecord, errors: reference.LayerErrors
) -> Array:
    """S at rate shift 0, unclamped, (fan_in, fan_out), float."""
    total = reference.raw_sums(model, l, record, errors.eta)
    return total / 2.0 ** model.layers[l].input_shift


def _replaced(model: IntegerModel, l: int, **changes: Any) -> IntegerModel:
    layers = list(model.layers)
    layers[l] = replace(layers[l], **changes)
    return replace(model, layers=tuple(layers))


def with_capacities(
    layers: Sequence[IntegerLayer], window: int, capacities: Mapping[int, int]
) -> tuple[IntegerLayer, ...]:
    """Capacities where layers need one; all that can fire where none is given."""
    found = []
    for l, layer in enumerate(layers):
        most = layer.neurons * window
        enough = most if most <= SMALL else max(1, capacities.get(l, most))
        capacity = min(most, enough) if needs_capacity(layers, l) else 0
        found.append(replace(layer, capacity=capacity))
    return tuple(found)
