"""From recordings to a board that learns its wearer: trains, quantizes, deploys, adapts; prints one table.

Everything is computed in this run. The wearer is the first person of the embedded set unless --wearer names
another; nothing is chosen by how well it does.
"""

import argparse
import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from pyedge import boards, image, recipe, task
from pyedge.adapt import Policy
from pyedge.boards.build import tool
from pyedge.boards.footprint import footprint
from pyedge.boards.icount import count
from pyedge.cli.console import bar, say, table, write_json
from pyedge.encode import encode
from pyedge.errors import PyEdgeError
from pyedge.evaluation import Outcome
from pyedge.link import Board
from pyedge.plots import spikes_and_accuracy, training_curve
from pyedge.predict import float_predictor
from pyedge.quant import reference
from pyedge.quant.quantizer import dequantize
from pyedge.runtime import Model, Net
from pyedge.wearer import (
    Adapted,
    BoardStudent,
    HostStudent,
    Lessons,
    ReferenceStudent,
    Student,
    lessons_of,
    study,
)

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "examples" / "recipes" / "wrist.toml"
COUNTED = 8  # windows whose instructions are counted


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--wearer", help="a person of the data set; default: its first")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="what to train; default: %(default)s")
    parser.add_argument("--board", default="mps2-an386", help="an emulated board; default: %(default)s")
    parser.add_argument("--host-only", action="store_true", help="leave the board out")
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument(
        "--repetitions", type=int, help="labelled repetitions of each gesture; default: the recipe's"
    )
    parser.add_argument(
        "--passes", type=int, default=20, help="times that each is learned; default: %(default)s"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a small network, hardly trained and judged: for tests"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder of the run; default: %(default)s"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    given = options(arguments)
    try:
        run(given)
    except PyEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run(given: argparse.Namespace) -> dict[str, Any]:
    """The whole demonstration. Returns the figures."""
    began = time.monotonic()
    name = None if given.host_only else emulated(given.board)
    wanted = recipe_of(given)
    if given.out.exists():
        shutil.rmtree(given.out)
    trained = train(wanted, given.out, began)

    stage(began, "quantizing")
    opened = task.open_task(trained.recipe, trained.encoder)
    quantized = task.integers_of(trained, opened)
    blob = image.write(quantized.model)
    (given.out / "model.edge").write_bytes(blob)

    policy = Policy(passes=1 if given.quick else given.passes)
    lessons = lessons_of(opened, policy, given.repetitions)
    if given.quick:
        lessons = replace(lessons, test=every_tenth_trial(lessons.test))
    say(
        f"{trained.wearer}, session {wanted.data.new_session}: {len(lessons.new.labels)} windows to learn, "
        f"{len(lessons.old.labels)} of old sessions remembered, {len(lessons.test.labels)} unseen to judge"
    )
    studied: dict[str, tuple[Student, Adapted]] = {}
    curve: list[tuple[int, float]] = []
    with ExitStack() as stack:
        students: list[Student] = [HostStudent(blob), ReferenceStudent(quantized.model)]
        if name is not None:
            stage(began, f"deploying to {name}, emulated")
            running = stack.enter_context(boards.start(name))
            board = stack.enter_context(Board.open(running.port))
            assert quantized.model.encoder is not None
            students.append(BoardStudent(board, blob, quantized.model.encoder))
        for student in students:
            stage(began, f"{student.name} learns")
            studied[student.name] = student, teach(student, lessons, policy, curve)
        figures = results(given, trained, quantized, blob, opened, lessons, studied, name, began)

    picture(given.out / "demo.png", quantized.model, lessons, studied["host C"], curve)
    training_curve(task.read_log(given.out), given.out / "curve.png")
    figures["picture"] = str(given.out / "demo.png")
    figures["seconds"] = round(time.monotonic() - began, 1)
    write_json(given.out / "demo.json", figures)
    if given.json is not None:
        write_json(given.json, figures)
    print(text(figures))
    return figures


def every_tenth_trial(side: task.Side) -> task.Side:
    pick = side.windows.trial_ids() % 10 == 0
    return task.Side(side.rows[pick], side.labels[pick], side.windows.take(pick))


def stage(began: float, title: str) -> None:
    say(f"[{time.monotonic() - began:5.1f} s] {title}")


def emulated(name: str) -> str | None:
    """The board if its firmware can be built and emulated here, else None, and says what is missing."""
    try:
        spec = boards.board(name)
        boards.firmware(name)
        tool(spec.emulator)
    except (boards.MissingToolError, boards.MissingSourcesError) as error:
        say(f"no board here: {error}\nrunning on the host target instead")
        return None
    return name


def recipe_of(given: argparse.Namespace) -> recipe.Recipe:
    wanted = recipe.read(given.recipe)
    if given.wearer is not None:
        wanted = replace(wanted, data=replace(wanted.data, wearer=given.wearer))
    if given.seed is not None:
        wanted = replace(wanted, seed=given.seed)
    if given.quick:
        own = replace(wanted.stages[-1], epochs=2)
        wanted = replace(wanted, stages=(own,), network=replace(wanted.network, hidden=(16,)))
    return wanted


def train(wanted: recipe.Recipe, out: Path, began: float) -> task.Trained:
    stage(began, f"training {wanted.name} for {task.wearer_of(wanted)}")
    with bar("epochs", sum(s.epochs for s in wanted.stages)) as tick:
        done = [0]

        def on_epoch(which: recipe.Stage, row: dict[str, Any]) -> None:
            done[0] += 1
            tick(done[0], f"{which.name}: loss {row['loss']:.3f}, accuracy {row['accuracy']:.3f}")

        return task.train(wanted, out, on_epoch=on_epoch)


def teach(student: Student, lessons: Lessons, policy: Policy, curve: list[tuple[int, float]]) -> Adapted:
    """Before, lessons, after, with progress; the host's accuracy after every pass goes into `curve`."""

    def passed(progress: Any) -> None:
        if isinstance(student, HostStudent):
            curve.append((progress.updates, judged(student, lessons).accuracy))

    with bar(student.name, 1) as tick:
        found = study(student, lessons, policy, lambda what, share: tick(share, what), passed)
    if isinstance(student, HostStudent):
        curve.insert(0, (0, found.before.accuracy))
    return found


def judged(student: Student, lessons: Lessons) -> Outcome:
    return Outcome(lessons.test.labels, student.predict(lessons.test, lambda _: None), lessons.classes)


def results(
    given: argparse.Namespace,
    trained: task.Trained,
    quantized: Any,
    blob: bytes,
    opened: task.Task,
    lessons: Lessons,
    studied: dict[str, tuple[Student, Adapted]],
    name: str | None,
    began: float,
) -> dict[str, Any]:
    """All figures, as JSON can hold them."""
    host, target = studied["host C"], list(studied.values())[-1] if name else studied["host C"]
    learned = target[0].weights()
    after_params = dequantize(trained.network, trained.params, quantized.model, learned)
    side = lessons.test

    def in_float(params: Any, alignment: Any) -> float:
        moved = replace(trained.encoder, rotation=alignment.rotation, gains=alignment.gains)
        predict = float_predictor(trained._replace(params=params, encoder=moved))
        return Outcome(side.labels, predict(side.rows, lambda _: None), lessons.classes).accuracy

    accuracy = {
        "float": {
            "before": in_float(trained.params, trained.encoder.alignment),
            "after": in_float(after_params, target[0].alignment()),
        }
    }
    accuracy |= {
        who: {"before": found.before.accuracy, "after": found.after.accuracy}
        for who, (_, found) in studied.items()
    }
    same = all(
        np.array_equal(a, b)
        for student, _ in studied.values()
        for a, b in zip(student.weights(), host[0].weights(), strict=True)
    ) and all(
        np.array_equal(mine.predicted, theirs.predicted)
        for _, found in studied.values()
        for mine, theirs in ((found.before, host[1].before), (found.after, host[1].after))
    )
    hashes = {who: s.hash() for who, (s, _) in studied.items() if isinstance(s, (HostStudent, BoardStudent))}
    stage(began, "counting")
    return {
        "target": name or "host",
        "wearer": trained.wearer,
        "seed": trained.recipe.seed,
        "repetitions": lessons.repetitions,
        "windows": {
            "learned": len(lessons.new.labels),
            "remembered": len(lessons.old.labels),
            "judged": len(side.labels),
        },
        "updates": target[1].updates,
        "accuracy_before": target[1].before.accuracy,
        "accuracy_after": target[1].after.accuracy,
        "accuracy": accuracy,
        "bit_exact": bool(same and len(set(hashes.values())) == 1),
        "weights_hash": hashes,
        "weights_changed": target[1].changed,
        **memory(name, blob),
        **work(name, quantized.model, blob, lessons),
    }


def memory(name: str | None, blob: bytes) -> dict[str, Any]:
    """Bytes on the board; on the host target those of image and arenas, without code."""
    if name is not None:
        found = asdict(footprint(name, blob))
        keys = ("flash_bytes", "ram_infer_bytes", "ram_learn_bytes")
        return {key: found[key] for key in keys} | {"footprint": found}
    model = Model(blob)
    return {
        "flash_bytes": len(blob),
        "ram_infer_bytes": model.arena_size("infer"),
        "ram_learn_bytes": model.arena_size("learn") + model.weights_size,
    }


def work(name: str | None, model: Any, blob: bytes, lessons: Lessons) -> dict[str, Any]:
    """Synaptic operations and, on a board, instructions of one inferred and one learned window."""
    picks = np.linspace(0, len(lessons.new.labels) - 1, COUNTED).round().astype(int)
    windows, labels = encode(model.encoder, lessons.new.rows[picks]), lessons.new.labels[picks]
    net = Net(Model(blob), "learn")
    for window, label in zip(windows, labels, strict=True):
        net.run_window(window)
        net.learn(int(label))
    stats = net.stats()
    found: dict[str, Any] = {
        "sops_infer": sum(s.forward_sops for s in stats) / COUNTED,
        "sops_learn": sum(s.error_sops + s.update_sops for s in stats) / COUNTED,
    }
    if name is not None:
        counted: Any = count(blob, list(windows), [int(label) for label in labels], name)
        found["instructions_infer"] = counted["infer"]["instructions"]
        found["instructions_learn"] = counted["learn"]["instructions"]
    return found


def picture(
    path: Path, model: Any, lessons: Lessons, host: tuple[Student, Adapted], curve: list[tuple[int, float]]
) -> None:
    """Spikes of one unseen window under the learned weights, and accuracy over the updates."""
    n = len(lessons.test.labels) // 2
    x = encode(model.encoder, lessons.test.rows[n : n + 1], host[0].alignment())[0]
    record = reference.run_window(model, host[0].weights(), x)
    said = lessons.classes[int(record.scores.argmax())]
    title = f"one window: {lessons.classes[lessons.test.labels[n]]}, taken for {said}"
    updates, values = zip(*curve, strict=True)
    hidden = [f for f, layer in zip(record.fired, model.layers, strict=True) if layer.spiking][
        : len(model.layers) - 1
    ]
    spikes_and_accuracy(hidden, x, title, updates, {"integers": values}, path)


def text(f: dict[str, Any]) -> str:
    """The table."""
    order = sorted(
        f["accuracy"], key=lambda who: ("float", "integer reference", "host C", f["target"]).index(who)
    )
    rows = [(who, f["accuracy"][who]["before"], f["accuracy"][who]["after"]) for who in order]
    kib = {k: f"{f[k] / 1024:.1f} KiB" for k in ("flash_bytes", "ram_infer_bytes", "ram_learn_bytes")}
    board = f["target"] != "host"
    code = "firmware and image" if board else "image only"
    lines = [
        "",
        table((f"accuracy, {f['wearer']}, unseen windows", "before", "after learning"), rows),
        "",
        f"float after learning: the float network with the weights that {f['target']} learned",
        f"updates            {f['updates']:,} from {f['windows']['learned']} labelled windows",
        f"weights            {'identical' if f['bit_exact'] else 'DIFFERENT'}: "
        + ", ".join(f"{who} {h[:16]}" for who, h in f["weights_hash"].items()),
        f"weights changed    {f['weights_changed']:.1%}",
        f"flash              {kib['flash_bytes']} ({code})",
        f"RAM                {kib['ram_infer_bytes']} to infer, {kib['ram_learn_bytes']} to learn",
        f"SOPs a window      {f['sops_infer']:,.0f} to infer, {f['sops_learn']:,.0f} more to learn",
    ]
    if board:
        lines.append(
            f"instructions       {f['instructions_infer']:,.0f} to infer a window, "
            f"{f['instructions_learn']:,.0f} more to learn it"
        )
    return "\n".join(
        [*lines, f"picture            {f['picture']}", f"time               {f['seconds']:.0f} s"]
    )


if __name__ == "__main__":
    raise SystemExit(main())
