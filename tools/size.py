"""What the runtime costs a board: flash and RAM of each set of features, and stack, analysed, measured.

A set is linked by itself, with the board's own flags, from the calls that such firmware makes:
what the linker keeps is what they cost. Stack is the deepest path of calls (-fcallgraph-info, or
disassembly); beside it stands the most that the test firmware used.
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
FEATURES: Mapping[str, tuple[str, ...]] = {
    "inference": INFERENCE,
    "learning": INFERENCE + LEARNING,
    "link and store": INFERENCE + LEARNING + LINK_AND_STORE,
}
GOALS = {"inference": 4096, "learning": 8192, "link and store": 14336}  # bytes, without kernels

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
    """Bytes of a set of features, by section and by source; `kernels` and `library` are among `sources`."""

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


def objects(name: str, folder: Path) -> list[Path]:
    """The runtime's objects, compiled as the board's build does, with call graphs beside them."""
    commands = json.loads((build(name).parent / "compile_commands.json").read_text(encoding="utf-8"))
    made = []
    for entry in commands:
        source = Path(entry["file"])
        if "runtime_c" not in source.parts and source.parent.name != FREESTANDING:
            continue
        made.append(folder / f"{source.parent.name}-{source.name}.o")
        call = shlex.split(entry["command"])
        call[call.index("-o") + 1] = str(made[-1])
        if source.suffix == ".c":
            call.append("-fcallgraph-info=su")
        subprocess.run(call, cwd=entry["directory"], check=True, capture_output=True, text=True)
    return made


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
        made = objects(name, folder)
        features: dict[str, object] = {}
        for feature, entries in FEATURES.items():
            elf, part = link(name, entries, made, folder)
            g = graph(name, made, elf)
            stacks = {entry: deepest(g, entry) for entry in entries}
            worst = max(stacks, key=lambda entry: stacks[entry][0])
            features[feature] = {
                "core": part.core,
                "kernels": part.kernels,
                "library": part.library,
                "data": part.data,
                "bss": part.bss,
                "goal": GOALS[feature],
                "stack": stacks[worst][0],
                "deepest": stacks[worst][1],
                "sources": part.sources,
            }
    whole = firmware_size(name)
    return {
        "board": name,
        "core": board(name).core,
        "compiler": _compiler(name),
        "features": features,
        "firmware": {"flash": whole.flash, "ram": whole.data + whole.bss, "stack_reserved": whole.stack},
        # The operations that use most of it need more RAM than the smallest board has.
        "stack_used": most_stack(name) if board(name).emulator and board(name).ram >= 64 * 1024 else None,
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
    row = "{:<14}{:<16}{:>7}{:>7}{:>9}{:>9}{:>10}{:>7}"
    print(row.format("board", "features", "core", "goal", "kernels", "library", "data+bss", "stack"))
    for result in results:
        for feature, f in result["features"].items():
            own = f["data"] + f["bss"]
            figures = (f["core"], f["goal"], f["kernels"], f["library"], own, f["stack"])
            print(row.format(result["board"], feature, *figures))
        whole = result["firmware"]
        print(
            f"{'':<14}firmware: flash {whole['flash']}, RAM {whole['ram']}, "
            f"stack reserved {whole['stack_reserved']}, used by the test firmware {result['stack_used']}"
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
