"""Dividing trials into sides: every split keeps whole trials, so no window can be on two sides."""

from collections.abc import Callable, Collection, Sequence
from itertools import combinations

from ..errors import SplitError
from .recording import Recording, Trial

Side = tuple[Recording, ...]


def select(recordings: Sequence[Recording], wanted: Callable[[Recording, Trial], bool]) -> Side:
    """Recordings with only the wanted trials; those without any are left out. Samples are shared."""
    kept = (r.with_trials([t for t in r.trials if wanted(r, t)]) for r in recordings)
    return tuple(r for r in kept if r.trials)


def _two(
    recordings: Sequence[Recording], in_test: Callable[[Recording, Trial], bool], what: str
) -> tuple[Side, Side]:
    train = select(recordings, lambda r, t: not in_test(r, t))
    test = select(recordings, in_test)
    if not train or not test:
        raise SplitError(f"split by {what}: the {'test' if train else 'training'} side is empty")
    check_disjoint(train, test)
    return train, test


def by_repetition(recordings: Sequence[Recording], test_reps: Collection[int]) -> tuple[Side, Side]:
    """(train, test): the given repetitions (from 0) of every gesture and session are the test."""
    return _two(recordings, lambda _, t: t.rep in test_reps, f"repetition {sorted(test_reps)}")


def by_session(recordings: Sequence[Recording], test_sessions: Collection[int]) -> tuple[Side, Side]:
    """(train, test): the given sessions are the test."""
    return _two(recordings, lambda r, _: r.session in test_sessions, f"session {sorted(test_sessions)}")


def session_folds(recordings: Sequence[Recording]) -> list[tuple[Side, Side]]:
    """Each session is the test once; with three sessions this is the paper's 2:1."""
    return [by_session(recordings, {session}) for session in sorted({r.session for r in recordings})]


def by_day(recordings: Sequence[Recording], test_days: Collection[int]) -> tuple[Side, Side]:
    """(train, test) by recording day. Raises SplitError where the origin does not say which day it was."""
    unknown = next((r for r in recordings if r.day is None), None)
    if unknown is not None:
        raise SplitError(f"the days of {unknown.dataset} are not known; split by session instead")
    return _two(recordings, lambda r, _: r.day in test_days, f"day {sorted(test_days)}")


def by_subject(recordings: Sequence[Recording], test_subjects: Collection[str]) -> tuple[Side, Side]:
    """(train, test): the given people are the test."""
    return _two(recordings, lambda r, _: r.subject in test_subjects, f"subject {sorted(test_subjects)}")


def subject_folds(recordings: Sequence[Recording], folds: int) -> list[tuple[Side, Side]]:
    """Each person is in one test; people are dealt to `folds` tests in order."""
    people = list(dict.fromkeys(r.subject for r in recordings))
    if not 2 <= folds <= len(people):
        raise SplitError(f"{folds} folds of {len(people)} people: 2 .. {len(people)} are possible")
    return [by_subject(recordings, set(people[fold::folds])) for fold in range(folds)]


def session_and_k(
    recordings: Sequence[Recording],
    train_sessions: Collection[int] = (1, 2),
    new_session: int = 3,
    k: int = 1,
) -> tuple[Side, Side, Side]:
    """(old, new, test): the earlier sessions, k labelled repetitions of the new one, its unseen remainder.

    `new` holds the first k repetitions of each gesture and is empty for k = 0.
    Raises SplitError if a session is missing or a gesture has no more than k repetitions.
    """
    if k < 0 or new_session in train_sessions:
        raise SplitError(
            f"k = {k}, new session {new_session}, training sessions "
            f"{sorted(train_sessions)}: k is 0 or more, and the new session none of the others"
        )
    old = select(recordings, lambda r, _: r.session in train_sessions)
    new = select(recordings, lambda r, t: r.session == new_session and t.rep < k)
    test = select(recordings, lambda r, t: r.session == new_session and t.rep >= k)
    missing = set(train_sessions) - {r.session for r in old}
    if missing or not test:
        there = ", ".join(map(str, sorted({r.session for r in recordings})))
        if missing or not new:
            absent = min(missing, default=new_session)
            raise SplitError(f"there is no session {absent}; there are {there}")
        most = max(t.rep for r in new for t in r.trials) + 1
        raise SplitError(
            f"session {new_session} has {most} repetitions of a gesture, and {k} to adapt with leave none to "
            f"test; take at most {most - 1}"
        )
    labels = {(r.subject, t.label) for r in recordings for t in r.trials}
    for side, what in ((new, "to adapt with"), (test, "to test")) if k else ((test, "to test"),):
        lacking = labels - {(r.subject, t.label) for r in side for t in r.trials}
        if lacking:
            subject, label = min(lacking)
            raise SplitError(
                f"{subject}, session {new_session}: gesture {label} has no repetition left {what} at k = {k}"
            )
    check_disjoint(old, new, test)
    return old, new, test


def check_disjoint(*sides: Sequence[Recording]) -> None:
    """Raises SplitError if any sample of a trial lies in trials of two sides."""
    for (a, one), (b, other) in combinations(enumerate(sides), 2):
        taken: dict[tuple[str, str, int], list[Trial]] = {}
        for recording in one:
            taken.setdefault(recording.key, []).extend(recording.trials)
        for recording in other:
            for trial in recording.trials:
                for held in taken.get(recording.key, ()):
                    if trial.start < held.stop and held.start < trial.stop:
                        raise SplitError(
                            f"{'/'.join(map(str, recording.key))}: samples {max(trial.start, held.start)} .. "
                            f"{min(trial.stop, held.stop) - 1} are on sides {a} and {b}"
                        )
