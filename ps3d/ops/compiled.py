"""One decorator for every numba kernel, so that options and caching are decided once."""

import inspect
from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable | None = None, **options: Any) -> Any:
    """`numba.njit` that caches to disk and releases the GIL; extra options are numba's.

    `inspect.unwrap` removes what run-time shape checkers put around the function: numba must see the original.
    """
    if function is None:
        return lambda wrapped: compiled(wrapped, **options)
    settings: dict[str, Any] = {"cache": True, "nogil": True, **options}
    return numba.njit(**settings)(inspect.unwrap(function))
