"""What the runtime costs a board: flash of its smallest builds, what a feature adds, whole builds, stack.

A set is linked by itself, with the board's own flags, from the calls that such firmware makes: what the
linker keeps is what they cost. The smallest builds have dense layers, encoders and portable C, all at -Os,
and leave out what switches leave out; a feature is what a build without its switch has more. Stack is the
deepest path of calls (-fcallgraph-info, or disassembly); beside it, the most that the test firmware used.
"""

import argparse
import itertools
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pyedge.boards import BOARDS, batch
from pyedge.boards.build import build, tool
from pyedge.boards.footprint import firmware_size
from pyedge.boards.registry import board

ROOT = Path(__file__).resolve().parent.parent

INFERENCE = (
    "edge_model_open", "edge_model_arena_size", "edge_model_classes", "edge_net_init", "edge_net_begin",
    "edge_net_step", "edge_net_predict", "edge_stream_size", "edge_stream_init", "edge_stream_push",
    "edge_stream_poll",
)  # fmt: skip
LEARNING = (
    "edge_model_weights_size", "edge_net_learn_begin", "edge_net_learn_run", "edge_net_state_size",
    "edge_net_save", "edge_net_load",
)  # fmt: skip
LINK_AND_STORE = (
    "edge_link_init", "edge_link_open", "edge_link_receive", "edge_link_run", "edge_link_send",
    "edge_store_init", "edge_store_load", "edge_store_bank",
)  # fmt: skip
PHASES: Mapping[str, tuple[str, ...]] = {
    "inference": INFERENCE,
    "learning": INFERENCE + LEARNING,
    "link and store": INFERENCE + LEARNING + LINK_AND_STORE,
}
GOALS = {"inference": 4096, "learning": 8192, "link and store": 14336}  # bytes, of the smallest builds

# What a build leaves out.
SMALLEST = frozenset({"EDGE_NO_CONV", "EDGE_NO_STATS", "EDGE_LINK_SMALL", "EDGE_SMALL"})
LEFT_OUT = {
    "inference": SMALLEST | {"EDGE_NO_LEARN"},
    "learning": SMALLEST,
    "link and store": SMALLEST,
}
WHOLE: frozenset[str] = frozenset()

# A feature: the switch that leaves it out, and the phases whose code it adds to.
ADDED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "fast loops, kernels of the core": ("EDGE_SMALL", ("inference", "learning")),
    "convolutions, pools, residuals": ("EDGE_NO_CONV", ("inference", "learning")),
    "statistics": ("EDGE_NO_STATS", ("learning",)),
    "wearer's memory, trial, tags": ("EDGE_LINK_SMALL", ("link and store",)),
}

# Who may be called through a pointer, by the folder of the caller: the link's bank is the store, the flash
# port is the firmware's. In other folders it is a kernel, and one that updates weights only from learn.c.
POINTED = {
    "link": ("bank_write", "bank_confirm", "bank_load", "bank_facts", "bank_wear"),
    "store": (),
}
INFERS, UPDATES = "net.c", "update"
LIBRARY = "library"
FREESTANDING = "freestanding"  # what stands in for a C library where there is none
PUSHED = re.compile(r"\b(?:push|stmdb\s+sp!,|vpush)\s*\{([^}]*)\}")
LOWERED = re.compile(
    r"\b(?:sub(?:\.w|w)?\s+sp,(?:\s*sp,)?\s*#(\d+)|addi\s+sp,sp,-(\d+)|str\S*\s+\S+,\s*\[sp,\s*#-(\d+)\]!)"
)
CALLED = re.compile(r"\b(?:bl|blx|b\.w|b\.n|b|jal|j|call|tail)\s+(?:ra,|zero,)?[0-9a-f]+ <([\w.$]+)>")


@dataclass(frozen=True)
class Part:
    """Bytes of a set, by section and by source; `kernels` and `library` are among `sources`."""

    text: int
    data: int
    bss: int
    sources: dict[str, int] = field(default_factory=dict)
    kernels: int = 0
    library: int = 0

    @property
    def core(self) -> int:
        """Flash without kernels and without the compiler's and the C library's routines."""
        return self.text + self.data - self.kernels - self.library

    @property
    def own(self) -> int:
        """Flash of the runtime: core and kernels."""
        return self.core + self.kernels


class Objects:
    """The runtime's objects for a board, compiled as its build does but for switches; each once."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        listed = json.loads((build(name).parent / "compile_commands.json").read_text(encoding="utf-8"))
        self.commands = [
            (source, entry)
            for entry in listed
            if "runtime_c" in (source := Path(entry["file"])).parts or source.parent.name == FREESTANDING
        ]
        self.made: dict[tuple[Path, frozenset[str], bool], Path] = {}

    def of(self, switches: frozenset[str]) -> list[Path]:
        """Objects with switches defined, call graphs beside them; with EDGE_SMALL all at -Os."""
        return [self._object(source, entry, switches) for source, entry in self.commands]

    def _object(self, source: Path, entry: Mapping[str, str], switches: frozenset[str]) -> Path:
        read = _closure(source)
        defined = frozenset(word for word in switches if word in read)
        small = "EDGE_SMALL" in switches and source.suffix == ".c"
        key = source, defined, small
        if key not in self.made:
            folder = self.folder / f"{len(self.made)}"
            folder.mkdir()
            self.made[key] = made = folder / f"{source.parent.name}-{source.name}.o"
            call = [*shlex.split(entry["command"]), *(f"-D{word}" for word in sorted(defined))]
            call[call.index("-o") + 1] = str(made)
            if source.suffix == ".c":
                call.append("-fcallgraph-info=su")
            if small:
                call.append("-Os")
            subprocess.run(call, cwd=entry["directory"], check=True, capture_output=True, text=True)
        return self.made[key]


@cache
def _closure(source: Path) -> str:
    """The text of a source and of all it includes from its own folders."""
    text = source.read_text(encoding="utf-8")
    for name in re.findall(r'#include "([^"]+)"', text):
        folders = (source.parent, ROOT / "runtime_c/src", ROOT / "runtime_c/include")
        found = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if found:
            text += _closure(found.resolve())
    return text


def link(name: str, entries: Iterable[str], made: list[Path], folder: Path) -> tuple[Path, Part]:
    """Links what those calls need and nothing else. Returns the ELF file and its sizes."""
    compiler = tool(board(name).prefix + "gcc")
    commands = json.loads((build(name).parent / "compile_commands.json").read_text(encoding="utf-8"))
    command = next(shlex.split(e["command"]) for e in commands if e["file"].endswith("runtime_c/src/net.c"))
    core = [word for word in command if word.startswith("-m")]
    program, elf, listing = folder / "entry.c", folder / "entry.elf", folder / "entry.map"
    names = list(entries)
    # Only the calls' addresses are taken: the table itself is dropped.
    calls = "".join(f"void {call}(void);\n" for call in names)
    table = ", ".join(names)
    program.write_text(
        f'{calls}void (*const table[])(void) __attribute__((section(".entry"), used)) = {{{table}}};\n',
        encoding="utf-8",
    )
    freestanding = any(FREESTANDING in file.name for file in made)
    libraries = ["-nostdlib"] if freestanding else ["-nostartfiles", "--specs=nano.specs"]
    subprocess.run(
        [compiler, *core, *libraries, "-fno-builtin", "-Wl,--gc-sections", "-Wl,-e,table",
         f"-Wl,-Map={listing}", str(program), *map(str, made), "-lgcc", "-o", str(elf)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return elf, _sizes(listing)


def _sizes(listing: Path) -> Part:
    """Sizes of a linker map, without the table of entries."""
    text = listing.read_text(encoding="utf-8").partition("Linker script and memory map")[2]
    text = re.sub(r"\n {16,}(0x[0-9a-f]+ +0x)", r" \1", text)  # long names stand on a line of their own
    sums: dict[str, int] = defaultdict(int)
    sources: dict[str, int] = defaultdict(int)
    kernels = library = 0
    for section, size, origin in re.findall(
        r"^ (\.[\w.$*-]+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(\S.*)$", text, re.MULTILINE
    ):
        kind = next((k for k in (".text", ".rodata", ".data", ".bss") if section.startswith(k)), "")
        n = int(size, 16)
        if not kind or not n:
            continue
        own = re.search(rf"/(?!{FREESTANDING})(\w+)-(\w+)\.[cS]\.o$", origin)
        if not own and not origin.endswith(".o)") and FREESTANDING not in origin:
            continue
        sums[kind] += n
        if kind == ".bss":
            continue
        sources[own[2] if own else LIBRARY] += n
        if own and own[1] == "kernels":
            kernels += n
        if not own:
            library += n
    return Part(
        sums[".text"] + sums[".rodata"], sums[".data"], sums[".bss"],
        dict(sorted(sources.items(), key=lambda item: -item[1])), kernels, library,
    )  # fmt: skip


@dataclass
class Graph:
    """Calls: bytes of each function's own frame, whom it calls, and where it stands."""

    frame: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    folder: dict[str, str] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)
    pointing: set[str] = field(default_factory=set)  # call through a pointer


def graph(name: str, made: list[Path], elf: Path) -> Graph:
    """The calls of a linked set."""
    g = Graph()
    for file in made:
        listing = file.with_suffix(".ci")
        if listing.is_file():
            _read_calls(g, listing.read_text(encoding="utf-8"), *file.stem.split("-"))
    _read_code(g, name, elf)
    called = set().union(*g.calls.values())
    kernels = {f for f, where in g.folder.items() if where == "kernels" and f not in called and f in g.frame}
    pointed: dict[str, set[str]] = {}
    for caller in g.pointing:
        names = POINTED.get(g.folder[caller])
        # A pointer never leads back to who calls it: direct calls would show that as recursion.
        pointed[caller] = (
            {
                f
                for f in kernels
                if caller not in _reached(g, f) and not (g.source[caller] == INFERS and UPDATES in f)
            }
            if names is None
            else {f for f in g.frame if _plain(f) in names and g.folder[f] == "store"}
        )
    for caller, callees in pointed.items():
        g.calls[caller] |= callees
    return g


def _reached(g: Graph, start: str) -> set[str]:
    """All that direct calls reach from a function."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        f = ahead.pop()
        if f not in seen:
            seen.add(f)
            ahead += g.calls.get(f, ())
    return seen


def _plain(title: str) -> str:
    """A function's name without its file, which static functions have before it."""
    return title.rsplit(":", 1)[-1]


def _read_calls(g: Graph, text: str, folder: str, source: str) -> None:
    for f, label in re.findall(r'node: \{ title: "([^"]+)" label: "([^"]*)"', text):
        found = re.search(r"(\d+) bytes \((\w[\w,]*)\)", label)
        if found:
            if "dynamic" in found[2]:
                raise ValueError(f"{f}: a frame without a bound")
            g.frame[f] = int(found[1])
            g.folder[f] = folder
            g.source[f] = source
    for caller, callee in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', text):
        if callee == "__indirect_call":
            g.pointing.add(caller)
        else:
            g.calls[caller].add(callee)


def _read_code(g: Graph, name: str, elf: Path) -> None:
    """Functions that have no call graph: assembly and libraries."""
    code = subprocess.run(
        [tool(board(name).prefix + "objdump"), "-d", "--no-show-raw-insn", str(elf)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for f, body in re.findall(r"^[0-9a-f]+ <([\w.$]+)>:\n((?:.+\n)*)", code, re.MULTILINE):
        if f in g.frame:
            continue
        pushed = sum(4 * _registers(listed) for listed in PUSHED.findall(body))
        lowered = sum(int(n) for numbers in LOWERED.findall(body) for n in numbers if n)
        g.frame[f] = pushed + lowered
        g.folder[f] = LIBRARY
        g.calls[f] |= {callee for callee in CALLED.findall(body) if callee != f}


def _registers(listed: str) -> int:
    """How many registers a list such as "r4-r7, lr" names."""
    count = 0
    for item in listed.replace(" ", "").split(","):
        first, _, last = item.partition("-")
        count += int(last[1:]) - int(first[1:]) + 1 if last else 1
    return count


def deepest(g: Graph, entry: str) -> tuple[int, list[str]]:
    """The deepest path of calls from an entry: bytes, functions. Raises ValueError for recursion."""

    @cache
    def from_here(f: str) -> tuple[int, tuple[str, ...]]:
        if f in under_way:
            raise ValueError(f"{f} calls itself")
        under_way.add(f)
        below = max((from_here(callee) for callee in sorted(g.calls.get(f, ()))), default=(0, ()))
        under_way.remove(f)
        return g.frame.get(f, 0) + below[0], (f, *below[1])

    under_way: set[str] = set()
    size, path = from_here(entry)
    return size, [_plain(f) for f in path]


def most_stack(name: str) -> int:
    """Most stack of the test firmware on a few models of different kinds, its own part among them."""
    from pyedge import encode, image
    from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind, Surrogate

    rng = np.random.default_rng(1)
    encoder = encode.EncoderConfig(kind="difference", channels=8, threshold=4, hop=5)
    shape, window = [encoder.inputs, 12, 8, 4], 8
    layers = []
    for l, (fan_in, fan_out) in enumerate(itertools.pairwise(shape)):
        last = l == len(shape) - 2
        zero, reach = np.zeros(fan_out, np.int64), 256 * 60
        layers.append(
            IntegerLayer(
                NeuronKind.LINEAR if last else NeuronKind.LIF,
                rng.integers(-90, 91, (fan_in, fan_out)), zero,
                np.asarray(0 if last else reach), np.asarray(0 if last else reach // window),
                learns=True, surrogate=Surrogate.NONE if last else Surrogate.RECTANGULAR,
                gate_width=0 if last else 1000, rate_shift=-6, down_shift=0 if last else 5,
                capacity=0 if last or l else fan_out * window,
            )
        )  # fmt: skip
    model = IntegerModel(window=window, input_kind=InputKind.SPIKES, layers=tuple(layers), score_mult=1,
                         score_shift=4, encoder=encoder)  # fmt: skip
    operations = [batch.open_image(image.write(model))]
    for k in range(3):
        spikes = (rng.random((window, encoder.inputs)) < 0.3).astype(np.int64)
        operations += [batch.window(model.input_kind, spikes), batch.learn(k)]
    operations += [
        batch.save(),
        batch.stream(16),
        batch.push(rng.integers(-300, 300, (60, 8))),
        batch.stack_used(),
    ]
    return batch.run(name, operations)[-1].status


def measure(name: str) -> dict[str, Any]:
    """Everything that `tools/size` prints of a board. Bytes."""
    with tempfile.TemporaryDirectory(prefix="pyedge-") as temporary:
        folder = Path(temporary)
        objects = Objects(name, folder)

        def part(phase: str, switches: frozenset[str]) -> Part:
            return link(name, PHASES[phase], objects.of(switches), folder)[1]

        bare = {phase: part(phase, switches) for phase, switches in LEFT_OUT.items()}
        smallest = {phase: _figures(found) for phase, found in bare.items()}
        features = {
            feature: {
                phase: part(phase, LEFT_OUT[phase] - {switch}).own - bare[phase].own for phase in phases
            }
            for feature, (switch, phases) in ADDED.items()
        }
        whole: dict[str, Any] = {}
        made = objects.of(WHOLE)
        for phase, entries in PHASES.items():
            elf, all_of_it = link(name, entries, made, folder)
            g = graph(name, made, elf)
            stacks = {entry: deepest(g, entry) for entry in entries}
            worst = max(stacks, key=lambda entry: stacks[entry][0])
            whole[phase] = {
                **_figures(all_of_it),
                "stack": stacks[worst][0],
                "deepest": stacks[worst][1],
                "sources": all_of_it.sources,
            }
    firmware = firmware_size(name)
    return {
        "board": name,
        "core": board(name).core,
        "compiler": _compiler(name),
        "smallest": smallest,
        "added": features,
        "whole": whole,
        "firmware": {
            "flash": firmware.flash,
            "ram": firmware.data + firmware.bss,
            "stack_reserved": firmware.stack,
        },
        # The operations that use most of it need more RAM than the smallest board has.
        "stack_used": most_stack(name) if board(name).emulator and board(name).ram >= 64 * 1024 else None,
    }


def _figures(part: Part) -> dict[str, int]:
    return {
        "own": part.own,
        "core": part.core,
        "kernels": part.kernels,
        "library": part.library,
        "data": part.data,
        "bss": part.bss,
    }


def _compiler(name: str) -> str:
    """The compiler and its version: another one makes other code."""
    compiler = board(name).prefix + "gcc"
    asked = subprocess.run([tool(compiler), "-dumpfullversion"], capture_output=True, text=True, check=True)
    return f"{compiler} {asked.stdout.strip()}"


def main() -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tools/size", description=__doc__)
    parser.add_argument("boards", nargs="*", metavar="BOARD", help=f"default: all ({', '.join(BOARDS)})")
    parser.add_argument("--json", type=Path, help="file that receives the figures")
    args = parser.parse_args()
    results: list[dict[str, Any]] = [measure(name) for name in args.boards or BOARDS]
    row = "{:<14}{:<50}{:>7}{:>7}{:>9}{:>9}{:>7}"
    for result in results:
        print(row.format(result["board"], "smallest", "own", "goal", "kernels", "library", ""))
        for phase, f in result["smallest"].items():
            print(row.format("", phase, f["own"], GOALS[phase], f["kernels"], f["library"], ""))
        print(row.format("", "added by", "", "", "", "", ""))
        for feature, phases in result["added"].items():
            for phase, size in phases.items():
                print(row.format("", f"{feature}: {phase}", f"{size:+d}", "", "", "", ""))
        print(row.format("", "whole", "own", "", "kernels", "library", "stack"))
        for phase, f in result["whole"].items():
            print(row.format("", phase, f["own"], "", f["kernels"], f["library"], f["stack"]))
        whole = result["firmware"]
        print(
            f"{'':<14}firmware: flash {whole['flash']}, RAM {whole['ram']}, "
            f"stack reserved {whole['stack_reserved']}, used by the test firmware {result['stack_used']}\n"
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
