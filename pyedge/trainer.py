"""Training: minibatches, validation, checkpoints with exact resume, logs."""

import csv
import io
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from pyedge import checkpoint
from pyedge.augment.mixup import Mixup
from pyedge.errors import CheckpointError, ConfigError, DataError, SilentLayerWarning, TrainingError
from pyedge.losses import Loss, ScoreCrossEntropy, scores
from pyedge.model import Activity, Input, Network, Params, Record
from pyedge.ops import NUMPY, Array, Ops, backend
from pyedge.optim import AdamW, Cosine, Optimizer, Schedule, State
from pyedge.rules import MPDED, Rule

Augment = Callable[[Array, Array, np.random.Generator], tuple[Array, Array]]
Row = dict[str, Any]

LOWER = "lower the learning rate, or clip gradients (clip_norm)"
INPUTS = "check the inputs for NaN and for their scale"


@dataclass(frozen=True)
class TrainConfig:
    """How to train. With the data, the network and the seed it decides every bit of the result.

    loss             : see `pyedge.losses`; one that suits the network's readout.
    rule             : see `pyedge.rules`.
    clip_norm        : limit on the global norm of the gradients, or None.
    activity         : penalty on the hidden layers' firing rates.
    teacher          : training-only teacher spike for silent targets (spiking readouts).
    learn            : names of the layers that learn; None is all.
    augment          : pure function (x, y, rng) -> (x, y) on every minibatch; a module's function or a frozen
                       dataclass, so that a checkpoint can tell it from another.
    mixup            : mixes samples and labels, after `augment`; for frames and static inputs, and for losses
                       that take shares of the classes.
    patience         : epochs without a better validation accuracy after which training stops; None never.
    keep             : "last" parameters, or the "best" on the validation data (the earliest of equals).
    checkpoint_every : epochs between checkpoints.
    backend          : see `pyedge.ops.backend`.
    """

    epochs: int = 30
    batch: int = 64
    seed: int = 0
    loss: Loss = field(default_factory=ScoreCrossEntropy)
    rule: Rule = field(default_factory=MPDED)
    optimizer: Optimizer = field(default_factory=AdamW)
    schedule: Schedule = field(default_factory=Cosine)
    clip_norm: float | None = 1.0
    activity: Activity = field(default_factory=Activity)
    teacher: bool = False
    learn: tuple[str, ...] | None = None
    augment: Augment | None = None
    mixup: Mixup | None = None
    patience: int | None = None
    keep: str = "last"
    checkpoint_every: int = 1
    dtype: str = "float32"
    backend: str = "numpy"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "checkpoint_every"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer):
                raise ConfigError(f"{name} is {value!r}; a whole number is needed")
            if value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1")
        if self.keep not in ("last", "best"):
            raise ConfigError(f"keep is {self.keep!r}; choose 'last' or 'best'")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ConfigError(f"clip_norm is {self.clip_norm}; it must be positive, or None")
        if self.dtype not in ("float32", "float64"):
            raise ConfigError(f"dtype is {self.dtype!r}; choose 'float32' or 'float64'")
        backend(self.backend)


@dataclass
class Run:
    """Where a training stands: all that the next epoch depends on, and the history so far."""

    params: Params
    state: State  # the optimizer's
    rng: np.random.Generator  # order of samples, augmentation
    epoch: int = 0  # epochs done
    history: list[Row] = field(default_factory=list)
    best: Params | None = None
    best_accuracy: float = -1.0
    best_epoch: int = 0
    stopped: bool = False  # early


@dataclass(frozen=True)
class Fitted:
    """What training gives. history: one row an epoch (loss, accuracy, firing rates, lr, seconds)."""

    params: Params
    history: list[Row]
    epoch: int  # that the parameters come from


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    accuracy: float
    loss: float
    scores: Array  # (samples, classes)
    firing_rates: dict[str, float]


@np.errstate(over="ignore", invalid="ignore")  # found and named at the end
def step(
    network: Network,
    config: TrainConfig,
    params: Params,
    state: State,
    x: Array,
    y: Array,
    factor: float = 1.0,
    rng: np.random.Generator | None = None,
) -> tuple[Params, State, float, Record]:
    """One update from one minibatch.

    y     : labels, or shares of the classes.
    state : the optimizer's, given away: the new one may lie in its memory.

    Returns the new parameters and state, the loss, and the record of before the update.
    Raises TrainingError, naming the layer, if the loss, a gradient or a new weight is not finite.
    """
    record = network.forward(params, x, True, rng, backend(config.backend))
    seen = network.with_teacher(record, y) if config.teacher else record
    value, error = record.ops.loss(config.loss, seen.outputs, y)
    if config.activity.weight:
        value += network.activity_penalty(record, config.activity)
    grads = network.backward(params, seen, error, config.rule, config.learn, config.activity)
    ops, done = record.ops, None
    if isfinite(value):
        done = ops.update(config.optimizer, params, grads, state, factor, config.clip_norm)
    if done is None or not done.gradients:
        raise TrainingError(_where_not_finite(network, params, record, grads, value))
    if not done.weights:
        name = next(name for name in grads if not ops.finite(done.params[name]))
        raise TrainingError(f"the new weights of layer {name.rpartition('.')[0]} are not finite: {LOWER}")
    return done.params | network.observed(done.params, record, config.learn), done.state, value, record


def _where_not_finite(network: Network, params: Params, record: Record, grads: Params, value: float) -> str:
    """The first layer, from the input, in which a number is not finite; forward before backward."""
    for name, layer_params in ((n.rpartition(".")[0], p) for n, p in params.items()):
        if not np.isfinite(layer_params).all():
            return f"the weights of layer {name} are not finite: {LOWER}"
    for name, run in network.runs(record).items():
        if not np.isfinite(run.u).all():
            return f"membrane potentials of layer {name} are not finite: {INPUTS}"
    if not np.isfinite(record.outputs).all():
        return f"outputs of layer {network.names[-1]} are not finite: {INPUTS}"
    bad = [n.rpartition(".")[0] for n, g in grads.items() if not np.isfinite(g).all()]
    if np.isfinite(value) and bad:
        return f"the gradient of layer {bad[0]} is not finite: {LOWER}"
    return f"the loss on layer {network.names[-1]} is {value}: lower the learning rate, or the loss's scale"


def evaluate(
    network: Network,
    params: Params,
    x: Array,
    y: Array,
    loss: Loss | None = None,
    batch: int | None = None,
    ops: Ops = NUMPY,
) -> Evaluation:
    """Accuracy, mean loss, scores and firing rates (spikes a neuron and step, by layer).

    batch : samples at a time; None is `evaluation_batch`. Raises DataError.
    """
    if y.shape != (x.shape[sample_axis(network)],):
        raise DataError(f"labels have shape {y.shape}; inputs have shape {x.shape}")
    batch = batch or evaluation_batch(network)
    axis = sample_axis(network)
    count = x.shape[axis]
    found, total, rates = [], 0.0, dict.fromkeys(network.spiking, 0.0)
    for start in range(0, count, batch):
        part = slice(start, start + batch)
        record = network.forward(params, x[part] if axis == 0 else x[:, part], ops=ops)
        outputs = ops.numpy(record.outputs)
        found.append(scores(outputs, network.readout))
        size = len(found[-1])
        if loss is not None:
            total += loss(outputs, y[part]).value * size
        for name, rate in network.firing_rates(record).items():
            rates[name] += rate * size / count
    all_scores = np.concatenate(found)
    return Evaluation(float((all_scores.argmax(axis=1) == y).mean()), total / count, all_scores, rates)


def evaluation_batch(network: Network) -> int:
    """As many samples, up to 256, as take about a gibibyte."""
    values = 4 * network.window * sum(int(np.prod(shape)) for shape in network.shapes)
    return min(max((1 << 28) // values, 1), 256)


def sample_axis(network: Network) -> int:
    """Which axis of the inputs counts samples: time comes before it unless they are static."""
    return 0 if network.input.kind == "static" else 1


def check_data(network: Network, x: Array, y: Array | None = None) -> None:
    """Raises DataError, saying what and where, if inputs or labels do not fit the network."""
    for name, value in (("inputs", x), ("labels", y)):
        if value is not None and not hasattr(value, "shape"):
            raise DataError(f"{name} are a {type(value).__name__}; an array is needed (numpy.asarray)")
    axis, each = sample_axis(network), network.input.shape
    lead = () if axis == 0 else (network.window,)
    if len(x.shape) != len(lead) + 1 + len(each) or (*x.shape[:axis], *x.shape[axis + 1 :]) != (*lead, *each):
        want = ", ".join(map(str, (*lead, "samples", *each)))
        turned = axis == 1 and x.shape[1:] == (network.window, *each)
        raise DataError(
            f"inputs have shape {x.shape}; the network takes {network.input.kind} of ({want})"
            + (": time comes first, numpy.swapaxes(x, 0, 1) turns them" if turned else "")
        )
    if isinstance(x, np.ndarray) and x.dtype.kind not in "biuf":
        raise DataError(f"inputs are of type {x.dtype}; real numbers are needed")
    if x.shape[axis] == 0:
        raise DataError("there are no samples")
    arrays = isinstance(x, np.ndarray)  # data sets kept in bytes or events are sound, and large as arrays
    if arrays and x.dtype.kind == "f" and not np.isfinite(x).all():
        raise DataError(f"inputs hold NaN or infinity, first at index {_first(~np.isfinite(x))}")
    if arrays and network.input.kind == "spikes" and x.dtype != bool and not ((x == 0) | (x == 1)).all():
        raise DataError(
            f"spike inputs must be 0 or 1, found another value at index {_first((x != 0) & (x != 1))}; "
            "counts and real values are 'frames'"
        )
    if y is None:
        return
    if y.shape != (x.shape[axis],):
        raise DataError(f"labels have shape {y.shape}; {x.shape[axis]} samples need ({x.shape[axis]},)")
    if y.dtype.kind not in "iu":
        raise DataError(f"labels are {y.dtype}; class indices are integers")
    if y.min() < 0 or y.max() >= network.classes:
        bad = _first((y < 0) | (y >= network.classes))[0]
        raise DataError(
            f"label {y[bad]} of sample {bad} is out of range; the network has {network.classes} classes"
        )


def _first(where: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(where.argmax()), where.shape))


def check_config(network: Network, config: TrainConfig) -> None:
    """Raises ConfigError if the configuration cannot train this network."""
    if network.readout not in config.loss.readouts:
        raise ConfigError(
            f"{type(config.loss).__name__} is for {' or '.join(config.loss.readouts)} readouts; "
            f"this network's is {network.readout}"
        )
    if config.teacher and network.readout != "spiking":
        raise ConfigError("the teacher spike is for spiking readouts; this network's is linear")
    if config.mixup is not None:
        check_mixup(config, network.input)
    network.learning_layers(config.learn)


def check_mixup(config: TrainConfig, input: Input) -> None:
    """Raises ConfigError where samples like these, or what is learned of them, cannot be mixed."""
    if input.kind == "spikes":
        raise ConfigError("mixup is for frames and static inputs: a share of a spike is no spike")
    if not getattr(config.loss, "takes_shares", False):
        raise ConfigError(f"mixup needs a cross-entropy; the loss is {type(config.loss).__name__}")
    if config.teacher:
        raise ConfigError("mixup leaves no single target to the teacher spike; use one of the two")


def fit(
    network: Network,
    config: TrainConfig,
    train: tuple[Array, Array],
    validation: tuple[Array, Array] | None = None,
    params: Params | None = None,
    path: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: bool = False,
    on_epoch: Callable[[Row], None] | None = None,
) -> Fitted:
    """Trains from fresh parameters (or `params`), and returns the result.

    train, validation : inputs as `Input` says and integer labels (samples,).
    path     : checkpoint file. If it exists and `resume` is true, training goes on from it, and the result is
               that of an uninterrupted run, bit for bit; other data, configuration or network are refused.
    progress : draw a progress bar.
    on_epoch : called with every new row of the history, after its checkpoint; what it raises ends training.
    Raises ConfigError, DataError, CheckpointError, StorageError, TrainingError; warns SilentLayerWarning.
    """
    check_config(network, config)
    check_data(network, *train)
    axis = sample_axis(network)
    if validation is not None:
        check_data(network, *validation)
    elif config.patience is not None or config.keep == "best":
        raise ConfigError("patience and keep='best' need validation data")
    file = None if path is None else Path(path)
    data = {"train": fingerprint(train, axis), "validation": validation and fingerprint(validation, axis)}
    if file is not None and resume and file.exists():
        run = load_run(file, network, config, data)
    else:
        run = start(network, config, params)
    if network.input.kind == "spikes" and config.augment is None and network.input.channels == "last":
        train = backend(config.backend).spikes(train[0].astype(bool, copy=False)), train[1]
    warned: set[str] = set()
    with _progress(run, config.epochs) if progress else nullcontext() as tick:
        while run.epoch < config.epochs and not run.stopped:
            row = train_epoch(network, config, run, train, validation, file, tick)
            for name in row["rates"]:
                if row["rates"][name] == 0 and name not in warned:
                    warned.add(name)
                    warnings.warn(
                        f"layer {name} did not fire once in epoch {run.epoch}: try larger initial weights "
                        "(gain), a lower theta0, an adaptive threshold (alpha), or less activity penalty",
                        SilentLayerWarning,
                        stacklevel=2,
                    )
            finished = run.epoch == config.epochs or run.stopped
            if file is not None and (run.epoch % config.checkpoint_every == 0 or finished):
                save_run(file, network, config, run, data)
            if on_epoch is not None:
                on_epoch(row)
    best = run.best if config.keep == "best" else None
    ops = backend(config.backend)
    params = {name: ops.numpy(p) for name, p in (best or run.params).items()}
    return Fitted(params, run.history, run.best_epoch if best else run.epoch)


def start(network: Network, config: TrainConfig, params: Params | None = None) -> Run:
    """A run before its first epoch; initial parameters and sample order have generators of their own."""
    dtype = np.dtype(config.dtype)
    if params is None:
        params = network.init(np.random.default_rng([config.seed, 0]), dtype)
    params = {name: p.astype(dtype) for name, p in params.items()}
    return Run(params, config.optimizer.init(params), np.random.default_rng([config.seed, 1]))


def train_epoch(
    network: Network,
    config: TrainConfig,
    run: Run,
    train: tuple[Array, Array],
    validation: tuple[Array, Array] | None = None,
    file: Path | None = None,
    tick: Callable[[float, str], None] | None = None,
) -> Row:
    """Trains one epoch: moves `run` on, and returns the new row of its history.

    file : the checkpoint to point to if training fails. tick : told the share of the epoch done, and a text.
    """
    x, y = train
    began = time.perf_counter()
    count, axis = len(y), sample_axis(network)
    batches = -(-count // config.batch)
    order = run.rng.permutation(count)
    loss, right, rates = 0.0, 0, dict.fromkeys(network.spiking, 0.0)
    factor = 1.0
    for b in range(batches):
        pick = order[b * config.batch : (b + 1) * config.batch]
        xb, yb = x.take(pick, axis), y[pick]
        if config.augment is not None:
            xb, yb = config.augment(xb, yb, run.rng)
        target = yb
        if config.mixup is not None and run.epoch < config.mixup.until * config.epochs:
            xb, target = config.mixup(xb, yb, network.classes, axis, run.rng)
        factor = config.schedule(run.epoch * batches + b, config.epochs * batches)
        try:
            run.params, run.state, value, record = step(
                network, config, run.params, run.state, xb, target, factor, run.rng
            )
        except TrainingError as error:
            kept = f"; the last good checkpoint is {file}" if file is not None and file.exists() else ""
            raise TrainingError(f"epoch {run.epoch + 1}, batch {b + 1} of {batches}: {error}{kept}") from None
        except MemoryError as error:
            fits = _batch_that_fits(network, config, run, xb, yb)
            raise TrainingError(
                f"a batch of {len(yb)} does not fit into memory ({error or 'out of memory'}): "
                + (
                    f"a batch of {fits} does"
                    if fits
                    else "not even a single sample does; shorten the network"
                )
            ) from None
        loss += value * len(yb)
        outputs = record.ops.numpy(record.outputs)
        right += int((scores(outputs, network.readout).argmax(axis=1) == yb).sum())
        for name, rate in network.firing_rates(record).items():
            rates[name] += rate * len(yb) / count
        del record  # its memory is the next step's
        if tick is not None:
            tick((b + 1) / batches, f"loss {value:.3f}")
    run.epoch += 1
    row: Row = {"epoch": run.epoch, "loss": loss / count, "accuracy": right / count}
    if validation is not None:
        found = evaluate(network, run.params, *validation, config.loss, ops=backend(config.backend))
        row |= {"validation_loss": found.loss, "validation_accuracy": found.accuracy}
        if found.accuracy > run.best_accuracy:
            run.best_accuracy, run.best_epoch = found.accuracy, run.epoch
            run.best = dict(run.params) if config.keep == "best" else None
        run.stopped = config.patience is not None and run.epoch - run.best_epoch >= config.patience
    row |= {"rates": rates, "lr": config.optimizer.lr * factor, "seconds": time.perf_counter() - began}
    run.history.append(row)
    return row


def _batch_that_fits(network: Network, config: TrainConfig, run: Run, x: Array, y: Array) -> int:
    """The largest half, quarter, ... of a batch whose update fits into memory; 0 if none does."""
    size = len(y) // 2
    while size:
        some = x.take(range(size), sample_axis(network))
        try:
            step(network, config, run.params, run.state, some, y[:size], rng=np.random.default_rng(0))
            return size
        except MemoryError:
            size //= 2
    return 0


@contextmanager
def _progress(run: Run, epochs: int) -> Iterator[Callable[[float, str], None]]:
    """A bar over all epochs; the validation accuracy stands beside it once there is one."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
        task = bar.add_task("", total=epochs, completed=run.epoch, epoch=f"{run.epoch}/{epochs}")

        def tick(share: float, text: str) -> None:
            last = run.history[-1] if run.history else {}
            if "validation_accuracy" in last:
                text += f" validation {last['validation_accuracy']:.3f}"
            bar.update(task, completed=run.epoch + share, description=text, epoch=f"{run.epoch + 1}/{epochs}")

        yield tick


def fingerprint(data: tuple[Array, Array], axis: int) -> dict[str, Any]:
    """What tells data from other data, cheaply: shape, type, a checksum of labels and up to 64 samples."""
    x, y = data
    some = np.ascontiguousarray(x.take(range(0, x.shape[axis], -(-x.shape[axis] // 64)), axis))
    return {
        "shape": list(x.shape),
        "type": str(x.dtype),
        "checksum": crc32(some.tobytes(), crc32(y.astype("<i8").tobytes())),
    }


def save_run(
    path: str | os.PathLike[str], network: Network, config: TrainConfig, run: Run, data: dict[str, Any]
) -> None:
    """Writes a checkpoint; on failure (StorageError) the old one stays. data : the fingerprints."""
    meta = {
        "content": "checkpoint",
        "network": checkpoint.describe(network),
        "config": checkpoint.describe(config),
        "data": data,
        "rng": run.rng.bit_generator.state,
        "epoch": run.epoch,
        "history": run.history,
        "best_accuracy": run.best_accuracy,
        "best_epoch": run.best_epoch,
        "stopped": run.stopped,
        "has_best": run.best is not None,
    }
    arrays = checkpoint.grouped("params", run.params) | checkpoint.grouped("state", run.state)
    checkpoint.write(path, meta, arrays | checkpoint.grouped("best", run.best or {}))


def load_run(
    path: str | os.PathLike[str], network: Network, config: TrainConfig, data: dict[str, Any]
) -> Run:
    """Reads a checkpoint of this very network, configuration and data.

    Raises CheckpointError, naming the differing keys, if it belongs to another.
    """
    meta, arrays = checkpoint.read(path)
    if meta.get("content") != "checkpoint":
        raise CheckpointError(f"{path} holds a {meta.get('content')}, not a training checkpoint")
    now = {"network": checkpoint.describe(network), "config": checkpoint.describe(config), "data": data}
    then = {key: meta.get(key) for key in now}
    if isinstance(then["config"], dict):  # what an earlier version did not know had its default
        then["config"] = checkpoint.describe(TrainConfig()) | then["config"]
    changed = checkpoint.differences(then, now)
    if changed:
        raise CheckpointError(
            f"{path} was written by another run ({'; '.join(changed)}): "
            "change it back, choose another file, or start anew (resume=False)"
        )
    rng = np.random.default_rng()
    rng.bit_generator.state = meta["rng"]
    return Run(
        params=checkpoint.group(arrays, "params"),
        state=checkpoint.group(arrays, "state"),
        rng=rng,
        epoch=meta["epoch"],
        history=meta["history"],
        best=checkpoint.group(arrays, "best") if meta["has_best"] else None,
        best_accuracy=meta["best_accuracy"],
        best_epoch=meta["best_epoch"],
        stopped=meta["stopped"],
    )


def write_log(path: str | os.PathLike[str], history: list[Row]) -> None:
    """The history as JSON, or as CSV where the name ends in .csv (a column a rate). Raises StorageError."""
    file = Path(path)
    if file.suffix == ".csv":
        flat = [
            {k: v for k, v in row.items() if k != "rates"} | {f"rate_{n}": r for n, r in row["rates"].items()}
            for row in history
        ]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(flat[0]) if flat else [])
        writer.writeheader()
        writer.writerows(flat)
        data = text.getvalue()
    else:
        data = json.dumps(history, indent=1)
    checkpoint.write_atomically(file, lambda out: out.write(data.encode()))
