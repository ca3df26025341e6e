"""Gated one-to-one matching: the pairs of highest total score, where pairs without a score never match."""

import numpy as np
from jaxtyping import Float, Int64
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


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
    height, width = score.shape
    graph = coo_matrix((np.ones(len(rows), bool), (rows, columns + height)), (height + width, height + width))
    _, island = connected_components(graph, directed=False)
    island_of_pair = island[rows]
    is_alone = np.bincount(island_of_pair, minlength=island.max() + 1) == 1
    matched = [np.stack([rows, columns])[:, is_alone[island_of_pair]]]
    order = np.argsort(island_of_pair, kind="stable")
    starts = np.flatnonzero(np.diff(island_of_pair[order], prepend=-1))
    for pairs in np.split(order, starts[1:]):
        if len(pairs) > 1:
            matched.append(_match_island(score, rows[pairs], columns[pairs]))
    row, column = np.concatenate(matched, axis=1)
    order = np.argsort(row)
    return row[order], column[order]


def _match_island(score: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    row, column = np.unique(rows), np.unique(columns)
    part = score[np.ix_(row, column)]
    part = np.where(part > 0, part, 0.0)
    i, j = linear_sum_assignment(part, maximize=True)
    is_allowed = part[i, j] > 0
    return np.stack([row[i[is_allowed]], column[j[is_allowed]]])
