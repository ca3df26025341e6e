"""Counting what two labelings share: the contingency table under metrics, tracking and label recovery.

Labels of scans and images come in runs: neighbors mostly carry the same pair of labels. One pass marks where a pair
changes (a loop the compiler turns into vector instructions), then only the runs, a few percent of the elements, are
looked up in a small hash table. Shuffled elements have no runs; they are hashed one by one, which is still faster
than sorting them. Both ways are exact and give the same table.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, Integer

from ps3d.ops.compiled import compiled

BLOCK = 4096  # elements whose change flags fit the first-level cache
WORD = 8  # flags tested at once
LONGEST_LIST = 4  # more runs than a quarter of the elements: the list of runs no longer pays
FIRST_SLOTS = 4096  # hash slots to begin with; a table that became half full is started anew, four times as large
MOST_SLOTS = 65536  # beyond this many, sorting beats hashing


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
    right: Integer[np.ndarray, "..."],
    weight: Float[np.ndarray, "..."] | None = None,
) -> Overlap:
    """Count the elements of each pair of labels.

    Args:
        left: labels, 0 <= label < 2**32.
        right: labels of the same elements, in the same order.
        weight: sum these (in float64) instead of counting.

    Raises:
        ValueError: arrays of different size, or a label of a 64-bit array that needs more than 32 bits.
    """
    first, second = _as_uint32(left), _as_uint32(right)
    if len(first) != len(second):
        raise ValueError(f"cannot compare {len(first)} labels with {len(second)}")
    if weight is None:
        is_done, keys, shared = _count_pairs(first, second)
    else:
        if weight.size != len(first):
            raise ValueError(f"{weight.size} weights for {len(first)} labels")
        weight = np.ascontiguousarray(weight, dtype=np.float64).reshape(-1)
        is_done, keys, shared = _sum_pairs(first, second, weight)
    if not is_done:
        keys, shared = _sort_pairs(first, second, weight)
    order = np.argsort(keys)
    keys = keys[order]
    return Overlap((keys >> np.uint64(32)).view(np.int64), (keys & np.uint64(0xFFFFFFFF)).view(np.int64), shared[order])


def _sort_pairs(left: np.ndarray, right: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The plain method, for tens of thousands of different pairs."""
    key = (left.astype(np.uint64) << np.uint64(32)) | right
    if weight is None:
        pairs, shared = np.unique(key, return_counts=True)
        return pairs, shared.astype(np.int64)
    pairs, place = np.unique(key, return_inverse=True)
    return pairs, np.bincount(place.reshape(-1), weights=weight, minlength=len(pairs))


def _as_uint32(labels: Integer[np.ndarray, "*elements"]) -> np.ndarray:
    """The labels as contiguous uint32, without a copy where they already are 32 bits wide."""
    flat = np.ascontiguousarray(labels).reshape(-1)
    if flat.dtype == np.uint32:
        return flat
    if flat.dtype == np.int32:
        return flat.view(np.uint32)
    if flat.dtype.itemsize == 8 and flat.size and (int(flat.min()) < 0 or int(flat.max()) >= 2**32):
        raise ValueError(f"labels must lie in 0..2**32-1, found {int(flat.min())}..{int(flat.max())}")
    return flat.astype(np.uint32)


@compiled
def _find_runs(left, right, starts):
    """Where the pair of labels changes, written into `starts`; -1 if there are more changes than it holds."""
    size = len(left)
    flags = np.zeros(BLOCK, np.uint8)
    words = flags.view(np.uint64)
    found = 1
    starts[0] = 0
    for begin in range(1, size, BLOCK):
        count = min(BLOCK, size - begin)
        if found + count > len(starts):
            return -1
        a, b = left[begin : begin + count], left[begin - 1 : begin - 1 + count]
        c, d = right[begin : begin + count], right[begin - 1 : begin - 1 + count]
        for i in range(count):
            flags[i] = ((a[i] ^ b[i]) | (c[i] ^ d[i])) != 0
        flags[count : min(BLOCK, count + WORD)] = 0
        for word in range((count + WORD - 1) // WORD):
            if words[word] != 0:
                place = word * WORD
                for i in range(place, place + WORD):
                    starts[found] = begin + i
                    found += flags[i]
    return found


@compiled
def _slot_of(key, keys, counts):
    """The slot that holds the key, or the free one (count 0) where it belongs."""
    mask = len(keys) - 1
    slot = np.int64((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while counts[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def _add_runs(left, right, starts, keys, counts):
    """Enter runs into the hash table; False if it became half full."""
    runs, used = len(starts) - 1, 0
    for run in range(runs):
        begin = starts[run]
        key = np.uint64(left[begin]) << np.uint64(32) | np.uint64(right[begin])
        slot = _slot_of(key, keys, counts)
        if counts[slot] == 0:
            keys[slot] = key
            used += 1
            if 2 * used > len(keys):
                return False
        counts[slot] += starts[run + 1] - begin
    return True


@compiled
def _add_elements(left, right, keys, counts):
    """Enter element by element; False if the table became half full."""
    used = 0
    for i in range(len(left)):
        key = np.uint64(left[i]) << np.uint64(32) | np.uint64(right[i])
        slot = _slot_of(key, keys, counts)
        if counts[slot] == 0:
            keys[slot] = key
            used += 1
            if 2 * used > len(keys):
                return False
        counts[slot] += 1
    return True


@compiled
def _add_weights(left, right, weight, keys, counts, sums):
    """Enter element by element with a weight; False if the table became half full."""
    used = 0
    for i in range(len(left)):
        key = np.uint64(left[i]) << np.uint64(32) | np.uint64(right[i])
        slot = _slot_of(key, keys, counts)
        if counts[slot] == 0:
            keys[slot] = key
            used += 1
            if 2 * used > len(keys):
                return False
        counts[slot] += 1
        sums[slot] += weight[i]
    return True


@compiled
def _count_pairs(left, right):
    """(is done, keys = left << 32 | right, counts), in no particular order."""
    size = len(left)
    starts = np.empty(size // LONGEST_LIST + BLOCK + WORD, np.int64)
    runs = _find_runs(left, right, starts) if size else 0
    slots = FIRST_SLOTS
    while slots <= MOST_SLOTS:
        keys, counts = np.empty(slots, np.uint64), np.zeros(slots, np.int64)
        if runs < 0:
            is_done = _add_elements(left, right, keys, counts)
        else:
            starts[runs] = size
            is_done = _add_runs(left, right, starts[: runs + 1], keys, counts)
        if is_done:
            return _used_slots(keys, counts, counts)
        slots *= 4
    return False, np.empty(0, np.uint64), np.empty(0, np.int64)


@compiled
def _sum_pairs(left, right, weight):
    """(is done, keys = left << 32 | right, sums of weights), in no particular order."""
    slots = FIRST_SLOTS
    while slots <= MOST_SLOTS:
        keys, counts, sums = np.empty(slots, np.uint64), np.zeros(slots, np.int64), np.zeros(slots, np.float64)
        if _add_weights(left, right, weight, keys, counts, sums):
            return _used_slots(keys, counts, sums)
        slots *= 4
    return False, np.empty(0, np.uint64), np.empty(0, np.float64)


@compiled
def _used_slots(keys, counts, sums):
    used = 0
    for slot in range(len(keys)):
        used += counts[slot] != 0
    found_keys, found_sums = np.empty(used, np.uint64), np.empty(used, sums.dtype)
    place = 0
    for slot in range(len(keys)):
        if counts[slot] != 0:
            found_keys[place], found_sums[place] = keys[slot], sums[slot]
            place += 1
    return True, found_keys, found_sums
