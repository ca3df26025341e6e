"""Kernel maps by walking sorted keys: no hash table, no search.

Voxels are sorted by key, so keys shifted by a constant are sorted too. The neighbors of all voxels on one line of the
kernel (fixed dz, dy) come from one walk with two pointers; half of the lines suffice, because the other half of the
offsets are the same pairs read backward.
"""

import numpy as np
from jaxtyping import Int32, Int64, UInt64

from ps3d.ops.compiled import compiled
from ps3d.ops.voxelize import radix_argsort
from ps3d.sparse.kernel_map import KernelShape
from ps3d.sparse.keys import Triple

Buckets = tuple[Int32[np.ndarray, "pairs"], Int32[np.ndarray, "pairs"], Int64[np.ndarray, "_"]]
"""source, target and starts of a `KernelMap`."""

Lists = tuple[UInt64[np.ndarray, "half rows"], Int64[np.ndarray, "half blocks_plus_one"]]
"""Per offset behind the middle one: its pairs, ascending, as earlier row * 2**32 + later row (the rest of the array is
undefined); and the number of pairs before each block of earlier rows (the last number: of all pairs)."""


def submanifold_pairs(
    coordinates: Int32[np.ndarray, "voxels 4"], spatial_shape: Triple, size: Triple, block_rows: int
) -> Buckets:
    """Pairs of the convolution that keeps its voxels; coordinates sorted, sizes odd."""
    lists = submanifold_lists(coordinates, spatial_shape, size, block_rows)
    return _bucket_halves(*lists, len(coordinates), size[0] * size[1] * size[2], block_rows)


def submanifold_lists(
    coordinates: Int32[np.ndarray, "voxels 4"], spatial_shape: Triple, size: Triple, block_rows: int
) -> Lists:
    """The map itself, before pairs are bucketed for the kernels."""
    z, y, x = (cells + 2 + max(0, n // 2 - 1) for cells, n in zip(spatial_shape, size, strict=True))
    return _join(coordinates, z, y, x, *size, block_rows)


def strided_pairs(
    coordinates: Int32[np.ndarray, "voxels 4"],
    output_shape: Triple,
    batch_size: int,
    shape: KernelShape,
    block_rows: int,
) -> tuple[Buckets, Buckets, Int32[np.ndarray, "outputs 4"]]:
    """Pairs of a strided convolution, the same pairs from output to input, and the output voxels in key order."""
    sizes = np.array((shape.size, shape.stride, shape.padding, output_shape), np.int64)
    source, cell, offset = _candidates(coordinates, sizes)
    target, outputs = _number(cell, np.array((batch_size, *output_shape), np.int64))
    down = _bucket(source, target, offset, shape.volume, len(outputs), block_rows)
    up = _bucket(target, source, offset, shape.volume, len(coordinates), block_rows)
    return down, up, outputs


@compiled(inline="always")
def _power(block_rows):
    """log2 of a power of two: shifting is much faster than dividing."""
    bits = 0
    while (1 << bits) < block_rows:
        bits += 1
    return bits


@compiled(inline="always")
def _shift_of(number, z_size, y_size, y_cells, x_cells):
    """What to add to a key to come to the middle of the line `number` lines behind its own."""
    line = (z_size * y_size) // 2 + 1 + number
    dz, dy = line // y_size - z_size // 2, line % y_size - y_size // 2
    return (dz * y_cells + dy) * x_cells


@compiled(inline="always")
def _walk(keys, place, wanted):
    """The first place from `place` on whose key is not below `wanted`."""
    passed = np.uint64(4)
    while passed == np.uint64(4):
        passed = np.uint64(keys[place] < wanted) + np.uint64(keys[place + np.uint64(1)] < wanted)
        passed += np.uint64(keys[place + np.uint64(2)] < wanted) + np.uint64(keys[place + np.uint64(3)] < wanted)
        place += passed
    return place


@compiled
def _join(coordinates, z_cells, y_cells, x_cells, z_size, y_size, x_size, block_rows):
    """See `Lists`. Nothing branches on data but a loop that nearly always runs once: wrong guesses cost the most here.

    Places are unsigned, because numba wraps negative ones around.
    """
    none, one, half, x_half = np.uint64(0), np.uint64(1), np.uint64(32), np.uint64(x_size)
    rows = len(coordinates)
    keys = np.empty(rows + x_size + 4, np.int64)
    keys[rows:] = np.iinfo(np.int64).max
    for row in range(rows):
        keys[row] = (
            (coordinates[row, 0] * np.int64(z_cells) + coordinates[row, 1] + 1) * y_cells + coordinates[row, 2] + 1
        ) * x_cells + (coordinates[row, 3] + 1)
    middle = (z_size * y_size * x_size) // 2
    reach = x_size // 2
    blocks = max(1, (rows + block_rows - 1) // block_rows)
    pairs = np.empty((middle, rows), np.uint64)
    begins = np.zeros((middle, blocks + 1), np.int64)
    found = np.zeros(2 * x_size + 1, np.uint64)
    lines = (z_size * y_size) // 2
    for offset in range(reach):
        found[offset] = none
    for block in range(blocks):
        for row in range(np.uint64(block * block_rows), np.uint64(min(rows, (block + 1) * block_rows))):
            ahead = row + one
            for offset in range(np.uint64(reach)):
                pairs[offset, found[offset]] = (row << half) | ahead
                is_met = np.uint64(keys[ahead] == keys[row] + np.int64(offset) + 1)
                found[offset] += is_met
                ahead += is_met
        for offset in range(reach):
            begins[offset, block + 1] = found[offset]
    for number in range(0, lines, 2):
        # Two lines at a time: a walk waits for each of its steps, and two walks wait side by side.
        left = reach + number * x_size
        right = left + x_size if number + 1 < lines else left
        left_shift = _shift_of(number, z_size, y_size, y_cells, x_cells) - reach
        right_shift = _shift_of(min(number + 1, lines - 1), z_size, y_size, y_cells, x_cells) - reach
        left_lists, right_lists = pairs[left : left + x_size], pairs[right : right + x_size]
        for offset in range(2 * x_size):
            found[offset] = none
        left_walker = right_walker = none
        for block in range(blocks):
            for row in range(np.uint64(block * block_rows), np.uint64(min(rows, (block + 1) * block_rows))):
                left_wanted, right_wanted = keys[row] + left_shift, keys[row] + right_shift
                left_walker = _walk(keys, left_walker, left_wanted)
                right_walker = _walk(keys, right_walker, right_wanted)
                left_ahead, right_ahead = left_walker, right_walker
                for offset in range(np.uint64(x_size)):
                    left_lists[offset, found[offset]] = (row << half) | left_ahead
                    right_lists[offset, found[offset + x_half]] = (row << half) | right_ahead
                    is_left = np.uint64(keys[left_ahead] == left_wanted + np.int64(offset))
                    is_right = np.uint64(keys[right_ahead] == right_wanted + np.int64(offset))
                    found[offset] += is_left
                    found[offset + x_half] += is_right
                    left_ahead += is_left
                    right_ahead += is_right
            for offset in range(x_size):
                begins[left + offset, block + 1] = found[offset]
                begins[right + offset, block + 1] = found[x_size + offset]
    return pairs, begins


@compiled
def _bucket_halves(pairs, begins, rows, volume, block_rows):
    """Both halves and the middle offset, by block of targets, then offset: buckets are slices of the lists."""
    middle = volume // 2
    blocks = begins.shape[1] - 1
    total = rows + 2 * begins[:, -1].sum()
    source = np.empty(total, np.int32)
    target = np.empty(total, np.int32)
    starts = np.zeros(blocks * volume + 1, np.int64)
    taken = np.zeros(middle, np.uint64)
    one, half = np.uint64(1), np.uint64(32)
    place = np.uint64(0)
    for block in range(blocks):
        bottom = min(rows, (block + 1) * block_rows)
        for mirrored in range(middle - 1, -1, -1):
            list_of = pairs[mirrored]
            pair, end = taken[mirrored], np.uint64(begins[mirrored, blocks])
            while pair < end and np.int32(list_of[pair]) < bottom:
                source[place] = np.int32(list_of[pair] >> half)
                target[place] = np.int32(list_of[pair])
                pair += one
                place += one
            taken[mirrored] = pair
            starts[block * volume + middle - mirrored] = place
        for row in range(block * block_rows, bottom):
            source[place] = row
            target[place] = row
            place += one
        starts[block * volume + middle + 1] = place
        for k in range(middle):
            list_of = pairs[k]
            for pair in range(np.uint64(begins[k, block]), np.uint64(begins[k, block + 1])):
                source[place] = np.int32(list_of[pair])
                target[place] = np.int32(list_of[pair] >> half)
                place += one
            starts[block * volume + middle + k + 2] = place
    return source, target, starts


@compiled
def _candidates(coordinates, sizes):
    """(input row, [batch, z, y, x] of an output cell, kernel offset) of every pair of a strided convolution."""
    size, stride, padding, shape = sizes[0], sizes[1], sizes[2], sizes[3]
    most = 1
    for axis in range(3):
        most *= (size[axis] + stride[axis] - 1) // stride[axis]
    room = most * len(coordinates)
    source = np.empty(room, np.int32)
    cell = np.empty((room, 4), np.int32)
    offset = np.empty(room, np.int64)
    count = 0
    for row in range(len(coordinates)):
        batch = coordinates[row, 0]
        z, y, x = coordinates[row, 1] + padding[0], coordinates[row, 2] + padding[1], coordinates[row, 3] + padding[2]
        for kz in range(z % stride[0], min(size[0], z + 1), stride[0]):
            out_z = (z - kz) // stride[0]
            for ky in range(y % stride[1], min(size[1], y + 1), stride[1]):
                out_y = (y - ky) // stride[1]
                for kx in range(x % stride[2], min(size[2], x + 1), stride[2]):
                    out_x = (x - kx) // stride[2]
                    if out_z < shape[0] and out_y < shape[1] and out_x < shape[2]:
                        source[count] = row
                        cell[count, 0], cell[count, 1] = batch, out_z
                        cell[count, 2], cell[count, 3] = out_y, out_x
                        offset[count] = (kz * size[1] + ky) * size[2] + kx
                        count += 1
    return source[:count], cell[:count], offset[:count]


@compiled
def _number(cell, shape):
    """Place of each cell among the distinct cells in key order, and those cells."""
    count = len(cell)
    keys = np.empty(count, np.int64)
    for pair in range(count):
        keys[pair] = ((cell[pair, 0] * shape[1] + cell[pair, 1]) * shape[2] + cell[pair, 2]) * shape[3] + cell[pair, 3]
    order = radix_argsort(keys, shape[0] * shape[1] * shape[2] * shape[3])
    target = np.empty(count, np.int32)
    outputs = np.empty((count, 4), np.int32)
    number = -1
    last = np.int64(-1)
    for place in range(count):
        pair = order[place]
        if keys[pair] != last:
            last = keys[pair]
            number += 1
            outputs[number] = cell[pair]
        target[pair] = number
    return target, outputs[: number + 1].copy()


@compiled
def _bucket(source, target, offset, volume, targets, block_rows):
    """Stable counting sort of pairs by block of targets, then offset."""
    bits = _power(block_rows)
    blocks = max(1, (targets + block_rows - 1) // block_rows)
    starts = np.zeros(blocks * volume + 1, np.int64)
    for pair in range(len(source)):
        starts[(np.int64(target[pair]) >> bits) * volume + offset[pair] + 1] += 1
    for bucket in range(blocks * volume):
        starts[bucket + 1] += starts[bucket]
    place = starts.copy()
    source_out = np.empty(len(source), np.int32)
    target_out = np.empty(len(source), np.int32)
    for pair in range(len(source)):
        bucket = (np.int64(target[pair]) >> bits) * volume + offset[pair]
        source_out[place[bucket]] = source[pair]
        target_out[place[bucket]] = target[pair]
        place[bucket] += 1
    return source_out, target_out, starts
