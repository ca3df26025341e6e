"""How many threads a process may use, so that processes on one machine do not fight over its cores."""

import contextlib
import ctypes
import os
import sys

import torch

from ps3d.sparse.threads import set_thread_count

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def core_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_cores(processes: int, is_sparse: bool = False) -> int:
    """Let this process use its share of the cores; OMP_NUM_THREADS, where it is set, says otherwise.

    Args:
        is_sparse: all the share goes to sparse convolution and torch itself keeps to one thread
            (`ps3d.sparse.threads.set_thread_count` says why); on GPUs this changes nothing.

    Returns:
        The number of threads.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS", 0)) or max(1, core_count() // max(1, processes))
    alone = is_sparse and not torch.cuda.is_available()
    set_thread_count(threads if alone else None)
    torch.set_num_threads(1 if alone else threads)
    keep_freed_memory()
    return threads


def keep_freed_memory() -> None:
    """Ask glibc to keep what a step frees for the next one, which saves 10-20 % of a step on 0.1 m voxels.

    By default blocks of tens of megabytes go back to the kernel after every step, and each of their pages has to be
    fetched and cleared again. Variables MALLOC_* that the user has set stay in force; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26)):
            mallopt(option, value)
