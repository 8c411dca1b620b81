"""Data sets: every set loads into one structure, and bad files are refused by name (about 5 s)."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyedge import datasets
from pyedge.datasets import Trial, catalog, data_root, load, load_published, recording_from_samples
from pyedge.datasets.ceolini import _SET
from pyedge.errors import DataError

WITHOUT_FOLDER = datasets.EMBEDDED_NAME


def available() -> list[str]:
    """Sets that can be read here: all of them where there is a data folder, always the embedded one."""
    try:
        root = data_root()
    except DataError:
        return [WITHOUT_FOLDER]
    return [
        n for n in datasets.names() if n == WITHOUT_FOLDER or (root / datasets.describe(n).folder).is_dir()
    ]


@pytest.mark.parametrize("name", available())
def test_every_set_loads_into_the_same_structure(name):
    info = datasets.describe(name)
    data = load(name, info.subjects[:2])
    assert data.subjects == info.subjects[:2]
    assert len({r.key for r in data.recordings}) == len(data.recordings)
    for recording in data.recordings:
        assert recording.emg.dtype == np.int8 and recording.emg.shape[1] == 8
        assert 150 < recording.rate_hz <= 200 and recording.session >= 1 and recording.trials
        stops = 0
        for trial in recording.trials:
            assert stops <= trial.start < trial.stop <= len(recording.emg)
            assert 0 <= trial.label < len(info.classes)
            stops = trial.stop
    labels = {t.label for r in data.recordings for t in r.trials}
    assert labels == set(range(len(info.classes)))


@pytest.mark.parametrize("name", available())
def test_a_repetition_number_is_unique_in_its_session(name):
    data = load(name, datasets.describe(name).subjects[:2])
    seen = [(r.subject, r.session, t.label, t.rep) for r in data.recordings for t in r.trials]
    assert len(set(seen)) == len(seen)


def test_the_embedded_set_needs_no_folder_and_fits(monkeypatch):
    monkeypatch.setenv("PYEDGE_DATA", "/nowhere")
    data = load(WITHOUT_FOLDER)
    holds = {}
    for r in data.recordings:
        for t in r.trials:
            holds[r.subject, r.session, t.label] = holds.get((r.subject, r.session, t.label), 0) + 1
    assert set(holds.values()) == {6} and len(holds) == len(data.subjects) * 3 * 8
    folder = datasets.paths.EMBEDDED
    assert sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) < 8_000_000
    assert "Copyright (c) 2021" in (folder / "ATTRIBUTION.md").read_text(encoding="utf-8")
    with pytest.raises(datasets.MissingDataError, match="PYEDGE_DATA"):
        load("myo_wrist")


# Bad files


@pytest.fixture
def wrist(tmp_path):
    """A folder with one good copy of one person, and a function that rewrites its arrays."""
    folder = tmp_path / "myo_wrist"
    folder.mkdir()
    path = folder / "p10000.npz"
    shutil.copy(datasets.paths.EMBEDDED / "myo_wrist" / "p10000.npz", path)
    with np.load(path) as file:
        good = {k: file[k] for k in file.files}

    def rewritten(**changes):
        np.savez(path, **{k: v for k, v in (good | changes).items() if v is not None})
        return load("myo_wrist", ["p10000"], root=tmp_path)

    rewritten.path, rewritten.good, rewritten.root = path, good, tmp_path
    return rewritten


def test_a_missing_file_says_which_and_where(wrist):
    with pytest.raises(datasets.MissingDataError, match=r"p10101\.npz.*myo-readings-dataset.*myo_wrist"):
        load("myo_wrist", ["p10101"], root=wrist.root)


@pytest.mark.parametrize("keep", [0, 3, 1000, 0.5, 0.999])
def test_a_truncated_file_is_refused(wrist, keep):
    whole = wrist.path.read_bytes()
    wrist.path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else keep])
    with pytest.raises(datasets.DamagedFileError, match=r"p10000\.npz"):
        load("myo_wrist", ["p10000"], root=wrist.root)


def test_a_file_with_flipped_bytes_is_refused(wrist):
    whole = bytearray(wrist.path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 64] = bytes(b ^ 0x55 for b in whole[middle : middle + 64])
    wrist.path.write_bytes(whole)
    with pytest.raises(datasets.DamagedFileError):
        load("myo_wrist", ["p10000"], root=wrist.root)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda g: {"emg": None}, datasets.DamagedFileError),
        (lambda g: {"label": None}, datasets.DamagedFileError),
        (lambda g: {"emg": g["emg"][:, :7]}, datasets.ChannelError),
        (lambda g: {"emg": g["emg"][:, 0]}, datasets.ShapeError),
        (lambda g: {"emg": g["emg"].astype("U4")}, datasets.ShapeError),
        (lambda g: {"emg": g["emg"] * np.int16(3)}, datasets.ValueRangeError),
        (lambda g: {"emg": np.where(g["emg"] == 5, np.nan, g["emg"])}, datasets.ValueRangeError),
        (lambda g: {"emg": g["emg"] + 0.5}, datasets.ValueRangeError),
        (lambda g: {"emg": g["emg"][:-9000]}, datasets.ShapeError),
        (lambda g: {"emg": g["emg"][:-9000], "label": g["label"][:-9000]}, datasets.ShapeError),
        (lambda g: {"label": g["label"].astype(float)}, datasets.ShapeError),
        (lambda g: {"label": np.where(g["label"] == 7, 8, g["label"])}, datasets.LabelError),
        (lambda g: {"rec_gesture": g["rec_gesture"] + 8}, datasets.LabelError),
        (lambda g: {"rec_len": g["rec_len"] - 1000}, datasets.SamplingRateError),
        (lambda g: {"rec_len": g["rec_len"][:-1]}, datasets.ShapeError),
    ],
)
def test_a_bad_array_is_refused_by_name(wrist, change, error):
    with pytest.raises(error, match=r"p10000\.npz"):
        wrist(**change(wrist.good))


def test_unknown_names_list_the_known_ones():
    with pytest.raises(DataError, match="myo_fingers"):
        load("myo_toes")
    with pytest.raises(DataError, match="p10000"):
        load(WITHOUT_FOLDER, ["p1"])


# One's own samples


def test_own_samples_pass_the_same_checks():
    ones = np.ones((40, 8), np.int32)
    assert recording_from_samples(ones, 200.0, classes=2, trials=[Trial(0, 40, 1, 0)]).emg.dtype == np.int8
    with pytest.raises(datasets.LabelError, match="label 2"):
        recording_from_samples(ones, 200.0, classes=2, trials=[Trial(0, 40, 2, 0)])
    with pytest.raises(datasets.ShapeError, match=r"samples 30 \.\. 40"):
        recording_from_samples(ones, 200.0, classes=2, trials=[Trial(30, 11, 1, 0)])


@given(st.integers(1, 398), st.floats(0.11, 5.0))
def test_a_gap_in_the_time_stamps_is_found(where, seconds):
    times = np.arange(400) / 200.0
    times[where:] += seconds
    with pytest.raises(datasets.SamplingGapError, match=f"after sample {where - 1} "):
        recording_from_samples(np.zeros((400, 8), int), 200.0, classes=1, times_s=times)


@given(st.floats(20.0, 1000.0), st.integers(0, 2**32 - 1))
def test_a_wrong_rate_is_found_under_jitter(rate, seed):
    times = np.sort(np.arange(400) / rate + np.random.default_rng(seed).uniform(0, 0.01, 400))
    exact = (len(times) - 1) / (times[-1] - times[0])
    if abs(exact / 200.0 - 1) > 0.02:
        with pytest.raises(datasets.SamplingRateError, match="200 Hz"):
            recording_from_samples(np.zeros((400, 8), int), 200.0, classes=1, times_s=times)
    else:
        recording_from_samples(np.zeros((400, 8), int), 200.0, classes=1, times_s=times)


def test_time_that_runs_backwards_is_found():
    times = np.arange(40) / 200.0
    times[20] = 0.0
    with pytest.raises(datasets.SamplingGapError, match="backwards"):
        recording_from_samples(np.zeros((40, 8), int), 200.0, classes=1, times_s=times)


# The published layout of the five-gesture set

PAUSE = 5


def published(folder, person, session, emg, labels, dtype=np.int32):
    """Write one session exactly as published: integers or floats, and one text label per sample."""
    stem = folder / f"subject{person:02d}_session{session:02d}"
    np.save(f"{stem}_emg.npy", emg.astype(dtype))
    np.save(f"{stem}_ann.npy", np.array([*_SET.classes, "none"])[labels])


def converted(root, person, sessions):
    """Write the same sessions as one converted file."""
    folder = root / "myo_fingers"
    folder.mkdir(exist_ok=True)
    lengths = [len(e) for e, _ in sessions]
    np.savez(
        folder / f"s{person:02d}.npz",
        emg=np.concatenate([e for e, _ in sessions]).astype(np.int8),
        label=np.concatenate([y for _, y in sessions]).astype(np.uint8),
        rec_start=np.cumsum([0, *lengths[:-1]]).astype(np.int32),
        rec_len=np.array(lengths, np.int32),
        rec_session=np.arange(1, len(sessions) + 1, dtype=np.uint8),
    )


def session(rng, hold=400):
    """One round of the five gestures with pauses, some of which may be missing at the ends."""
    pieces = [np.full(rng.integers(0, 700), PAUSE)]
    for gesture in rng.permutation(5):
        pieces += [np.full(hold + rng.integers(-20, 20), gesture), np.full(rng.integers(1, 700), PAUSE)]
    labels = np.concatenate(pieces).astype(int)
    return rng.integers(-128, 128, (len(labels), 8)), labels


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 11, 21]))
def test_the_published_layout_gives_the_same_trials(tmp_path_factory, seed, person):
    root = tmp_path_factory.mktemp("published")
    rng = np.random.default_rng(seed)
    sessions = [session(rng, 340 if person == 11 else 400) for _ in range(2)]
    for number, (emg, labels) in enumerate(sessions, 1):
        published(root, person, number, emg, labels, np.float64 if number == 1 else np.int32)
    converted(root, person, sessions)
    ours, theirs = load_published(root), load("myo_fingers", [f"s{person:02d}"], root=root)
    assert len(ours.recordings) == len(theirs.recordings) == 2
    for a, b in zip(ours.recordings, theirs.recordings, strict=True):
        assert (a.key, a.session, a.rate_hz, a.trials) == (b.key, b.session, b.rate_hz, b.trials)
        assert np.array_equal(a.emg, b.emg)
    assert [r.rate_hz for r in ours.recordings] == ([174.0, 169.0] if person == 11 else [200.0, 200.0])


def test_trials_are_those_of_the_authors_loader(tmp_path):
    # Their rule, step by step: delay the annotation by one sample; cut between the steps of its difference.
    emg, labels = session(np.random.default_rng(7))
    published(tmp_path, 3, 1, emg, labels)
    delayed = np.concatenate([[PAUSE], labels[:-1]])
    expected = []
    for gesture in range(5):
        step = np.diff((delayed == gesture).astype(int))
        for begin, end in zip(np.flatnonzero(step == 1), np.flatnonzero(step == -1), strict=False):
            expected.append((begin, end - begin, gesture))
    found = [(t.start, t.length, t.label) for t in load_published(tmp_path).recordings[0].trials]
    assert found == sorted(expected)


def test_bad_published_files_are_refused_by_name(tmp_path):
    with pytest.raises(datasets.MissingDataError, match="3228846"):
        load_published(tmp_path)
    emg, labels = session(np.random.default_rng(1))
    published(tmp_path, 1, 1, emg, labels)
    ann = tmp_path / "subject01_session01_ann.npy"
    whole = ann.read_bytes()
    for damaged in (whole[:-100], b"PK\3\4" + whole):
        ann.write_bytes(damaged)
        with pytest.raises(datasets.DamagedFileError, match="ann"):
            load_published(tmp_path)
    np.save(ann, np.full(len(emg), "fist"))
    with pytest.raises(datasets.LabelError, match="fist"):
        load_published(tmp_path)
    np.save(ann, np.full(len(emg) - 1, "none"))
    with pytest.raises(datasets.ShapeError, match="belong together"):
        load_published(tmp_path)
    ann.unlink()
    with pytest.raises(datasets.MissingDataError, match="ann"):
        load_published(tmp_path)
    published(tmp_path, 1, 1, *session(np.random.default_rng(1), hold=200))
    with pytest.raises(datasets.SamplingRateError, match="median gesture"):
        load_published(tmp_path)


def test_a_set_of_another_kind_says_where_it_is() -> None:
    with pytest.raises(DataError, match=r"fashion_mnist has images.*catalog loads it.*\[samples\], not"):
        datasets.describe("fashion_mnist")
    with pytest.raises(DataError, match=r"myo_wrist has EMG: pyedge\.datasets\.load"):
        catalog.describe("myo_wrist")


def test_a_data_folder_that_is_not_there_is_named_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYEDGE_DATA", "/not/there")
    with pytest.raises(DataError, match=r"^/not/there/nmnist/"):
        catalog.load("nmnist_1000")


def test_one_person_may_be_named_alone_and_a_stranger_is_named() -> None:
    """A name was once taken for a list of letters, and a stranger had no recordings, without a word."""
    one = load(WITHOUT_FOLDER, "p10000")
    assert one.subjects == ("p10000",) == load(WITHOUT_FOLDER, ["p10000"]).subjects
    with pytest.raises(DataError, match="nothing of 'p10101' is loaded; there are p10000"):
        one.of("p10101")
