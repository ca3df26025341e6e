"""Sums by a pair of keys, sorted, that add by merging: the state of everything that lasts longer than a frame."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from ps3d.ops.compiled import compiled


@dataclass(frozen=True)
class PairSums:
    """A sparse table, sorted by (first, second), without repetitions."""

    first: Int64[np.ndarray, "rows"]
    second: Int64[np.ndarray, "rows"]
    sums: Int64[np.ndarray, "rows"]

    def __len__(self) -> int:
        return len(self.first)

    def __add__(self, other: "PairSums") -> "PairSums":
        if len(other) == 0:
            return self
        if len(self) == 0:
            return other
        return PairSums(*_merge(self.first, self.second, self.sums, other.first, other.second, other.sums))


def sum_pairs(first: np.ndarray, second: np.ndarray, values: np.ndarray) -> PairSums:
    """Add up the values of equal pairs."""
    order = np.lexsort((second, first))
    return PairSums(*_sum_sorted(first[order], second[order], values[order]))


def sum_keys(keys: np.ndarray, values: np.ndarray) -> PairSums:
    """Add up the values of equal keys; `second` is 0."""
    order = np.argsort(keys, kind="stable")
    return PairSums(*_sum_sorted(keys[order], np.zeros(len(keys), np.int64), values[order]))


def find_sums(table: PairSums, keys: np.ndarray) -> Int64[np.ndarray, "keys"]:
    """The sums of keys in a table made by `sum_keys`; 0 for a key it does not have."""
    if len(table) == 0:
        return np.zeros(len(keys), np.int64)
    place = np.minimum(np.searchsorted(table.first, keys), len(table) - 1)
    return np.where(table.first[place] == keys, table.sums[place], 0)


NOTHING = PairSums(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


@compiled
def _sum_sorted(first, second, values):
    rows = len(first)
    out_first, out_second, sums = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    found = 0
    for i in range(rows):
        if i > 0 and first[i] == first[i - 1] and second[i] == second[i - 1]:
            sums[found - 1] += values[i]
        else:
            out_first[found], out_second[found], sums[found] = first[i], second[i], values[i]
            found += 1
    return out_first[:found].copy(), out_second[:found].copy(), sums[:found].copy()


@compiled
def _merge(first_a, second_a, sums_a, first_b, second_b, sums_b):
    rows = len(first_a) + len(first_b)
    first, second, sums = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    a = b = found = 0
    while a < len(first_a) or b < len(first_b):
        if b == len(first_b):
            is_a, is_b = True, False
        elif a == len(first_a):
            is_a, is_b = False, True
        else:
            is_same = first_a[a] == first_b[b] and second_a[a] == second_b[b]
            is_a_first = first_a[a] < first_b[b] or (first_a[a] == first_b[b] and second_a[a] < second_b[b])
            is_a, is_b = is_same or is_a_first, is_same or not is_a_first
        sums[found] = 0
        if is_a:
            first[found], second[found] = first_a[a], second_a[a]
            sums[found] += sums_a[a]
            a += 1
        if is_b:
            first[found], second[found] = first_b[b], second_b[b]
            sums[found] += sums_b[b]
            b += 1
        found += 1
    return first[:found].copy(), second[:found].copy(), sums[:found].copy()
