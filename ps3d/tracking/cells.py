"""Objects as sets of grid cells: thinning them, and counting the cells that two sets share."""

import numpy as np
from jaxtyping import Float, Int32, Int64

from ps3d.ops.compiled import compiled

_FREE = np.int64(-1)


@compiled(inline="always")
def _pack_cell(x, y, z, cell):
    offset = np.int64(1 << 20)
    i = np.int64(np.floor(x / cell)) + offset
    j = np.int64(np.floor(y / cell)) + offset
    k = np.int64(np.floor(z / cell)) + offset
    return ((i & 0x1FFFFF) << np.int64(42)) | ((j & 0x1FFFFF) << np.int64(21)) | (k & 0x1FFFFF)


@compiled(inline="always")
def _first_slot(key, mask):
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask))


@compiled
def _slots_for(count):
    slots = np.int64(16)
    while slots < 2 * count:
        slots *= 2
    return slots


@compiled
def _insert(key, owner, keys, owners):
    """Enter (cell, owner); False if it was there. Entries of one cell stand in one chain of slots."""
    mask = len(keys) - 1
    slot = _first_slot(key, mask)
    while owners[slot] != _FREE:
        if keys[slot] == key and owners[slot] == owner:
            return False
        slot = (slot + 1) & mask
    keys[slot], owners[slot] = key, owner
    return True


@compiled
def _thin(xyz, owner, cell, most, counts):
    """Places of the first point of each (cell, owner), at most `most` per owner; `counts` is filled with how many."""
    total = 0
    for i in range(len(owner)):
        total += owner[i] >= 0
    slots = _slots_for(total)
    keys, owners = np.empty(slots, np.int64), np.full(slots, np.int32(-1))
    places = np.empty(total, np.int64)
    found = 0
    for i in range(len(owner)):
        if owner[i] >= 0 and counts[owner[i]] < most:
            x, y, z = xyz[i, 0], xyz[i, 1], xyz[i, 2]
            is_finite = np.isfinite(x) and np.isfinite(y) and np.isfinite(z)
            if is_finite and _insert(_pack_cell(x, y, z, cell), owner[i], keys, owners):
                counts[owner[i]] += 1
                places[found] = i
                found += 1
    return places[:found]


def thin(
    xyz: Float[np.ndarray, "points 3"], owner: Int32[np.ndarray, "points"], owners: int, cell: float, most: int
) -> Int64[np.ndarray, "kept"]:
    """Places of one point per cell and owner, so that near objects cost as little as far ones.

    Args:
        owner: 0..owners-1; -1 = left out, as are points that are not finite.
        most: points per owner at the most.
    """
    return _thin(xyz, owner, np.float32(cell), most, np.zeros(owners, np.int64))


@compiled
def _count_shared(left, left_owner, right, right_owner, cell, shared, left_cells, right_cells):
    slots = _slots_for(len(right))
    keys, owners = np.empty(slots, np.int64), np.full(slots, np.int32(-1))
    for i in range(len(right)):
        if _insert(_pack_cell(right[i, 0], right[i, 1], right[i, 2], cell), right_owner[i], keys, owners):
            right_cells[right_owner[i]] += 1
    mask = slots - 1
    seen_slots = _slots_for(len(left))
    seen_keys, seen_owners = np.empty(seen_slots, np.int64), np.full(seen_slots, np.int32(-1))
    for i in range(len(left)):
        key = _pack_cell(left[i, 0], left[i, 1], left[i, 2], cell)
        if not _insert(key, left_owner[i], seen_keys, seen_owners):
            continue
        left_cells[left_owner[i]] += 1
        slot = _first_slot(key, mask)
        while owners[slot] != _FREE:
            if keys[slot] == key:
                shared[left_owner[i], owners[slot]] += 1
            slot = (slot + 1) & mask


def count_shared_cells(
    left: Float[np.ndarray, "left_points 3"],
    left_owner: Int32[np.ndarray, "left_points"],
    lefts: int,
    right: Float[np.ndarray, "right_points 3"],
    right_owner: Int32[np.ndarray, "right_points"],
    rights: int,
    cell: float,
) -> tuple[Int64[np.ndarray, "lefts rights"], Int64[np.ndarray, "lefts"], Int64[np.ndarray, "rights"]]:
    """How many grid cells each left object shares with each right one, and the cells of each object.

    Counting cells instead of points makes the count independent of how densely an object was sampled.
    """
    shared = np.zeros((lefts, rights), np.int64)
    left_cells, right_cells = np.zeros(lefts, np.int64), np.zeros(rights, np.int64)
    _count_shared(left, left_owner, right, right_owner, float(cell), shared, left_cells, right_cells)
    return shared, left_cells, right_cells
