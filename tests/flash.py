"""Simulated flash for the store: NOR rules, and power that fails at an operation."""

from typing import Any

import numpy as np

from pyedge._edge import ffi, lib
from pyedge.runtime import check, memory


class Flash:
    """NOR flash: sectors erased to ones, units programmed once; power may fail at an operation."""

    def __init__(self, sectors: int, sector_size: int, unit: int, seed: int = 0) -> None:
        self.sectors, self.sector_size, self.unit = sectors, sector_size, unit
        self.data = bytearray(b"\xff" * sectors * sector_size)
        self.erases = [0] * sectors
        self.power_for: int | None = None  # operations until power fails
        self.random = np.random.default_rng(seed)
        self._calls = (
            ffi.callback("int(void *, uint32_t, void *, uint32_t)", self._read),
            ffi.callback("int(void *, uint32_t, const void *, uint32_t)", self._program),
            ffi.callback("int(void *, uint32_t)", self._erase),
        )
        read, program, erase = self._calls
        fields = {"read": read, "program": program, "erase": erase}
        self.c = ffi.new(
            "edge_flash_t *", fields | {"sectors": sectors, "sector_size": sector_size, "unit": unit}
        )

    def _power(self) -> bool:
        if self.power_for is None:
            return True
        self.power_for -= 1
        return self.power_for >= 0

    def _read(self, _: Any, address: int, to: Any, size: int) -> int:
        if self.power_for is not None and self.power_for < 0:
            return -1
        ffi.memmove(to, bytes(self.data[address : address + size]), size)
        return 0

    def _program(self, _: Any, address: int, source: Any, size: int) -> int:
        assert address % self.unit == 0 == size % self.unit
        assert address // self.sector_size == (address + size - 1) // self.sector_size
        new = bytes(ffi.buffer(source, size))
        for at in range(0, size, self.unit):
            here, unit = slice(address + at, address + at + self.unit), new[at : at + self.unit]
            if self.power_for is not None and self.power_for < 0:
                return -1
            assert self.data[here] == b"\xff" * self.unit, "a unit is programmed twice"
            if not self._power():
                stay = self.random.bytes(self.unit)
                self.data[here] = bytes(a | b for a, b in zip(unit, stay, strict=True))
                return -1
            self.data[here] = unit
        return 0

    def _erase(self, _: Any, address: int) -> int:
        assert address % self.sector_size == 0
        if self.power_for is not None and self.power_for < 0:
            return -1
        whole = self._power()
        erased = b"\xff" * self.sector_size if whole else self.random.bytes(self.sector_size)
        self.data[address : address + self.sector_size] = erased
        self.erases[address // self.sector_size] += 1
        return 0 if whole else -1


class Bank:
    """A store on that flash as the bank of a link; made anew at every start. port: for Loopback."""

    def __init__(self, flash: Flash, buffer: int = 64) -> None:
        size = max(buffer, flash.unit)
        self._memory = (flash, memory(size))
        self.store = ffi.new("edge_store_t *")
        check(lib.edge_store_init(self.store, flash.c, self._memory[1], size))
        self.port = ffi.new("edge_bank_port_t *")
        lib.edge_store_bank(self.store, self.port)
