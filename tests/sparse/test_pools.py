"""Pools against dense ones, and their derivatives."""

import pytest
import torch
from torch import nn

from ps3d.sparse import InverseConv3d, SparseAvgPool3d, SparseMaxPool3d, SparseTensor

from .scenes import random_tensor

SHAPES = [(2, 2, 0), (3, 2, 1), ((1, 3, 2), (1, 2, 2), (0, 1, 0))]


def at_voxels(dense: torch.Tensor, x: SparseTensor) -> torch.Tensor:
    batch, z, y, x_ = x.coordinates.long().unbind(1)
    return dense[batch, :, z, y, x_]


def occupancy(x: SparseTensor) -> torch.Tensor:
    return x.replace(torch.ones_like(x.features[:, :1])).dense()


@pytest.mark.parametrize("shape", SHAPES)
def test_max_pool_equals_dense_where_empty_cells_never_win(shape):
    x = random_tensor((6, 8, 10), 2, 3, dtype=torch.float64)
    start = x.features.requires_grad_()
    y = SparseMaxPool3d(*shape)(x)
    filled = x.dense().masked_fill(occupancy(x) == 0, -torch.inf)
    dense = nn.functional.max_pool3d(filled, *shape)
    torch.testing.assert_close(y.features, at_voxels(dense, y))
    assert len(y) == int((dense[:, 0] > -torch.inf).sum())
    weight = torch.randn(y.features.shape, dtype=torch.float64)
    mine = torch.autograd.grad((y.features * weight).sum(), start)[0]
    oracle = torch.autograd.grad((at_voxels(dense, y) * weight).sum(), start)[0]
    torch.testing.assert_close(mine, oracle)


@pytest.mark.parametrize("shape", SHAPES)
def test_average_pool_equals_dense_sum_over_occupied_cells(shape):
    x = random_tensor((6, 8, 10), 2, 3, dtype=torch.float64)
    start = x.features.requires_grad_()
    y = SparseAvgPool3d(*shape)(x)
    total = nn.functional.avg_pool3d(x.dense(), *shape)
    share = nn.functional.avg_pool3d(occupancy(x), *shape)
    expected = at_voxels(total, y) / at_voxels(share, y)
    torch.testing.assert_close(y.features, expected)
    weight = torch.randn(y.features.shape, dtype=torch.float64)
    mine = torch.autograd.grad((y.features * weight).sum(), start)[0]
    torch.testing.assert_close(mine, torch.autograd.grad((expected * weight).sum(), start)[0])


@pytest.mark.parametrize("pool", [SparseMaxPool3d, SparseAvgPool3d])
def test_derivatives_of_pools(pool):
    x = random_tensor((4, 5, 4), 2, 2, dtype=torch.float64, density=0.3)
    layer = pool(3, 2, 1)
    assert torch.autograd.gradcheck(lambda f: layer(x.replace(f)).features, (x.features.requires_grad_(),))


@pytest.mark.parametrize("pool", [SparseMaxPool3d, SparseAvgPool3d])
def test_single_precision_and_the_way_back(pool):
    x = random_tensor((6, 8, 10), 2, 16)
    coarse = pool()(x)
    double = pool()(x.replace(x.features.double()))
    torch.testing.assert_close(coarse.features.double(), double.features, rtol=1e-5, atol=1e-6)
    assert InverseConv3d(16, 4)(coarse).grid is x.grid


@pytest.mark.parametrize("pool", [SparseMaxPool3d, SparseAvgPool3d])
def test_pools_of_nothing(pool):
    empty = SparseTensor(torch.zeros(0, 3), torch.zeros((0, 4), dtype=torch.int32), (4, 4, 4), 1)
    assert pool()(empty).features.shape == (0, 3)
