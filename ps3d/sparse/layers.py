"""Sparse layers with the parameters, names and layouts of spconv, so that its state dicts load.

Weights are [outputs, kz, ky, kx, inputs] (KRSC). Coordinates follow torch: cross-correlation, kernel order z, y, x.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ps3d.sparse import spconv_layers
from ps3d.sparse.functional import convolve
from ps3d.sparse.kernel_map import KernelMap, KernelShape
from ps3d.sparse.keys import Triple
from ps3d.sparse.tensor import Grid, SparseTensor


def triple(value: int | Triple) -> Triple:
    """One number for z, y and x, or three."""
    return (value, value, value) if isinstance(value, int) else (int(value[0]), int(value[1]), int(value[2]))


class SparseModule(nn.Module):
    """A layer that takes and gives a `SparseTensor`; `SparseSequential` gives plain layers the features only."""


class _Convolution(SparseModule):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: int | Triple, bias: bool) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = triple(kernel_size)
        self.weight = nn.Parameter(torch.empty(out_channels, *self.kernel_size, in_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(inputs * kernel volume), as torch's convolutions."""
        bound = 1 / math.sqrt(max(1, self.weight[0].numel()))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, bias={self.bias is not None}"

    def _check(self, x: SparseTensor) -> None:
        if x.features.shape[1] != self.in_channels:
            raise ValueError(f"{type(self).__name__} expects {self.in_channels} channels, got {x.features.shape[1]}")


class SubmanifoldConv3d(_Convolution):
    """Convolution whose outputs are exactly the input voxels (Graham et al., CVPR 2018).

    Args:
        kernel_size: odd along every axis: 3, 1, (3, 1, 3), (1, 3, 3) ...
        bias: whether to add a learned constant per channel.

    Shapes: (voxels, in_channels) -> (voxels, out_channels).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int | Triple = 3, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias)
        if any(size % 2 == 0 for size in self.kernel_size):
            raise ValueError(f"a submanifold kernel has a middle: sizes must be odd, not {self.kernel_size}")

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        if self.kernel_size == (1, 1, 1):
            return x.replace(nn.functional.linear(x.features, self.weight.flatten(1), self.bias))
        if spconv_layers.is_wanted(x):
            return spconv_layers.submanifold(self, x)
        return x.replace(convolve(x.features, self.weight, self.bias, x.grid.submanifold_map(self.kernel_size)))


class SparseConv3d(_Convolution):
    """Convolution onto every cell that sees at least one voxel; with a stride it halves (...) the resolution.

    Output grid: floor((cells + 2 * padding - kernel_size) / stride) + 1 along each axis, as torch and spconv have it.
    Kernel 2, stride 2 drops the last cell of an odd axis (pad the spatial shape to keep it); kernel 3, stride 2 and
    padding 1 keeps it.



    Shapes: (voxels, in_channels) -> (output voxels, out_channels).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Triple = 2,
        stride: int | Triple = 2,
        padding: int | Triple = 0,
        bias: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias)
        self.shape = KernelShape(self.kernel_size, triple(stride), triple(padding))

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        if spconv_layers.is_wanted(x):
            return spconv_layers.strided(self, x, self.shape)
        grid, kernel_map = x.grid.strided(self.shape)
        return SparseTensor.on(grid, convolve(x.features, self.weight, self.bias, kernel_map))


class InverseConv3d(_Convolution):
    """The way back from a strided convolution: outputs are the voxels that convolution started from.

    The tensor's grid knows where it came from, so no key is needed. A fine voxel that the strided convolution dropped
    gets the bias alone.

    Shapes: (coarse voxels, in_channels) -> (fine voxels, out_channels).

    Raises:
        ValueError: the tensor was not made by a strided convolution, or by one of another kernel size.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int | Triple = 2, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        fine, shape, kernel_map = parent_of(x)
        if shape.size != self.kernel_size:
            raise ValueError(f"the way down had a kernel of {shape.size}, the way up has {self.kernel_size}")
        if spconv_layers.can_invert(x):
            return spconv_layers.inverse(self, x)
        if kernel_map is None:
            raise ValueError("this grid was made by spconv; its way back needs spconv too: keep one backend per tensor")
        upward, _ = kernel_map.reversed()
        return SparseTensor.on(fine, convolve(x.features, self.weight, self.bias, upward))


def parent_of(x: SparseTensor) -> tuple[Grid, KernelShape, KernelMap | None]:
    """(finer grid, kernel shape, map) that a tensor was strided from."""
    if x.grid.parent is None:
        raise ValueError("this tensor was not made by a strided convolution or pool, so there is no way back")
    return x.grid.parent


class _Pool(SparseModule):
    """Reduces the voxels each output cell sees; see `SparseConv3d` for the output grid."""

    def __init__(self, kernel_size: int | Triple = 2, stride: int | Triple = 2, padding: int | Triple = 0) -> None:
        super().__init__()
        self.shape = KernelShape(triple(kernel_size), triple(stride), triple(padding))

    def forward(self, x: SparseTensor) -> SparseTensor:
        grid, kernel_map = x.grid.strided(self.shape)
        return SparseTensor.on(grid, self.reduce(x.features, kernel_map))

    def reduce(self, features: Tensor, kernel_map: KernelMap) -> Tensor:
        """One row per output voxel."""
        raise TypeError(f"{type(self).__name__} reduces nothing")


class SparseMaxPool3d(_Pool):
    """Maximum over the voxels (empty cells do not count) that each output cell sees; ties share the gradient."""

    def reduce(
        self, features: Float[Tensor, "sources channels"], kernel_map: KernelMap
    ) -> Float[Tensor, "targets channels"]:
        """Largest value per channel."""
        index = kernel_map.target.to(torch.int64).unsqueeze(1).expand(-1, features.shape[1])
        result = features.new_zeros((kernel_map.targets, features.shape[1]))
        return result.scatter_reduce(0, index, features[kernel_map.source], "amax", include_self=False)


class SparseAvgPool3d(_Pool):
    """Mean over the voxels (empty cells do not count) that each output cell sees."""

    def reduce(
        self, features: Float[Tensor, "sources channels"], kernel_map: KernelMap
    ) -> Float[Tensor, "targets channels"]:
        """Mean per channel."""
        target = kernel_map.target.to(torch.int64)
        count = torch.bincount(target, minlength=kernel_map.targets).clamp_(min=1)
        total = features.new_zeros((kernel_map.targets, features.shape[1]))
        return total.index_add(0, target, features[kernel_map.source]) / count.unsqueeze(1).to(features.dtype)


class Pointwise(SparseModule):
    """A plain layer (linear, normalization, activation) applied to the features."""

    def __init__(self, layer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.replace(self.layer(x.features))


class SparseSequential(nn.Sequential):
    """Layers in a row; sparse ones get the tensor, plain ones its features."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        for layer in self:
            x = layer(x) if isinstance(layer, (SparseModule, SparseSequential)) else x.replace(layer(x.features))
        return x
