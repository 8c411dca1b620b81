"""From a recipe to numbers: whose windows train and test, the encoder, the network, its training."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from pyedge.augment import LogJitter
from pyedge.calibrate import calibrate, profile
from pyedge.checkpoint import differences, write_atomically
from pyedge.datasets import (
    EmgData,
    Recording,
    Windows,
    describe,
    in_samples,
    live_windows,
    load,
    select,
    session_and_k,
    whole_trials,
)
from pyedge.encode import Alignment, EncoderConfig, Rows, encode, window_rows
from pyedge.errors import CheckpointError, ConfigError, DataError, RecipeError, SplitError
from pyedge.files import read_bytes, trained_file
from pyedge.losses import TET, CountCrossEntropy, EnhancedSpikeCount, Loss, ScoreCrossEntropy, SpikeCount
from pyedge.model import Activity, Input, Network, Params, dense_network, load_model, save_model
from pyedge.neuron import IF, LIF
from pyedge.optim import SGD, AdamW, Constant, Cosine
from pyedge.quant.quantizer import QuantizeConfig, Quantized, quantize
from pyedge.recipe import Encoder, Recipe, Stage, parse, plain
from pyedge.rules import MPDED, STDED, Rule, Surrogate
from pyedge.trainer import Row, TrainConfig, fit, write_log

Labels = NDArray[np.int64]


class Side(NamedTuple):
    """Windows of one purpose: rows before alignment, and what they were cut from."""

    rows: Rows  # (n, rows, row_values)
    labels: Labels  # (n,)
    windows: Windows
    fresh: bool = False  # the encoder's stream began with each window; else with its recording


@dataclass(frozen=True)
class Task:
    """A recipe's data: the encoder, and windows by purpose."""

    recipe: Recipe
    wearer: str
    classes: tuple[str, ...]
    encoder: EncoderConfig
    data: EmgData

    def side(self, recordings: Sequence[Recording]) -> Side:
        """Windows of the trials of these recordings. Raises RecipeError where no trial is long enough."""
        windows = cut(self.recipe, recordings)
        if recordings and not len(windows.label):
            steps, hop = self.recipe.network.steps, self.recipe.encoder.hop
            longest = max((t.length for r in recordings for t in r.trials), default=0)
            raise RecipeError(
                f"network.steps, encoder.hop, cut.reaction: no trial holds a window of {steps} steps of "
                f"{hop} samples after {self.recipe.cut.reaction} s; the longest has {longest} samples"
            )
        whole = self.recipe.cut.trials == "whole"
        fresh = whole and self.encoder.kind in ("difference", "delta")
        try:
            rows = window_rows(self.encoder, windows, self.recipe.network.steps, fresh)
        except DataError as error:
            raise RecipeError(f"network.steps, encoder.hop, cut.reaction: {error}") from error
        return Side(rows, np.ascontiguousarray(windows.label), windows, fresh)

    def stage(self, stage: Stage) -> Side:
        """The windows that a stage trains on."""
        return self.side(stage_recordings(self.recipe, self.wearer, self.data, stage))

    def old(self) -> Side:
        """The tested people's windows of the old sessions."""
        wanted = self.recipe.data.old_sessions
        return self.side(select(self._tested(), lambda r, _: r.session in wanted))

    def new(self, repetitions: int | None = None) -> tuple[Side, Side]:
        """(to adapt with, to test): the first repetitions of the new session, and its unseen remainder.

        repetitions : in place of the recipe's. Raises RecipeError where the sessions do not have them.
        """
        d = self.recipe.data
        k = d.repetitions if repetitions is None else repetitions
        try:
            _, new, test = session_and_k(self._tested(), d.old_sessions, d.new_session, k)
        except SplitError as error:
            raise RecipeError(f"data.old_sessions, new_session, repetitions: {error}") from error
        return self.side(new), self.side(test)

    def new_recordings(self) -> tuple[Recording, ...]:
        """The tested people's recordings of the new session, whole."""
        return tuple(r for r in self._tested() if r.session == self.recipe.data.new_session)

    def _tested(self) -> tuple[Recording, ...]:
        return self.data.recordings if self.recipe.data.test == "all" else self.data.of(self.wearer)


def cut(recipe: Recipe, recordings: Sequence[Recording]) -> Windows:
    """Windows as the recipe cuts them."""
    c, e, steps = recipe.cut, recipe.encoder, recipe.network.steps
    if not recordings:
        return whole_trials(())
    skip = in_samples(c.reaction, recordings[0].rate_hz)
    if c.trials == "live":
        return live_windows(recordings, steps * e.hop, c.stride * e.hop, skip)
    length = steps * e.hop + (e.kind == "difference")
    return whole_trials(recordings, length, skip, cast(Literal["keep", "drop", "extend"], c.short))


def wearer_of(recipe: Recipe) -> str:
    """The wearer: the recipe's, or the first person of the set. Raises DataError."""
    people = describe(recipe.data.set).subjects
    if recipe.data.wearer and recipe.data.wearer not in people:
        raise DataError(
            f"{recipe.data.set} has no person {recipe.data.wearer!r}; there are {', '.join(people)}"
        )
    return recipe.data.wearer or people[0]


def stage_recordings(recipe: Recipe, wearer: str, data: EmgData, stage: Stage) -> tuple[Recording, ...]:
    """What a stage trains on. Raises RecipeError where nothing is left."""
    sessions = stage.sessions or (() if stage.people == "others" else recipe.data.old_sessions)

    def wanted(r: Recording) -> bool:
        who = {"all": True, "others": r.subject != wearer, "wearer": r.subject == wearer}[stage.people]
        return who and (not sessions or r.session in sessions)

    found = select(data.recordings, lambda r, _: wanted(r))
    if not found:
        there = sorted({r.session for r in data.recordings})
        raise RecipeError(
            f"stages.sessions: {stage.name!r}: {recipe.data.set} has no recordings of {stage.people} "
            f"in sessions {list(sessions) or 'any'}; it has sessions {', '.join(map(str, there))}"
        )
    return found


def open_task(recipe: Recipe, encoder: EncoderConfig | None = None) -> Task:
    """Loads the data, and calibrates the encoder on the training recordings unless it is given.

    Raises DataError or ConfigError.
    """
    wearer = wearer_of(recipe)
    everyone = encoder is None or recipe.data.test == "all"
    data = load(recipe.data.set, None if everyone else [wearer])
    if encoder is None:
        recordings = [stage_recordings(recipe, wearer, data, stage) for stage in recipe.stages]
        encoder = encoder_of(recipe.encoder, recipe, data)
        if not recipe.encoder.threshold:
            encoder = calibrate(encoder, recordings[0], recipe.encoder.event_rate)
        task = Task(recipe, wearer, data.classes, encoder, data)
        if recipe.encoder.profile:
            last = task.side(recordings[-1])
            encoder = replace(encoder, profile=profile(encoder, last.rows, last.labels, len(data.classes)))
    return Task(recipe, wearer, data.classes, encoder, data)


def encoder_of(e: Encoder, recipe: Recipe, data: EmgData) -> EncoderConfig:
    """The encoder before calibration. Raises RecipeError where a key does not go with the kind."""
    events = e.kind in ("difference", "delta")
    try:
        return EncoderConfig(
            kind=cast(Any, e.kind),
            channels=data.recordings[0].emg.shape[1],
            hop=e.hop,
            hops=e.hops,
            mode=cast(Any, e.mode),
            levels=e.levels,
            threshold=(e.threshold or 1) if events else e.threshold,
            rate_hz=round(data.recordings[0].rate_hz),
            stride=recipe.cut.stride if recipe.cut.trials == "live" else recipe.network.steps,
            span=e.span,
            penalty=e.penalty,
            gain_limit=e.gain_limit,
        )
    except ConfigError as error:
        raise RecipeError(f"encoder: {error}") from error


def network_of(recipe: Recipe, encoder: EncoderConfig, classes: int) -> Network:
    """The recipe's network on this encoder. Raises ConfigError."""
    n = recipe.network
    if n.neuron == "IF" and n.tau != 0.5:
        raise RecipeError(f"network.tau: {n.tau}; an IF neuron has no leak, leave it out")
    if encoder.spikes and n.input_scale != 1:
        raise RecipeError(f"network.input_scale: is 1 for the spikes of {encoder.kind}, not {n.input_scale}")
    source = Input("spikes" if encoder.spikes else "frames", (encoder.inputs,), n.input_scale)
    neuron = IF(n.theta0, n.alpha) if n.neuron == "IF" else LIF(n.tau, n.theta0, n.alpha)
    return dense_network(source, n.hidden, classes, n.steps, cast(Any, n.readout), neuron, n.bias, n.gain)


def loss_named(name: str, t: Any, tet_lambda: float = 0.0) -> Loss:
    """A loss with the constants of a [training] table, of either kind of recipe."""
    losses: dict[str, Callable[[], Loss]] = {
        "score_cross_entropy": lambda: ScoreCrossEntropy(t.loss_scale),
        "count_cross_entropy": lambda: CountCrossEntropy(t.loss_scale),
        "tet": lambda: TET(tet_lambda),
        "spike_count": lambda: SpikeCount(t.desired, t.undesired),
        "enhanced_spike_count": lambda: EnhancedSpikeCount(t.desired, t.undesired),
    }
    return losses[name]()


def learning_of(t: Any, lr: float) -> dict[str, Any]:
    """Arguments of TrainConfig that the [training] tables of both kinds of recipe hold alike."""
    sgd = t.optimizer == "sgd"
    return {
        "optimizer": SGD(lr, t.momentum, t.weight_decay) if sgd else AdamW(lr, weight_decay=t.weight_decay),
        "schedule": Cosine(t.warmup) if t.schedule == "cosine" else Constant(t.warmup),
        "clip_norm": t.clip_norm or None,
        "activity": Activity(t.activity, t.activity_target),
        "teacher": t.teacher,
        "backend": t.backend,
    }


def rule_of(recipe: Recipe) -> Rule:
    """The recipe's learning rule. Raises RecipeError where it does not go with the neurons."""
    t = recipe.training
    if t.rule == "std_ed":
        if recipe.network.neuron != "IF":
            raise RecipeError('training.rule: std_ed learns from IF neurons; set network.neuron = "IF"')
        return STDED()
    return MPDED(Surrogate(t.surrogate, t.width), t.rule == "mpd_ed", "full", cast(Any, t.reset))


def config_of(recipe: Recipe, encoder: EncoderConfig, number: int) -> TrainConfig:
    """How stage `number` (from 0) trains; every stage draws its own random numbers."""
    t, stage, a = recipe.training, recipe.stages[number], recipe.augment
    lr = t.lr if stage.lr is None else stage.lr
    jitter = LogJitter(encoder.channels, a.rotation, a.gain, a.noise, 2.0 ** (8 - encoder.shift))
    varied = any((a.rotation, a.gain, a.noise))
    if varied and encoder.kind != "log_frames":
        raise RecipeError(
            f"augment.rotation, gain, noise: {a.rotation}, {a.gain}, {a.noise}; they are for log_frames, and "
            f"the encoder is {encoder.kind}"
        )
    return TrainConfig(
        epochs=stage.epochs,
        batch=stage.batch,
        seed=recipe.seed + 2**32 * number,
        loss=loss_named(t.loss, t),
        rule=rule_of(recipe),
        augment=jitter if varied else None,
        dtype=t.dtype,
        **learning_of(t, lr),
    )


def inputs_of(encoder: EncoderConfig, rows: Rows, alignment: Alignment | None = None) -> NDArray[np.generic]:
    """What the float network takes, (T, n, inputs), from rows before alignment, (n, rows, row_values)."""
    return np.ascontiguousarray(encode(encoder, rows, alignment).swapaxes(0, 1))


class Trained(NamedTuple):
    """A trained network, and what it was trained for."""

    network: Network
    params: Params
    encoder: EncoderConfig
    recipe: Recipe
    wearer: str
    classes: tuple[str, ...]


def train(
    recipe: Recipe,
    out: Path,
    resume: bool = False,
    on_epoch: Callable[[Stage, Row], None] | None = None,
    on_side: Callable[[Stage, Side], None] | None = None,
) -> Trained:
    """Trains every stage, with checkpoints and logs in the folder `out`, and writes out/model.npz.

    resume : go on from the checkpoints in `out`; the result is that of an uninterrupted run, bit for bit.
    Raises ConfigError where `out` holds a run and resume is false, and what loading and training raise.
    """
    check_folder(out, recipe, resume)
    task = open_task(recipe)
    network = network_of(recipe, task.encoder, len(task.classes))
    task.new()  # a test that cannot be is refused now, not after the training
    write_recipe(out, recipe)
    params: Params | None = None
    history: list[Row] = []
    for number, stage in enumerate(recipe.stages):
        side = task.stage(stage)
        if on_side is not None:
            on_side(stage, side)
        held = task.old() if stage.people == "others" else None  # the wearer is a stranger to this stage
        fitted = fit(
            network,
            config_of(recipe, task.encoder, number),
            (inputs_of(task.encoder, side.rows), side.labels),
            (inputs_of(task.encoder, held.rows), held.labels) if held is not None else None,
            params=params,
            path=out / f"{number + 1}-{stage.name}.npz",
            on_epoch=partial(on_epoch, stage) if on_epoch is not None else None,
        )
        params = fitted.params
        history += [{"stage": stage.name, **row} for row in fitted.history]
    assert params is not None  # a recipe has a stage
    trained = Trained(network, params, task.encoder, recipe, task.wearer, task.classes)
    _write_logs(out, history)
    save(out / "model.npz", trained)
    return trained


def check_folder(out: Path, recipe: Any, resume: bool) -> None:
    """Raises ConfigError where `out` holds a run that this one would destroy or cannot go on from.

    A run that ended before its first checkpoint (no data, a diverged loss) has left nothing to protect.
    """
    stated = out / "recipe.json"
    if not stated.exists() or not any(out.glob("*.npz")):
        return
    if not resume:
        raise ConfigError(
            f"{out} holds a run already; go on with --resume, or choose another folder with --out"
        )
    try:
        changed = differences(json.loads(read_bytes(stated)), plain(recipe))
    except ValueError as error:
        raise CheckpointError(f"{stated} is damaged ({error}); choose another folder with --out") from error
    if changed:
        raise ConfigError(
            f"{out} was begun with another recipe ({'; '.join(changed)}): change it back, or choose "
            "another folder with --out"
        )


def _write_logs(out: Path, history: list[Row]) -> None:
    held = any("validation_loss" in row for row in history)
    empty: Row = {"validation_loss": None, "validation_accuracy": None} if held else {}
    rows = [
        {**{k: row[k] for k in ("stage", "epoch", "loss", "accuracy")}, **empty, **row} for row in history
    ]
    write_log(out / "log.csv", rows)
    write_log(out / "log.json", rows)


def read_log(out: Path) -> list[Row]:
    """The history of a finished run: one row a stage and epoch."""
    return cast(list[Row], json.loads((out / "log.json").read_text()))


def write_recipe(out: Path, recipe: Any) -> None:
    """What check_folder compares a later run's recipe with. Raises StorageError."""
    text = json.dumps(plain(recipe), indent=1)
    write_atomically(out / "recipe.json", lambda file: file.write(text.encode()))


def save(path: Path, trained: Trained) -> None:
    """A trained network with its encoder and recipe. Raises StorageError."""
    save_model(
        path,
        trained.network,
        trained.params,
        encoder=asdict(trained.encoder),
        recipe=plain(trained.recipe),
        wearer=trained.wearer,
        classes=list(trained.classes),
    )


def open_trained(path: Path) -> Trained:
    """What `save` wrote; `path` is the file, or the run's folder. Raises CheckpointError or ConfigError."""
    file = trained_file(path)
    network, params, extra = load_model(file)
    if "samples" in extra.get("recipe", {}):
        raise ConfigError(f"{file} is a model of images or events; this takes models of EMG")
    missing = {"encoder", "recipe", "wearer", "classes"} - extra.keys()
    if missing:
        raise ConfigError(
            f"{file} holds a network alone, without {', '.join(sorted(missing))}: a checkpoint of a stage, "
            "or from elsewhere; give the model.npz that `pyedge train` wrote at its end"
        )
    return Trained(
        network,
        params,
        encoder_from(extra["encoder"]),
        parse(extra["recipe"], str(file)),
        extra["wearer"],
        tuple(extra["classes"]),
    )


def encoder_from(values: dict[str, Any]) -> EncoderConfig:
    """The encoder that asdict and JSON made plain."""
    profile_rows = tuple(tuple(row) for row in values.get("profile", ()))
    return EncoderConfig(**{**values, "gains": tuple(values.get("gains", ())), "profile": profile_rows})


def integers_of(
    trained: Trained, task: Task | None = None, changes: Mapping[str, Any] | None = None
) -> Quantized:
    """The integer model of a trained network, calibrated on the tested people's old sessions.

    changes : of the recipe's [quantize] table. Raises what `pyedge.quant.quantizer.quantize` raises.
    """
    stated = plain(trained.recipe)
    recipe = parse({**stated, "quantize": {**stated["quantize"], **(changes or {})}}, "quantize")
    q = recipe.quantize
    task = task or open_task(trained.recipe, trained.encoder)
    old = task.old()
    number = len(recipe.stages) - 1
    config = config_of(recipe, trained.encoder, number)
    return quantize(
        trained.network,
        trained.params,
        inputs_of(trained.encoder, old.rows),
        old.labels,
        config.loss,
        config.rule,
        QuantizeConfig(
            learn=cast(Any, q.learn),
            bits=q.bits,
            carry=q.carry,
            surrogate=cast(Any, q.surrogate),
            step=q.step,
            readout_step=q.readout_step,
            spare=q.spare,
            seed=recipe.seed,
        ),
        trained.encoder,
        trained.classes,
        recipe.name,
        {"recipe": plain(recipe), "wearer": trained.wearer},
    )
