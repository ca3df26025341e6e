"""Features on the occupied cells of a grid."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int, Int32, Int64
from torch import Tensor

from ps3d.ops.voxelize import Voxels
from ps3d.sparse.backend import backend_for
from ps3d.sparse.kernel_map import KernelMap, KernelShape
from ps3d.sparse.keys import Triple, check_coordinates, sort_coordinates


@dataclass(frozen=True, eq=False)
class Grid:
    """The occupied cells of a batch, without features; kernel maps are made on demand and kept here.

    Attributes:
        coordinates: [batch, z, y, x], sorted, distinct, inside `spatial_shape`.
        spatial_shape: cells along z, y, x.
        batch_size: number of scans; some of them may be empty.
        parent: the finer grid this one was strided from, with the map that did it (None where spconv
            keeps it); `InverseConv3d` goes back there.
    """

    coordinates: Int32[Tensor, "voxels 4"]
    spatial_shape: Triple
    batch_size: int
    parent: "tuple[Grid, KernelShape, KernelMap | None] | None" = None
    maps: dict = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.coordinates)

    def submanifold_map(self, size: Triple) -> KernelMap:
        """Neighbors under an odd kernel that keeps the voxels."""
        if size not in self.maps:
            backend = backend_for(self.coordinates.device)
            self.maps[size] = backend.build_submanifold_map(self.coordinates, self.spatial_shape, self.batch_size, size)
        return self.maps[size]

    def strided(self, shape: KernelShape) -> "tuple[Grid, KernelMap]":
        """The coarser grid under a strided kernel, and the map that leads there.

        The coarse grid holds this one (its parent); this one only remembers the coarse grid while somebody uses it.
        """
        remembered = self.maps.get(shape)
        coarse = remembered() if remembered else None
        if coarse is None:
            backend = backend_for(self.coordinates.device)
            kernel_map, coordinates = backend.build_strided_map(
                self.coordinates, self.spatial_shape, self.batch_size, shape
            )
            parent = (self, shape, kernel_map)
            coarse = Grid(coordinates, shape.output_shape(self.spatial_shape), self.batch_size, parent)
            self.maps[shape] = weakref.ref(coarse)
        return coarse, coarse.parent[2]  # type: ignore[index, return-value]

    def to(self, device: torch.device | str) -> "Grid":
        """The same cells on another device, without maps or parent."""
        return Grid(self.coordinates.to(device), self.spatial_shape, self.batch_size)


class SparseTensor:
    """Features on the occupied cells of a batch of grids.

    Args:
        features: one row per voxel.
        coordinates: [batch, z, y, x], sorted in this order, without duplicates, inside the grid.
        spatial_shape: cells along z, y, x.
        batch_size: number of scans; some of them may have no voxel.

    Attributes:
        features: one row per voxel.
        grid: where the voxels are; shared by all tensors on the same voxels, so kernel maps are built once.

    Raises:
        ValueError: coordinates are unsorted, doubled or out of range; the message names the row.
    """

    features: Float[Tensor, "voxels channels"]
    grid: Grid

    def __init__(
        self,
        features: Float[Tensor, "voxels channels"],
        coordinates: Int32[Tensor, "voxels 4"],
        spatial_shape: Triple,
        batch_size: int,
    ) -> None:
        check_coordinates(coordinates, spatial_shape, batch_size)
        self._set(features, Grid(coordinates.contiguous(), spatial_shape, batch_size))

    @classmethod
    def on(cls, grid: Grid, features: Float[Tensor, "voxels channels"]) -> "SparseTensor":
        """Features on voxels that are known already; checks nothing but the number of rows."""
        tensor = cls.__new__(cls)
        tensor._set(features, grid)
        return tensor

    @classmethod
    def from_unsorted(
        cls,
        features: Float[Tensor, "voxels channels"],
        coordinates: Int[Tensor, "voxels 4"],
        spatial_shape: Triple,
        batch_size: int,
    ) -> "tuple[SparseTensor, Int64[Tensor, 'voxels']]":
        """The tensor with its rows sorted, and the row of the arguments that each of its rows came from."""
        ordered, order = sort_coordinates(coordinates, spatial_shape, batch_size)
        return cls.on(Grid(ordered.contiguous(), spatial_shape, batch_size), features[order]), order

    def _set(self, features: Tensor, grid: Grid) -> None:
        if len(features) != len(grid):
            raise ValueError(f"{len(features)} rows of features for {len(grid)} voxels")
        self.features, self.grid = features, grid

    @property
    def coordinates(self) -> Int32[Tensor, "voxels 4"]:
        """[batch, z, y, x] of each voxel."""
        return self.grid.coordinates

    @property
    def spatial_shape(self) -> Triple:
        """Cells along z, y, x."""
        return self.grid.spatial_shape

    @property
    def batch_size(self) -> int:
        """Number of scans."""
        return self.grid.batch_size

    def __len__(self) -> int:
        return len(self.features)

    def __repr__(self) -> str:
        rows, channels = self.features.shape
        return f"SparseTensor({rows} voxels x {channels}, grid {self.spatial_shape}, batch {self.batch_size})"

    def replace(self, features: Float[Tensor, "voxels channels_out"]) -> "SparseTensor":
        """Other features on the same voxels."""
        return SparseTensor.on(self.grid, features)

    def to(self, device: torch.device | str) -> "SparseTensor":
        """The same tensor on another device; kernel maps are built there anew."""
        if torch.device(device) == self.features.device:
            return self
        return SparseTensor.on(self.grid.to(device), self.features.to(device))

    def dense(self) -> Float[Tensor, "batch channels z y x"]:
        """A dense tensor with zeros in empty cells; for tests and small grids."""
        batch, z, y, x = self.coordinates.to(torch.int64).unbind(1)
        result = self.features.new_zeros((self.batch_size, *self.spatial_shape, self.features.shape[1]))
        return result.index_put((batch, z, y, x), self.features).permute(0, 4, 1, 2, 3)


def stack_voxels(
    voxels: Sequence[Voxels],
) -> tuple[Int32[Tensor, "voxels 4"], Triple, list[Int64[Tensor, "points"]]]:
    """Several scans as one batch.

    Returns:
        Sorted [batch, z, y, x]; a grid shape that holds all scans; for each scan the row of each of its points.
    """
    if not voxels:
        raise ValueError("a batch needs at least one scan")
    rows, places, first = [], [], 0
    for batch, scan in enumerate(voxels):
        rows.append(np.concatenate((np.full((len(scan), 1), batch, np.int32), scan.coordinates), 1))
        places.append(torch.from_numpy(scan.voxel_of_point + first))
        first += len(scan)
    z, y, x = (max(scan.spatial_shape[axis] for scan in voxels) for axis in range(3))
    return torch.from_numpy(np.concatenate(rows)), (z, y, x), places
