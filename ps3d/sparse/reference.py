"""Sparse convolution in plain torch: any device, any floating type. The oracle of the other backends."""

import itertools

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from ps3d.sparse.kernel_map import KernelMap, KernelShape, bucket_pairs
from ps3d.sparse.keys import Triple, pack_keys

NAME = "reference"


def build_submanifold_map(
    coordinates: Int32[Tensor, "voxels 4"], spatial_shape: Triple, batch_size: int, size: Triple
) -> KernelMap:
    """Neighbors of every voxel among the voxels: one binary search per offset. Sizes are odd."""
    rows = len(coordinates)
    keys = pack_keys(coordinates, _guarded(spatial_shape, size))
    _, height, width = (n + 2 for n in _guarded(spatial_shape, size))
    pairs = []
    for k, offset in enumerate(itertools.product(*(range(n) for n in size))):
        dz, dy, dx = (o - n // 2 for o, n in zip(offset, size, strict=True))
        pairs.append(_find_pairs(keys, keys + (dz * height + dy) * width + dx, k))
    return _bucket(pairs, size, rows, rows, is_symmetric=True)


def build_strided_map(
    coordinates: Int32[Tensor, "voxels 4"], spatial_shape: Triple, batch_size: int, shape: KernelShape
) -> tuple[KernelMap, Int32[Tensor, "outputs 4"]]:
    """Map of a strided convolution, and its output voxels: every cell that sees at least one input, in key order."""
    device = coordinates.device
    output_shape = torch.tensor(shape.output_shape(spatial_shape), device=device)
    stride, padding = torch.tensor(shape.stride, device=device), torch.tensor(shape.padding, device=device)
    sources, outputs, offsets = [], [], []
    for k, offset in enumerate(itertools.product(*(range(n) for n in shape.size))):
        shifted = coordinates[:, 1:].to(torch.int64) + padding - torch.tensor(offset, device=device)
        cell = torch.div(shifted, stride, rounding_mode="floor")
        is_met = ((shifted == cell * stride) & (cell >= 0) & (cell < output_shape)).all(1)
        source = is_met.nonzero().squeeze(1)
        sources.append(source)
        outputs.append(torch.cat((coordinates[source, :1].to(torch.int64), cell[source]), 1))
        offsets.append(torch.full_like(source, k))
    candidates = torch.cat(outputs)
    keys, target = torch.unique(pack_keys(candidates, shape.output_shape(spatial_shape)), return_inverse=True)
    output = torch.empty((len(keys), 4), dtype=torch.int32, device=device)
    output[target] = candidates.to(torch.int32)
    pairs = list(zip([torch.cat(sources)], [target], [torch.cat(offsets)], strict=True))
    return _bucket(pairs, shape.size, len(coordinates), len(keys), is_symmetric=False), output


def convolve(
    features: Float[Tensor, "sources inputs"],
    weight: Float[Tensor, "volume inputs outputs"],
    kernel_map: KernelMap,
    counts_backward: bool = False,
) -> Float[Tensor, "targets outputs"]:
    """Sum over offsets k of features[source] @ weight[k], added to the rows `target`; or of weight[volume - 1 - k]."""
    weight = weight.flip(0) if counts_backward else weight
    result = features.new_zeros((kernel_map.targets, weight.shape[2]))
    for k, (source, target) in enumerate(kernel_map.pairs_per_offset()):
        if len(source):
            result.index_add_(0, target, features.index_select(0, source) @ weight[k])
    return result


def weight_gradient(
    features: Float[Tensor, "sources inputs"], gradient: Float[Tensor, "targets outputs"], kernel_map: KernelMap
) -> Float[Tensor, "volume inputs outputs"]:
    """Gradient of `convolve` by its weight: per offset the sum of outer products of the paired rows."""
    result = features.new_zeros((kernel_map.volume, features.shape[1], gradient.shape[1]))
    for k, (source, target) in enumerate(kernel_map.pairs_per_offset()):
        if len(source):
            torch.mm(features.index_select(0, source).T, gradient.index_select(0, target), out=result[k])
    return result


def _guarded(spatial_shape: Triple, size: Triple) -> Triple:
    """A grid with as many guard cells as the kernel reaches beyond a border; `pack_keys` brings the first one."""
    return tuple(n + max(0, s // 2 - 1) for n, s in zip(spatial_shape, size, strict=True))  # type: ignore[return-value]


def _find_pairs(keys: Tensor, wanted: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    place = torch.searchsorted(keys, wanted).clamp_(max=max(0, len(keys) - 1))
    target = (keys[place] == wanted).nonzero().squeeze(1) if len(keys) else place
    return place[target], target, torch.full_like(target, k)


def _bucket(pairs: list, size: Triple, sources: int, targets: int, is_symmetric: bool) -> KernelMap:
    source, target, offset = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    volume = size[0] * size[1] * size[2]
    rows = (source.to(torch.int32), target.to(torch.int32))
    return bucket_pairs(*rows, offset, volume, sources, targets, targets, is_symmetric)
