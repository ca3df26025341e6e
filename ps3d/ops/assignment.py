"""Gated one-to-one matching: the pairs of highest total score, where pairs without a score never match."""

import numpy as np
from jaxtyping import Float, Int64
from scipy.optimize import linear_sum_assignment

from ps3d.ops.compiled import compiled


def match(score: Float[np.ndarray, "rows columns"]) -> tuple[Int64[np.ndarray, "pairs"], Int64[np.ndarray, "pairs"]]:
    """One-to-one pairs with the greatest sum of scores.

    A pair is allowed if its score is positive. The total counts, not the number of pairs: a good pair is not given up
    for two bad ones. The allowed pairs fall into islands that share no row or column; each is solved by itself
    (Kuhn, 1955, as `scipy.optimize.linear_sum_assignment`), which keeps 500 x 500 cheap where objects have few rivals.

    Args:
        score: higher is better; zero, negative and NaN mean "never".

    Returns:
        Rows (ascending) and their columns.
    """
    rows, columns = np.nonzero(score > 0)
    if len(rows) == 0:
        return rows, columns
    is_alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    matched = [np.stack([rows, columns])[:, is_alone]]
    rows, columns = rows[~is_alone], columns[~is_alone]
    if len(rows):
        island = _islands(rows, columns, len(score))
        order = np.argsort(island, kind="stable")
        starts = np.flatnonzero(np.diff(island[order], prepend=-1))
        matched += [_match_island(score, rows[pairs], columns[pairs]) for pairs in np.split(order, starts[1:])]
    row, column = np.concatenate(matched, axis=1)
    order = np.argsort(row)
    return row[order], column[order]


@compiled
def _islands(rows, columns, height):
    """A number for each pair; equal where pairs hang together. Union-find over rows and columns."""
    parent = np.arange(height + columns.max() + 1)
    for i in range(len(rows)):
        a, b = rows[i], columns[i] + height
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        parent[max(a, b)] = min(a, b)
    island = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        a = rows[i]
        while parent[a] != a:
            a = parent[a]
        island[i] = a
    return island


def _match_island(score: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    row, column = np.flatnonzero(np.bincount(rows)), np.flatnonzero(np.bincount(columns))  # distinct, ascending
    part = score[np.ix_(row, column)]
    part = np.where(part > 0, part, 0.0)
    i, j = linear_sum_assignment(part, maximize=True)
    is_allowed = part[i, j] > 0
    return np.stack([row[i[is_allowed]], column[j[is_allowed]]])
