"""What every metric returns: its values, and one figure per class."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Result:
    """The figures of one metric.

    Attributes:
        metric: e.g. "panoptic_quality".
        rules: name of the rules it was counted by.
        values: the headline figures, e.g. {"pq": 0.61, "sq": 0.8}; NaN where nothing could be measured.
        per_class: figures in the order of `names`.
        names: the classes.
    """

    metric: str
    rules: str
    values: Mapping[str, float]
    per_class: Mapping[str, Float[np.ndarray, "classes"]]
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, lists and strings; NaN becomes None."""
        table = {name: [_plain(x) for x in column] for name, column in self.per_class.items()}
        values = {name: _plain(value) for name, value in self.values.items()}
        return {"metric": self.metric, "rules": self.rules, "values": values, "classes": self.names, "per_class": table}


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def class_mean(values: Float[np.ndarray, "classes"], is_counted: Bool[np.ndarray, "classes"]) -> float:
    """Mean over the classes that count; NaN if none does."""
    return float(values[is_counted].mean()) if is_counted.any() else float("nan")


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> Float[np.ndarray, "..."]:
    """numerator / denominator in float64, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(denominator)), where=np.asarray(denominator) != 0)


@runtime_checkable
class Counts(Protocol):
    """A state of a metric: it adds over frames, sequences and ranks, and has a result."""

    def __add__(self, other: Any, /) -> Any: ...

    def result(self) -> Result: ...


@runtime_checkable
class Adds(Protocol):
    """Whatever has a sum."""

    def __add__(self, other: Any, /) -> Any: ...


AnyCounts = TypeVar("AnyCounts", bound=Adds)


def total(states: Iterable[AnyCounts]) -> AnyCounts:
    """The sum of many states in their order; neighbors of equal weight are added first.

    Adding n growing states one by one costs n times the final size; in pairs it costs log n times, and at most log n
    states are held at once.

    Raises:
        ValueError: no states.
    """
    pending: list[tuple[int, AnyCounts]] = []
    for state in states:
        weight = 1
        while pending and pending[-1][0] <= weight:
            earlier_weight, earlier = pending.pop()
            state, weight = earlier + state, weight + earlier_weight
        pending.append((weight, state))
    if not pending:
        raise ValueError("nothing to add: no frames were counted")
    state = pending.pop()[1]
    while pending:
        state = pending.pop()[1] + state
    return state
