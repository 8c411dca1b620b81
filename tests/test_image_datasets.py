"""Image sets: published formats read exactly, bad files refused by name, images moved about (about 5 s)."""

import gzip
import pickle
import struct
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pyedge import augment, datasets
from pyedge.datasets import catalog, cifar, idx
from pyedge.datasets.arrays import read_npz
from pyedge.datasets.images import Images
from pyedge.datasets.stratify import stratified
from pyedge.errors import ConfigError, DataError
from pyedge.layers import Dense, Flatten, Spiking
from pyedge.model import Input, Network
from pyedge.trainer import TrainConfig, fit

FRESH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
seeds = st.integers(0, 2**32 - 1)


# The real files


@pytest.mark.parametrize(("name", "first"), [("mnist", 5), ("fashion_mnist", 9)])
def test_real_idx_sets_are_the_published_ones(name, first):
    data = catalog.load(name)
    assert {state for _, state in data.info.check()} == {"as published"}
    assert data.train.x.shape == (60000, 1, 28, 28) and data.test.x.shape == (10000, 1, 28, 28)
    assert data.train.y[0] == first and data.train.x.nbytes == 60000 * 28 * 28
    counts = np.bincount(data.test.y)
    assert len(counts) == 10 and (name == "mnist" or set(counts) == {1000})


ELSEWHERE = ("cifar10", "cifar100", "nmnist", "dvs_gesture", "cifar10_dvs")
ALWAYS = ("cifar10_exact", "nmnist_1000", "dvs_alphabet", "braille_tactile")


@pytest.mark.parametrize(
    "name", [*ALWAYS, *(n for n in ELSEWHERE if not catalog.describe(n).missing())], ids=str
)
def test_sets_that_are_here_are_whole(name):
    info = catalog.describe(name)
    for part, count in zip(("train", "test"), info.counts, strict=True):
        stored = catalog.read(name, part)
        labels = stored[1] if isinstance(stored, tuple) and info.kind == "images" else stored.labels
        assert len(labels) == count and set(labels) <= set(range(len(info.classes)))
    assert {state for _, state in info.check()} <= {"as published", "unchecked"}


def test_the_exact_cifar_subset_is_in_the_published_order():
    data = catalog.load("cifar10_exact")
    assert list(np.bincount(data.train.y)) == [396, 366, 420, 384, 422, 393, 414, 385, 407, 413]
    assert list(np.bincount(data.test.y)) == [103, 89, 100, 103, 90, 86, 112, 102, 106, 109]


def test_jpeg_copies_are_close_to_the_exact_images():
    exact, labels = catalog.read("cifar10_exact", "test")
    path = catalog.describe("cifar10_jpeg").path() / "cifar10_jpeg_test.npz"
    stored = read_npz(path, ("data", "offset", "label"))
    decoded, same = cifar.read_jpegs(stored, str(path), slice(0, 1000))
    assert np.array_equal(labels, same) and list(np.bincount(stored["label"])) == [1000] * 10
    noise = ((decoded.astype(float) - exact) ** 2).mean((1, 2, 3))
    decibels = 10 * np.log10(255**2 / noise)
    assert decibels.min() > 22 and 29 < np.median(decibels) < 32


# IDX


def idx_bytes(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@FRESH
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9)), st.booleans())
def test_idx_files_are_read_as_written(tmp_path, array, packed):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    assert np.array_equal(idx.read_idx(path, array.ndim), array)


def test_bad_idx_files_are_refused_by_name_and_byte(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    good = idx_bytes(np.zeros((3, 4, 5), np.uint8))
    for cut in range(len(good)):
        path.write_bytes(good[:cut])
        with pytest.raises(datasets.TruncatedFileError, match=f"idx3-ubyte: ends at byte {cut}"):
            idx.read_idx(path, 3)
    path.write_bytes(good + b"\0")
    with pytest.raises(datasets.DamagedFileError, match="76 bytes hold"):
        idx.read_idx(path, 3)
    path.write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(datasets.FileKindError, match=r"byte 0: magic number 2049.* has 2051"):
        idx.read_idx(path, 3)
    packed = gzip.compress(good)
    path.write_bytes(packed[:-9])
    with pytest.raises(datasets.TruncatedFileError):
        idx.read_idx(path, 3)
    path.write_bytes(packed[:20] + bytes([packed[20] ^ 255]) + packed[21:])
    with pytest.raises(datasets.DamagedFileError):
        idx.read_idx(path, 3)


@pytest.fixture
def fashion(tmp_path):
    """A tiny Fashion-MNIST in the published layout."""
    folder = tmp_path / "fashion_mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    return folder


def test_labels_and_counts_are_checked(fashion):
    path = fashion / "train-labels-idx1-ubyte.gz"
    labels = np.arange(40, dtype=np.uint8) % 10
    labels[7] = 10
    path.write_bytes(gzip.compress(idx_bytes(labels)))
    with pytest.raises(datasets.LabelError, match=r"labels-idx1-ubyte\.gz, byte 15: label 10"):
        catalog.load("fashion_mnist", root=fashion.parent)
    path.write_bytes(gzip.compress(idx_bytes(labels[:-1])))
    with pytest.raises(datasets.ShapeError, match="39 labels for the 40 images"):
        catalog.load("fashion_mnist", root=fashion.parent)
    assert dict(catalog.describe("fashion_mnist").check(fashion.parent))[path.name] == "differs"


def test_a_missing_file_says_which_where_and_how_to_know_it(fashion, monkeypatch):
    name = "t10k-images-idx3-ubyte.gz"
    (fashion / name).unlink()
    assert catalog.describe("fashion_mnist").missing(fashion.parent) == (name,)
    message = rf"fashion_mnist/{name} is missing: get {name} \(4422102 bytes, MD5 bef4ecab.*, from github"
    with pytest.raises(datasets.MissingDataError, match=message):
        catalog.load("fashion_mnist", root=fashion.parent)
    with pytest.raises(
        datasets.MissingDataError, match=r"cifar10_exact_subset\.npz.*, converted from github"
    ):
        catalog.load("cifar10_exact", root=fashion.parent)
    monkeypatch.setenv("PYEDGE_DATA", "/nowhere")
    with pytest.raises(datasets.MissingDataError, match=r"^/nowhere/cifar100.*cifar-100-python\.tar\.gz"):
        catalog.load("cifar100")
    with pytest.raises(DataError, match="fashion_mnist"):
        catalog.load("fashion")


# CIFAR


class Python2Pickler(pickle._Pickler):
    """Writes as Python 2 did: text and bytes are both its byte strings."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        data = value.encode("ascii") if isinstance(value, str) else value
        self.write(b"U" + bytes([len(data)]) if len(data) < 256 else b"T" + struct.pack("<i", len(data)))
        self.write(data)

    dispatch[str] = dispatch[bytes] = save_string


def published_pickle(path, content):
    with path.open("wb") as file:
        Python2Pickler(file, 2).dump(content)
    # The module's name when the files were published.
    path.write_bytes(path.read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))


def cifar_images(count, seed=0, classes=10):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3, 32, 32), np.uint8), rng.integers(0, classes, count)


@pytest.fixture
def batch(tmp_path):
    path = tmp_path / "data_batch_1"
    pixels, labels = cifar_images(3)
    names = [f"image_{k}.png" for k in range(3)]
    content = {"batch_label": "training batch 1 of 5", "labels": labels.tolist(), "filenames": names}
    published_pickle(path, content | {"data": pixels.reshape(3, -1)})
    return path


def test_pickles_hold_what_an_ordinary_unpickler_finds(batch):
    with batch.open("rb") as file:
        ordinary = pickle.load(file, encoding="latin1")
    pixels, labels = cifar.read_pickle(batch, b"labels", 10)
    assert np.array_equal(pixels.reshape(3, -1), ordinary["data"]) and list(labels) == ordinary["labels"]
    assert np.array_equal(pixels, cifar_images(3)[0])


class Attack:
    def __reduce__(self):
        return (exec, ("raise SystemExit('the file ran its code')",))


def test_a_pickle_cannot_run_code(tmp_path):
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps({b"data": Attack(), b"labels": []}, 2))
    with pytest.raises(datasets.FileKindError, match=r"data_batch_1: the pickle asks for \w+\.exec"):
        cifar.read_pickle(path, b"labels", 10)


@settings(FRESH, max_examples=60)
@given(st.data())
def test_a_damaged_pickle_never_gets_past_the_reader(batch, data):
    whole = batch.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    broken = batch.with_name("broken")
    broken.write_bytes(whole[:cut])
    with pytest.raises(datasets.DamagedFileError, match="broken"):
        cifar.read_pickle(broken, b"labels", 10)
    at = data.draw(st.integers(0, 400) | st.integers(len(whole) - 400, len(whole) - 1))
    broken.write_bytes(whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :])
    try:
        pixels, labels = cifar.read_pickle(broken, b"labels", 10)
    except DataError as error:
        assert "broken" in str(error)
    else:
        assert pixels.dtype == np.uint8 and labels.max(initial=0) < 10


def test_wrong_contents_are_refused(batch):
    with pytest.raises(datasets.FileKindError, match="fine_labels"):
        cifar.read_pickle(batch, b"fine_labels", 100)
    with pytest.raises(datasets.LabelError, match="image"):
        cifar.read_pickle(batch, b"labels", 1)
    published_pickle(batch, {"data": np.zeros((2, 3072), np.uint8), "labels": [1]})
    with pytest.raises(datasets.ShapeError, match="1 labels for 2 images"):
        cifar.read_pickle(batch, b"labels", 10)
    published_pickle(batch, {"data": np.zeros((2, 3071), np.uint8), "labels": [1, 2]})
    with pytest.raises(datasets.ShapeError, match="3072"):
        cifar.read_pickle(batch, b"labels", 10)


def test_binary_files_are_read_and_checked(tmp_path):
    path = tmp_path / "train.bin"
    pixels, labels = cifar_images(4, classes=100)
    rows = np.concatenate([np.full((4, 1), 19), labels[:, None], pixels.reshape(4, -1)], 1).astype(np.uint8)
    path.write_bytes(rows.tobytes())
    found = cifar.read_binary(path, 2, 1, 100)
    assert np.array_equal(found[0], pixels) and np.array_equal(found[1], labels)
    path.write_bytes(rows.tobytes()[:-1])
    with pytest.raises(datasets.TruncatedFileError, match=f"begins at byte {3 * 3074}"):
        cifar.read_binary(path, 2, 1, 100)
    rows[2, 1] = 100
    path.write_bytes(rows.tobytes())
    with pytest.raises(datasets.LabelError, match=rf"train\.bin, byte {2 * 3074 + 1}: label 100"):
        cifar.read_binary(path, 2, 1, 100)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_both_published_forms_give_the_same_samples(tmp_path, name):
    classes = 10 if name == "cifar10" else 100
    python, binary = catalog.describe(name).layouts
    loaded = []
    for layout in (python, binary):
        root = tmp_path / str(len(loaded))
        for seed, file in enumerate(layout):
            path = root / name / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels, labels = cifar_images(5, seed, classes)
            if path.suffix == ".bin":
                front = [labels[:, None]] if classes == 10 else [labels[:, None] // 5, labels[:, None]]
                rows = np.concatenate([*front, pixels.reshape(5, -1)], 1)
                path.write_bytes(rows.astype(np.uint8).tobytes())
            else:
                key = "labels" if classes == 10 else "fine_labels"
                content = {key: labels.tolist(), "coarse_labels": (labels // 5).tolist()}
                published_pickle(path, content | {"data": pixels.reshape(5, -1)})
        loaded.append(catalog.load(name, root=root))
    one, other = loaded
    assert one.input_kind == "static" and one.shape == (3, 32, 32)
    assert len(one.train.x) == 5 * (len(python) - 1) and len(one.test.x) == 5
    for side in ("train", "test"):
        a, b = getattr(one, side), getattr(other, side)
        assert np.array_equal(a.x.pixels, b.x.pixels) and np.array_equal(a.y, b.y)


def test_bad_npz_forms_are_refused(tmp_path):
    folder = tmp_path / "cifar10"
    folder.mkdir()
    path = folder / "cifar10_jpeg_train.npz"
    good = {"data": np.zeros(9, np.uint8), "offset": np.array([0, 4, 9]), "label": np.array([0, 9], np.uint8)}
    for change, error in (
        ({"offset": np.array([0, 4, 10])}, datasets.TruncatedFileError),
        ({"offset": np.array([0, 4])}, datasets.ShapeError),
        ({"label": np.array([0, 10], np.uint8)}, datasets.LabelError),
        ({"label": np.array([0.0, 9.0])}, datasets.ShapeError),
        ({"offset": np.array(4)}, datasets.ShapeError),
        ({"data": np.zeros(9, np.int64)}, datasets.ShapeError),
        ({}, datasets.DamagedFileError),
    ):
        arrays = good | change
        with pytest.raises(error, match="somewhere"):
            cifar.read_jpegs(arrays, "somewhere")
    np.savez(path, **{k: v for k, v in good.items() if k != "label"})
    with pytest.raises(datasets.FileKindError, match="label"):
        read_npz(path, ("data", "offset", "label"))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(datasets.DamagedFileError):
        read_npz(path, ("data", "offset"))


# Inputs


@given(hnp.arrays(np.uint8, (5, 3, 4, 6)), st.lists(st.integers(0, 4), max_size=7))
def test_images_come_normalized_and_stay_bytes(pixels, which):
    mean, std = (0.5, 0.1, 0.9), (0.2, 1.0, 0.3)
    images = Images(pixels, mean, std)
    plain = (pixels / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert np.allclose(np.asarray(images), plain, atol=1e-6) and images.dtype == np.float32
    assert np.array_equal(images.take(which), np.asarray(images)[which])
    assert np.array_equal(images[1:3], np.asarray(images)[1:3])
    mask = plain.mean((1, 2, 3)) > 0
    assert np.array_equal(images[mask], np.asarray(images)[mask])
    assert images.nbytes == pixels.size
    assert np.allclose(images.black, -np.array(mean) / std)


@given(hnp.arrays(np.int64, 60, elements=st.integers(0, 3)), st.floats(0.05, 0.95), seeds)
def test_validation_data_are_a_fair_share_of_each_class(labels, share, seed):
    try:
        kept, held = stratified(labels, share, seed)
    except datasets.SplitError:
        wanted = [round(share * n) for n in np.bincount(labels) if n]
        assert any(w in (0, n) for w, n in zip(wanted, [n for n in np.bincount(labels) if n], strict=True))
        return
    assert np.array_equal(np.sort(np.concatenate([kept, held])), np.arange(60))
    for label in np.unique(labels):
        assert (labels[held] == label).sum() == round(share * (labels == label).sum())
    again = stratified(labels, share, seed)
    assert np.array_equal(again[1], held)


def test_validation_is_carved_from_the_training_data_only(fashion):
    whole = catalog.load("fashion_mnist", root=fashion.parent)
    carved = catalog.load("fashion_mnist", validation=0.25, seed=3, root=fashion.parent)
    other = catalog.load("fashion_mnist", validation=0.25, seed=4, root=fashion.parent)
    assert np.array_equal(carved.test.x.pixels, whole.test.x.pixels)
    assert len(carved.train.x) == 30 and len(carved.validation.x) == 10
    together = np.concatenate([carved.train.x.pixels, carved.validation.x.pixels])
    assert {p.tobytes() for p in together} == {p.tobytes() for p in whole.train.x.pixels}
    assert not np.array_equal(carved.validation.x.pixels, other.validation.x.pixels)


def test_training_takes_images_as_they_are_kept(fashion):
    data = catalog.load("fashion_mnist", validation=0.25, root=fashion.parent)
    network = Network(Input("static", data.shape), (Flatten(), Dense(8), Spiking(), Dense(10)), 3)
    config = TrainConfig(epochs=2, batch=8, augment=augment.RandomCrop(2, data.train.x.black))
    kept = fit(network, config, data.train, data.validation, progress=False)
    arrays = [(np.asarray(side.x), side.y) for side in (data.train, data.validation)]
    plain = fit(network, config, *arrays, progress=False)
    for name, value in kept.params.items():
        assert np.array_equal(value, plain.params[name])


# Moving pictures about

pictures = st.tuples(st.booleans(), st.integers(1, 4), st.integers(4, 9), st.integers(4, 9))


def picture(kind, seed):
    frames, batch, height, width = kind
    shape = (3, batch, 2, height, width) if frames else (batch, 2, height, width)
    return np.random.default_rng(seed).integers(1, 100, shape).astype(np.uint16), np.arange(batch)


STEPS = [
    augment.RandomCrop(2),
    augment.RandomFlip(),
    augment.Cutout(3),
    augment.RandomRoll(2),
    augment.RandomRotation(30),
    augment.RandomResizedCrop(),
    augment.Chain((augment.RandomFlip(), augment.Cutout(2))),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
@settings(max_examples=30)
@given(kind=pictures, seed=seeds)
def test_variations_are_pure_repeatable_and_invent_no_value(step, kind, seed):
    x, y = picture(kind, seed)
    before = x.copy()
    out, same = step(x, y, np.random.default_rng(seed))
    again, _ = step(x, y, np.random.default_rng(seed))
    assert np.array_equal(x, before) and np.array_equal(out, again) and np.array_equal(y, same)
    assert out.shape == x.shape and out.dtype == x.dtype
    for n in range(len(y)):
        for c in range(2):
            assert set(out[..., n, c, :, :].ravel()) <= set(x[..., n, c, :, :].ravel()) | {0}


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
@settings(max_examples=30)
@given(kind=pictures, seed=seeds)
def test_all_steps_and_channels_of_a_sample_move_together(step, kind, seed):
    _, batch, height, width = kind
    one = np.random.default_rng(seed).integers(1, 100, (batch, 1, height, width))
    x = np.broadcast_to(one, (3, batch, 2, height, width))
    out, _ = step(x, np.arange(batch), np.random.default_rng(seed))
    assert (out == out[:1, :, :1]).all()
    static, _ = step(one, np.arange(batch), np.random.default_rng(seed))
    assert np.array_equal(out[0, :, :1], static)


@given(seeds, st.integers(0, 4))
def test_a_random_crop_is_a_crop_of_the_padded_picture(seed, padding):
    x, y = picture((False, 3, 6, 7), seed)
    out, _ = augment.RandomCrop(padding, (7.0, 9.0))(x, y, np.random.default_rng(seed))
    for before, after in zip(x, out, strict=True):
        padded = np.stack(
            [np.pad(c, padding, constant_values=f) for c, f in zip(before, (7, 9), strict=True)]
        )
        places = [
            padded[:, i : i + 6, j : j + 7] for i in range(2 * padding + 1) for j in range(2 * padding + 1)
        ]
        assert any(np.array_equal(after, place) for place in places)


@given(seeds, st.integers(1, 12))
def test_a_hole_is_one_square_cut_off_at_the_border(seed, size):
    x, y = picture((True, 4, 8, 9), seed)
    out, _ = augment.Cutout(size)(x, y, np.random.default_rng(seed))
    for n in range(4):
        hole = (out[0, n, 0] == 0) & (x[0, n, 0] != 0)
        rows, columns = hole.any(1), hole.any(0)
        assert hole.sum() == rows.sum() * columns.sum() > 0
        assert rows.sum() <= size and columns.sum() <= size
        assert np.array_equal(out[0, n, 0][~hole], x[0, n, 0][~hole])


@given(seeds, st.integers(0, 3))
def test_quarter_turns_are_exact_and_small_turns_follow_the_formula(seed, quarters):
    x, _ = picture((False, 2, 8, 8), seed)
    turned = augment.rotated(x, np.full(2, 90.0 * quarters))
    assert np.array_equal(turned, np.rot90(x, quarters, (-2, -1)))
    angle = np.random.default_rng(seed).uniform(-30, 30)
    turned = augment.rotated(x, np.full(2, angle))
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    for i in range(8):
        for j in range(8):
            down, right = i - 3.5, j - 3.5
            row, column = round(sin * right + cos * down + 3.5), round(cos * right - sin * down + 3.5)
            inside = 0 <= row < 8 and 0 <= column < 8
            assert (turned[:, :, i, j] == (x[:, :, row, column] if inside else 0)).all()


def test_a_roll_loses_nothing_and_a_flip_mirrors():
    x, y = picture((True, 50, 6, 8), 1)
    out, _ = augment.RandomRoll(3)(x, y, np.random.default_rng(0))
    assert np.array_equal(np.sort(out.reshape(3, 50, 2, -1)), np.sort(x.reshape(3, 50, 2, -1)))
    out, _ = augment.RandomFlip(0.5)(x, y, np.random.default_rng(0))
    kept = [np.array_equal(out[:, n], x[:, n]) for n in range(50)]
    mirrored = [np.array_equal(out[:, n], x[:, n, ..., ::-1]) for n in range(50)]
    assert all(a != b for a, b in zip(kept, mirrored, strict=True)) and 10 < sum(kept) < 40


def test_impossible_variations_are_refused():
    for wrong in (
        lambda: augment.RandomCrop(-1),
        lambda: augment.RandomFlip(2),
        lambda: augment.Cutout(0),
        lambda: augment.RandomResizedCrop((0, 1)),
        lambda: augment.RandomCrop(1, (1.0, 2.0, 3.0))(
            *picture((False, 1, 4, 4), 0), np.random.default_rng(0)
        ),
    ):
        with pytest.raises(ConfigError):
            wrong()
    with pytest.raises(DataError, match="shape"):
        augment.RandomFlip()(np.zeros((2, 3)), np.zeros(2), np.random.default_rng(0))
