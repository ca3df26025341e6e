"""Reading ahead: the next item is made in a thread while the present one is in use."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def ahead(items: Iterable[Any]) -> Iterator[Any]:
    """The same items in the same order, always one of them in the making.

    It pays off where both sides leave the interpreter for most of their time (files, numpy, kernels, encoders). An
    error in making an item is raised where that item is taken.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as worker:
        upcoming = worker.submit(next, iterator, end)
        while (item := upcoming.result()) is not end:
            upcoming = worker.submit(next, iterator, end)
            yield item
