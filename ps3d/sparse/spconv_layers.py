"""Layers computed by spconv, or by spconv-triton with the same interface, on CUDA devices.

Parameters stay ours (the layouts are equal). spconv orders the outputs of a strided convolution as it likes, ours are
sorted: a grid remembers spconv's order beside its own. spconv is imported when first needed, never for tensors on a CPU
(its CPU code has a data race: wrong numbers with more than one thread).
"""

import functools
import importlib
import importlib.util
import weakref
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from ps3d.sparse.backend import backend_name
from ps3d.sparse.kernel_map import KernelShape
from ps3d.sparse.keys import pack_keys
from ps3d.sparse.tensor import Grid, SparseTensor

ENGINES = {"spconv": "spconv.pytorch", "spconv_triton": "spconv_triton.pytorch"}
"""Backends that compute whole layers, and what to import for them."""


@dataclass(frozen=True, eq=False)
class _State:
    """What spconv knows about a grid.

    Attributes:
        indices: coordinates in spconv's order.
        memory: spconv's `indice_dict`, shared by all grids that came from one input.
        rank: row in our order of each row in spconv's order; None where the orders are equal.
        order: row in spconv's order of each row in ours.
        key: name of the strided convolution this grid came from.
    """

    indices: Int[Tensor, "voxels 4"]
    memory: dict
    rank: Int64[Tensor, "voxels"] | None = None
    order: Int64[Tensor, "voxels"] | None = None
    key: str = ""


def is_wanted(x: SparseTensor) -> bool:
    """Whether this tensor is convolved by spconv: a non-empty tensor of single or half precision on a CUDA device.

    Raises:
        TypeError: bfloat16 with spconv, which has no such kernels and would compute in float16 without a word.
    """
    if len(x) == 0 or x.features.dtype == torch.float64:
        return False
    name = backend_name(x.features.device)
    if name == "spconv" and _precision(x.features) == torch.bfloat16:
        raise TypeError(
            "spconv has no bfloat16 kernels and would silently compute in float16; train with float16 (a gradient "
            "scaler keeps small gradients) or float32, or set PS3D_SPARSE=spconv_triton"
        )
    return name in ENGINES


def submanifold(layer: Any, x: SparseTensor) -> SparseTensor:
    """A submanifold convolution of a layer with `weight` and `bias`."""
    raw = _raw_layer(layer, x, "SubMConv3d", padding=0)
    raw.indice_key = f"submanifold-{_key(x.grid)}-{layer.kernel_size}"
    return x.replace(_with_bias(layer, _to_our_order(x.grid, _run(raw, x).features)))


def strided(layer: Any, x: SparseTensor, shape: KernelShape) -> SparseTensor:
    """A strided convolution; the coarse grid is sorted, and remembers spconv's order."""
    raw = _raw_layer(layer, x, "SparseConv3d", stride=list(shape.stride), padding=list(shape.padding))
    raw.indice_key = f"strided-{_key(x.grid)}-{shape}"
    result = _run(raw, x)
    remembered = x.grid.maps.get(("spconv", shape))
    grid = remembered() if remembered else None
    if grid is None:
        grid = _coarse_grid(x.grid, shape, result.indices, raw.indice_key)
    return SparseTensor.on(grid, _with_bias(layer, _to_our_order(grid, result.features)))


def can_invert(x: SparseTensor) -> bool:
    """Whether the tensor's grid came from spconv (and not from a pool, whose way back is the reference's)."""
    return "spconv" in x.grid.maps and bool(x.grid.maps["spconv"].key)


def inverse(layer: Any, x: SparseTensor) -> SparseTensor:
    """Back to the grid that a strided convolution started from."""
    raw = _raw_layer(layer, x, "SparseInverseConv3d")
    raw.indice_key = x.grid.maps["spconv"].key
    fine = x.grid.parent[0]  # type: ignore[index]
    return SparseTensor.on(fine, _with_bias(layer, _to_our_order(fine, _run(raw, x).features)))


def allow_tf32(is_allowed: bool) -> None:
    """Let spconv round float32 products to TF32 (faster, 10 bits of mantissa); it starts from torch's setting."""
    if importlib.util.find_spec("spconv") is not None:
        importlib.import_module("spconv.constants").SPCONV_ALLOW_TF32 = is_allowed


@functools.cache
def _engine(name: str) -> ModuleType:
    engine = importlib.import_module(ENGINES[name])
    allow_tf32(bool(torch.backends.cuda.matmul.allow_tf32))
    return engine


def _raw_layer(layer: Any, x: SparseTensor, kind: str, **options: Any) -> Any:
    """spconv's layer around our weight; kept beside the layer, outside its registered modules."""
    name = backend_name(x.features.device)
    kept = layer.__dict__.setdefault("spconv_layers", {})
    if (name, kind) not in kept:
        make = getattr(_engine(name), kind)
        raw = make(layer.in_channels, layer.out_channels, list(layer.kernel_size), bias=False, indice_key="", **options)
        del raw._parameters["weight"]
        kept[name, kind] = raw
    raw = kept[name, kind]
    object.__setattr__(raw, "weight", layer.weight)
    return raw.train(layer.training)


def _state(grid: Grid) -> _State:
    if "spconv" not in grid.maps:
        grid.maps["spconv"] = _State(grid.coordinates, {})
    return grid.maps["spconv"]


def _key(grid: Grid) -> str:
    """Name of a grid within the memory it shares with its ancestors: the ways that led there."""
    return _state(grid).key or "input"


def _run(raw: Any, x: SparseTensor) -> Any:
    """spconv's result; the index pairs it found go into the memory that related grids share."""
    state = _state(x.grid)
    features = x.features if state.rank is None else x.features.index_select(0, state.rank)
    engine = _engine(backend_name(x.features.device))
    tensor = engine.SparseConvTensor(features, state.indices, list(x.spatial_shape), x.batch_size)
    tensor.indice_dict = state.memory
    result = raw(tensor)
    state.memory.update(result.indice_dict)
    return result


def _coarse_grid(fine: Grid, shape: KernelShape, indices: Int[Tensor, "voxels 4"], key: str) -> Grid:
    output_shape = shape.output_shape(fine.spatial_shape)
    order = torch.argsort(pack_keys(indices, output_shape))
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    parent = (fine, shape, None)
    grid = Grid(indices[order].to(torch.int32), output_shape, fine.batch_size, parent)
    grid.maps["spconv"] = _State(indices, _state(fine).memory, rank, order, key)
    fine.maps["spconv", shape] = weakref.ref(grid)
    return grid


def _to_our_order(grid: Grid, features: Float[Tensor, "voxels channels"]) -> Float[Tensor, "voxels channels"]:
    order = _state(grid).order
    return features if order is None else features.index_select(0, order)


def _with_bias(layer: Any, features: Float[Tensor, "voxels channels"]) -> Float[Tensor, "voxels channels"]:
    """spconv adds no bias on a CPU in evaluation, so it is never asked to."""
    return features if layer.bias is None else features + layer.bias


def _precision(features: Float[Tensor, "voxels channels"]) -> torch.dtype:
    kind = features.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else features.dtype
