"""Counting what two labelings share: the contingency table under metrics, tracking and label recovery.

Labels of scans and images come in runs: neighbors mostly carry the same pair of labels. Block by block, one loop marks
where a pair changes (the compiler turns it into vector instructions), then only the runs, a few percent of the
elements, are looked up in a small hash table: every array is read once, and nothing of its size is written. Shuffled
elements have no runs; they are hashed one by one, which is still faster than sorting them. The table is exact.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int32, Int64, Integer, UInt8

from ps3d.ops.compiled import compiled

BLOCK = 4096  # elements whose change flags fit the first-level cache
WORD = 8  # flags tested at once
DENSE = 0.75  # share of words with a change from which every element of the block is its own run
FIRST_SLOTS = 4096  # hash slots to begin with; a table that became half full grows fourfold
MOST_SLOTS = 65536  # beyond this many, sorting beats hashing
INSTANCE_BITS = 24  # of the labels that `count_class_overlap` makes

_FREE = np.uint64(0xFFFFFFFFFFFFFFFF)  # key of a slot that is free, if its count is 0 as well


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
    return _table(keys, shared)


def count_class_overlap(
    semantic: UInt8[np.ndarray, "*elements"],
    instance: Int32[np.ndarray, "*elements"],
    other_semantic: UInt8[np.ndarray, "*elements"],
    other_instance: Int32[np.ndarray, "*elements"],
) -> Overlap | None:
    """`count_overlap` of labels class << INSTANCE_BITS | instance, which are never written out.

    Returns:
        The table; None if an instance is negative or needs more bits, or if sorting the labels is faster.
    """
    sides = [np.ascontiguousarray(x).reshape(-1) for x in (semantic, instance, other_semantic, other_instance)]
    is_done, keys, shared = _count_class_pairs(*sides)
    return _table(keys, shared) if is_done else None


def _table(keys: np.ndarray, shared: np.ndarray) -> Overlap:
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
def _list_runs(flags, count, dirty, starts):
    """Where the runs of a block begin (`starts`, its end added), and their number.

    Without branches that nobody can predict: first the words of flags that have a change, then the places in them.
    """
    flags[0] = 0
    flags[count : count + WORD] = 0
    words = flags.view(np.uint64)
    changed = np.uint64(0)
    total = (count + WORD - 1) // WORD
    for word in range(total):
        dirty[changed] = word
        changed += np.uint64(words[word] != 0)
    if changed > DENSE * total:
        for i in range(count + 1):
            starts[i] = i
        return count
    found = np.uint64(1)
    starts[0] = 0
    for k in range(changed):
        place = np.uint64(dirty[k]) * np.uint64(WORD)
        for i in range(np.uint64(WORD)):
            starts[found] = place + i
            found += np.uint64(flags[place + i])
    starts[found] = count
    return np.int64(found)


@compiled
def _enter(keys, starts, first, runs, slot_keys, slot_counts, used):
    """Add runs to the hash table from `first` on; returns the first that was not added because it became half full."""
    mask = np.uint64(len(slot_keys) - 1)
    for run in range(np.uint64(first), np.uint64(runs)):
        key = keys[run]
        slot = ((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
        while slot_keys[slot] != key:
            if slot_counts[slot] == 0:
                if 2 * used >= len(slot_keys):
                    return np.int64(run), used
                slot_keys[slot] = key
                used += 1
                break
            slot = (slot + np.uint64(1)) & mask
        slot_counts[slot] += np.int64(starts[run + np.uint64(1)] - starts[run])
    return runs, used


@compiled
def _enter_block(keys, starts, runs, slot_keys, slot_counts, used):
    """Add the runs of a block; returns the table, which may have grown, and its pairs: -1 if it became too large."""
    done, used = _enter(keys, starts, 0, runs, slot_keys, slot_counts, used)
    while done < runs:
        if len(slot_keys) >= MOST_SLOTS:
            return slot_keys, slot_counts, -1
        old_keys, old_counts = slot_keys, slot_counts
        slots = 4 * len(old_keys)
        slot_keys, slot_counts = np.full(slots, _FREE), np.zeros(slots, np.int64)
        for slot in range(len(old_keys)):
            if old_counts[slot] != 0:
                length = np.array([0, old_counts[slot]])
                _enter(old_keys[slot : slot + 1], length, 0, 1, slot_keys, slot_counts, 0)
        done, used = _enter(keys, starts, done, runs, slot_keys, slot_counts, used)
    return slot_keys, slot_counts, used


@compiled
def _count_pairs(left, right):
    """(is done, keys = left << 32 | right, counts), in no particular order."""
    flags, dirty = np.zeros(BLOCK + WORD, np.uint8), np.empty(BLOCK // WORD + 1, np.int32)
    starts, keys = np.empty(BLOCK + WORD + 2, np.int32), np.empty(BLOCK, np.uint64)
    slot_keys, slot_counts, used = np.full(FIRST_SLOTS, _FREE), np.zeros(FIRST_SLOTS, np.int64), 0
    for begin in range(0, len(left), BLOCK):
        count = min(BLOCK, len(left) - begin)
        a, b = left[begin : begin + count], right[begin : begin + count]
        _flag_changes(a[1:], a[:-1], b[1:], b[:-1], flags[1:])
        runs = _list_runs(flags, count, dirty, starts)
        for run in range(runs):
            keys[run] = np.uint64(a[starts[run]]) << np.uint64(32) | np.uint64(b[starts[run]])
        slot_keys, slot_counts, used = _enter_block(keys, starts, runs, slot_keys, slot_counts, used)
        if used < 0:
            return False, np.empty(0, np.uint64), np.empty(0, np.int64)
    return _used_slots(slot_keys, slot_counts, slot_counts)


@compiled
def _count_class_pairs(semantic, instance, other_semantic, other_instance):
    """The same from classes and instances; not done either where an instance does not fit."""
    flags, dirty = np.zeros(BLOCK + WORD, np.uint8), np.empty(BLOCK // WORD + 1, np.int32)
    starts, keys = np.empty(BLOCK + WORD + 2, np.int32), np.empty(BLOCK, np.uint64)
    slot_keys, slot_counts, used = np.full(FIRST_SLOTS, _FREE), np.zeros(FIRST_SLOTS, np.int64), 0
    for begin in range(0, len(semantic), BLOCK):
        count = min(BLOCK, len(semantic) - begin)
        a, b = instance[begin : begin + count], other_instance[begin : begin + count]
        c, d = semantic[begin : begin + count], other_semantic[begin : begin + count]
        _flag_changes(a[1:], a[:-1], b[1:], b[:-1], flags[1:])
        _flag_more_changes(c[1:], c[:-1], d[1:], d[:-1], flags[1:])
        runs = _list_runs(flags, count, dirty, starts)
        bits = np.int32(0)
        for run in range(runs):
            place = starts[run]
            bits |= a[place] | b[place]
            label = np.uint64(c[place]) << np.uint64(INSTANCE_BITS) | np.uint64(a[place])
            other = np.uint64(d[place]) << np.uint64(INSTANCE_BITS) | np.uint64(b[place])
            keys[run] = label << np.uint64(32) | other
        if bits < 0 or bits >= 1 << INSTANCE_BITS:
            return False, np.empty(0, np.uint64), np.empty(0, np.int64)
        slot_keys, slot_counts, used = _enter_block(keys, starts, runs, slot_keys, slot_counts, used)
        if used < 0:
            return False, np.empty(0, np.uint64), np.empty(0, np.int64)
    return _used_slots(slot_keys, slot_counts, slot_counts)


@compiled
def _flag_changes(a, before_a, b, before_b, flags):
    for i in range(len(a)):
        flags[i] = ((a[i] ^ before_a[i]) | (b[i] ^ before_b[i])) != 0


@compiled
def _flag_more_changes(a, before_a, b, before_b, flags):
    for i in range(len(a)):
        flags[i] |= ((a[i] ^ before_a[i]) | (b[i] ^ before_b[i])) != 0


@compiled
def _slot_of(key, keys, counts):
    """The slot that holds the key, or the free one (count 0) where it belongs."""
    mask = len(keys) - 1
    slot = np.int64((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while counts[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


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
    found_keys, found_sums = np.empty(used + 1, np.uint64), np.empty(used + 1, sums.dtype)
    place = np.uint64(0)
    for slot in range(np.uint64(len(keys))):
        # Without a branch: what a free slot writes is overwritten by the next one.
        found_keys[place], found_sums[place] = keys[slot], sums[slot]
        place += np.uint64(counts[slot] != 0)
    return True, found_keys[:used], found_sums[:used]
