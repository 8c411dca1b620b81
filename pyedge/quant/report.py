"""What quantization cost: accuracy, firing rates and error sizes, float beside integer."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pyedge.errors import SilentLayerError
from pyedge.model import Network
from pyedge.ops import Array
from pyedge.quant import reference
from pyedge.quant.model import IntegerModel, Integers

RATE_SHIFT = 0.25  # a firing rate that moves by more than this share (and by .01) is worth a warning
SMALL_ERROR = 8.0  # errors below this lose much to rounding


class RateShiftWarning(UserWarning):
    """A layer fires much more or less in integers than in float."""


@dataclass(frozen=True)
class LayerReport:
    """One layer. Errors are those at spikes in windows taken for another class, in update units."""

    layer: int
    name: str
    bits: int
    scale: float  # float value of one weight LSB
    largest_weight: int
    rate_float: float | None  # spikes a neuron and step; None for a linear readout
    rate_integer: float | None
    spikes_most: int  # in one window
    capacity: int
    learns: bool
    learning_rate: float | None  # what the shifts amount to in float
    error_unit: float | None  # float value of one unit of error
    error_mean: float | None  # mean |e| that the surrogate lets pass
    error_lost: float | None  # share of nonzero errors that round to zero
    error_saturated: float | None  # share clamped on the way down or in the update
    expected_move: float | None  # mean |S| / 32768 where S is not 0, in LSBs


@dataclass(frozen=True)
class Report:
    windows: int
    accuracy_float: float
    accuracy_integer: float
    agreement: float  # share of windows in which both say the same
    layers: tuple[LayerReport, ...]
    notes: tuple[str, ...]

    def summary(self) -> dict[str, float]:
        """The figures that an image carries."""
        return {
            "windows": self.windows,
            "accuracy_float": round(self.accuracy_float, 4),
            "accuracy_integer": round(self.accuracy_integer, 4),
            "agreement": round(self.agreement, 4),
        }

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)

    def __str__(self) -> str:
        wide = max(9, *(len(r.name) for r in self.layers))
        lines = [
            f"accuracy on {self.windows} windows: float {self.accuracy_float:.3f}, integer "
            f"{self.accuracy_integer:.3f}, same answer {self.agreement:.3f}",
            "",
            f"{'layer':<{wide}} bits  largest  rate float/integer  spikes <="
            "  learning rate   |e|   lost  saturated   move",
        ]
        for r in self.layers:
            rates = "" if r.rate_float is None else f"{r.rate_float:.3f} / {r.rate_integer:.3f}"
            line = f"{r.name:<{wide}} {r.bits:>4} {r.largest_weight:>8}  {rates:>18} {r.capacity or '':>10}"
            if r.error_mean is not None:
                rate = "" if not r.learning_rate else f"{r.learning_rate:.2e}"
                move = "" if r.expected_move is None else f"{r.expected_move:.4f}"
                line += f"  {rate:>13} {r.error_mean:>5.0f} {r.error_lost:>6.1%} {r.error_saturated:>10.1%}"
                line += f" {move:>6}"
            lines.append(line.rstrip())
        return "\n".join(lines + ([""] if self.notes else []) + [f"note: {note}" for note in self.notes])


def report(
    network: Network,
    params: Mapping[str, Array],
    model: IntegerModel,
    x: Integers,
    windows: Integers,
    y: Integers,
    neurons: Sequence[str],
    units: Mapping[int, tuple[float, float]],
    notes: list[str],
) -> Report:
    """Run both on the same windows. Raises SilentLayerError; warns with RateShiftWarning.

    x, windows : the same samples, as the network takes them and, one after the other, as the model does.
    neurons : by layer, the name of the float neurons.
    units : by layer, the float value of one unit of error and the float learning rate.
    """
    weights = reference.fresh(model).weights
    records = [reference.run_window(model, weights, window) for window in windows]
    in_float = network.forward(params, x)
    said_float = in_float.outputs.mean(axis=0, dtype=np.float64).argmax(axis=1)
    said = np.array([reference.predict(model, r.scores)[0] for r in records])
    rates = network.firing_rates(in_float)
    # Errors as large as learning meets: every window taken for the next class.
    errors_of = [
        reference.backward(model, weights, r, int(label + 1) % model.classes)
        for r, label in zip(records, y, strict=True)
    ]
    layers = []
    for l, layer in enumerate(model.layers):
        name, rate_float, rate_integer = "readout" if l + 1 == len(model.layers) else "currents", None, None
        if layer.spiking:
            name, rate_float = neurons[l], rates[neurons[l]]
            rate_integer = float(np.mean([r.fired[l].mean() for r in records]))
            _check_rates(name, rate_float, rate_integer, notes)
        errors = _errors(model, records, errors_of, l) if model.passes(l) else (None,) * 4
        if errors[0] is not None and layer.learns and errors[0] < SMALL_ERROR:
            notes.append(f"{name}: errors of {errors[0]:.1f} update units are small; raise the learning rate")
        layers.append(
            LayerReport(
                layer=l,
                name=name,
                bits=layer.bits,
                scale=layer.scale,
                largest_weight=int(np.abs(layer.weights).max()),
                rate_float=rate_float,
                rate_integer=rate_integer,
                spikes_most=max(int(r.fired[l].sum()) for r in records),
                capacity=layer.capacity,
                learns=layer.learns,
                learning_rate=units[l][1] if layer.learns else None,
                error_unit=units[l][0] if l in units else None,
                error_mean=errors[0],
                error_lost=errors[1],
                error_saturated=errors[2],
                expected_move=errors[3],
            )
        )
    return Report(
        windows=len(y),
        accuracy_float=float(np.mean(said_float == y)),
        accuracy_integer=float(np.mean(said == y)),
        agreement=float(np.mean(said_float == said)),
        layers=tuple(layers),
        notes=tuple(notes),
    )


def _check_rates(name: str, rate_float: float, rate_integer: float, notes: list[str]) -> None:
    if rate_float > 0 and rate_integer == 0:
        raise SilentLayerError(
            f"{name} fires at {rate_float:.4f} in float and never in integers; use 10-bit weights, "
            "or train with weights that differ less in size"
        )
    if rate_float == 0:
        notes.append(f"{name} fires in float no more than in integers: never")
    elif abs(rate_integer - rate_float) > max(0.01, RATE_SHIFT * rate_float):
        text = f"{name} fires at {rate_integer:.3f} in integers and {rate_float:.3f} in float"
        notes.append(text)
        warnings.warn(text, RateShiftWarning, stacklevel=4)


def _count(condition: Integers) -> int:
    return int(np.count_nonzero(condition))


def _errors(
    model: IntegerModel,
    records: Sequence[reference.WindowRecord],
    errors_of: Sequence[tuple[reference.LayerErrors | None, ...]],
    l: int,
) -> tuple[float, float, float, float | None]:
    """Mean |e2|, shares lost and saturated, mean expected move of layer l."""
    layer = model.layers[l]
    sizes, moves = [], []
    lost = saturated = passed = 0
    for record, by_layer in zip(records, errors_of, strict=True):
        errors = by_layer[l]
        assert errors is not None
        e = errors.e[errors.e != 0]
        e2 = reference.update_unit(model, l, e, 0) if layer.learns else e
        limit = model.update_limit(l) if layer.learns else layer.error_limit
        d = errors.d[record.fired[l]] if layer.spiking else errors.d
        # What a shift moved to zero on the way down is lost as much as what the update rounds away.
        gone = 0 if errors.inter is None else _count((errors.inter[record.fired[l]] != 0) & (d == 0))
        lost += gone + _count(e2 == 0)
        saturated += _count(np.abs(e2) >= limit) + _count(np.abs(d) >= 32767)
        passed += gone + e.size
        sizes.append(np.abs(e2))
        if layer.learns:
            s = reference.weight_sums(model, l, record, reference.update_errors(model, l, record, errors, 0))
            moves.append(np.abs(s[s != 0]))
    every, moved = np.concatenate(sizes), np.concatenate(moves) if moves else None
    return (
        float(every.mean()) if every.size else 0.0,
        lost / passed if passed else 0.0,
        saturated / passed if passed else 0.0,
        None if moved is None else float(moved.mean() / 32768) if moved.size else 0.0,
    )
