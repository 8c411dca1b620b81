"""Writes the C source of a cffi extension from its declarations and its include lines (a build step)."""

import sys
from pathlib import Path

from cffi import FFI


def main(module: str, cdef: str, csrc: str, output: str) -> None:
    ffi = FFI()
    ffi.cdef(Path(cdef).read_text(encoding="utf-8"))
    ffi.set_source(module, Path(csrc).read_text(encoding="utf-8"))
    ffi.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
