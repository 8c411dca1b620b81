"""What a model costs on a board, in bytes: code from the firmware's ELF file, memory from the runtime."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pyedge.boards.build import firmware, tool
from pyedge.boards.registry import board
from pyedge.errors import BuildError

MAP_SECTION = re.compile(r"^ (\.[\w.$-]+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$", re.MULTILINE)
CODE = (".text", ".rodata", ".srodata", ".data", ".sdata")
LINK = ("frame", "server", "text")  # objects of runtime_c/link


@dataclass(frozen=True)
class FirmwareSize:
    """Bytes of a firmware without a model.

    text, data, bss : as `size` prints them, bss without the stack; stack : reserved.
    objects         : flash of each object of the runtime that was linked, by source name.
    """

    text: int
    data: int
    bss: int
    stack: int
    objects: dict[str, int]

    @property
    def flash(self) -> int:
        return self.text + self.data

    @property
    def static_ram(self) -> int:
        return self.data + self.bss + self.stack

    @property
    def runtime(self) -> int:
        """Flash of the runtime alone, without the serial link."""
        return sum(size for name, size in self.objects.items() if name not in LINK)


@dataclass(frozen=True)
class Footprint:
    """Bytes of a model on a board.

    flash_bytes     : firmware and image.
    ram_infer_bytes : all RAM that inference on raw samples takes: static, stack, arena, ring and rows.
    ram_learn_bytes : all RAM with learning: the same with the larger arena, and the learned weights.
    commit_bytes    : the committed copy, where it is kept in RAM; not in the figures above.
    """

    board: str
    flash_bytes: int
    ram_infer_bytes: int
    ram_learn_bytes: int
    commit_bytes: int
    firmware_bytes: int
    runtime_bytes: int
    image_bytes: int
    static_bytes: int
    stack_bytes: int
    arena_infer_bytes: int
    arena_learn_bytes: int
    weights_bytes: int
    stream_bytes: int


def firmware_size(name: str) -> FirmwareSize:
    """Sizes of a board's firmware, built if need be. Raises what boards.build raises."""
    elf = firmware(name)
    listing = subprocess.run(
        [tool(board(name).prefix + "size"), "-A", str(elf)], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listing.splitlines()]
    sections = {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[1].isdigit()}
    return FirmwareSize(
        text=sections.get(".text", 0) + sections.get(".ARM.exidx", 0),
        data=sections.get(".data", 0),
        bss=sections.get(".bss", 0) + sections.get(".noinit", 0),
        stack=sections.get(".stack", 0),
        objects=_linked(elf.with_suffix(".map")),
    )


def footprint(name: str, image: bytes) -> Footprint:
    """What an image costs on a board, with the firmware's own ring.

    Raises EdgeError for a bad image, and what boards.build raises.
    """
    from pyedge._edge import lib
    from pyedge.runtime import Model

    size, model = firmware_size(name), Model(image)
    weights = model.weights_size
    infer = model.arena_size("infer")
    learn = model.arena_size("learn") if weights else infer
    stream = int(lib.edge_stream_size(model.c, board(name).ring))
    return Footprint(
        board=name,
        flash_bytes=size.flash + len(image),
        ram_infer_bytes=size.static_ram + infer + stream,
        ram_learn_bytes=size.static_ram + learn + weights + stream,
        commit_bytes=weights,
        firmware_bytes=size.flash,
        runtime_bytes=size.runtime,
        image_bytes=len(image),
        static_bytes=size.data + size.bss,
        stack_bytes=size.stack,
        arena_infer_bytes=infer,
        arena_learn_bytes=learn,
        weights_bytes=weights,
        stream_bytes=stream,
    )


def _linked(path: Path) -> dict[str, int]:
    """Flash of every object of the runtime in a linker map."""
    if not path.is_file():
        raise BuildError(f"{path} is not there; it is written beside the firmware, keep them together")
    text = path.read_text(encoding="utf-8").partition("Linker script and memory map")[2]
    sizes: dict[str, int] = {}
    # Long names stand on a line of their own.
    for section, _, size, origin in MAP_SECTION.findall(re.sub(r"\n {16,}(0x[0-9a-f]+ +0x)", r" \1", text)):
        member = re.search(r"libedge\.a\((\w+)\.c\.\w+\)$", origin)
        if member and section.startswith(CODE):
            sizes[member[1]] = sizes.get(member[1], 0) + int(size, 16)
    return sizes
