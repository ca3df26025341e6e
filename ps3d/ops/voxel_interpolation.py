"""From voxels back to points: weighted means of the occupied voxels around each point."""

import numpy as np
from jaxtyping import Float32

from ps3d.ops.compiled import compiled
from ps3d.ops.voxelize import Voxels


def interpolate_voxels(
    voxels: Voxels, xyz: Float32[np.ndarray, "points 3"], values: Float32[np.ndarray, "voxels channels"]
) -> Float32[np.ndarray, "points channels"]:
    """Trilinear interpolation between voxel centers; empty voxels are left out and the other weights grow.

    Args:
        voxels: of these very points.
        xyz: the points that were voxelized.
        values: of each voxel.
    """
    position = voxels.positions(xyz)
    shape = np.array(voxels.spatial_shape, np.int64)
    coordinates = voxels.coordinates.astype(np.int64)
    keys = (coordinates[:, 0] * shape[1] + coordinates[:, 1]) * shape[2] + coordinates[:, 2]
    return _interpolate(keys, shape, voxels.coordinates, voxels.voxel_of_point, position, np.ascontiguousarray(values))


@compiled
def _interpolate(keys, shape, coordinates, voxel_of_point, position, values):
    points, channels, count = len(position), values.shape[1], len(keys)
    slots = 16
    while slots < 2 * count:
        slots *= 2
    table = np.full(slots, -1, np.int32)
    for voxel in range(count):
        slot = _slot(keys[voxel], slots)
        while table[slot] >= 0:
            slot = (slot + 1) & (slots - 1)
        table[slot] = voxel
    result = np.zeros((points, channels), np.float32)
    side = np.empty(3, np.int64)
    share = np.empty(3, np.float32)
    for point in range(points):
        own = voxel_of_point[point]
        for axis in range(3):
            ahead = position[point, axis] - coordinates[own, axis] - np.float32(0.5)
            side[axis] = 1 if ahead > 0 else -1
            share[axis] = min(abs(ahead), np.float32(0.5))
        total = np.float32(0)
        for corner in range(8):
            weight = np.float32(1)
            key = np.int64(0)
            is_inside = True
            for axis in range(3):
                moves = (corner >> axis) & 1
                weight *= share[axis] if moves else 1 - share[axis]
                place = coordinates[own, axis] + (side[axis] if moves else 0)
                is_inside = is_inside and 0 <= place < shape[axis]
                key = key * shape[axis] + place
            if not is_inside or weight < np.float32(0.02):
                continue
            voxel = own
            if corner:
                slot = _slot(key, slots)
                while table[slot] >= 0 and keys[table[slot]] != key:
                    slot = (slot + 1) & (slots - 1)
                voxel = table[slot]
            if voxel >= 0:
                total += weight
                for channel in range(channels):
                    result[point, channel] += weight * values[voxel, channel]
        for channel in range(channels):
            result[point, channel] /= total
    return result


@compiled
def _slot(key, slots):
    return np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & (slots - 1)
