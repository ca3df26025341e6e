"""How many threads a process may use, so that processes on one machine do not fight over its cores."""

import os

import torch


def core_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_cores(processes: int) -> int:
    """Let this process use its share of the cores; OMP_NUM_THREADS, where it is set, says otherwise.

    Returns:
        The number of threads.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS", 0)) or max(1, core_count() // max(1, processes))
    torch.set_num_threads(threads)
    return threads
