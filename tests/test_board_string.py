"""The memory functions of boards without a C library do what C says, at every alignment and overlap (3 s)."""

import ctypes
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

SOURCE = Path(__file__).parent.parent / "targets/common/freestanding/string.c"
SIZE = 96
PLACES = st.integers(0, 40)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("string") / "string.so"
    flags = ["-std=c99", "-O2", "-ffreestanding", "-fno-tree-loop-distribute-patterns", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, str(SOURCE), "-o", str(path)], check=True)
    loaded = ctypes.CDLL(str(path))
    for name in ("memcpy", "memmove", "memset"):
        getattr(loaded, name).restype = ctypes.c_void_p
    loaded.strlen.restype = ctypes.c_size_t
    return loaded


@given(content=st.binary(min_size=SIZE, max_size=SIZE), to=PLACES, source=PLACES, size=st.integers(0, 56))
def test_bytes_are_copied(library: ctypes.CDLL, content: bytes, to: int, source: int, size: int) -> None:
    memory = ctypes.create_string_buffer(content, SIZE)
    at = ctypes.addressof(memory)
    expected = bytearray(content)
    expected[to : to + size] = content[source : source + size]
    call = library.memmove if abs(to - source) < size else library.memcpy
    returned = call(ctypes.c_void_p(at + to), ctypes.c_void_p(at + source), ctypes.c_size_t(size))
    assert returned == at + to and memory.raw == bytes(expected)


@given(to=PLACES, size=st.integers(0, 56), value=st.integers(-300, 300))
def test_bytes_are_set(library: ctypes.CDLL, to: int, size: int, value: int) -> None:
    memory = ctypes.create_string_buffer(SIZE)
    at = ctypes.addressof(memory)
    assert library.memset(ctypes.c_void_p(at + to), value, ctypes.c_size_t(size)) == at + to
    assert memory.raw == bytes(to) + bytes([value % 256]) * size + bytes(SIZE - to - size)


@given(a=st.binary(max_size=20), b=st.binary(max_size=20))
def test_bytes_are_compared_and_texts_measured(library: ctypes.CDLL, a: bytes, b: bytes) -> None:
    size = min(len(a), len(b))
    order = library.memcmp(a, b, ctypes.c_size_t(size))
    assert (order > 0) - (order < 0) == (a[:size] > b[:size]) - (a[:size] < b[:size])
    assert library.strlen(a) == len(a.split(b"\0")[0])
