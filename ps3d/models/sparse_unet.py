"""Residual U-Net on sparse voxels: features per voxel in, features per voxel out."""

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from ps3d.sparse import Grid, InverseConv3d, SparseConv3d, SparseTensor, SubmanifoldConv3d, VoxelNorm
from ps3d.sparse.layers import SparseModule


class ResidualBlock(SparseModule):
    """Two 3x3x3 submanifold convolutions with a shortcut (a 1x1x1 projection where the width changes)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = SubmanifoldConv3d(in_channels, out_channels)
        self.norm1 = VoxelNorm(out_channels)
        self.conv2 = SubmanifoldConv3d(out_channels, out_channels)
        self.norm2 = VoxelNorm(out_channels)
        is_same = in_channels == out_channels
        self.shortcut = None if is_same else SubmanifoldConv3d(in_channels, out_channels, kernel_size=1)
        self.shortcut_norm = None if is_same else VoxelNorm(out_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        inner = self.norm1(self.conv1(x).features, relu=True)
        inner = self.conv2(x.replace(inner)).features
        outer = x.features
        if self.shortcut is not None and self.shortcut_norm is not None:
            outer = self.shortcut_norm(self.shortcut(x).features)
        return x.replace(self.norm2(inner, outer, relu=True))


class _Level(SparseModule):
    """A convolution with normalization and ReLU."""

    def __init__(self, conv: SparseModule, channels: int) -> None:
        super().__init__()
        self.conv = conv
        self.norm = VoxelNorm(channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = self.conv(x)
        return x.replace(self.norm(x.features, relu=True))


class SparseUnet(nn.Module):
    """Encoder of strided convolutions, decoder of inverse ones, skips between, residual blocks on both sides.

    The layout is MinkUNet's (Choy et al., CVPR 2019). The spatial shape is rounded up to a multiple of 2**(levels - 1)
    first, so that no voxel is lost at an odd border.

    Args:
        in_channels: features per voxel.
        widths: channels of each level of the encoder, finest first.
        encoder_blocks: residual blocks per level of the encoder (one number, or one per level).
        decoder_blocks: residual blocks per level of the decoder (one number, or one per level, finest first).
        decoder_widths: channels of each level of the decoder, finest first; by default those of the encoder.
        stem: kernel size of each convolution before the first level.
        merge: how a decoder level takes in its skip: "add" (needs equal widths, a third cheaper) or "concatenate".

    Attributes:
        out_channels: features per voxel of the output.

    Shapes: (voxels, in_channels) -> (voxels, out_channels) on the same voxels.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int] = (32, 48, 64, 96, 128),
        encoder_blocks: int | Sequence[int] = 1,
        decoder_blocks: int | Sequence[int] = 1,
        decoder_widths: Sequence[int] | None = None,
        stem: Sequence[int] = (3,),
        merge: Literal["add", "concatenate"] = "add",
    ) -> None:
        super().__init__()
        downs = len(widths) - 1
        decoder_widths = tuple(widths[:-1] if decoder_widths is None else decoder_widths)
        encoder_counts = _per_level(encoder_blocks, len(widths), "encoder_blocks")
        decoder_counts = _per_level(decoder_blocks, downs, "decoder_blocks")
        if len(decoder_widths) != downs:
            raise ValueError(f"{len(widths)} levels have {downs} decoder widths, not {len(decoder_widths)}")
        if merge == "add" and decoder_widths != tuple(widths[:-1]):
            raise ValueError(
                f"skips of widths {tuple(widths[:-1])} cannot be added to {decoder_widths}; concatenate them"
            )
        self.multiple, self.merge = 2**downs, merge
        inputs = (in_channels, *[widths[0]] * len(stem))
        self.stem = nn.ModuleList(
            _Level(SubmanifoldConv3d(n, widths[0], size), widths[0]) for n, size in zip(inputs, stem, strict=False)
        )
        self.encoder = nn.ModuleList(_blocks(width, width, n) for width, n in zip(widths, encoder_counts, strict=True))
        self.down = nn.ModuleList(_Level(SparseConv3d(a, b), b) for a, b in itertools.pairwise(widths))
        below = (*decoder_widths[1:], widths[-1])
        self.up = nn.ModuleList(_Level(InverseConv3d(a, b), b) for a, b in zip(below, decoder_widths, strict=True))
        self.decoder = nn.ModuleList(
            _blocks(width if merge == "add" else skip + width, width, n)
            for skip, width, n in zip(widths, decoder_widths, decoder_counts, strict=False)
        )
        self.out_channels = decoder_widths[0] if downs else widths[0]

    def forward(self, x: SparseTensor) -> SparseTensor:
        grid = x.grid
        x = SparseTensor.on(_rounded_up(grid, self.multiple), x.features)
        for layer in self.stem:
            x = layer(x)
        x = self.encoder[0](x)
        skips: list[SparseTensor] = []
        for down, blocks in zip(self.down, list(self.encoder)[1:], strict=True):
            skips.append(x)
            x = blocks(down(x))
        for up, blocks in zip(reversed(self.up), reversed(self.decoder), strict=True):  # type: ignore[call-overload]
            x = up(x)
            skip = skips.pop().features
            merged = skip + x.features if self.merge == "add" else torch.cat((skip, x.features), 1)
            x = blocks(x.replace(merged))
        return SparseTensor.on(grid, x.features)


def small_unet(in_channels: int) -> SparseUnet:
    """About 3 million parameters in five levels: trains on a CPU."""
    return SparseUnet(in_channels)


def res16unet34c(in_channels: int) -> SparseUnet:
    """About 38 million parameters, as Minkowski's Res16UNet34C (used by Mask3D and Mask4Former): for GPUs."""
    return SparseUnet(
        in_channels,
        widths=(32, 32, 64, 128, 256),
        encoder_blocks=(0, 2, 3, 4, 6),
        decoder_blocks=2,
        decoder_widths=(96, 96, 128, 256),
        stem=(5,),
        merge="concatenate",
    )


def spunet(in_channels: int) -> SparseUnet:
    """As the sparse U-Nets of the spconv world, widths doubling from 32, two blocks per level and side: for GPUs."""
    widths = (32, 64, 128, 256, 256)
    return SparseUnet(in_channels, widths, encoder_blocks=2, decoder_blocks=2, stem=(3, 3), merge="concatenate")


PRESETS = {"small": small_unet, "res16unet34c": res16unet34c, "spunet": spunet}
"""Networks by name; each takes the number of input channels."""


def _per_level(count: int | Sequence[int], levels: int, name: str) -> tuple[int, ...]:
    counts = (count,) * levels if isinstance(count, int) else tuple(count)
    if len(counts) != levels:
        raise ValueError(f"{name} needs {levels} numbers, one per level, got {counts}")
    return counts


def _blocks(in_channels: int, out_channels: int, count: int) -> nn.Sequential:
    inputs = (in_channels, *[out_channels] * count)
    return nn.Sequential(*(ResidualBlock(inputs[i], out_channels) for i in range(count)))


def _rounded_up(grid: Grid, multiple: int) -> Grid:
    z, y, x = (-(-cells // multiple) * multiple for cells in grid.spatial_shape)
    if (z, y, x) == grid.spatial_shape:
        return grid
    if "rounded" not in grid.maps or grid.maps["rounded"].spatial_shape != (z, y, x):
        grid.maps["rounded"] = Grid(grid.coordinates, (z, y, x), grid.batch_size)
    return grid.maps["rounded"]
