"""`pyedge monitor`: a live view of a board while recorded EMG is replayed to it."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any
from zlib import crc32

import typer

from pyedge.cli.connect import BoardName, Port, connected
from pyedge.cli.console import Json, emit, errors, say


def register(app: typer.Typer) -> None:
    app.command("monitor")(monitor)


@dataclass
class View:
    """What was seen so far."""

    classes: tuple[str, ...]
    seconds: float = 0.0  # of EMG
    windows: int = 0
    judged: int = 0  # windows inside a trial
    right: int = 0
    label: int | None = None
    truth: int | None = None
    confidence: float = 0.0
    milliseconds: list[float] = field(default_factory=list)  # from the last sample to the answer

    @property
    def accuracy(self) -> float | None:
        return self.right / self.judged if self.judged else None

    def named(self, label: int) -> str:
        """A class; one that the board was taught besides has no name."""
        return self.classes[label] if label < len(self.classes) else f"class {label}"


def monitor(
    model: Annotated[Path, typer.Argument(help="A model image (.edge) that `pyedge quantize` wrote.")],
    board: BoardName = None,
    port: Port = None,
    seconds: Annotated[float, typer.Option(help="Seconds of EMG to replay.", min=0.1)] = 60.0,
    speed: Annotated[
        float, typer.Option(help="Times real time; 0: as fast as the board answers.", min=0)
    ] = 1.0,
    deploy: Annotated[bool, typer.Option(help="Send the model first; --no-deploy: the board has it.")] = True,
    json: Json = False,
) -> None:
    """Replay a wearer's new session to a board, and watch what it says and does.

    Shown are the gesture, its confidence, what the wearer was asked to do, the share that was right, spikes
    and operations of each layer, and the answer time. The recordings are those of the model's recipe.

    Example: `pyedge monitor runs/wrist/model.edge --board mps2-an386 --seconds 20 --speed 4`.
    """
    from rich.live import Live

    from pyedge.errors import ConfigError, LinkError
    from pyedge.predict import open_any

    opened = open_any(model)
    integers, blob = opened.whole_image()
    task = opened.task()
    view = View(task.classes)
    with connected(board, port) as found:
        if deploy:
            found.deploy(blob)
        elif found.info.image_crc != crc32(blob):
            what = "another model" if found.info.has_model else "no model"
            raise ConfigError(f"{found.info.name} has {what}; leave --no-deploy out, and it gets {model}")
        found.image = blob
        found.reset("stream", "statistics")
        before = found.status().samples_lost
        try:
            with Live(console=errors, refresh_per_second=4, transient=True, auto_refresh=False) as live:
                for _ in replay(found, task, view, seconds, speed):
                    live.update(picture(view, found, integers.window), refresh=True)
        except KeyboardInterrupt:
            say("ended")
        except LinkError:
            say(f"until then: {seen(view)}")
            raise
        layers = [asdict(s) for s in found.stats()]
        result = {
            "board": found.info.name,
            "seconds": round(view.seconds, 3),
            "windows": view.windows,
            "judged": view.judged,
            "accuracy": view.accuracy,
            "answer_ms_median": median(view.milliseconds) if view.milliseconds else None,
            "samples_lost": found.status().samples_lost - before,
            "layers": layers,
        }
    if json:
        return emit(result)
    print(f"{seen(view)}; {result['samples_lost']} samples lost")
    return None


def seen(view: View) -> str:
    """What was seen, in a line."""
    share = f"{view.accuracy:.3f} of {view.judged} right" if view.judged else "none of them inside a trial"
    return f"{view.seconds:.1f} s of EMG, {view.windows} windows, {share}"


def replay(board: Any, task: Any, view: View, seconds: float, speed: float) -> Iterator[None]:
    """Pushes the new session's recordings in pieces of one stride, as fast as asked; a view after each."""
    piece = task.encoder.hop * task.encoder.stride
    for recording in task.new_recordings():
        board.reset("stream")
        began, samples = time.monotonic(), recording.emg
        for at in range(0, len(samples), piece):
            if view.seconds >= seconds:
                return
            end = min(at + piece, len(samples))
            if speed:
                time.sleep(max(0.0, began + end / recording.rate_hz / speed - time.monotonic()))
            sent = time.perf_counter()
            for window in board.stream(samples[at:end]):
                _count(view, window, truth_at(recording, at + window.samples - 1, task))
            view.milliseconds.append(round(1000 * (time.perf_counter() - sent), 3))
            view.seconds += (end - at) / recording.rate_hz
            yield


def truth_at(recording: Any, sample: int, task: Any) -> int | None:
    """The gesture asked for during the whole window that ends at a sample, or None."""
    first = sample + 1 - task.recipe.network.steps * task.encoder.hop
    skip = round(task.recipe.cut.reaction * recording.rate_hz)
    inside = (t.label for t in recording.trials if t.start + skip <= first and sample < t.stop)
    return next(inside, None)


def _count(view: View, window: Any, truth: int | None) -> None:
    view.windows += 1
    view.label, view.truth, view.confidence = window.label, truth, window.confidence / 32768
    if truth is not None:
        view.judged += 1
        view.right += window.label == truth


def picture(view: View, board: Any, window: int) -> Any:
    """The view as a table."""
    from rich.table import Table

    table = Table(show_header=False, box=None)
    name = "-" if view.label is None else view.named(view.label)
    bar = "█" * round(20 * view.confidence)
    table.add_row("time", f"{view.seconds:.1f} s, {view.windows} windows")
    table.add_row("gesture", f"{name}  {bar} {view.confidence:.2f}")
    table.add_row("asked for", "-" if view.truth is None else view.classes[view.truth])
    table.add_row("right", "-" if view.accuracy is None else f"{view.accuracy:.3f} of {view.judged}")
    for number, layer in enumerate(board.stats()):
        each = max(1, view.windows)
        work = f"{layer.spikes_out / each:.0f} spikes, {layer.forward_sops / each:,.0f} SOPs"
        table.add_row(f"layer {number}", f"{work} a window of {window} steps")
    if view.milliseconds:
        table.add_row("answer", f"{view.milliseconds[-1]:.1f} ms")
    return table
