"""From voxels back to points: copy, or interpolate between neighbors; both differentiable."""

import itertools

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ps3d.sparse.keys import pack_keys
from ps3d.sparse.tensor import Grid, SparseTensor


def features_of_voxels(x: SparseTensor, voxel_of_point: Int64[Tensor, "points"]) -> Float[Tensor, "points channels"]:
    """Each point gets the features of its voxel."""
    return x.features.index_select(0, voxel_of_point)


def features_at_points(
    x: SparseTensor, positions: Float[Tensor, "points 3"], batch: Int64[Tensor, "points"]
) -> Float[Tensor, "points channels"]:
    """Trilinear interpolation between the (up to eight) occupied voxels around each point.

    Empty neighbors do not count: the weights of the others are scaled to sum to one. A point without any occupied
    neighbor gets zeros. At the middle of an occupied voxel the result is that voxel's features.

    Args:
        positions: z, y, x in voxel units of this tensor's grid (the middle of cell i lies at i + 0.5), as
            `Voxels.positions` gives them; divide by the stride for coarser levels.
        batch: scan of each point.
    """
    rows, weights = interpolation(x.grid, positions, batch)
    weights = weights.to(x.features.dtype)
    if len(x) == 0:
        return x.features.new_zeros((len(positions), x.features.shape[1]))
    return torch.nn.functional.embedding_bag(rows, x.features, per_sample_weights=weights, mode="sum")


def interpolation(
    grid: Grid, positions: Float[Tensor, "points 3"], batch: Int64[Tensor, "points"]
) -> tuple[Int64[Tensor, "points 8"], Float[Tensor, "points 8"]]:
    """Rows of the eight neighbors of each point, and their weights: zero for empty cells, else summing to one."""
    corner = torch.floor(positions - 0.5)
    fraction = positions - 0.5 - corner
    keys = pack_keys(grid.coordinates, grid.spatial_shape)
    limit = torch.tensor(grid.spatial_shape, device=positions.device)
    rows, weights = [], []
    for step in itertools.product((0, 1), repeat=3):
        shift = torch.tensor(step, device=positions.device)
        cell = corner.to(torch.int64) + shift
        wanted = pack_keys(torch.cat((batch.unsqueeze(1), cell), 1), grid.spatial_shape)
        place = torch.searchsorted(keys, wanted).clamp_(max=max(0, len(grid) - 1))
        is_found = ((cell >= 0) & (cell < limit)).all(1)
        is_found &= keys[place] == wanted if len(grid) else torch.zeros_like(is_found)
        weight = torch.where(shift.bool(), fraction, 1 - fraction).prod(1)
        rows.append(torch.where(is_found, place, 0))
        weights.append(weight * is_found)
    weight = torch.stack(weights, 1)
    return torch.stack(rows, 1), weight / weight.sum(1, keepdim=True).clamp_(min=torch.finfo(weight.dtype).tiny)
