"""Counting what two labelings share: the contingency table under metrics, tracking and label recovery."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, Integer


@dataclass(frozen=True)
class Overlap:
    """Which labels of two labelings meet, sorted by (left, right).

    Attributes:
        left: label in the first labeling.
        right: label in the second labeling.
        shared: number of elements that carry both (a sum of weights where weights were given).
    """

    left: Int64[np.ndarray, "pairs"]
    right: Int64[np.ndarray, "pairs"]
    shared: Int64[np.ndarray, "pairs"] | Float[np.ndarray, "pairs"]


def count_overlap(
    left: Integer[np.ndarray, "*elements"],
    right: Integer[np.ndarray, "*elements"],
    weight: Float[np.ndarray, "*elements"] | None = None,
) -> Overlap:
    """Count the elements of each pair of labels.

    Args:
        left: labels, at most 32 bits wide in value (0 <= label < 2**32).
        right: labels of the same elements.
        weight: sum these instead of counting.
    """
    key = (left.reshape(-1).astype(np.uint64) << np.uint64(32)) | right.reshape(-1).astype(np.uint64)
    if weight is None:
        pairs, shared = np.unique(key, return_counts=True)
        shared = shared.astype(np.int64)
    else:
        pairs, place = np.unique(key, return_inverse=True)
        shared = np.bincount(place.reshape(-1), weights=weight.reshape(-1), minlength=len(pairs))
    return Overlap((pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64), shared)
