"""Recipes for image and event data: from a TOML file to one of the paper's networks, trained and tested."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from pyedge import methods
from pyedge.architectures import Style
from pyedge.architectures import build as build_network
from pyedge.augment import NDA, Chain, Cutout, Mixup, RandomCrop, RandomFlip, dvs_gesture_augment
from pyedge.datasets.catalog import Samples, SampleSet, describe, load
from pyedge.datasets.frames import Binning
from pyedge.errors import ConfigError, RecipeError, SplitError
from pyedge.model import Input, Network, Params, load_model, save_model
from pyedge.neuron import IF, LIF, SRM
from pyedge.ops import backend
from pyedge.rate_init import scale_to_rate
from pyedge.recipe import build, key, plain, read_table
from pyedge.rules import MPDED, STDED, AlphaED, Surrogate
from pyedge.rules.surrogate import DEFAULT_WIDTHS
from pyedge.task import check_folder, learning_of, loss_named, write_recipe
from pyedge.trainer import (
    Augment,
    Evaluation,
    Row,
    TrainConfig,
    check_mixup,
    evaluate,
    fit,
    sample_axis,
    start,
    write_log,
)


@dataclass(frozen=True)
class SampleTable:
    """Which data, and how they enter."""

    set: str = key("fashion_mnist", "image or event data set; `pyedge data` lists them")
    by: str = key(
        "count", "events: frames of equally many events, or of equal time", choices=("count", "time")
    )
    size: tuple[int, ...] = key(
        (), "events: [width, height] of the frames; empty: the set's own", low=1, high=1024
    )
    binary: bool = key(False, "events: whether there was an event instead of how many")
    scale: float = key(1.0, "frames and pixels are divided by it", above=0)
    augment: str = key(
        "none",
        "variation of every minibatch: mirror; crop and mirror; the same and a hole; "
        "NDA and mirror; resized crops and rotations of DVS-Gesture",
        choices=("none", "flip", "crop_flip", "crop_flip_cutout", "nda", "gesture"),
    )
    crop: int = key(4, "pixels that crops shift by, at most", low=1)
    hole: int = key(16, "side of the hole in pixels", low=1)
    mixup: float = key(
        0.0,
        "mixes pairs of samples and of their labels: alpha of the shares' Beta distribution; 0: none",
        low=0,
        high=100,
    )
    mixup_until: float = key(0.9, "share of the epochs that mix; the last ones do not", low=0, high=1)
    validation: float = key(0.0, "share of the training data held back to watch", low=0, high=0.9)
    limit: int = key(0, "use only the first so many samples of each part; 0: all", low=0)


@dataclass(frozen=True)
class NetworkTable:
    """The network; what is absent is the method's own (pyedge.methods)."""

    layers: str = key("32C5-P2-64C5-P2-1024", "name or string of pyedge.architectures; the readout is added")
    steps: int = key(5, "T, time steps of a window", low=1, high=1024)
    pool: str | None = key(None, "kind of P", choices=("max", "adjusted", "mean"))
    norm: str | None = key(None, "normalization before neurons", choices=("batch", "weight", "none"))
    readout: str | None = key(
        None, "linear readout, or spiking output neurons", choices=("linear", "spiking")
    )
    bias: bool | None = key(None, "biases of hidden layers without batch norm")
    learn_gain: bool = key(True, "norm weight: whether the gains learn too, or keep the initial deviation")
    dropout: float = key(0.0, "dropout after pooling and hidden dense layers", low=0, high=0.99)
    gain: float = key(1.0, "factor on the initial weights", low=0)
    tau: float = key(0.5, "LIF: leak factor", above=0, high=1)
    theta0: float = key(1.0, "initial threshold", above=0)
    alpha: float | None = key(None, "decay of the threshold a step; absent: the method's", low=0)
    initial_spikes: float = key(
        0.0,
        "initial weights are scaled, layer by layer, to so many spikes a neuron and window; 0: they are not",
        low=0,
    )
    kernel: tuple[float, ...] = key((5.0, 3.0, 2.5), "alpha kernel: tau_m, tau_s, tau_grad in steps", above=1)


@dataclass(frozen=True)
class TrainingTable:
    """The method, the loss and the optimizer."""

    method: str = key("mpd_ed", "learning method", choices=methods.NAMES)
    surrogate: str = key(
        "linear",
        "shape of the surrogate gradient",
        choices=tuple(DEFAULT_WIDTHS),
    )
    width: float | None = key(None, "its width; absent: the shape's own", above=0)
    reset: str = key(
        "on",
        "the reset's part of the error: as it is, left out, or as boards compute it",
        choices=("on", "off", "threshold"),
    )
    recursion: str = key(
        "full",
        "mpd_ed, lif_fixed, stbp: back-propagation through time, or one step of it as Eq. 18 and 21 print it",
        choices=("full", "printed"),
    )
    slope: str | None = key(
        None,
        "spike-timing methods: Eq. 12's potential, or what the spike's own step added; absent: the method's",
        choices=("potential", "increment"),
    )
    clamp: float = key(4.0, "spike-timing methods: largest 1 / slope", above=0)
    loss: str | None = key(
        None,
        "absent: the method's",
        choices=("tet", "enhanced_spike_count", "spike_count", "count_cross_entropy", "score_cross_entropy"),
    )
    tet_lambda: float = key(0.0, "TET: share of the mean square distance from the threshold", low=0, high=1)
    loss_scale: float = key(1.0, "cross-entropies: factor on the score or the counts", low=0)
    desired: float = key(5.0, "spike counts: wanted of the target class", low=0)
    undesired: float = key(1.0, "spike counts: wanted of the others", low=0)
    teacher: bool = key(False, "spiking readout: teacher spike for a silent target")
    optimizer: str = key("adamw", "optimizer", choices=("adamw", "sgd"))
    lr: float = key(0.001, "learning rate at the schedule's top", above=0)
    momentum: float = key(0.0, "sgd: momentum", low=0, high=0.999)
    weight_decay: float = key(0.0, "weight decay, decoupled for adamw", low=0)
    schedule: str = key("cosine", "learning rate over the epochs", choices=("cosine", "constant"))
    warmup: int = key(0, "updates of linear warm-up", low=0)
    clip_norm: float = key(1.0, "limit on the gradients' global norm; 0: none", low=0)
    activity: float = key(0.0, "weight of the penalty on hidden firing rates above the target", low=0)
    activity_target: float = key(0.0, "firing rate that costs nothing", low=0, high=1)
    epochs: int = key(100, "passes over the data", low=1)
    batch: int = key(64, "samples an update", low=1)
    start: str = key("", "model file or checkpoint, of the same network, to start from; empty: fresh weights")
    patience: int = key(0, "epochs without a better validation accuracy before it stops; 0: never", low=0)
    keep: str = key("last", "parameters kept: the last, or the best on validation", choices=("last", "best"))
    backend: str = key(
        "auto",
        "what computes; auto: native where it was built, else numpy; torch: a GPU where there is one",
        choices=("auto", "numpy", "native", "torch"),
    )


@dataclass(frozen=True)
class VisionRecipe:
    """A whole recipe."""

    name: str = key("model", "name of the model")
    seed: int = key(0, "decides every random choice", low=0, high=2**32 - 1)
    samples: SampleTable = SampleTable()
    network: NetworkTable = NetworkTable()
    training: TrainingTable = TrainingTable()

    def __post_init__(self) -> None:
        if len(self.samples.size) not in (0, 2):
            raise RecipeError(f"samples.size: {list(self.samples.size)}; [width, height], or empty")
        if len(self.network.kernel) != 3:
            raise RecipeError(f"network.kernel: {list(self.network.kernel)}; tau_m, tau_s and tau_grad")
        if not self.network.kernel[1] < self.network.kernel[0]:
            raise RecipeError(f"network.kernel: {list(self.network.kernel)}; tau_s must be less than tau_m")
        if (self.training.patience or self.training.keep == "best") and not self.samples.validation:
            raise RecipeError(
                f"training.patience: {self.training.patience}, keep: {self.training.keep}; they need "
                f"samples.validation, which is {self.samples.validation}"
            )
        if self.network.initial_spikes > self.network.steps:
            raise RecipeError(
                f"network.initial_spikes: {self.network.initial_spikes}; there is at most one in each of the "
                f"{self.network.steps} steps"
            )
        if self.samples.binary and self.samples.scale != 1:
            raise RecipeError("samples.scale: binary frames are spikes, which have no scale")


def read(path: str | Path) -> VisionRecipe:
    """The recipe in a TOML file. Raises RecipeError."""
    return build(VisionRecipe, read_table(path), str(path))


def input_of(recipe: VisionRecipe) -> Input:
    """The network's input, from what the data set is known to be."""
    info, s = describe(recipe.samples.set), recipe.samples
    if info.kind == "images":
        return Input("static", info.shape, s.scale, "first")
    if info.kind == "touch":
        return Input("spikes", info.shape)
    found = binning_of(recipe, info).size
    shape = (info.shape[0], found[1], found[0]) if found else info.shape
    return Input("spikes" if s.binary else "frames", shape, s.scale, "first")


def binning_of(recipe: VisionRecipe, info: SampleSet) -> Binning:
    """How events become frames: the set's own way, with the recipe's changes."""
    if info.binning is None:
        raise RecipeError(f"samples.set: {info.name} has no events to make frames of")
    s = recipe.samples
    size = (s.size[0], s.size[1]) if s.size else info.binning.size
    resize = "events" if s.binary else info.binning.resize
    return replace(
        info.binning,
        steps=recipe.network.steps,
        by=cast(Any, s.by),
        binary=s.binary,
        size=size,
        resize=resize,
    )


def method_of(recipe: VisionRecipe) -> methods.Method:
    """The method, with the recipe's neuron constants, surrogate and reset."""
    n, t = recipe.network, recipe.training
    times = (n.kernel[0], n.kernel[1], n.kernel[2])
    found = methods.method(t.method, Surrogate(t.surrogate, t.width), times)
    neuron, rule = found.neuron, found.rule
    if isinstance(neuron, LIF | IF | SRM):
        neuron = replace(neuron, theta0=n.theta0, alpha=neuron.alpha if n.alpha is None else n.alpha)
    if isinstance(neuron, LIF):
        neuron = replace(neuron, tau=n.tau)
    elif n.tau != 0.5:
        raise RecipeError(f"network.tau: {n.tau}; the neurons of {t.method} do not leak, leave it out")
    if isinstance(rule, MPDED):
        rule = replace(rule, reset=cast(Any, t.reset), recursion=cast(Any, t.recursion))
    elif (t.reset, t.recursion) != ("on", "full"):
        raise RecipeError(
            f"training.reset and recursion: are for mpd_ed, lif_fixed and stbp; the method is {t.method}"
        )
    if isinstance(rule, STDED | AlphaED):
        rule = replace(rule, slope=cast(Any, t.slope or rule.slope), clamp=t.clamp)
    elif t.slope is not None:
        raise RecipeError(f"training.slope: is for spike-timing methods; the method is {t.method}")
    return replace(
        found,
        neuron=neuron,
        rule=rule,
        **{k: getattr(n, k) for k in ("pool", "norm", "readout", "bias") if getattr(n, k) is not None},
        loss=t.loss or found.loss,
    )


def network_of(recipe: VisionRecipe) -> Network:
    """The recipe's network. Raises ConfigError, pointing at the token of network.layers that cannot be."""
    m, n = method_of(recipe), recipe.network
    style = Style(m.neuron, m.pool, m.norm, n.dropout, m.readout, m.bias, n.gain, n.learn_gain)
    classes = len(describe(recipe.samples.set).classes)
    return build_network(n.layers, input_of(recipe), classes, n.steps, style)


def augment_of(recipe: VisionRecipe) -> Augment | None:
    """The variation of every minibatch; cropped and cut-out pixels are black."""
    kind, info = recipe.samples.augment, describe(recipe.samples.set)
    if kind == "none":
        return None
    if kind == "nda":
        return Chain((RandomFlip(), NDA()))
    if kind == "gesture":
        return dvs_gesture_augment()
    if kind == "flip":
        return RandomFlip()
    black: Any = tuple((0 - m) / s for m, s in zip(info.mean, info.std, strict=True)) or 0.0
    crop_flip = (RandomCrop(recipe.samples.crop, black), RandomFlip())
    return Chain(crop_flip if kind == "crop_flip" else (*crop_flip, Cutout(recipe.samples.hole)))


def config_of(recipe: VisionRecipe) -> TrainConfig:
    """How the recipe trains. Raises RecipeError where keys do not go together."""
    s, t, method = recipe.samples, recipe.training, method_of(recipe)
    config = TrainConfig(
        epochs=t.epochs,
        batch=t.batch,
        seed=recipe.seed,
        loss=loss_named(method.loss, t, t.tet_lambda),
        rule=method.rule,
        augment=augment_of(recipe),
        mixup=Mixup(s.mixup, s.mixup_until) if s.mixup else None,
        patience=t.patience or None,
        keep=t.keep,
        **learning_of(t, t.lr),
    )
    if config.mixup is not None:
        try:
            check_mixup(config, input_of(recipe))
        except ConfigError as error:
            raise RecipeError(f"samples.mixup: {s.mixup}; {error}") from error
    return config


def samples_of(recipe: VisionRecipe, tick: Callable[[int, int], None] | None = None) -> Samples:
    """Loads the data. Raises MissingDataError, which says what to get, and the other data errors."""
    info, s = describe(recipe.samples.set), recipe.samples
    binning = binning_of(recipe, info) if info.kind == "events" else None
    try:
        found = load(s.set, binning=binning, validation=s.validation, seed=recipe.seed, tick=tick)
    except SplitError as error:
        raise RecipeError(f"samples.validation: {error}") from error
    if not s.limit:
        return found
    axis, take = (0 if info.kind == "images" else 1), slice(0, s.limit)

    def few(side: Any) -> Any:
        return side and side._replace(x=side.x.take(range(*take.indices(len(side.y))), axis), y=side.y[take])

    return replace(found, train=few(found.train), validation=few(found.validation), test=few(found.test))


def initial(recipe: VisionRecipe, network: Network, x: Any) -> Params:
    """Fresh parameters, scaled to the recipe's firing rate on the first 50 samples if it has one; or those of
    training.start. Raises RecipeError, naming them, where these are of another network; CheckpointError.
    """
    if recipe.training.start:
        return _started_from(recipe.training.start, network)
    params = start(network, config_of(recipe)).params
    if not recipe.network.initial_spikes:
        return params
    axis = sample_axis(network)
    some = x.take(range(min(50, x.shape[axis])), axis)
    try:
        return scale_to_rate(network, params, some, recipe.network.initial_spikes)
    except ConfigError as error:
        raise RecipeError(
            "network.initial_spikes: not with this samples.scale and this network.gain, theta0 and alpha: "
            f"{error}"
        ) from error


def _started_from(file: str, network: Network) -> Params:
    _, params, _ = load_model(file)
    wanted = network.init(0)
    differing = [
        f"{name}: {params[name].shape if name in params else 'absent'}, here {p.shape}"
        for name, p in wanted.items()
        if name not in params or params[name].shape != p.shape
    ] + [f"{name}: not in this network" for name in params if name not in wanted]
    if differing:
        raise RecipeError(f"training.start: {file} is of another network ({'; '.join(differing)})")
    return params


class Trained(NamedTuple):
    """What `train` gives: the network, its history by epoch, and its one test."""

    network: Network
    params: Params
    history: list[Row]
    test: Evaluation


def train(
    recipe: VisionRecipe,
    out: Path,
    resume: bool = False,
    on_epoch: Callable[[Row], None] | None = None,
    progress: bool = False,
) -> Trained:
    """Trains, with checkpoint and logs in the folder `out`, tests once at the end, and writes out/model.npz.

    resume : go on from the checkpoint in `out`; the result is that of an uninterrupted run, bit for bit.
    Raises ConfigError where `out` holds another run, or any and resume is false; and what loading and
    training raise.
    """
    check_folder(out, recipe, resume)
    network, config, samples = network_of(recipe), config_of(recipe), samples_of(recipe)
    held = samples.validation
    params = initial(recipe, network, samples.train.x)
    write_recipe(out, recipe)
    fitted = fit(
        network,
        config,
        cast(Any, samples.train),
        cast(Any, held),
        params=params,
        path=out / "checkpoint.npz",
        progress=progress,
        on_epoch=on_epoch,
    )
    for name in ("log.csv", "log.json"):
        write_log(out / name, fitted.history)
    x, y = samples.test
    test = evaluate(network, fitted.params, cast(Any, x), y, ops=backend(recipe.training.backend))
    save_model(out / "model.npz", network, fitted.params, recipe=plain(recipe), classes=list(samples.classes))
    return Trained(network, fitted.params, fitted.history, test)
