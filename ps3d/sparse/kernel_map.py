"""Which input voxel meets which output voxel under which kernel offset: the heart of a sparse convolution.

Convention (cross-correlation, as torch and spconv): input coordinate = output coordinate * stride - padding + offset,
offset number k = (kz * Ky + ky) * Kx + kx. A submanifold map is the case stride 1, padding = kernel // 2 whose outputs
are the inputs themselves.
"""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from ps3d.sparse.keys import Triple


@dataclass(frozen=True)
class KernelShape:
    """Size, stride and padding of a kernel along z, y, x."""

    size: Triple
    stride: Triple = (1, 1, 1)
    padding: Triple = (0, 0, 0)

    @property
    def volume(self) -> int:
        """Number of offsets."""
        return self.size[0] * self.size[1] * self.size[2]

    def output_shape(self, spatial_shape: Triple) -> Triple:
        """Cells of the output grid, `floor((cells + 2 * padding - size) / stride) + 1` as torch and spconv have it.

        Raises:
            ValueError: the kernel is larger than the padded grid.
        """
        cells = zip(spatial_shape, self.size, self.stride, self.padding, strict=True)
        shape = tuple((n + 2 * padding - size) // stride + 1 for n, size, stride, padding in cells)
        if min(shape) < 1:
            raise ValueError(f"kernel {self.size} with padding {self.padding} does not fit a grid of {spatial_shape}")
        return shape[0], shape[1], shape[2]


@dataclass(frozen=True, eq=False)
class KernelMap:
    """Pairs of rows (source, target), bucketed by block of targets and then by kernel offset.

    Attributes:
        source: input row of each pair.
        target: output row of each pair; ascending within a bucket, and distinct.
        starts: first pair of each bucket (block * volume + k), and the number of pairs at the end.
        volume: number of kernel offsets.
        block_rows: targets of block b are the rows [b * block_rows, (b + 1) * block_rows).
        sources, targets: number of input and output rows.
        is_symmetric: pairs of offset k read backward are the pairs of offset volume - 1 - k (submanifold maps).
    """

    source: Int32[Tensor, "pairs"]
    target: Int32[Tensor, "pairs"]
    starts: Int64[Tensor, "buckets_plus_one"]
    volume: int
    block_rows: int
    sources: int
    targets: int
    is_symmetric: bool = False
    memo: dict = field(default_factory=dict, repr=False)

    @property
    def blocks(self) -> int:
        """Number of blocks of output rows."""
        return (len(self.starts) - 1) // self.volume

    def offset_of_pair(self) -> Int64[Tensor, "pairs"]:
        """Kernel offset of each pair."""
        bucket = torch.arange(len(self.starts) - 1, device=self.starts.device)
        return torch.repeat_interleave(bucket % self.volume, self.starts.diff())

    def pairs_per_offset(self) -> list[tuple[Int32[Tensor, "pairs_of_k"], Int32[Tensor, "pairs_of_k"]]]:
        """(source, target) of each kernel offset, whatever the blocks."""
        if "per_offset" not in self.memo:
            offset = self.offset_of_pair()
            order = torch.argsort(offset, stable=True)
            sizes = torch.bincount(offset, minlength=self.volume).tolist()
            pairs = zip(self.source[order].split(sizes), self.target[order].split(sizes), strict=True)
            self.memo["per_offset"] = list(pairs)
        return self.memo["per_offset"]

    def reversed(self) -> tuple["KernelMap", bool]:
        """The map from outputs to inputs, and whether its offsets count backward (volume - 1 - k)."""
        if self.is_symmetric:
            return self, True
        if "reversed" not in self.memo:
            self.remember_reversed(
                bucket_pairs(
                    self.target,
                    self.source,
                    self.offset_of_pair(),
                    self.volume,
                    self.targets,
                    self.sources,
                    self.block_rows,
                )
            )
        return self.memo["reversed"], False

    def remember_reversed(self, other: "KernelMap") -> None:
        """Keep a map as the reverse of this one, and this one's pairs as the reverse of that.

        That one gets a copy that knows no reverse: two maps that know each other would keep their memory until the
        next collection of cycles.
        """
        other.memo["reversed"] = replace(self, memo={})
        self.memo["reversed"] = other


def bucket_pairs(
    source: Int32[Tensor, "pairs"],
    target: Int32[Tensor, "pairs"],
    offset: Int64[Tensor, "pairs"],
    volume: int,
    sources: int,
    targets: int,
    block_rows: int,
    is_symmetric: bool = False,
) -> KernelMap:
    """Sort pairs into a `KernelMap` with plain torch operations."""
    block_rows = max(1, block_rows)
    blocks = max(1, -(-targets // block_rows))
    bucket = torch.div(target.to(torch.int64), block_rows, rounding_mode="floor") * volume + offset
    order = torch.argsort(bucket * max(1, targets) + target)
    starts = torch.zeros(blocks * volume + 1, dtype=torch.int64, device=source.device)
    torch.cumsum(torch.bincount(bucket, minlength=blocks * volume), 0, out=starts[1:])
    return KernelMap(source[order], target[order], starts, volume, block_rows, sources, targets, is_symmetric)
