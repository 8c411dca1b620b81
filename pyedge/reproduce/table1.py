"""Table I: every cell, what data is here, and what was measured on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyedge.datasets.catalog import describe
from pyedge.errors import ConfigError, MissingDataError
from pyedge.reproduce import pages
from pyedge.reproduce.study import Found, Page, Stage, Study
from pyedge.reproduce.vision import stages as vision_stages
from pyedge.vision import NetworkTable, SampleTable, TrainingTable, VisionRecipe, read

RECIPES = Path(__file__).parents[2] / "examples" / "recipes" / "paper"
IMAGES = RECIPES.parent / "images"

CELLS = {  # recipe: the paper's accuracy in per cent
    "fashion-std-ed": 94.05,
    "fashion-mpd-ed": 94.04,
    "cifar10-std-ed-vgg11": 94.33,
    "cifar10-std-ed-sew-resnet14": 93.85,
    "cifar10-mpd-ed-vgg11": 94.51,
    "cifar10-mpd-ed-ms-resnet18": 94.84,
    "cifar100-std-ed-vgg11": 73.01,
    "cifar100-std-ed-sew-resnet14": 71.63,
    "cifar100-mpd-ed-vgg11": 75.33,
    "cifar100-mpd-ed-ms-resnet18": 77.29,
    "nmnist-std-ed": 99.40,
    "nmnist-mpd-ed": 99.36,
    "nmnist-std-ed-large": 99.40,
    "nmnist-mpd-ed-large": 99.36,
    "gesture-std-ed": 98.96,
    "gesture-mpd-ed": 97.92,
    "cifar10dvs-std-ed": 77.30,
    "cifar10dvs-mpd-ed": 81.50,
}


@dataclass(frozen=True)
class Part:
    """What stands for a cell whose data is not here, or is too much."""

    set: str
    text: str
    epochs: int
    limit: int = 0  # of samples of each part
    batch: int = 0  # 0: the recipe's


PARTS = {
    "nmnist-mpd-ed": Part("nmnist_1000", "N-MNIST (1,000/100)", 60, batch=32),
    "nmnist-std-ed": Part("nmnist_1000", "N-MNIST (1,000/100)", 10),
    "nmnist-mpd-ed-large": Part("nmnist_1000", "N-MNIST (1,000/100)", 20, batch=32),
    "nmnist-std-ed-large": Part("nmnist_1000", "N-MNIST (1,000/100)", 20),
    "cifar10-mpd-ed-vgg11": Part("cifar10_exact", "CIFAR-10 (2,000/500 exact images)", 4, 2000, 50),
}
TOO_LONG = dict.fromkeys(  # what could stand for a cell on a faster machine
    ("cifar10-std-ed-vgg11", "cifar10-std-ed-sew-resnet14", "cifar10-mpd-ed-ms-resnet18"), "cifar10_jpeg"
)
SHORTER = ("fashion", "fashion-std")  # of IMAGES: about an hour in place of a day
# Fashion-MNIST's network; only weights learn: docs/decisions/0005-silencing-by-biases.md
SMALL = NetworkTable("32C5-P2-64C5-P2-1024", 5, norm="weight", bias=False, learn_gain=False)
EXTRAS = (  # no cells of the paper
    VisionRecipe(
        "alphabet-mpd-ed",
        samples=SampleTable("dvs_alphabet"),
        network=NetworkTable("12C5-P2-64C5-P2", 10),
        training=TrainingTable("mpd_ed", lr=1e-3, weight_decay=0.01, epochs=40, batch=12),
    ),
    VisionRecipe(
        "cifar10-exact-small-mpd-ed",
        samples=SampleTable("cifar10_exact", augment="crop_flip"),
        network=SMALL,
        training=TrainingTable("mpd_ed", lr=1e-3, weight_decay=0.01, epochs=15, batch=50),
    ),
    VisionRecipe(
        "cifar10-jpeg-small-mpd-ed",
        samples=SampleTable("cifar10_jpeg", augment="crop_flip"),
        network=SMALL,
        training=TrainingTable("mpd_ed", lr=1e-3, weight_decay=0.01, epochs=6, batch=50),
    ),
)


def cell(name: str, folder: Path = RECIPES) -> VisionRecipe:
    """A cell's recipe. Raises ConfigError where the recipes are not beside the package."""
    file = folder / f"{name}.toml"
    if not file.exists():
        raise ConfigError(f"{file} is missing: Table I is measured with the recipes of the source repository")
    return read(file)


def others() -> list[VisionRecipe]:
    """What is measured beside the table."""
    return [*EXTRAS, *(cell(name, IMAGES) for name in SHORTER)]


def here(name: str) -> bool:
    """Whether all files of a data set are here."""
    try:
        return not describe(name).missing()
    except MissingDataError:
        return False


def measured(name: str, quick: bool) -> VisionRecipe | None:
    """What is trained for a cell: the recipe itself, or its part, or None where there is no data."""
    recipe = cell(name)
    if name in PARTS and not here(recipe.samples.set):
        part = PARTS[name]
        recipe = replace(
            recipe,
            samples=replace(recipe.samples, set=part.set, limit=part.limit),
            training=replace(recipe.training, epochs=part.epochs, batch=part.batch or recipe.training.batch),
        )
    if not here(recipe.samples.set):
        return None
    return _quick(recipe) if quick else recipe


def _quick(recipe: VisionRecipe) -> VisionRecipe:
    network = replace(recipe.network, layers="4C5-P2-8C5-P2")
    return replace(
        recipe,
        samples=replace(recipe.samples, limit=20),
        network=network,
        training=replace(recipe.training, epochs=1, batch=10),
    )


def stages(quick: bool) -> Sequence[Stage]:
    """Cheap ones first; Fashion-MNIST is the whole recipe, hours of a CPU.

    A checkpoint of `pyedge train` on the same recipe may be put into the work folder, as NAME-0.npz.
    """
    extras = [_quick(e) if quick else e for e in others() if here(e.samples.set)]
    recipes = [r for name in (*PARTS, *CELLS) if (r := measured(name, quick)) is not None]
    return vision_stages([*extras, *dict.fromkeys(recipes)], (0,))


def page(found: Found, command: str) -> Page:
    """Every cell of this work in Table I."""
    rows = []
    for name, paper in CELLS.items():
        recipe = cell(name)
        whole = here(recipe.samples.set)
        result = found.get(f"{name}-0")
        data = describe(recipe.samples.set).title
        if not whole:
            data += ": " + (PARTS[name].text if name in PARTS else "not here")
        if result is not None:
            accuracy, limits = pages.of_confusion(result["confusion"])
            training, _, tests = result["samples"]
            said = f"{pages.percent(accuracy)} ({limits})"
            ran = f"{len(result['history'])} epochs, {training:,} + {tests:,} samples"
        else:
            available = whole or name in PARTS
            said, ran = ("not run" if available else "not run: data not available"), "-"
            if name in TOO_LONG and here(TOO_LONG[name]):
                said = f"not run: too long for a CPU; {describe(TOO_LONG[name]).title} is here"
        t, n = recipe.training, recipe.network
        rows.append(
            (data, _METHOD[t.method], n.layers, n.steps, f"{paper:.2f} %", said, ran, f"`{name}.toml`")
        )
    header = ("data", "method", "network", "T", "paper", "here (95 %)", "trained and tested on", "recipe")
    lines = ["# Table I: accuracies", "", f"`{command}`", "", *_WHAT, "", *pages.table(header, rows), ""]
    beside = []
    for extra in others():
        result = found.get(f"{extra.name}-0")
        if result is not None:
            accuracy, limits = pages.of_confusion(result["confusion"])
            training, _, tests = result["samples"]
            data = describe(extra.samples.set).title
            ran = f"{len(result['history'])} epochs, {training:,} + {tests:,} samples"
            beside.append(
                (
                    data,
                    _METHOD[extra.training.method],
                    extra.network.layers,
                    extra.network.steps,
                    pages.percent(accuracy),
                    limits,
                    ran,
                )
            )
    if beside:
        columns = ("data", "method", "network", "T", "accuracy", "95 %", "trained and tested on")
        lines += ["## Beside the table", "", *pages.table(columns, beside), ""]
    for name, result in found.items():
        if len(result["classes"]) <= 10:
            lines += [
                f"{name.rsplit('-', 1)[0]}:",
                "",
                *pages.confusion_lines(result["confusion"], result["classes"]),
                "",
            ]
    return Page("\n".join(lines))


_METHOD = {"mpd_ed": "MPD-ED", "std_ed": "STD-ED"}
_WHAT = (
    "The cells of this work. Each has a recipe in `examples/recipes/paper`. Where only a part of a data "
    "set is here, the part is named, and its accuracy is not the data set's. Tested once, after the last "
    "epoch; intervals are binomial.",
)

STUDIES = {"table1": Study("table1", "Table I: accuracies", stages, page)}
