"""Recipes: a TOML file says what is trained, on whom, and how; unknown keys and wrong values are named."""

import difflib
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pyedge.errors import RecipeError
from pyedge.rules.surrogate import DEFAULT_WIDTHS

T = TypeVar("T")

MOST = 10**9  # of any number


def key(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of a table: its default, what it means, and what is allowed.

    low, above, high : of a number: from `low`, or more than `above`, to `high` (MOST where it is absent).
    """
    allowed = {"low": low, "above": above, "high": high, "choices": choices}
    return field(default=default, metadata={"doc": doc, **allowed})


@dataclass(frozen=True)
class Data:
    """Whose recordings, and what is kept for the test."""

    set: str = key("myo_wrist_embedded", "data set; `pyedge data` lists them")
    wearer: str = key("", "the person who will wear the band; empty: the first of the set")
    old_sessions: tuple[int, ...] = key((1, 2), "sessions that were recorded before the new one", low=1)
    new_session: int = key(3, "session that nothing is trained on offline", low=1)
    repetitions: int = key(
        1,
        "labelled repetitions of each gesture of the new session that a board learns from; "
        "the rest of it is the test",
        low=0,
        high=255,
    )
    test: str = key("wearer", "who is tested", choices=("wearer", "all"))


@dataclass(frozen=True)
class Cut:
    """How trials are cut into windows."""

    trials: str = key(
        "live",
        "live: overlapping windows, as a worn band sees them; whole: one window a trial",
        choices=("live", "whole"),
    )
    stride: int = key(5, "live: time steps between the starts of two windows", low=1, high=65535)
    reaction: float = key(0.5, "seconds cut off a trial's start: the prompt comes before the muscle", low=0)
    short: str = key(
        "keep",
        "whole: what happens to trials that are too short: silence at the end, left out, or "
        "continued into the pause",
        choices=("keep", "drop", "extend"),
    )


@dataclass(frozen=True)
class Encoder:
    """From raw samples to the network's input; shift, centres and threshold come from the training data."""

    kind: str = key(
        "log_frames",
        "see docs/arithmetic.md, section 4",
        choices=("difference", "delta", "log_frames", "log_spikes", "direct"),
    )
    hop: int = key(5, "samples a time step", low=1, high=256)
    hops: int = key(1, "log kinds: hops that a moving mean looks back over", low=1, high=32)
    mode: str = key(
        "any",
        "difference: an event anywhere in the hop counts, or only its last sample's",
        choices=("any", "last"),
    )
    levels: int = key(0, "log_spikes: levels of the code, 2 to 16; else 0", low=0, high=16)
    threshold: int = key(
        0, "difference and delta: event threshold, in device units; 0: from event_rate", low=0, high=127
    )
    event_rate: float = key(
        0.05, "difference and delta: share of steps in which a line may fire", low=0, high=1
    )
    span: int = key(
        8, "rotation that the alignment's fit tries on either side, in quarter electrodes", low=0, high=64
    )
    penalty: int = key(14, "of the fit: 1/64 bit a window and electrode", low=0, high=255)
    gain_limit: int = key(32, "largest gain of the fit, in 1/32 octave", low=0, high=127)
    profile: bool = key(
        True, "keep the training data's mean level of each class and channel, to fit gains to"
    )


@dataclass(frozen=True)
class Net:
    """The network."""

    steps: int = key(10, "T, time steps of a window", low=1, high=1024)
    hidden: tuple[int, ...] = key((128,), "neurons of each hidden layer", low=1, high=65535)
    readout: str = key("linear", "linear readout, or spiking output neurons", choices=("linear", "spiking"))
    neuron: str = key("LIF", "leaky (Eq. 15-17) or not (Eq. 6-9)", choices=("LIF", "IF"))
    tau: float = key(0.5, "leak factor of LIF; boards have 0.5", above=0, high=1)
    theta0: float = key(1.0, "initial threshold", above=0)
    alpha: float | None = key(
        None, "decay of the threshold a step; absent: theta0 / T; 0: a fixed threshold", low=0
    )
    bias: bool = key(True, "neurons have a bias")
    gain: float = key(1.0, "factor on the initial weights", low=0)
    input_scale: float = key(1.0, "frames are divided by it: 32 is one octave of a log encoder", above=0)


@dataclass(frozen=True)
class Training:
    """The learning rule, the loss and the optimizer; stages may override rate, epochs and batch."""

    rule: str = key(
        "mpd_ed",
        "event-driven by potentials (masked surrogate) or by spike times (IF neurons); the unmasked baseline",
        choices=("mpd_ed", "std_ed", "stbp"),
    )
    surrogate: str = key(
        "linear",
        "shape of the surrogate gradient",
        choices=tuple(DEFAULT_WIDTHS),
    )
    width: float | None = key(None, "its width; absent: the shape's own", above=0)
    reset: str = key(
        "threshold",
        "the reset's part of the error: as it is, left out, or as boards compute it",
        choices=("on", "off", "threshold"),
    )
    loss: str = key(
        "score_cross_entropy",
        "see pyedge.losses",
        choices=("score_cross_entropy", "count_cross_entropy", "tet", "spike_count", "enhanced_spike_count"),
    )
    loss_scale: float = key(1.0, "cross-entropies: factor on the score or the counts", low=0)
    desired: float = key(10.0, "spike counts: wanted of the target class", low=0)
    undesired: float = key(1.0, "spike counts: wanted of the others", low=0)
    optimizer: str = key("adamw", "optimizer", choices=("adamw", "sgd"))
    lr: float = key(0.002, "learning rate at the schedule's top", above=0)
    momentum: float = key(0.0, "sgd: momentum", low=0, high=0.999)
    weight_decay: float = key(0.01, "decoupled weight decay", low=0)
    schedule: str = key("cosine", "learning rate over a stage", choices=("cosine", "constant"))
    warmup: int = key(0, "updates of linear warm-up", low=0)
    clip_norm: float = key(1.0, "limit on the gradients' global norm; 0: none", low=0)
    activity: float = key(0.0, "weight of the penalty on hidden firing rates above the target", low=0)
    activity_target: float = key(0.0, "firing rate that costs nothing", low=0, high=1)
    teacher: bool = key(False, "spiking readout: teacher spike for a silent target")
    dtype: str = key("float32", "precision", choices=("float32", "float64"))
    backend: str = key(
        "numpy",
        "what computes; auto: native where it was built, else numpy; torch: a GPU where there is one",
        choices=("auto", "numpy", "native", "torch"),
    )


@dataclass(frozen=True)
class Augment:
    """Random variations of each training window (log encoders only); all 0: none."""

    rotation: float = key(0.0, "standard deviation of the armband's turn, in electrodes", low=0)
    gain: float = key(0.0, "standard deviation of gains, in octaves", low=0)
    noise: float = key(0.0, "standard deviation of noise, in octaves", low=0)


@dataclass(frozen=True)
class Quantization:
    """Integers for the board."""

    learn: str = key("all", "layers that learn on the board", choices=("all", "last", "none"))
    bits: int = key(8, "bits of a weight: 8 or 10", low=8, high=10)
    carry: bool = key(False, "keep a carry byte for each weight that learns")
    surrogate: str = key("nearest", "surrogate on the board", choices=("nearest", "linear", "rectangular"))
    step: float = key(
        0.03, "hidden layers: expected move, in a weight's last bit, of an update by a wrong window", above=0
    )
    readout_step: float = key(0.03, "the same of the readout", above=0)
    spare: int = key(0, "rows of the readout for classes to come", low=0, high=254)


@dataclass(frozen=True)
class Stage:
    """One stage of training; each goes on from the one before."""

    name: str = key("train", "name in logs and files")
    people: str = key("all", "whose recordings", choices=("all", "others", "wearer"))
    sessions: tuple[int, ...] = key(
        (), "which sessions; empty: old_sessions, or for others all (not where all people are tested)", low=1
    )
    epochs: int = key(10, "passes over the windows", low=1)
    batch: int = key(64, "windows an update", low=1)
    lr: float | None = key(None, "learning rate; absent: the one of [training]", above=0)


@dataclass(frozen=True)
class Recipe:
    """A whole recipe."""

    name: str = key("model", "name of the model, at most 31 bytes")
    seed: int = key(0, "decides every random choice", low=0, high=2**32 - 1)
    data: Data = Data()
    cut: Cut = Cut()
    encoder: Encoder = Encoder()
    network: Net = Net()
    training: Training = Training()
    augment: Augment = Augment()
    quantize: Quantization = Quantization()
    stages: tuple[Stage, ...] = (Stage(),)

    def __post_init__(self) -> None:
        if len(self.name.encode()) > 31:
            raise RecipeError(f"name: {self.name!r} has more than 31 bytes")
        for at, name in (("name", self.name), *((f"stages.{s.name}.name", s.name) for s in self.stages)):
            if not name or set(name) & set('/\\:*?"<>|\0') or name.startswith("."):
                raise RecipeError(f"{at}: {name!r} does not make a file name")
        if not self.stages:
            raise RecipeError("stages: there is none; write at least one [[stages]] table")
        if self.data.new_session in self.data.old_sessions:
            raise RecipeError(f"data.new_session: {self.data.new_session} is among the old sessions")
        if self.quantize.bits not in (8, 10):
            raise RecipeError(f"quantize.bits: {self.quantize.bits}; 8 or 10")
        leak = next((s.name for s in self.stages if self._trains_on_test(s)), None)
        if leak is not None:
            raise RecipeError(
                f"stages: {leak!r} trains on session {self.data.new_session}, which is the test"
            )

    def _trains_on_test(self, stage: Stage) -> bool:
        """Whether a stage sees the new session of people who are tested."""
        sessions = stage.sessions or (self.data.old_sessions if stage.people != "others" else None)
        tested = self.data.test == "all" or stage.people != "others"
        return tested and (sessions is None or self.data.new_session in sessions)


def read(path: str | Path) -> Recipe:
    """The recipe in a TOML file. Raises RecipeError."""
    return parse(read_table(path), str(path))


def read_table(path: str | Path) -> dict[str, Any]:
    """A TOML file as it stands. Raises RecipeError."""
    file = Path(path)
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise RecipeError(
            f"{file} does not exist; examples/recipes/ in the sources has some to start from, and an empty "
            "file is one: every key has a default (docs/recipes.md)"
        ) from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{file} is not a recipe: byte {error.start} is not UTF-8 text") from error
    except OSError as error:
        raise RecipeError(
            f"{file} cannot be read: {error.strerror or error}; give a recipe's file"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{file} is not TOML: {error}") from error


def parse(table: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """The recipe in a table, as TOML or `plain` gives it. Raises RecipeError."""
    return build(Recipe, table, where)


def build(kind: type[T], table: Mapping[str, Any], where: str = "recipe") -> T:
    """A table as a dataclass whose fields are made with `key`. Raises RecipeError."""
    try:
        return _build(kind, table, "")
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None


def is_vision_recipe(table: Any) -> bool:
    """Whether a recipe's table, as a file or a model has it, is one for images or events (pyedge.vision)."""
    return isinstance(table, Mapping) and "samples" in table


def plain(recipe: Any) -> dict[str, Any]:
    """The recipe as JSON can hold it; `parse` (or `build`) reads it back."""
    return cast(dict[str, Any], _without_none(asdict(recipe)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, (list, tuple)) else value


def _build(kind: type[T], table: Any, path: str) -> T:
    if not isinstance(table, Mapping):
        raise RecipeError(f"{path and path + ': '}a table is needed, not {table!r}")
    known = {f.name: f for f in fields(cast(Any, kind))}
    hints = get_type_hints(kind)
    values = {}
    for name, value in table.items():
        at = f"{path}.{name}" if path else name
        if name not in known:
            raise RecipeError(f"{at}: unknown key{_nearest(name, list(known))}")
        values[name] = _value(hints[name], value, at, known[name])
    return kind(**values)


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"


def _value(hint: Any, value: Any, at: str, of: "Field[Any]") -> Any:
    if is_dataclass(hint):
        return _build(cast(type, hint), value, at)
    if get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise RecipeError(f"{at}: a list is needed, not {value!r}")
        inner = get_args(hint)[0]
        return tuple(_value(inner, v, f"{at}[{i}]", of) for i, v in enumerate(value))
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(t for t in get_args(hint) if t is not type(None))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not hint:
        raise RecipeError(f"{at}: {_TYPES[hint]} is needed, not {value!r}")
    if hint not in (int, float):
        choices = of.metadata.get("choices")
        if choices and value not in choices:
            raise RecipeError(f"{at}: {value!r}; choose from {', '.join(choices)}")
        return value
    low, above, high = (of.metadata.get(k) for k in ("low", "above", "high"))
    high = MOST if high is None else high
    # NaN compares with nothing.
    if not (value > above if above is not None else value >= low) or not value <= high:
        raise RecipeError(f"{at}: {value}; {_span(low, above, high)} is possible")
    return value


def _span(low: float | None, above: float | None, high: float | None) -> str:
    if above is not None:
        return f"above {above}" if high is None else f"above {above}, up to {high}"
    return f"{low} or more" if high is None else f"{low} .. {high}"


_TYPES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def markdown(kind: Any = Recipe) -> str:
    """The tables and keys of a recipe, as docs/recipes.md has them."""
    lines = []
    for table in fields(kind):
        if table.name == "stages":
            lines += _section("[[stages]]", Stage)
        elif is_dataclass(table.default):
            lines += _section(f"[{table.name}]", type(table.default))
    return "\n".join(_section("Top level", kind) + lines)


def _section(title: str, kind: Any) -> list[str]:
    lines = [f"### {title}", "", kind.__doc__, "", "| key | default | meaning |", "|---|---|---|"]
    for f in fields(kind):
        if not f.metadata:
            continue
        choices, low, above, high = (f.metadata[k] for k in ("choices", "low", "above", "high"))
        allowed = (
            f" (`{'`, `'.join(choices)}`)"
            if choices
            else f" ({_span(low, above, high)})"
            if (low, above, high) != (None, None, None)
            else ""
        )
        lines.append(f"| `{f.name}` | {_shown(f.default)} | {f.metadata['doc']}{allowed} |")
    return [*lines, ""]


def _shown(default: Any) -> str:
    if default is MISSING or default is None:
        return "absent"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return f"`[{', '.join(map(str, default))}]`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"
