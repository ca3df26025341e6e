"""The one differentiable function of the package: sparse convolution, whatever the backend."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from ps3d.sparse.backend import backend_for
from ps3d.sparse.kernel_map import KernelMap


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, bias: Tensor | None, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.kernel_map, ctx.has_bias = kernel_map, bias is not None
        backend = backend_for(features.device, features.dtype)
        result = backend.convolve(features, _offset_matrices(weight), kernel_map)
        return result if bias is None else result.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        features, weight = ctx.saved_tensors
        backend = backend_for(features.device, features.dtype)
        gradient = gradient.contiguous()
        by_features = by_weight = by_bias = None
        if ctx.needs_input_grad[0]:
            reverse, counts_backward = ctx.kernel_map.reversed()
            matrices = weight.flatten(1, 3).transpose(0, 1)
            by_features = backend.convolve(gradient, matrices, reverse, counts_backward)
        if ctx.needs_input_grad[1]:
            matrices = backend.weight_gradient(features, gradient, ctx.kernel_map)
            outputs, *size, inputs = weight.shape
            by_weight = matrices.reshape(*size, inputs, outputs).permute(4, 0, 1, 2, 3)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            by_bias = gradient.sum(0)
        return by_features, by_weight, by_bias, None


def convolve(
    features: Float[Tensor, "sources inputs"],
    weight: Float[Tensor, "outputs kz ky kx inputs"],
    bias: Float[Tensor, "outputs"] | None,
    kernel_map: KernelMap,
) -> Float[Tensor, "targets outputs"]:
    """Sparse convolution along a kernel map; differentiable once by features, weight and bias.

    Half-precision input, and anything under autocast, is computed in float32: the CPU kernels and the reference
    exist in float32 and float64 only.

    Raises:
        ValueError: rows of the features or the kernel's size do not fit the map.
    """
    _, *size, inputs = weight.shape
    if len(features) != kernel_map.sources or features.shape[1] != inputs:
        raise ValueError(
            f"features {tuple(features.shape)} for a map of {kernel_map.sources} rows and {inputs} channels"
        )
    if size[0] * size[1] * size[2] != kernel_map.volume:
        raise ValueError(f"a kernel of {tuple(size)} for a map of {kernel_map.volume} offsets")
    if features.dtype != torch.float64:
        features, weight = features.float(), weight.float()
        bias = None if bias is None else bias.float()
    with torch.autocast(features.device.type, enabled=False):
        return _Convolution.apply(features.contiguous(), weight, bias, kernel_map)  # type: ignore[return-value]


def _offset_matrices(weight: Float[Tensor, "outputs kz ky kx inputs"]) -> Float[Tensor, "volume inputs outputs"]:
    """The spconv layout (KRSC) as one matrix per kernel offset."""
    outputs, inputs = weight.shape[0], weight.shape[-1]
    return weight.permute(1, 2, 3, 4, 0).reshape(-1, inputs, outputs)
