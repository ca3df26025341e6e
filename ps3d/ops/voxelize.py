"""Points to voxels and back: which voxel a point falls into, voxels in the order sparse convolution wants."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64, Num

from ps3d.ops.compiled import compiled

_MOST_CELLS = 2**62


@dataclass(frozen=True)
class Voxels:
    """The occupied cells of a regular grid, and the cell of each point.

    Attributes:
        coordinates: [z, y, x] of each occupied cell, counted from `origin`, sorted by z, then y, then x; no duplicates.
        voxel_of_point: row in `coordinates` of each point.
        origin: x, y, z in meters of the outer corner of cell (0, 0, 0), a whole multiple of the voxel size.
        voxel_size: edge of a cell in meters.
        spatial_shape: number of cells along z, y, x that holds every coordinate.
    """

    coordinates: Int32[np.ndarray, "voxels 3"]
    voxel_of_point: Int64[np.ndarray, "points"]
    origin: Float[np.ndarray, "3"]
    voxel_size: float
    spatial_shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.coordinates)

    def count(self) -> Int64[np.ndarray, "voxels"]:
        """Number of points in each voxel (at least 1)."""
        return np.bincount(self.voxel_of_point, minlength=len(self))

    def mean(self, values: Num[np.ndarray, "points channels"]) -> Float32[np.ndarray, "voxels channels"]:
        """Mean of the points' values in each voxel."""
        return _mean_per_voxel(np.ascontiguousarray(values, np.float32), self.voxel_of_point, len(self))

    def first_point(self) -> Int64[np.ndarray, "voxels"]:
        """The first point of each voxel, in the order of the scan."""
        first = np.empty(len(self), np.int64)
        first[self.voxel_of_point[::-1]] = np.arange(len(self.voxel_of_point))[::-1]
        return first

    def centers(self) -> Float32[np.ndarray, "voxels 3"]:
        """x, y, z in meters of the middle of each voxel."""
        return (self.origin + (self.coordinates[:, ::-1] + 0.5) * self.voxel_size).astype(np.float32)

    def positions(self, xyz: Float[np.ndarray, "points 3"]) -> Float32[np.ndarray, "points 3"]:
        """z, y, x of points in voxel units: the middle of cell i lies at i + 0.5."""
        return ((xyz.astype(np.float64) - self.origin) / self.voxel_size)[:, ::-1].astype(np.float32)


def voxelize(
    xyz: Float[np.ndarray, "points 3"], voxel_size: float, origin: Float[np.ndarray, "3"] | None = None
) -> Voxels:
    """Find the voxel of each point.

    Args:
        xyz: positions in meters, any frame.
        voxel_size: edge of a cell in meters.
        origin: corner of cell (0, 0, 0) in meters; by default the multiple of the voxel size below all points.

    Raises:
        ValueError: a point is not finite or lies below `origin`, or the grid would have more cells than 64 bits count.
    """
    if not voxel_size > 0:
        raise ValueError(f"voxel size must be positive, not {voxel_size}")
    if not np.isfinite(xyz).all():
        bad = ~np.isfinite(xyz).all(1)
        raise ValueError(f"{int(bad.sum())} of {len(xyz)} points are not finite (first: {bad.argmax()}); drop them")
    if len(xyz) == 0:
        start = np.zeros(3) if origin is None else np.asarray(origin, np.float64)
        return Voxels(np.zeros((0, 3), np.int32), np.zeros(0, np.int64), start, voxel_size, (1, 1, 1))
    low = np.floor(xyz.min(0).astype(np.float64) / voxel_size) * voxel_size if origin is None else origin
    low = np.asarray(low, np.float64)
    cells = _cells(np.ascontiguousarray(xyz), low, float(voxel_size))
    if cells.min() < 0:
        raise ValueError(f"points reach {xyz.min(0)} m, below the given origin {low} m; crop them first")
    highest = cells.max(0)
    shape = (int(highest[0]) + 1, int(highest[1]) + 1, int(highest[2]) + 1)
    if shape[0] * shape[1] * shape[2] > _MOST_CELLS or max(shape) > 2**31 - 1:
        raise ValueError(f"a grid of {shape} cells is too large; drop far points or enlarge voxel size {voxel_size}")
    coordinates, voxel_of_point = _group(cells, np.array(shape, np.int64))
    return Voxels(coordinates, voxel_of_point, low, float(voxel_size), shape)


@compiled
def _cells(xyz, origin, voxel_size):
    """[z, y, x] cell of each point."""
    cells = np.empty((len(xyz), 3), np.int64)
    for point in range(len(xyz)):
        for axis in range(3):
            cells[point, 2 - axis] = np.int64(np.floor((np.float64(xyz[point, axis]) - origin[axis]) / voxel_size))
    return cells


@compiled
def _group(cells, shape):
    """Distinct cells in sorted order and the place of each point among them: a radix sort of packed cells."""
    count = len(cells)
    keys = np.empty(count, np.int64)
    for point in range(count):
        keys[point] = (cells[point, 0] * shape[1] + cells[point, 1]) * shape[2] + cells[point, 2]
    order = radix_argsort(keys, shape[0] * shape[1] * shape[2])
    coordinates = np.empty((count, 3), np.int32)
    voxel_of_point = np.empty(count, np.int64)
    voxel = -1
    last = np.int64(-1)
    for place in range(count):
        point = order[place]
        if keys[point] != last:
            last = keys[point]
            voxel += 1
            for axis in range(3):
                coordinates[voxel, axis] = cells[point, axis]
        voxel_of_point[point] = voxel
    return coordinates[: voxel + 1].copy(), voxel_of_point


@compiled
def radix_argsort(keys, bound):
    """Stable order of int64 keys in [0, bound): counting sort, 11 bits at a time."""
    count = len(keys)
    order = np.arange(count)
    other = np.empty(count, np.int64)
    shift = 0
    while (bound - 1) >> shift > 0:
        starts = np.zeros(2049, np.int64)
        for place in range(count):
            starts[((keys[place] >> shift) & 2047) + 1] += 1
        for digit in range(2048):
            starts[digit + 1] += starts[digit]
        for place in range(count):
            digit = (keys[order[place]] >> shift) & 2047
            other[starts[digit]] = order[place]
            starts[digit] += 1
        order, other = other, order
        shift += 11
        if shift > 62:
            break
    return order


@compiled
def _mean_per_voxel(values, voxel_of_point, voxels):
    total = np.zeros((voxels, values.shape[1]), np.float64)
    count = np.zeros(voxels, np.int64)
    for point in range(len(values)):
        voxel = voxel_of_point[point]
        count[voxel] += 1
        for channel in range(values.shape[1]):
            total[voxel, channel] += values[point, channel]
    for voxel in range(voxels):
        for channel in range(values.shape[1]):
            total[voxel, channel] /= count[voxel]
    return total.astype(np.float32)
