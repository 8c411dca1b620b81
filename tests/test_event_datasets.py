"""Event sets: formats and frames as tonic and SpikingJelly have them, to the very event (about 7 s)."""

import struct

import numpy as np
import pytest
import tonic
import tonic.datasets
import tonic.io
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyedge import augment, datasets
from pyedge.datasets import aedat, braille, catalog, cifar10_dvs, dvs_gesture, nmnist
from pyedge.datasets.events import (
    EVENT,
    Recordings,
    between,
    center_crop,
    crop,
    downsample,
    make_events,
)
from pyedge.datasets.frames import (
    Binning,
    bilinear,
    cropped,
    event_bins,
    event_windows,
    time_bins,
    time_windows,
    to_frames,
)
from pyedge.errors import ConfigError, DataError
from pyedge.layers import Dense, Flatten, Spiking
from pyedge.model import Input, Network
from pyedge.trainer import TrainConfig, fit

FRESH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
seeds = st.integers(0, 2**32 - 1)


def drawn(seed, count, size=(34, 34), last=300_000):
    """Events in the order of time, several at some times."""
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(0, side, count) for side in size)
    t = (
        np.sort(rng.integers(0, max(last, 1), count))
        if rng.random() < 0.8
        else np.sort(rng.integers(0, 9, count))
    )
    return make_events(x, y, t, rng.integers(0, 2, count))


def same(ours, theirs):
    """Whether two structured arrays hold equal events, whatever the types of their columns."""
    return len(ours) == len(theirs) and all(np.array_equal(ours[name], theirs[name]) for name in "xytp")


# N-MNIST


def nmnist_bytes(events):
    t = events["t"]
    columns = [events["x"], events["y"], events["p"].astype(int) << 7 | t >> 16, t >> 8 & 255, t & 255]
    return np.stack(columns, 1).astype(np.uint8).tobytes()


@FRESH
@given(seeds, st.integers(1, 60), st.integers(1, 2**23 - 1))
def test_nmnist_files_are_read_as_tonic_reads_them(tmp_path, seed, count, last):
    path = tmp_path / "00001.bin"
    events = drawn(seed, count, last=last)
    path.write_bytes(nmnist_bytes(events))
    found = nmnist.read_bin(path)
    assert found.dtype == EVENT and same(found, events)
    assert same(found, tonic.io.read_mnist_file(str(path), tonic.datasets.NMNIST.dtype))


@FRESH
@given(seeds, st.integers(2, 40))
def test_clock_overflows_are_read_as_tonic_reads_them(tmp_path, seed, count):
    path = tmp_path / "00001.bin"
    events = drawn(seed, count)
    events["y"][np.random.default_rng(seed).random(count) < 0.2] = 240
    path.write_bytes(nmnist_bytes(events))
    assert same(nmnist.read_bin(path), tonic.io.read_mnist_file(str(path), tonic.datasets.NMNIST.dtype))


@pytest.fixture
def nmnist_folder(tmp_path):
    """A tiny N-MNIST in the published layout."""
    number = 0
    for part, each in (("Train", 3), ("Test", 2)):
        for digit in range(10):
            folder = tmp_path / "nmnist" / part / str(digit)
            folder.mkdir(parents=True)
            for _ in range(each):
                number += 1
                (folder / f"{number:05d}.bin").write_bytes(nmnist_bytes(drawn(number, 50 + number)))
    return tmp_path


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_published_nmnist_folder_is_read_as_tonic_reads_it(nmnist_folder, part, monkeypatch):
    ours = catalog.read("nmnist", part, nmnist_folder)
    (nmnist_folder / "NMNIST").symlink_to("nmnist")
    # tonic downloads whatever has fewer than 10,000 files.
    monkeypatch.setattr(tonic.datasets.NMNIST, "_check_exists", lambda self: True)
    theirs = tonic.datasets.NMNIST(str(nmnist_folder), train=part == "train")
    assert len(ours) == len(theirs) == (30 if part == "train" else 20)
    for k, (events, label) in enumerate(theirs):
        assert ours.labels[k] == label and same(ours.events(k), events)


def test_bad_nmnist_files_are_refused_by_name_and_byte(nmnist_folder):
    path = nmnist_folder / "nmnist" / "Test" / "3" / "00037.bin"
    events = drawn(1, 9)
    path.write_bytes(nmnist_bytes(events)[:-2])
    with pytest.raises(datasets.TruncatedFileError, match=r"00037\.bin: 43 bytes.*byte 40"):
        catalog.load("nmnist", root=nmnist_folder)
    events["x"][6] = 34
    path.write_bytes(nmnist_bytes(events))
    with pytest.raises(datasets.ValueRangeError, match=r"00037\.bin, byte 30: event 6 at x = 34"):
        catalog.load("nmnist", root=nmnist_folder)
    path.write_bytes(b"")
    with pytest.raises(datasets.TruncatedFileError):
        catalog.load("nmnist", root=nmnist_folder)
    for file in path.parent.glob("*"):
        file.unlink()
    with pytest.raises(datasets.MissingDataError, match=r"Test/3 holds no .*Test\.zip"):
        catalog.load("nmnist", root=nmnist_folder)
    with pytest.raises(datasets.MissingDataError, match=r"Train\.zip \(MD5 20959b.*garrickorchard"):
        catalog.load("nmnist", root=nmnist_folder / "nowhere")


# AEDAT


def aedat2_bytes(events, header=b"# created by a test\r\n"):
    x, y, p = (events[name].astype(np.uint32) for name in "xyp")
    raw = np.stack([x << 8 | y << 1 | p, events["t"].astype(np.uint32)], 1).astype(">u4")
    return b"#!AER-DAT2.0\r\n" + header + raw.tobytes()


def packet(events, kind=1, overflow=0):
    x, y, p = (events[name].astype(np.uint32) for name in "xyp")
    raw = np.stack([x << 17 | y << 2 | p << 1 | 1, events["t"].astype(np.uint32)], 1).astype("<u4")
    return struct.pack("<HHIIIIII", kind, 1, 8, 4, overflow, len(raw), len(raw), len(raw)) + raw.tobytes()


def aedat3_bytes(*packets):
    header = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    return header + b"".join(packets)


@FRESH
@given(seeds, st.integers(1, 60))
def test_aedat2_is_read_as_tonic_reads_it(tmp_path, seed, count):
    path = tmp_path / "cifar10_cat_1.aedat"
    events = drawn(seed, count, (128, 128))
    path.write_bytes(aedat2_bytes(events))
    _, header, *_ = tonic.io.read_aedat_header_from_file(str(path))
    raw = tonic.io.get_aer_events_from_file(str(path), 2.0, header)
    address = raw["address"].astype(int)
    theirs = make_events(address >> 8 & 127, address >> 1 & 127, raw["timeStamp"], address & 1)
    assert same(aedat.read_aedat2(path), events) and same(theirs, events)
    turned = cifar10_dvs.read_recording(path)
    assert same(turned, make_events(127 - events["x"], 127 - events["y"], events["t"], ~events["p"]))


def tonic_reads(reader, path, monkeypatch):
    """What tonic's reader gives; its header function tells more than its DVS readers unpack."""
    whole = tonic.io.read_aedat_header_from_file
    with monkeypatch.context() as patch:
        patch.setattr(tonic.io, "read_aedat_header_from_file", lambda path: whole(path)[:2])
        return reader(str(path))[1]


def test_tonics_own_readers_agree(tmp_path, monkeypatch):
    path = tmp_path / "recording.aedat"
    for seed in range(20):
        first, second = drawn(seed, 30, (128, 128)), drawn(seed + 99, 17, (128, 128))
        path.write_bytes(aedat2_bytes(first))
        assert same(aedat.read_aedat2(path), tonic_reads(tonic.io.read_dvs_128, path, monkeypatch))
        path.write_bytes(aedat3_bytes(packet(first), packet(second)))
        found = aedat.read_aedat3(path)
        assert same(found, tonic_reads(tonic.io.read_dvs_ibm, path, monkeypatch))
        assert same(found, np.concatenate([first, second]))


def test_other_packets_are_passed_over_and_overflows_counted(tmp_path):
    path = tmp_path / "user01_led.aedat"
    first, second = drawn(1, 20, (128, 128)), drawn(2, 20, (128, 128))
    path.write_bytes(aedat3_bytes(packet(first), packet(first, kind=0), packet(second, overflow=1)))
    found = aedat.read_aedat3(path)
    second["t"] += 1 << 31
    assert same(found, np.concatenate([first, second]))
    path.write_bytes(aedat3_bytes())
    assert len(aedat.read_aedat3(path)) == 0


def test_bad_aedat_files_are_refused_by_name_and_byte(tmp_path):
    path = tmp_path / "user01_led.aedat"
    whole = aedat3_bytes(packet(drawn(1, 5, (128, 128))), packet(drawn(2, 3, (128, 128))))
    start = len(aedat3_bytes())
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        if cut < 14:
            with pytest.raises(datasets.FileKindError, match="byte 0"):
                aedat.read_aedat3(path)
        elif cut > start and cut != start + 28 + 40:
            with pytest.raises(datasets.TruncatedFileError, match=f"ends at byte {cut}"):
                aedat.read_aedat3(path)
    outside = drawn(1, 5, (128, 128))
    outside["x"][3] = 128
    path.write_bytes(aedat3_bytes(packet(outside)))
    with pytest.raises(datasets.ValueRangeError, match=f"byte {start + 28 + 24}: event 3 at x = 128"):
        aedat.read_aedat3(path)
    path.write_bytes(aedat2_bytes(drawn(1, 5)))
    with pytest.raises(datasets.FileKindError, match=r"AEDAT 2\.0"):
        aedat.read_aedat3(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(datasets.TruncatedFileError, match="inside an event"):
        aedat.read_aedat2(path)
    path.write_bytes(b"PK\3\4 a zip file")
    with pytest.raises(datasets.FileKindError, match="byte 0"):
        aedat.read_aedat2(path)


@FRESH
@given(st.data())
def test_damaged_aedat_files_raise_nothing_unnamed(tmp_path, data):
    path = tmp_path / "broken.aedat"
    whole = bytearray(aedat3_bytes(packet(drawn(1, 5, (128, 128))), packet(drawn(2, 3, (128, 128)))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    for reader in (aedat.read_aedat3, aedat.read_aedat2):
        try:
            events = reader(path)
        except DataError as error:
            assert "broken" in str(error)
        else:
            assert events["x"].max(initial=0) < 128 and events["y"].max(initial=0) < 128


# DVS128-Gesture


@pytest.fixture
def gestures(tmp_path):
    """A tiny DVS128-Gesture in the published layout: a recording of three trials for each part."""
    folder = tmp_path / "dvs_gesture" / "DvsGesture"
    folder.mkdir(parents=True)
    for number, (name, part) in enumerate((("user01_led", "train"), ("user24_lab", "test"))):
        (folder / f"trials_to_{part}.txt").write_text(f"{name}.aedat\n\n")
        events = drawn(number, 900, (128, 128), last=9000)
        (folder / f"{name}.aedat").write_bytes(aedat3_bytes(packet(events[:500]), packet(events[500:])))
        rows = ["class,startTime_usec,endTime_usec", "1,100,3000", "8,3000,5000", "11,4900,8000"]
        (folder / f"{name}_labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_gesture_trials_are_cut_by_their_table(gestures):
    for number, part in enumerate(("train", "test")):
        trials = catalog.read("dvs_gesture", part, gestures.parents[1])
        events = drawn(number, 900, (128, 128), last=9000)
        assert list(trials.labels) == [0, 7, 10]
        for k, (start, stop) in enumerate(((100, 3000), (3000, 5000), (4900, 8000))):
            assert same(trials.events(k), events[(events["t"] >= start) & (events["t"] < stop)])
    data = catalog.load("dvs_gesture", root=gestures.parents[1])
    assert data.train.x.shape == (20, 3, 2, 48, 48) and data.train.x.dtype == np.float32
    assert data.input_kind == "frames" and data.shape == (2, 48, 48)


def test_bad_gesture_files_are_refused_by_name_and_line(gestures):
    table = gestures / "user01_led_labels.csv"
    good = table.read_text()
    for change, error, text in (
        (("8,3000", "12,3000"), datasets.LabelError, r"labels\.csv, line 3: class 12; 1 \.\. 11"),
        (("8,3000", "0,3000"), datasets.LabelError, "line 3: class 0"),
        (("8,3000,", "8,6000,"), datasets.ShapeError, "line 3: a trial from 6000 to 5000"),
        (("8,3000,", "8,,"), datasets.ShapeError, "line 3"),
        (("class,", "label,"), datasets.FileKindError, "line 1"),
        (("class,", "é"), datasets.FileKindError, "byte 0"),
    ):
        table.write_text(good.replace(*change), encoding="utf-8")
        with pytest.raises(error, match=text):
            dvs_gesture.read_trials(table)
    table.unlink()
    with pytest.raises(
        datasets.MissingDataError, match=r"user01_led_labels\.csv is missing.*DvsGesture\.tar"
    ):
        catalog.load("dvs_gesture", root=gestures.parents[1])
    (gestures / "user01_led.aedat").unlink()
    with pytest.raises(datasets.MissingDataError, match=r"user01_led\.aedat, listed in trials_to_train"):
        catalog.load("dvs_gesture", root=gestures.parents[1])


# CIFAR10-DVS


def test_the_last_tenth_of_each_class_is_the_test(tmp_path):
    for label, name in enumerate(cifar10_dvs.CLASSES):
        folder = tmp_path / "cifar10_dvs" / name
        folder.mkdir(parents=True)
        for k in range(20):
            events = drawn(20 * label + k, 30, (128, 128))
            (folder / f"cifar10_{name}_{k}.aedat").write_bytes(aedat2_bytes(events))
    train, test = (catalog.read("cifar10_dvs", part, tmp_path) for part in ("train", "test"))
    assert list(np.bincount(train.labels)) == [18] * 10 and list(np.bincount(test.labels)) == [2] * 10
    for side, kept in ((train, range(18)), (test, range(18, 20))):
        for place, k in enumerate(kept):
            path = tmp_path / "cifar10_dvs" / "dog" / f"cifar10_dog_{k}.aedat"
            assert same(side.events(5 * len(kept) + place), cifar10_dvs.read_recording(path))
    data = catalog.load("cifar10_dvs", Binning(4, size=(48, 48)), validation=0.5, seed=1, root=tmp_path)
    assert data.train.x.shape == data.validation.x.shape == (4, 90, 2, 48, 48)
    for path in (tmp_path / "cifar10_dvs" / "frog").iterdir():
        path.unlink()
    with pytest.raises(datasets.MissingDataError, match=r"frog holds no .*frog\.zip"):
        catalog.load("cifar10_dvs", root=tmp_path)


# Frames


recorded = st.tuples(seeds, st.integers(1, 200), st.sampled_from([1, 10, 1000, 300_000]))
SMALL = (7, 5)


def tonic_frames(events, **how):
    return tonic.transforms.ToFrame(sensor_size=(*SMALL, 2), **how)(events.copy())


@given(recorded, st.integers(1, 12))
def test_bins_are_tonics(case, bins):
    events = drawn(case[0], case[1], SMALL, case[2])
    by_count, by_time = event_bins(events, bins, "drop"), time_bins(events, bins, "drop")
    assert np.array_equal(to_frames(events, SMALL, by_count), tonic_frames(events, n_event_bins=bins))
    assert np.array_equal(to_frames(events, SMALL, by_time), tonic_frames(events, n_time_bins=bins))


@given(recorded, st.integers(1, 60), st.data(), st.booleans())
def test_windows_are_tonics(case, width, data, incomplete):
    events = drawn(case[0], case[1], SMALL, case[2])
    overlap = data.draw(st.integers(0, width - 1))
    how = {"overlap": overlap, "include_incomplete": incomplete}
    ours = to_frames(events, SMALL, event_windows(events, width, overlap, incomplete))
    assert np.array_equal(ours, tonic_frames(events, event_count=width, **how))
    wide = width * max(1, case[2] // 500)
    overlap = min(overlap, wide // 2)
    how["overlap"] = overlap
    ours = to_frames(events, SMALL, time_windows(events, wide, None, overlap, incomplete))
    assert np.array_equal(ours, tonic_frames(events, time_window=wide, **how))
    count = data.draw(st.integers(1, 9))
    ours = to_frames(events, SMALL, time_windows(events, wide, count))
    start = int(events["t"][0])
    fixed = tonic_frames(events, time_window=wide, start_time=start, end_time=start + count * wide)
    assert np.array_equal(ours, fixed)


@given(recorded, st.integers(1, 12), st.sampled_from(["number", "time"]))
def test_bins_with_the_rest_are_spikingjellys(case, bins, split_by):
    # Its definition, event by event: frame j holds what lies in widths [j, j + 1); the last, all to the end.
    events = drawn(case[0], case[1], SMALL, case[2])
    expected = np.zeros((bins, 2, SMALL[1], SMALL[0]), int)
    t = events["t"].tolist()
    width = len(events) // bins if split_by == "number" else (t[-1] - t[0]) // bins
    begin = (bins - 1) * width if split_by == "number" else t[0] + (bins - 1) * width
    place = list(range(len(events))) if split_by == "number" else t
    # From the last frame's first event on, everything is the last frame's.
    last = next((k for k, at in enumerate(place) if at >= begin), len(events))
    for k, (x, y, _, p) in enumerate(events.tolist()):
        frame = bins - 1 if k >= last else (place[k] - (0 if split_by == "number" else t[0])) // width
        expected[frame, int(p), y, x] += 1
    cuts = event_bins(events, bins) if split_by == "number" else time_bins(events, bins)
    assert np.array_equal(to_frames(events, SMALL, cuts), expected)
    assert expected.sum() == len(events)


def several(seed, count, size=SMALL, most=80):
    rng = np.random.default_rng(seed)
    kept = [drawn(seed + k, int(rng.integers(1, most)), size) for k in range(count)]
    return Recordings(np.arange(count), size, lambda k: kept[k])


binnings = st.builds(
    Binning,
    st.integers(1, 9),
    st.sampled_from(["count", "time", "window"]),
    st.sampled_from(["last", "drop"]),
    st.integers(1, 100_000),
    binary=st.booleans(),
)


@given(seeds, binnings, st.data())
def test_frames_kept_as_events_are_the_frames(seed, binning, data):
    recordings = several(seed, 6)
    frames = binning(recordings)
    each = [
        to_frames(recordings.events(k), SMALL, binning.cuts(recordings.events(k)))
        for k in range(len(recordings))
    ]
    whole = np.stack(each, 1)
    if binning.binary:
        whole = whole > 0
    assert frames.shape == whole.shape and frames.dtype == (bool if binning.binary else np.uint16)
    assert np.array_equal(np.asarray(frames), whole)
    which = data.draw(st.lists(st.integers(0, 5), max_size=8))
    assert np.array_equal(frames.take(which, 1), whole[:, which])
    assert np.array_equal(frames[:, 2:5], whole[:, 2:5]) and np.array_equal(frames[:, 3], whole[:, 3:4])


def test_many_frames_take_the_memory_of_their_events():
    recordings = catalog.read("nmnist_1000", "train")
    frames = catalog.describe("nmnist_1000").binning(recordings)
    assert frames.shape == (30, 1000, 2, 34, 34)
    assert frames.nbytes < 10e6 < np.prod(frames.shape) / 5
    some = range(0, 1000, 100)
    assert frames.take(some).sum() == sum(len(recordings.events(k)) for k in some)


@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), seeds)
def test_resizing_is_torchs(length, target, antialias, seed):
    line = np.random.default_rng(seed).random((1, 1, 1, length), np.float32)
    ours = line[0, 0, 0] @ bilinear(length, target, antialias).T
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(line), (1, target), mode="bilinear", antialias=antialias, align_corners=False
    )
    assert np.allclose(ours, theirs.numpy()[0, 0, 0], atol=1e-5)


@pytest.mark.parametrize("resize", ["bilinear", "nearest", "events"])
def test_resized_frames(resize):
    recordings = several(3, 4, (16, 12), most=400)
    frames = Binning(3, size=(6, 5), resize=resize)(recordings)
    plain = np.asarray(Binning(3)(recordings))
    assert frames.shape == (3, 4, 2, 5, 6)
    if resize == "events":
        assert np.asarray(frames).sum() == plain.sum() and frames.dtype == np.uint16
    else:
        how = {"antialias": True, "align_corners": False} if resize == "bilinear" else {}
        image = torch.from_numpy(plain.reshape(12, 2, 12, 16).astype(np.float32))
        theirs = torch.nn.functional.interpolate(image, (5, 6), mode=resize, **how)
        assert np.allclose(np.asarray(frames).reshape(12, 2, 5, 6), theirs.numpy(), atol=1e-4)


@given(seeds)
def test_crops_and_fewer_pixels_are_tonics(seed):
    events = drawn(seed, 100, (34, 30))
    theirs = tonic.transforms.CenterCrop(sensor_size=(34, 30, 2), size=(20, 16))(events.copy())
    assert same(center_crop(events, (34, 30), (20, 16)), theirs)
    theirs = tonic.transforms.Downsample(sensor_size=(34, 30, 2), target_size=(17, 15))(events)
    assert same(downsample(events, (34, 30), (17, 15)), theirs)
    shifted = crop(events, 3, 5, (9, 8))
    kept = events[(events["x"] >= 3) & (events["x"] < 12) & (events["y"] >= 5) & (events["y"] < 13)]
    assert np.array_equal(shifted["x"] + 3, kept["x"]) and np.array_equal(shifted["y"] + 5, kept["y"])
    recordings = Recordings(np.zeros(1, int), (34, 30), lambda k: events)
    assert cropped(recordings, 3, 5, (9, 8)).size == (9, 8)
    start, stop = events["t"][[20, 70]].tolist()
    cut = between(events, start, stop)["t"].tolist()
    assert cut == [t for t in events["t"].tolist() if start <= t < stop]


def test_impossible_frames_are_refused():
    events = drawn(1, 20)
    backwards = events[::-1].copy()
    with pytest.raises(datasets.ShapeError, match="time runs backwards at event"):
        time_bins(backwards, 3)
    with pytest.raises(datasets.ShapeError, match="without events"):
        time_bins(events[:0], 3)
    assert to_frames(events[:0], (34, 34), Binning(3, "time").cuts(events[:0])).sum() == 0
    for wrong in (
        lambda: Binning(0),
        lambda: Binning(3, "size"),
        lambda: Binning(3, resize="cubic"),
        lambda: Binning(3, size=(0, 4)),
        lambda: Binning(3, size=(4, 4), binary=True),
        lambda: time_windows(events, 10, overlap=10),
        lambda: center_crop(events, (34, 34), (35, 34)),
    ):
        with pytest.raises(ConfigError):
            wrong()
    with pytest.raises(datasets.ValueRangeError, match="outside the sensor's 4 x 34"):
        to_frames(events, (4, 34), event_bins(events, 2))
    frames = Binning(2)(several(1, 3))
    with pytest.raises(datasets.ShapeError, match="axis 1"):
        frames.take([0], 0)
    with pytest.raises(datasets.ShapeError, match="x\\[:, recordings\\]"):
        frames[0]


def test_recordings_are_taken_by_number_or_by_a_mask():
    """A mask took its trues and falses for the numbers 1 and 0."""
    recordings = several(2, 4)
    mask = np.array([False, False, True, True])
    for which in (mask, np.array([2, 3]), np.array([-2, -1])):
        taken = recordings.take(which)
        assert len(taken) == 2
        assert all(same(taken.events(k), recordings.events(k + 2)) for k in range(2))


def test_only_the_first_saccade():
    recordings = several(5, 3, most=300)
    frames = np.asarray(Binning(2, saccade=100_000)(recordings))
    early = sum((recordings.events(k)["t"] < 100_000).sum() for k in range(3))
    assert frames.sum() == early > 0


# The real recordings


def features(side):
    """Square roots of the share of each pixel's events."""
    counts = np.asarray(side.x)[0].reshape(len(side.y), -1).astype(float)
    return np.sqrt(counts / counts.sum(1, keepdims=True))


@pytest.mark.parametrize(("name", "right"), [("nmnist_1000", 0.82), ("dvs_alphabet", 1.0)])
def test_real_recordings_give_the_known_nearest_neighbours(name, right):
    data = catalog.load(name, Binning(1))
    train, test = features(data.train), features(data.test)
    assert (data.train.y[(test @ train.T).argmax(1)] == data.test.y).mean() == pytest.approx(right, abs=0.005)


def test_the_nmnist_subset_is_whole():
    train, test = (catalog.read("nmnist_1000", part) for part in ("train", "test"))
    assert list(np.bincount(train.labels)) == [97, 116, 99, 93, 105, 92, 94, 117, 87, 100]
    assert list(np.bincount(test.labels)) == [8, 14, 8, 11, 14, 7, 10, 15, 2, 11]
    assert sum(train.events(k).size for k in range(1000)) == 4_133_231
    assert sum(test.events(k).size for k in range(100)) == 385_596


def test_braille_letters_are_balanced_and_told_apart():
    data = catalog.load("braille_tactile")
    assert data.train.x.shape == (76, 1080, 24) and data.input_kind == "spikes" and data.shape == (24,)
    assert set(np.bincount(data.test.y)) == {10}
    train, test = (
        s.x.reshape(4, 19, -1, 24).sum(1).transpose(1, 0, 2).reshape(-1, 96) for s in (data.train, data.test)
    )
    centres = np.stack([train[data.train.y == k].mean(0) for k in range(27)])
    nearest = ((test[:, None] - centres) ** 2).sum(2).argmin(1)
    assert (nearest == data.test.y).mean() > 0.9


@given(seeds, st.integers(1, 9))
def test_delta_spikes_follow_the_reading_within_the_threshold(seed, threshold):
    steps = np.random.default_rng(seed).integers(-threshold, threshold + 1, (3, 30, 2))
    readings = (np.cumsum(steps, 1) + 30 * threshold).clip(0, 255)
    spikes = braille.delta_spikes(readings.astype(np.uint8), threshold)
    assert not (spikes[..., :2] & spikes[..., 2:]).any()
    moved = spikes[..., :2].astype(int) - spikes[..., 2:]
    rebuilt = readings[:, :1].swapaxes(0, 1) + threshold * np.cumsum(moved, 0)
    assert (abs(rebuilt - readings.swapaxes(0, 1)) < threshold).all()


def test_a_truncated_or_mislabelled_joined_file_is_refused(tmp_path):
    path = tmp_path / "nmnist" / "nmnist_train1000.npz"
    path.parent.mkdir()
    events = drawn(1, 40)
    good = {name: events[name] for name in "xytp"} | {
        "seg_start": np.array([0, 20]),
        "seg_len": np.array([20, 20]),
        "label": np.array([3, 9]),
    }
    for change, error, text in (
        ({"seg_len": np.array([20, 21])}, datasets.ShapeError, r"recording 1 is events 20 \.\. 40 of 40"),
        ({"label": np.array([3, 10])}, datasets.LabelError, "recording 1: label 10"),
        ({"label": np.array([3])}, datasets.ShapeError, "1 labels for 2 recordings"),
        ({"x": events["x"][:-1]}, datasets.ShapeError, "differ in length"),
        ({"x": events["x"] + 20}, datasets.ValueRangeError, "event .* outside the sensor"),
        ({"x": events["x"].astype(float)}, datasets.ShapeError, "'x' is float64"),
        ({"label": np.array([[3], [9]])}, datasets.ShapeError, "'label' is int64 of shape"),
        ({"seg_len": np.array(20)}, datasets.ShapeError, "'seg_len' is int64 of shape"),
    ):
        np.savez(path, **(good | change))
        with pytest.raises(error, match=rf"nmnist_train1000\.npz.*{text}"):
            nmnist.open_joined(path, nmnist.SIZE, 10)
    np.savez(path, **good)
    assert same(nmnist.open_joined(path, nmnist.SIZE, 10).events(1), events[20:])


@pytest.mark.parametrize("binary", [False, True])
def test_training_takes_frames_as_they_are_kept(nmnist_folder, binary):
    data = catalog.load("nmnist", Binning(3, binary=binary), validation=0.34, root=nmnist_folder)
    assert data.input_kind == ("spikes" if binary else "frames")
    network = Network(Input(data.input_kind, data.shape), (Flatten(), Dense(8), Spiking(), Dense(10)), 3)
    config = TrainConfig(epochs=2, batch=8, augment=augment.RandomFlip())
    kept = fit(network, config, data.train, data.validation, progress=False)
    arrays = [(np.asarray(side.x), side.y) for side in (data.train, data.validation)]
    plain = fit(network, config, *arrays, progress=False)
    for name, value in kept.params.items():
        assert np.array_equal(value, plain.params[name])


# Variations of frames


@given(seeds, st.integers(0, 3), st.integers(1, 3))
def test_nda_varies_each_recording_by_its_own_operations(seed, operations, magnitude):
    x = np.random.default_rng(seed).integers(1, 9, (3, 5, 2, 8, 8)).astype(np.uint16)
    before, y = x.copy(), np.arange(5)
    step = augment.NDA(operations, magnitude)
    out, same_y = step(x, y, np.random.default_rng(seed))
    again, _ = step(x, y, np.random.default_rng(seed))
    assert np.array_equal(x, before) and np.array_equal(out, again) and np.array_equal(same_y, y)
    assert out.shape == x.shape and out.dtype == x.dtype
    if operations == 0:
        assert np.array_equal(out, x)


def test_nda_uses_all_three_operations():
    x = np.ones((1, 300, 2, 48, 48), np.uint8)
    out, _ = augment.NDA()(x, np.arange(300), np.random.default_rng(0))
    lost = (out == 0).sum((0, 2, 3, 4))
    holes = np.array([set(np.unique(out[0, n, 0].all(1))) == {True} for n in range(300)])
    assert 60 < (lost == 0).sum() < 140  # rolls of an even picture, and hardly a rotation of 0
    assert lost.max() <= 2 * 48 * 48 // 2 and (~holes).any()


@given(seeds, st.integers(1, 12))
def test_deleted_steps_keep_their_order(seed, keep):
    x = np.arange(12)[:, None, None, None, None] * np.ones((12, 2, 2, 4, 4))
    step = augment.TemporalDelete(keep)
    out, _ = step(x, np.arange(2), np.random.default_rng(seed))
    times = out[:, 0, 0, 0, 0]
    assert len(out) == keep and (np.diff(times) > 0).all()
    chain = augment.dvs_gesture_augment(keep)
    assert chain(x, np.arange(2), np.random.default_rng(seed))[0].shape == (keep, 2, 2, 4, 4)
    with pytest.raises(DataError, match="13 steps"):
        augment.TemporalDelete(13)(x, np.arange(2), np.random.default_rng(seed))


@pytest.mark.parametrize("name", catalog.names())
def test_the_usual_variations_suit_their_set(name):
    info = catalog.describe(name)
    black = tuple(range(len(info.mean))) or 0.0
    step = augment.usual_augment(name, black)
    plain = ("mnist", "nmnist", "nmnist_1000", "dvs_alphabet", "braille_tactile")
    assert (step is None) == (name in plain)
    if step is not None:
        shape = (2, *info.shape) if info.kind == "images" else (20, 2, 2, *info.binning.size)
        x = np.ones(shape, np.float32)
        assert step(x, np.arange(2), np.random.default_rng(0))[0].shape == shape
