"""Nearest neighbor within a radius: a sorted grid that answers a whole scan at once, exactly.

A k-d tree spends its time descending. Labels of a window are wanted only within a few decimeters, so a grid finds them
in a handful of cells. The grid has two levels: a hash table leads to blocks of 8 x 8 x 8 cells, and a block is a plain
array, because a scan asks for neighbors of neighbors and memory that was just read is free. Cells are visited ring by
ring, and a ring is skipped as soon as nothing in it can be nearer than what was found: the answer equals a k-d tree's.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64

from ps3d.ops.compiled import compiled

MISSING = -1
"""Neighbor of a point that has none within the radius."""

_EMPTY = np.int64(-1)


@dataclass(frozen=True)
class NearestIndex:
    """Points sorted by block and cell, with a hash table from blocks to their cells.

    Build it with `index_points`; ask it with `nearest`.

    Attributes:
        origin: subtracted before anything is rounded to float32, so that world coordinates keep their millimeters.
        cell: edge of a cell in meters.
        xyz: the points relative to `origin`, in the order of blocks and cells.
        order: place of each of them in the array that was indexed.
        table: open-addressing hash table: packed block (-1 = free) and its number, side by side in memory.
        starts: first point of each cell of each block, and the number of points at the end.
        low, high: bounding box relative to `origin`.
    """

    origin: Float[np.ndarray, "3"]
    cell: float
    xyz: Float32[np.ndarray, "points 3"]
    order: Int64[np.ndarray, "points"]
    table: Int64[np.ndarray, "slots 2"]
    starts: Int32[np.ndarray, "cells_plus_one"]
    low: Float32[np.ndarray, "3"]
    high: Float32[np.ndarray, "3"]

    def __len__(self) -> int:
        return len(self.xyz)


def index_points(points: Float[np.ndarray, "points 3"], cell: float = 0.2) -> NearestIndex:
    """Sort points into a grid.

    Args:
        points: finite positions in meters, any frame; extents up to 200 km at the default cell.
        cell: edge of a cell in meters; a few times the spacing of the points is fast.

    Raises:
        ValueError: a point is not finite, or farther than 2**20 cells from the mean along an axis.
    """
    if not np.isfinite(points).all():
        raise ValueError(f"{int((~np.isfinite(points)).any(1).sum())} points to index are not finite; drop them first")
    origin = points.mean(0, dtype=np.float64) if len(points) else np.zeros(3)
    local = (points - origin).astype(np.float32)
    low = local.min(0) if len(local) else np.zeros(3, np.float32)
    high = local.max(0) if len(local) else np.zeros(3, np.float32)
    if max(np.abs(low).max(), np.abs(high).max()) / cell > 2**20:
        raise ValueError(f"points extend over {np.ptp(local, axis=0)} m: too far for cells of {cell} m")
    keys = _pack(local, np.float32(cell))
    order = np.argsort(keys)
    keys = keys[order]
    block_of_point = keys >> _CELL_BITS
    is_first = np.ones(len(keys), bool)
    is_first[1:] = block_of_point[1:] != block_of_point[:-1]
    blocks = block_of_point[is_first]
    table = _fill_table(blocks, 1 << max(4, int(2 * len(blocks)).bit_length()))
    starts = _start_cells(keys, len(blocks))
    return NearestIndex(origin, cell, local[order], order, table, starts, low, high)


def nearest(
    index: NearestIndex, points: Float[np.ndarray, "queries 3"], radius: float, approximate: bool = False
) -> tuple[Int64[np.ndarray, "queries"], Float32[np.ndarray, "queries"]]:
    """The nearest indexed point of each query point.

    Args:
        points: positions in the frame of the indexed points; a query that is not finite finds nothing.
        radius: meters; farther neighbors do not count.
        approximate: stop at the first ring of cells that holds anything: several times faster where a cell holds about
            one point, and then at most two cells farther than the nearest.

    Returns:
        Place in the indexed array (`MISSING` where there is none within the radius), and distance in meters (else inf).
    """
    place, distance = _search(
        np.ascontiguousarray(points),
        index.origin,
        index.xyz,
        index.table,
        index.starts,
        index.low,
        index.high,
        np.float32(index.cell),
        np.float32(radius),
        approximate,
    )
    is_found = place >= 0
    place[is_found] = index.order[place[is_found]]
    return place, distance


_CELL_BITS = 9
_CELLS = 1 << _CELL_BITS


@compiled(inline="always")
def _pack_block(x, y, z):
    """One number for the block of a cell."""
    offset = np.int64(1 << 20)
    return (((x + offset) >> 3) << np.int64(36)) | (((y + offset) >> 3) << np.int64(18)) | ((z + offset) >> 3)


@compiled(inline="always")
def _cell_in_block(x, y, z):
    return ((x & 7) << 6) | ((y & 7) << 3) | (z & 7)


@compiled
def _pack(xyz, cell):
    keys = np.empty(len(xyz), np.int64)
    for i in range(len(xyz)):
        x, y, z = (
            np.int64(np.floor(xyz[i, 0] / cell)),
            np.int64(np.floor(xyz[i, 1] / cell)),
            np.int64(np.floor(xyz[i, 2] / cell)),
        )
        keys[i] = (_pack_block(x, y, z) << _CELL_BITS) | _cell_in_block(x, y, z)
    return keys


@compiled
def _start_cells(keys, blocks):
    starts = np.zeros(blocks * _CELLS + 1, np.int32)
    block = -1
    last = np.int64(-1)
    for i in range(len(keys)):
        if keys[i] >> _CELL_BITS != last:
            last = keys[i] >> _CELL_BITS
            block += 1
        starts[block * _CELLS + (keys[i] & (_CELLS - 1)) + 1] += 1
    for i in range(1, len(starts)):
        starts[i] += starts[i - 1]
    return starts


@compiled(inline="always")
def _slot(key, mask):
    # Two rounds of multiply and fold: neighboring blocks differ in few bits, and a weak mix makes them queue up.
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return (mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask)


@compiled
def _fill_table(keys, slots):
    table = np.full((slots, 2), _EMPTY)
    mask = slots - 1
    for i in range(len(keys)):
        slot = np.int64(_slot(keys[i], mask))
        while table[slot, 0] != _EMPTY:
            slot = (slot + 1) & mask
        table[slot, 0] = keys[i]
        table[slot, 1] = i
    return table


@compiled(inline="always")
def _find(key, table, mask):
    slot = np.int64(_slot(key, mask))
    while table[slot, 0] != _EMPTY:
        if table[slot, 0] == key:
            return table[slot, 1]
        slot = (slot + 1) & mask
    return np.int64(-1)


@compiled(inline="always")
def _gap(query, cell_index, cell):
    """Distance along one axis from a coordinate to the slab of a cell."""
    low = cell_index * cell
    if query < low:
        return low - query
    high = low + cell
    return query - high if query > high else np.float32(0)


@compiled(fastmath={"contract"})
def _search(queries, origin, xyz, table, starts, low, high, cell, radius, approximate):
    count = len(queries)
    place = np.full(count, np.int64(-1))
    distance = np.full(count, np.float32(np.inf))
    mask = len(table) - 1
    rings = np.int64(np.ceil(radius / cell))
    last_key, last_block = _EMPTY, np.int64(-1)
    for i in range(count):
        qx = np.float32(queries[i, 0] - origin[0])
        qy = np.float32(queries[i, 1] - origin[1])
        qz = np.float32(queries[i, 2] - origin[2])
        # Written so that NaN falls out as well.
        if not (
            qx >= low[0] - radius
            and qx <= high[0] + radius
            and qy >= low[1] - radius
            and qy <= high[1] + radius
            and qz >= low[2] - radius
            and qz <= high[2] + radius
        ):
            continue
        cx, cy, cz = np.int64(np.floor(qx / cell)), np.int64(np.floor(qy / cell)), np.int64(np.floor(qz / cell))
        best = radius * radius
        best_place = np.int64(-1)
        for ring in range(rings + 1):
            # Nothing in this ring or beyond is nearer than the nearest wall of the block already searched.
            if ring > 0:
                if approximate and best_place >= 0:
                    break
                wall = min(
                    min(qx - (cx - ring + 1) * cell, (cx + ring) * cell - qx),
                    min(
                        min(qy - (cy - ring + 1) * cell, (cy + ring) * cell - qy),
                        min(qz - (cz - ring + 1) * cell, (cz + ring) * cell - qz),
                    ),
                )
                if wall > 0 and wall * wall > best:
                    break
            for dx in range(-ring, ring + 1):
                gx = _gap(qx, cx + dx, cell)
                gx2 = gx * gx
                if gx2 > best:
                    continue
                for dy in range(-ring, ring + 1):
                    gy = _gap(qy, cy + dy, cell)
                    gxy2 = gx2 + gy * gy
                    if gxy2 > best:
                        continue
                    is_shell = abs(dx) == ring or abs(dy) == ring
                    step = 1 if is_shell or ring == 0 else 2 * ring
                    for dz in range(-ring, ring + 1, step):
                        gz = _gap(qz, cz + dz, cell)
                        if gxy2 + gz * gz > best:
                            continue
                        key = _pack_block(cx + dx, cy + dy, cz + dz)
                        if key != last_key:
                            last_key, last_block = key, _find(key, table, mask)
                        if last_block < 0:
                            continue
                        found = last_block * _CELLS + _cell_in_block(cx + dx, cy + dy, cz + dz)
                        for j in range(starts[found], starts[found + 1]):
                            ex, ey, ez = xyz[j, 0] - qx, xyz[j, 1] - qy, xyz[j, 2] - qz
                            square = ex * ex + ey * ey + ez * ez
                            if square < best or (square == best and best_place < 0):
                                best = square
                                best_place = np.int64(j)
        if best_place >= 0:
            place[i] = best_place
            distance[i] = np.sqrt(best)
    return place, distance
