"""Work in parts over threads: as many as torch uses, or as `set_thread_count` says.

The compiled kernels release the GIL, so plain Python threads run them side by side. No OpenMP: its pools spin against
torch's, kill forked children, and would double the compile time. A forked child (a DataLoader worker) works alone.
"""

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


class _Pool:
    """The threads of this process, made at first use."""

    def __init__(self) -> None:
        self.forget()
        self.is_forked = False

    def forget(self) -> None:
        self.executor: ThreadPoolExecutor | None = None
        self.size = 0
        self.is_forked = True

    def get(self, size: int) -> ThreadPoolExecutor:
        if self.executor is None or self.size < size:
            self.executor, self.size = ThreadPoolExecutor(size, thread_name_prefix="ps3d-sparse"), size
        return self.executor


_POOL = _Pool()
_CHOSEN: list[int] = []
os.register_at_fork(after_in_child=_POOL.forget)


def set_thread_count(count: int | None) -> None:
    """Threads of the portable backend in this process; None: as many as torch uses.

    Worth telling apart from torch's own: after each operation that torch shares, its threads spin for some
    milliseconds on the cores that sparse convolution wants next, while between convolutions a sparse network
    has nothing that gains from them.
    """
    _CHOSEN[:] = [] if count is None else [max(1, count)]


def thread_count() -> int:
    """Threads to use now; one in a forked child."""
    if _POOL.is_forked:
        return 1
    return _CHOSEN[0] if _CHOSEN else max(1, torch.get_num_threads())


def run_in_parts(work: Callable[[int, int], None], count: int, parts_per_thread: int = 4) -> None:
    """Call `work(first, last)` on ranges that cover [0, count), over all threads; returns when all are done.

    The caller sees to it that ranges are independent, so results do not depend on the number of threads.
    """
    threads = min(thread_count(), count)
    if threads <= 1:
        work(0, count)
        return
    parts = min(count, threads * parts_per_thread)
    bounds = [count * part // parts for part in range(parts + 1)]
    run_in_ranges(work, list(itertools.pairwise(bounds)))


def run_in_ranges(work: Callable[[int, int], None], ranges: list[tuple[int, int]]) -> None:
    """Call `work(first, last)` on each range, over all threads; this thread takes part."""
    if thread_count() <= 1 or len(ranges) <= 1:
        for first, last in ranges:
            work(first, last)
        return
    left = iter(ranges)
    lock = threading.Lock()

    def take() -> None:
        while True:
            with lock:
                bounds = next(left, None)
            if bounds is None:
                return
            work(*bounds)

    helpers = min(thread_count(), len(ranges)) - 1
    others = [_POOL.get(helpers).submit(take) for _ in range(helpers)]
    try:
        take()
    finally:
        for other in others:
            other.result()
