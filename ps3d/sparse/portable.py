"""Sparse convolution on CPUs: compiled by numba for the CPU at hand, no compiler needed, float32.

Forward and input gradient: output rows stand still. The pairs of a kernel map are bucketed by block of output rows and
kernel offset; a block's outputs stay in the cache while, bucket by bucket, rows are gathered, multiplied in registers
and added. Weight gradient: chunks of pairs whose rows fit the first cache are multiplied column by column. Every sum is
taken in an order that depends on the map alone: the same bits for any number of threads and any block size.
"""

import itertools

import numba
import numpy as np
import torch
from jaxtyping import Float32, Int32
from torch import Tensor

from ps3d.ops.compiled import compiled
from ps3d.sparse import merge_join
from ps3d.sparse.kernel_map import KernelMap, KernelShape
from ps3d.sparse.keys import Triple
from ps3d.sparse.threads import Kernel, run_in_parts, run_in_ranges, thread_count
from ps3d.sparse.vector_code import lanes, pointer, registers, word
from ps3d.sparse.vector_tiles import clear, multiply_columns, multiply_rows, prefetch

NAME = "portable"
BLOCK_ROWS = 512
_CHUNK = 64
_CACHED_BYTES = 2**17
_TILE_ROWS = 8

# Rows of a tile of sums, tall ones and what is left, for 4, 3, 2 and 1 registers of columns: sums, a row of the matrix
# and a factor fit the registers.
_HAS_MANY = registers() > 16
_TALL_4, _TALL_3, _TALL_2, _TALL_1 = (6, 8, 8, 8) if _HAS_MANY else (2, 4, 6, 8)
_LOW_4, _LOW_3, _LOW_2, _LOW_1 = (3, 4, 4, 4) if _HAS_MANY else (1, 2, 3, 4)
_TURNED_3, _TURNED_2, _TURNED_LOW_2, _TURNED_1 = (8, 12, 8, 16) if _HAS_MANY else (4, 6, 2, 8)


def build_submanifold_map(
    coordinates: Int32[Tensor, "voxels 4"], spatial_shape: Triple, batch_size: int, size: Triple
) -> KernelMap:
    """Neighbors of every voxel among the voxels, by walking the sorted keys against themselves."""
    found = merge_join.submanifold_pairs(coordinates.numpy(), spatial_shape, size, BLOCK_ROWS)
    source, target, starts = (torch.from_numpy(array) for array in found)
    rows = len(coordinates)
    return KernelMap(source, target, starts, size[0] * size[1] * size[2], BLOCK_ROWS, rows, rows, is_symmetric=True)


def build_strided_map(
    coordinates: Int32[Tensor, "voxels 4"], spatial_shape: Triple, batch_size: int, shape: KernelShape
) -> tuple[KernelMap, Int32[Tensor, "outputs 4"]]:
    """Map of a strided convolution, its reverse beside it, and its output voxels in key order."""
    output_shape = shape.output_shape(spatial_shape)
    down, up, coordinates_out = merge_join.strided_pairs(
        coordinates.numpy(), output_shape, batch_size, shape, BLOCK_ROWS
    )
    sources, targets = len(coordinates), len(coordinates_out)
    source, target, starts = (torch.from_numpy(array) for array in down)
    kernel_map = KernelMap(source, target, starts, shape.volume, BLOCK_ROWS, sources, targets)
    source, target, starts = (torch.from_numpy(array) for array in up)
    kernel_map.remember_reversed(KernelMap(source, target, starts, shape.volume, BLOCK_ROWS, targets, sources))
    return kernel_map, torch.from_numpy(coordinates_out)


def convolve(
    features: Float32[Tensor, "sources inputs"],
    weight: Float32[Tensor, "volume inputs outputs"],
    kernel_map: KernelMap,
    counts_backward: bool = False,
) -> Float32[Tensor, "targets outputs"]:
    """Sum over offsets k of features[source] @ weight[k], added to the rows `target`; or of weight[volume - 1 - k]."""
    inputs, outputs = weight.shape[1:]
    features, weight = features.contiguous(), _packed(weight, counts_backward)
    columns = weight.shape[2]
    result = torch.empty((kernel_map.targets, columns))
    matrices = (features.data_ptr(), weight.data_ptr(), result.data_ptr())
    starts = kernel_map.starts.contiguous()
    pairs = (kernel_map.source.data_ptr(), kernel_map.target.data_ptr(), starts.data_ptr(), len(starts))
    sizes = (kernel_map.volume, kernel_map.block_rows, kernel_map.targets, inputs, columns, lanes())
    run_in_parts(_convolve_part, (*matrices, *pairs, *sizes), kernel_map.blocks)
    return result if columns == outputs else result[:, :outputs].contiguous()


def weight_gradient(
    features: Float32[Tensor, "sources inputs"], gradient: Float32[Tensor, "targets outputs"], kernel_map: KernelMap
) -> Float32[Tensor, "volume inputs outputs"]:
    """Gradient of `convolve` by its weight: per offset the sum of outer products of the paired rows."""
    # Inputs run along the rows of a weight as networks keep it; few of them would fill only a part of a register.
    if features.shape[1] >= lanes():
        turned = _outer_products(gradient, features, kernel_map.target, kernel_map.source, kernel_map)
        # In the order of a network's weight, so that its gradient is taken as it is.
        return turned.transpose(0, 1).contiguous().permute(1, 2, 0)
    return _outer_products(features, gradient, kernel_map.source, kernel_map.target, kernel_map)


def _outer_products(
    left: Float32[Tensor, "lefts rows"],
    right: Float32[Tensor, "rights columns"],
    left_rows: Int32[Tensor, "pairs"],
    right_rows: Int32[Tensor, "pairs"],
    kernel_map: KernelMap,
) -> Float32[Tensor, "volume rows columns"]:
    """Per offset the sum of left[left_rows]^T @ right[right_rows]."""
    height, breadth = left.shape[1], right.shape[1]
    left, right = _padded(left, _TILE_ROWS), _padded(right, lanes())
    rows, columns = left.shape[1], right.shape[1]
    result = torch.zeros((kernel_map.volume, rows, columns))
    matrices = (left.data_ptr(), right.data_ptr(), result.data_ptr())
    starts = kernel_map.starts.contiguous()
    pairs = (left_rows.data_ptr(), right_rows.data_ptr(), len(left_rows), starts.data_ptr(), len(starts))
    cached_bytes = max(_CACHED_BYTES, result.nbytes // 2)
    blocks_at_once = max(1, cached_bytes // (4 * (rows + columns) * kernel_map.block_rows))
    sizes = (kernel_map.volume, rows, columns, blocks_at_once, lanes())
    run_in_ranges(_gradient_part, (*matrices, *pairs, *sizes), _even_ranges(kernel_map, thread_count()))
    return result[:, :height, :breadth]


def _even_ranges(kernel_map: KernelMap, threads: int) -> list[tuple[int, int]]:
    """Kernel offsets in two ranges per thread, the ones with most pairs first.

    Every range reads all rows once, so many ranges read them often; few leave a thread idle, because the middle offset
    alone has a sixth of the pairs.
    """
    if threads <= 1:
        return [(0, kernel_map.volume)]
    pairs = np.diff(kernel_map.starts.numpy()).reshape(-1, kernel_map.volume).sum(0)
    before = np.concatenate(([0], np.cumsum(pairs)))
    wanted = before[-1] * np.arange(1, 2 * threads) / (2 * threads)
    inner = [int(np.abs(before - share).argmin()) for share in wanted]
    bounds = sorted({0, *inner, kernel_map.volume})
    return sorted(itertools.pairwise(bounds), key=lambda ends: before[ends[0]] - before[ends[1]])


def _packed(
    weight: Float32[Tensor, "volume inputs outputs"], counts_backward: bool
) -> Float32[Tensor, "volume inputs padded"]:
    """One contiguous matrix per offset, in the order asked for, with columns that fill registers.

    Networks keep weights as [outputs, volume, inputs], so a backward pass sees rows that lie apart: they are gathered
    in one pass over memory.
    """
    rows_apart = weight.transpose(0, 1)
    if not rows_apart.is_contiguous():
        return _padded(weight.flip(0) if counts_backward else weight, lanes())
    volume, inputs, outputs = weight.shape
    packed = torch.empty((volume, inputs, -(-outputs // lanes()) * lanes()))
    _gather_rows(rows_apart.numpy(), packed.numpy(), counts_backward)
    return packed


def _padded(matrix: Float32[Tensor, "*rows columns"], multiple: int) -> Float32[Tensor, "*rows padded"]:
    """Zero columns appended up to a multiple; contiguous."""
    missing = -matrix.shape[-1] % multiple
    return torch.nn.functional.pad(matrix, (0, missing)) if missing else matrix.contiguous()


@compiled
def _gather_rows(weight, packed, counts_backward):
    """packed[k, i] = weight[i, k], zero in columns beyond; or weight[i, volume - 1 - k]."""
    inputs, volume, outputs = weight.shape
    for i in range(inputs):
        for k in range(volume):
            kept = volume - 1 - k if counts_backward else k
            for o in range(outputs):
                packed[k, i, o] = weight[i, kept, o]
    packed[:, :, outputs:] = np.float32(0)


@compiled(inline="always")
def _vectors_at_once(left):
    """How many registers of columns a tile takes when `left` of them are left."""
    if _HAS_MANY and (left == 4 or left > 6):
        return 4
    if left == 4:
        return 2
    return min(left, 3)


@compiled(inline="always")
def _sweep(x, matrix, y, source, target, begin, stop, end, inputs, columns, rows, tail_rows, vectors):
    """All pairs [begin, stop) of a bucket for `vectors` registers of columns: whole tiles, then narrow ones."""
    place = begin
    while place + rows <= stop:
        ahead = source + 4 * (place + rows)
        here, there = source + 4 * place, target + 4 * place
        multiply_rows(x, matrix, y, here, there, rows, ahead, end, inputs, columns, rows, vectors)
        place += rows
    while place < stop:
        count = min(stop - place, tail_rows)
        ahead = source + 4 * (place + tail_rows)
        here, there = source + 4 * place, target + 4 * place
        multiply_rows(x, matrix, y, here, there, count, ahead, end, inputs, columns, tail_rows, vectors)
        place += tail_rows


@compiled
def _convolve_blocks(
    first, last, x, weight, y, source, target, starts, volume, block_rows, rows, inputs, columns, width
):
    """Blocks [first, last) of the output; x, weight, y, source and target are addresses."""
    end = source + 4 * (starts[-1] - 1)
    for block in range(first, last):
        top, bottom = block * block_rows, min(rows, (block + 1) * block_rows)
        clear(y + 4 * columns * top, 4 * columns * (bottom - top))
        for k in range(volume):
            begin, stop = starts[block * volume + k], starts[block * volume + k + 1]
            column = columns if begin == stop else 0
            while column < columns:
                vectors = _vectors_at_once((columns - column) // width)
                matrix, out = weight + 4 * (k * inputs * columns + column), y + 4 * column
                if vectors == 4:
                    _sweep(x, matrix, out, source, target, begin, stop, end, inputs, columns, _TALL_4, _LOW_4, 4)
                elif vectors == 3:
                    _sweep(x, matrix, out, source, target, begin, stop, end, inputs, columns, _TALL_3, _LOW_3, 3)
                elif vectors == 2:
                    _sweep(x, matrix, out, source, target, begin, stop, end, inputs, columns, _TALL_2, _LOW_2, 2)
                else:
                    _sweep(x, matrix, out, source, target, begin, stop, end, inputs, columns, _TALL_1, _LOW_1, 1)
                column += vectors * width


@Kernel
def _convolve_part(first, last, arguments):
    x, weight, y = word(arguments, 0), word(arguments, 1), word(arguments, 2)
    source, target = word(arguments, 3), word(arguments, 4)
    starts = numba.carray(pointer(word(arguments, 5)), word(arguments, 6), np.int64)
    volume, block_rows, rows = word(arguments, 7), word(arguments, 8), word(arguments, 9)
    inputs, columns, width = word(arguments, 10), word(arguments, 11), word(arguments, 12)
    _convolve_blocks(
        first, last, x, weight, y, source, target, starts, volume, block_rows, rows, inputs, columns, width
    )


@Kernel
def _gradient_part(first, last, arguments):
    x, y, result = word(arguments, 0), word(arguments, 1), word(arguments, 2)
    source = numba.carray(pointer(word(arguments, 3)), word(arguments, 5), np.int32)
    target = numba.carray(pointer(word(arguments, 4)), word(arguments, 5), np.int32)
    starts = numba.carray(pointer(word(arguments, 6)), word(arguments, 7), np.int64)
    volume, rows, columns = word(arguments, 8), word(arguments, 9), word(arguments, 10)
    at_once, width = word(arguments, 11), word(arguments, 12)
    _gradient_of_offsets(first, last, x, y, result, source, target, starts, volume, rows, columns, at_once, width)


@compiled
def _gradient_of_offsets(
    first, last, x, y, result, source, target, starts, volume, rows, columns, blocks_at_once, width
):
    """Weight gradients of offsets [first, last); x, y and result are addresses.

    All offsets run over a few blocks before the next ones, so that rows come from the second cache; pairs go in chunks
    whose rows fit the first cache while all tiles of the matrix run over them.
    """
    chunk = _CHUNK if rows + columns <= 160 else _CHUNK // 2
    left = np.empty(_CHUNK, np.int64)
    right = np.empty(_CHUNK, np.int64)
    buckets = len(starts) - 1
    step = blocks_at_once * volume
    for group in range(0, buckets, step):
        for k in range(first, last):
            matrix = result + 4 * k * rows * columns
            filled = 0
            for bucket in range(group + k, min(group + step, buckets), volume):
                for pair in range(starts[bucket], starts[bucket + 1]):
                    left[filled] = x + 4 * rows * np.int64(source[pair])
                    right[filled] = y + 4 * columns * np.int64(target[pair])
                    prefetch(left[filled], 4 * rows)
                    prefetch(right[filled], 4 * columns)
                    filled += 1
                    if filled == chunk:
                        _multiply_chunk(left.ctypes.data, right.ctypes.data, matrix, filled, rows, columns, width)
                        filled = 0
            if filled:
                _multiply_chunk(left.ctypes.data, right.ctypes.data, matrix, filled, rows, columns, width)


@compiled
def _multiply_chunk(left, right, matrix, filled, rows, columns, width):
    """A gradient's matrix += rows^T @ rows, in tiles that fill the registers."""
    column = 0
    while column < columns:
        vectors = _vectors_at_once((columns - column) // width)
        if vectors == 4:
            _multiply_tiles(left, right, matrix, filled, rows, column, columns, 6, 4, 4)
        elif vectors == 3:
            _multiply_tiles(left, right, matrix, filled, rows, column, columns, _TURNED_3, _TURNED_3, 3)
        elif vectors == 2:
            _multiply_tiles(left, right, matrix, filled, rows, column, columns, _TURNED_2, _TURNED_LOW_2, 2)
        else:
            _multiply_tiles(left, right, matrix, filled, rows, column, columns, _TURNED_1, 8, 1)
        column += vectors * width


@compiled(inline="always")
def _multiply_tiles(left, right, matrix, count, rows, column, columns, tall, low, vectors):
    """All rows of a matrix for `vectors` registers of columns: tall tiles, then low ones.

    Rows are a multiple of eight; tall tiles are taken while low ones can do what they leave.
    """
    row = 0
    while row < rows:
        below, out = rows - row - tall, matrix + 4 * (row * columns + column)
        if below == 0 or below >= low:
            multiply_columns(left, right, out, count, 4 * row, 4 * column, columns, tall, vectors)
            row += tall
        else:
            multiply_columns(left, right, out, count, 4 * row, 4 * column, columns, low, vectors)
            row += low
