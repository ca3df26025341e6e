"""One sortable int64 number per voxel, and the checks every coordinate list passes before it is trusted."""

import torch
from jaxtyping import Bool, Int, Int32, Int64
from torch import Tensor

Triple = tuple[int, int, int]


def pack_keys(coordinates: Int[Tensor, "voxels 4"], spatial_shape: Triple) -> Int64[Tensor, "voxels"]:
    """Number each [batch, z, y, x] so that numeric order is lexicographic order.

    Every line, plane and item of the batch is padded by a guard cell on each side, so that key(neighbor) =
    key + constant never wraps around a border into another line or item.
    """
    height, depth, width = (size + 2 for size in spatial_shape)
    batch, z, y, x = coordinates.to(torch.int64).unbind(1)
    return ((batch * height + z + 1) * depth + y + 1) * width + x + 1


def check_key_range(spatial_shape: Triple, batch_size: int) -> None:
    """Refuse grids whose keys would not fit into 63 bits."""
    height, depth, width = (size + 2 for size in spatial_shape)
    if min(spatial_shape) < 1:
        raise ValueError(f"spatial shape {spatial_shape} has an empty axis; every axis needs at least one cell")
    if (batch_size + 1) * height * depth * width >= 2**63:
        raise ValueError(
            f"batch of {batch_size} grids {spatial_shape} has more cells than 63 bits can number; use larger voxels"
        )


def is_out_of_range(
    coordinates: Int[Tensor, "voxels 4"], spatial_shape: Triple, batch_size: int
) -> Bool[Tensor, "voxels"]:
    """Whether a coordinate lies outside the grid or the batch."""
    limit = torch.tensor((batch_size, *spatial_shape), device=coordinates.device)
    return ((coordinates < 0) | (coordinates >= limit)).any(1)


def check_coordinates(coordinates: Int[Tensor, "voxels 4"], spatial_shape: Triple, batch_size: int) -> None:
    """Raise ValueError unless coordinates are in range, sorted by key and without duplicates."""
    check_key_range(spatial_shape, batch_size)
    outside = is_out_of_range(coordinates, spatial_shape, batch_size)
    if bool(outside.any()):
        row = int(outside.to(torch.int8).argmax())
        raise ValueError(
            f"{int(outside.sum())} coordinates lie outside batch {batch_size} x grid {spatial_shape}; the first is row "
            f"{row}, [batch, z, y, x] = {coordinates[row].tolist()}; crop points before voxelizing or enlarge the grid"
        )
    step = pack_keys(coordinates, spatial_shape).diff()
    if bool((step <= 0).any()):
        row = int((step <= 0).to(torch.int8).argmax()) + 1
        problem = "is a duplicate of the row before" if int(step[row - 1]) == 0 else "comes before its predecessor"
        raise ValueError(
            f"coordinates must be sorted by (batch, z, y, x) without duplicates: row {row} "
            f"{coordinates[row].tolist()} {problem}; use `SparseTensor.from_unsorted` or `ps3d.ops.voxelize.voxelize`"
        )


def sort_coordinates(
    coordinates: Int[Tensor, "voxels 4"], spatial_shape: Triple, batch_size: int
) -> tuple[Int32[Tensor, "voxels 4"], Int64[Tensor, "voxels"]]:
    """Coordinates in key order, and the row each came from; duplicates and outsiders raise ValueError."""
    check_key_range(spatial_shape, batch_size)
    if bool(is_out_of_range(coordinates, spatial_shape, batch_size).any()):
        check_coordinates(coordinates, spatial_shape, batch_size)
    order = torch.argsort(pack_keys(coordinates, spatial_shape), stable=True)
    ordered = coordinates[order].to(torch.int32)
    check_coordinates(ordered, spatial_shape, batch_size)
    return ordered, order
