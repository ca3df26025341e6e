"""Compiled kernels over threads: as many as torch uses, or as `set_thread_count` says.

A training step calls some hundred kernels of a fraction of a millisecond. Handing each to a thread that sleeps costs
0.2 ms: the operating system wakes it, then it waits for the interpreter's lock. So helpers run compiled code only. They
stay awake for about a millisecond after a kernel, looking for the next one, and take parts of it without the
interpreter; after that they sleep until they are called. No OpenMP: its pools spin against torch's and kill forked
children. A forked child (a DataLoader worker) works alone.
"""

import atexit
import functools
import inspect
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
import torch

from ps3d.ops.compiled import compiled
from ps3d.sparse.vector_code import add_atomically, call_kernel, exchange, give_way, pause, read_atomically, word

_CLAIM, _FINISHED, _KERNEL, _ARGUMENTS, _RANGES, _WORDS = 0, 8, 16, 17, 18, 24
_MOST_PARTS = 2**15
_PATIENCE = 100_000
"""Looks at the board before a helper goes to sleep: one to several milliseconds."""


class Kernel:
    """A function `(first, last, arguments)` of integers that numba compiles at the first call.

    It works on the range [first, last); `arguments` is the address of 64-bit words, read with `vector_code.word`. What
    it does on one range must not depend on the others.
    """

    def __init__(self, function: Callable) -> None:
        self.function = function

    @functools.cached_property
    def address(self) -> int:
        """Where the machine code is."""
        signature = numba.void(numba.int64, numba.int64, numba.int64)
        self._code: Any = numba.cfunc(signature, cache=True)(inspect.unwrap(self.function))
        return self._code.address


class _Pool:
    """The helpers of this process, started at first use, and the board where they find work.

    The board's claim is one word, so that it is read and changed at once: number of the job, its parts, and how many of
    them are taken. Whoever takes a part knows that its job is still on the board, because a job ends when all its parts
    have ended.
    """

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self.helpers: list[_Helper] = []
        self.board = np.zeros(_WORDS, np.int64)
        self.jobs = 0
        self.is_forked = False

    def forget(self) -> None:
        self.__init__()
        self.is_forked = True

    def run(self, kernel: int, arguments: int, ranges: np.ndarray, threads: int) -> None:
        """Publish a job, take part in it, and see it through."""
        while len(self.helpers) < threads - 1:
            self.helpers.append(_Helper(self.board))
        board = self.board.ctypes.data
        self.jobs = (self.jobs + 1) % 2**31
        try:
            _publish(board, kernel, arguments, ranges.ctypes.data, (self.jobs << 32) | (len(ranges) << 16))
            for helper in self.helpers[: threads - 1]:
                helper.wake()
        finally:
            # Also when Ctrl-C came in between: helpers must not go on in memory that is freed.
            _finish(board, self.jobs, len(ranges), _PATIENCE)

    def stop(self) -> None:
        for helper in self.helpers:
            helper.stop()


class _Helper:
    """A thread that takes parts of published jobs."""

    def __init__(self, board: np.ndarray) -> None:
        self.board = board
        self.lock = threading.Lock()
        self.is_asleep, self.is_over = False, False
        self.bell = threading.Semaphore(0)
        self.thread = threading.Thread(target=self.serve, name="ps3d-sparse", daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while not self.is_over:
            if self.falls_asleep(_serve(self.board.ctypes.data, _PATIENCE)):
                self.bell.acquire()

    def falls_asleep(self, job: int) -> bool:
        """Unless a job came after the last one seen: whoever publishes one rings the bell afterwards."""
        with self.lock:
            self.is_asleep = not self.is_over and int(self.board[_CLAIM]) >> 32 == job
            return self.is_asleep

    def wake(self) -> None:
        with self.lock:
            was_asleep, self.is_asleep = self.is_asleep, False
        if was_asleep:
            self.bell.release()

    def stop(self) -> None:
        with self.lock:
            self.is_over = True
        self.bell.release()  # whether it sleeps or not: a call interrupted in `wake` may have left it asleep
        self.thread.join()


_POOL = _Pool()
_CHOSEN: list[int] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.forget)
atexit.register(_POOL.stop)


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


def run_in_parts(kernel: Kernel, arguments: Sequence[int], count: int, parts_per_thread: int = 4) -> None:
    """Call `kernel` on ranges that cover [0, count), over all threads; returns when all are done.

    The caller sees to it that ranges are independent, so results do not depend on the number of threads, and that what
    the arguments point to lives until then.
    """
    threads = min(thread_count(), count)
    parts = 1 if threads <= 1 else min(count, threads * parts_per_thread)
    bounds = [count * part // parts for part in range(parts + 1)]
    run_in_ranges(kernel, arguments, list(itertools.pairwise(bounds)))


def run_in_ranges(kernel: Kernel, arguments: Sequence[int], ranges: Sequence[tuple[int, int]]) -> None:
    """Call `kernel` on each range, over all threads; this thread takes part."""
    words, bounds = np.array(arguments, np.int64), np.array(ranges, np.int64).reshape(-1, 2)
    threads = min(thread_count(), len(ranges))
    # Another Python thread may have the helpers: then this one works alone.
    if threads <= 1 or len(ranges) > _MOST_PARTS or not _POOL.busy.acquire(blocking=False):
        _work_alone(kernel.address, words.ctypes.data, bounds.ctypes.data, len(bounds))
        return
    try:
        _POOL.run(kernel.address, words.ctypes.data, bounds, threads)
    finally:
        _POOL.busy.release()


@compiled
def _work_alone(kernel, arguments, ranges, parts):
    for part in range(parts):
        call_kernel(kernel, word(ranges, 2 * part), word(ranges, 2 * part + 1), arguments)


@compiled
def _publish(board, kernel, arguments, ranges, claim):
    """Write a job, and last of all its claim."""
    exchange(board + 8 * _KERNEL, kernel)
    exchange(board + 8 * _ARGUMENTS, arguments)
    exchange(board + 8 * _RANGES, ranges)
    exchange(board + 8 * _FINISHED, 0)
    exchange(board + 8 * _CLAIM, claim)


@compiled
def _take(board):
    """Take parts of the job on the board until none is left."""
    while True:
        claim = add_atomically(board + 8 * _CLAIM, 1)
        part, parts = claim & 0xFFFF, (claim >> 16) & 0xFFFF
        if part >= parts:
            return
        ranges = word(board, _RANGES)
        first, last = word(ranges, 2 * part), word(ranges, 2 * part + 1)
        call_kernel(word(board, _KERNEL), first, last, word(board, _ARGUMENTS))
        add_atomically(board + 8 * _FINISHED, 1)


@compiled
def _finish(board, job, parts, patience):
    """Take parts, then wait for those that others have taken; nothing if the job was never published."""
    if read_atomically(board + 8 * _CLAIM) >> 32 != job:
        return
    _take(board)
    looks = 0
    while read_atomically(board + 8 * _FINISHED) != parts:
        if looks < patience:
            pause()
            looks += 1
        else:
            give_way()


@compiled
def _serve(board, patience):
    """Take parts of jobs until none has come for a while; the number of the last one."""
    idle, job = 0, 0
    while idle < patience:
        claim = read_atomically(board + 8 * _CLAIM)
        job = claim >> 32
        if (claim & 0xFFFF) < ((claim >> 16) & 0xFFFF):
            _take(board)
            idle = 0
        else:
            pause()
            idle += 1
    return job
