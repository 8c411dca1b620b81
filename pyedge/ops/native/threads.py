"""The thread pool of the native kernels: one a process, as many threads as the process may use cores."""

import atexit
import os
import threading
from typing import Any

from pyedge._train import ffi, lib
from pyedge.ops.native.memory import pages


class Pool:
    """Starts its threads at the first use, and anew in a forked process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: Any = None  # that runs, in this process
        self._threads = 0
        self._memory: Any = None
        self._size = 0
        atexit.register(self.stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        """Threads stay with the parent, and whatever held the lock."""
        self._lock = threading.Lock()
        self._pool = None

    def __enter__(self) -> Any:
        """The pool for kernels to use; one caller at a time."""
        self._lock.acquire()
        if self._pool is None:
            self._pool = ffi.new("train_pool *")
            lib.train_pool_start(self._pool, self._threads or default_threads())
        return self._pool

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def memory(self, kind: str, size: int) -> Any:
        """`size` bytes of scratch memory, from the border of a cache line on, for whoever holds the pool."""
        if size > self._size:
            self._size = max(size, 1 << 16)
            self._memory = ffi.from_buffer("uint8_t[]", pages(self._size, filled=True))
        return ffi.cast(kind, self._memory)

    @property
    def threads(self) -> int:
        with self as pool:
            return int(pool.threads)

    def use(self, threads: int) -> None:
        """From now on that many threads; 0 stands for the default."""
        self.stop()
        self._threads = threads

    def stop(self) -> None:
        with self._lock:
            if self._pool is not None:
                lib.train_pool_stop(self._pool)
            self._pool = None


def default_threads() -> int:
    """$PYEDGE_THREADS, else the cores this process may run on, at most 64."""
    wanted = os.environ.get("PYEDGE_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return min(int(wanted), 64)
    return min(len(os.sched_getaffinity(0)), 64) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


POOL = Pool()
