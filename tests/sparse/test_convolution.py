"""Every backend against dense convolution, and the derivative of the oracle against finite differences."""

import pytest
import torch
from torch import nn

from ps3d.sparse import InverseConv3d, SparseConv3d, SparseTensor, SubmanifoldConv3d

from .scenes import random_tensor


@pytest.mark.parametrize("size", [3, (3, 1, 3), (1, 3, 3), (3, 3, 1), 5, (1, 1, 3)])
def test_submanifold_equals_dense_convolution(size):
    x = random_tensor((7, 9, 6), 2, 5, dtype=torch.float64)
    layer = SubmanifoldConv3d(5, 4, size, bias=True).double()
    padding = [n // 2 for n in layer.kernel_size]
    dense = nn.functional.conv3d(x.dense(), layer.weight.permute(0, 4, 1, 2, 3), layer.bias, padding=padding)
    batch, z, y, x_ = x.coordinates.long().unbind(1)
    torch.testing.assert_close(layer(x).features, dense[batch, :, z, y, x_])


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [(2, 2, 0), (3, 2, 1), (3, 1, 1), (3, (1, 2, 2), (0, 1, 1)), ((3, 1, 1), (2, 1, 1), 0)],
)
def test_strided_equals_dense_convolution(size, stride, padding):
    x = random_tensor((7, 9, 6), 2, 5, dtype=torch.float64)
    layer = SparseConv3d(5, 4, size, stride, padding).double()
    y = layer(x)
    dense = nn.functional.conv3d(x.dense(), layer.weight.permute(0, 4, 1, 2, 3), stride=stride, padding=padding)
    torch.testing.assert_close(y.dense(), dense)
    assert y.spatial_shape == tuple(dense.shape[2:])


def test_inverse_is_the_transpose_of_the_way_down():
    x = random_tensor((6, 8, 10), 2, 5, dtype=torch.float64)
    down, up = SparseConv3d(5, 4, 3, 2, 1).double(), InverseConv3d(4, 5, 3).double()
    coarse = down(x)
    fine = up(coarse)
    assert fine.grid is x.grid
    up.weight.data = down.weight.data.permute(4, 1, 2, 3, 0).contiguous()
    left = (down(x).features * coarse.features).sum()
    torch.testing.assert_close(left, (x.features * up(coarse).features).sum())


@pytest.mark.parametrize("kind", ["submanifold", "strided", "inverse"])
def test_derivatives_of_the_reference(kind):
    x = random_tensor((4, 5, 4), 2, 3, dtype=torch.float64, density=0.3)
    down = SparseConv3d(3, 3, 3, 2, 1).double()
    coarse = down(x)
    layers = {
        "submanifold": (SubmanifoldConv3d(3, 2, bias=True).double(), x),
        "strided": (SparseConv3d(3, 2, 3, 2, 1, bias=True).double(), x),
        "inverse": (InverseConv3d(3, 2, 3, bias=True).double(), coarse),
    }
    layer, start = layers[kind]

    def run(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        parameters = {"weight": weight, "bias": bias}
        return torch.func.functional_call(layer, parameters, (start.replace(features),)).features

    arguments = [t.detach().clone().requires_grad_() for t in (start.features, layer.weight, layer.bias)]
    assert torch.autograd.gradcheck(run, arguments)


def test_duplicates_outsiders_and_disorder_are_refused():
    features = torch.zeros(2, 1)
    for rows, complaint in [
        ([[0, 1, 1, 1], [0, 1, 1, 1]], "duplicate"),
        ([[0, 1, 1, 1], [0, 1, 1, 9]], "outside"),
        ([[0, 1, 1, 1], [1, 1, 1, 1]], "outside"),
        ([[0, 1, 1, -1], [0, 1, 1, 1]], "outside"),
        ([[0, 1, 1, 2], [0, 1, 1, 1]], "sorted"),
    ]:
        with pytest.raises(ValueError, match=complaint):
            SparseTensor(features, torch.tensor(rows, dtype=torch.int32), (4, 4, 4), 1)
    with pytest.raises(ValueError, match="duplicate"):
        SparseTensor.from_unsorted(features, torch.tensor([[0, 1, 1, 1], [0, 1, 1, 1]]), (4, 4, 4), 1)
    with pytest.raises(ValueError, match="63 bits"):
        SparseTensor(torch.zeros(0, 1), torch.zeros(0, 4, dtype=torch.int32), (2**21, 2**21, 2**21), 4)
