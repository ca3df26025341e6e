"""Sparse convolution: one interface, one weight layout (spconv's), interchangeable backends."""

from ps3d.sparse.conversion import from_spconv1
from ps3d.sparse.kernel_map import KernelMap, KernelShape
from ps3d.sparse.layers import (
    InverseConv3d,
    Pointwise,
    SparseAvgPool3d,
    SparseConv3d,
    SparseMaxPool3d,
    SparseModule,
    SparseSequential,
    SubmanifoldConv3d,
)
from ps3d.sparse.normalization import VoxelNorm
from ps3d.sparse.points import features_at_points, features_of_voxels
from ps3d.sparse.tensor import Grid, SparseTensor, stack_voxels

__all__ = [
    "Grid",
    "InverseConv3d",
    "KernelMap",
    "KernelShape",
    "Pointwise",
    "SparseAvgPool3d",
    "SparseConv3d",
    "SparseMaxPool3d",
    "SparseModule",
    "SparseSequential",
    "SparseTensor",
    "SubmanifoldConv3d",
    "VoxelNorm",
    "features_at_points",
    "features_of_voxels",
    "from_spconv1",
    "stack_voxels",
]
