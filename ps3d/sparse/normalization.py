"""Batch normalization over voxels, with the shortcut and the ReLU behind it in the same passes over memory.

On a CPU the features of a level do not fit the cache, so each further pass over them costs as much as a small
convolution. Where the portable backend computes, normalization, shortcut and ReLU read and write them once; everywhere
else torch's own operations do the same. Statistics are taken over chunks of rows and joined in chunk order (Chan,
Golub and LeVeque 1979): the same bits for any number of threads.
"""

from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ps3d.ops.compiled import compiled
from ps3d.sparse.backend import backend_name
from ps3d.sparse.threads import Kernel, run_in_parts, run_in_ranges
from ps3d.sparse.vector_code import lanes, pointer, word
from ps3d.sparse.vector_norms import (
    BY_INPUT,
    BY_OUTPUT,
    UNMASKED,
    column_gradient_sums,
    column_input_gradient,
    column_moments,
)

_CHUNK_ROWS = 256
_SHARED_VALUES = 2**18


class VoxelNorm(nn.BatchNorm1d):
    """Batch normalization over voxels that survives tiny levels, with an optional shortcut and ReLU behind it.

    With fewer than `least_rows` voxels a batch has no statistics worth the name (torch refuses one row): such a batch
    is normalized by the running statistics and leaves them as they are. Parameters are those of `nn.BatchNorm1d`.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1, least_rows: int = 8) -> None:
        super().__init__(channels, eps, momentum)
        self.least_rows = least_rows

    def forward(
        self,
        input: Float[Tensor, "voxels channels"],
        shortcut: Float[Tensor, "voxels channels"] | None = None,
        relu: bool = False,
    ) -> Float[Tensor, "voxels channels"]:
        """relu(normalized + shortcut); without `shortcut` and `relu` the normalized features."""
        has_statistics = self.training and len(input) >= self.least_rows
        if self._is_fused(input, shortcut, has_statistics):
            return self._fused(input, shortcut, relu, has_statistics)
        if has_statistics or not self.training:
            result = super().forward(input)
        else:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)  # type: ignore[operator]
            result = (input - self.running_mean) * scale + self.bias  # type: ignore[operator]
        result = result if shortcut is None else result + shortcut
        return torch.relu_(result) if relu else result

    def _is_fused(self, input: Tensor, shortcut: Tensor | None, has_statistics: bool) -> bool:
        if input.dtype != torch.float32 or self.weight.dtype != torch.float32 or input.device.type != "cpu":
            return False
        if shortcut is not None and shortcut.dtype != torch.float32:
            return False
        if not len(input) or backend_name(input.device) != "portable" or torch.is_autocast_enabled("cpu"):
            return False
        return has_statistics or not torch.is_grad_enabled()

    def _fused(self, input: Tensor, shortcut: Tensor | None, relu: bool, has_statistics: bool) -> Tensor:
        input = input.contiguous()
        shortcut = None if shortcut is None else shortcut.contiguous()
        if not has_statistics:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)  # type: ignore[operator]
            center: Tensor = self.running_mean  # type: ignore[assignment]
            return _apply(input.detach(), center, scale.detach(), self.bias.detach(), shortcut, relu)
        center, scale, inverse = self._batch_statistics(input.detach())
        return _Normalize.apply(  # type: ignore[return-value]
            input, self.weight, self.bias, shortcut, center, scale, inverse, relu
        )

    def _batch_statistics(self, x: Float32[Tensor, "rows channels"]) -> tuple[Tensor, Tensor, Tensor]:
        """(mean, weight / deviation, 1 / deviation in double precision) of each channel; running ones follow."""
        channels = x.shape[1]
        parts = _chunk_moments(x)
        center, scale, inverse = torch.empty(channels), torch.empty(channels), torch.empty(channels, dtype=torch.double)
        vectors = (self.running_mean, self.running_var, self.weight.detach(), center, scale, inverse)
        _join_moments(parts, len(x), self.eps, self.momentum, *(vector.numpy() for vector in vectors))  # type: ignore[union-attr]
        with torch.no_grad():
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        return center, scale, inverse


class _Normalize(torch.autograd.Function):
    """y = relu((x - mean) * inverse * weight + bias + shortcut) with mean and inverse taken from x itself."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        shortcut: Tensor | None,
        center: Tensor,
        scale: Tensor,
        inverse: Tensor,
        relu: bool,
    ) -> Tensor:
        y = _apply(x, center, scale, bias, shortcut, relu)
        # Without a shortcut x says where the ReLU let values through: one array less to keep and to read.
        ctx.mode = UNMASKED if not relu else BY_INPUT if shortcut is None else BY_OUTPUT
        ctx.save_for_backward(x, y if ctx.mode == BY_OUTPUT else x, weight, bias, center, scale, inverse)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, bias, center, scale, inverse = ctx.saved_tensors
        mode, sizes, width = ctx.mode, tuple(x.shape), lanes()
        gradient = gradient.contiguous()
        parts = np.zeros((-(-len(x) // _CHUNK_ROWS), 2, x.shape[1]), np.float32)
        frame = np.empty((6, x.shape[1]), np.float32)
        frame[0], frame[1], frame[2] = center.numpy(), scale.numpy(), bias.numpy()
        before = torch.empty_like(x) if mode == BY_OUTPUT else gradient
        matrices = (x.data_ptr(), y.data_ptr(), gradient.data_ptr(), before.data_ptr())
        _over_chunks(_sums_part, (*matrices, *sizes, frame.ctypes.data, parts.ctypes.data, mode, width), x)
        by_weight, by_bias = torch.empty_like(weight), torch.empty_like(weight)
        _join_gradients(parts, len(x), weight.numpy(), inverse.numpy(), by_weight.numpy(), by_bias.numpy(), frame)
        result = torch.empty_like(x)
        matrices = (x.data_ptr(), before.data_ptr(), result.data_ptr())
        _over_chunks(_gradient_part, (*matrices, *sizes, frame.ctypes.data, mode == BY_INPUT, width), x)
        by_shortcut = before if ctx.needs_input_grad[3] else None
        return result, by_weight, by_bias, by_shortcut, None, None, None, None


def _chunk_moments(x: Float32[Tensor, "rows channels"]) -> Float32[np.ndarray, "chunks 2 channels"]:
    """Of each chunk of rows the mean and the sum of squared distances from it."""
    parts = np.zeros((-(-len(x) // _CHUNK_ROWS), 2, x.shape[1]), np.float32)
    _over_chunks(_moments_part, (x.data_ptr(), *x.shape, parts.ctypes.data, lanes()), x)
    return parts


def _apply(
    x: Tensor, center: Tensor, scale: Tensor, shift: Tensor, shortcut: Tensor | None, relu: bool
) -> Float32[Tensor, "rows channels"]:
    """relu((x - center) * scale + shift + shortcut)."""
    y = torch.empty_like(x)
    other = x if shortcut is None else shortcut.detach()
    matrices = (x.data_ptr(), center.data_ptr(), scale.data_ptr(), shift.data_ptr(), other.data_ptr(), y.data_ptr())
    _over_chunks(_scale_part, (*matrices, *x.shape, shortcut is not None, relu), x)
    return y


def _over_chunks(kernel: Kernel, arguments: tuple[int, ...], x: Float32[Tensor, "rows channels"]) -> None:
    """Call `kernel` on all chunks; what one thread does before a second one has begun is not shared."""
    chunks = -(-len(x) // _CHUNK_ROWS)
    if x.numel() < _SHARED_VALUES:
        run_in_ranges(kernel, arguments, [(0, chunks)])
    else:
        run_in_parts(kernel, arguments, chunks, 2)


@Kernel
def _moments_part(first, last, arguments):
    x, rows, channels = word(arguments, 0), word(arguments, 1), word(arguments, 2)
    _moments(first, last, x, rows, channels, word(arguments, 3), word(arguments, 4))


@Kernel
def _scale_part(first, last, arguments):
    rows, channels = word(arguments, 6), word(arguments, 7)
    x = numba.carray(pointer(word(arguments, 0)), (rows, channels), np.float32)
    center = numba.carray(pointer(word(arguments, 1)), channels, np.float32)
    scale = numba.carray(pointer(word(arguments, 2)), channels, np.float32)
    shift = numba.carray(pointer(word(arguments, 3)), channels, np.float32)
    shortcut = numba.carray(pointer(word(arguments, 4)), (rows, channels), np.float32)
    y = numba.carray(pointer(word(arguments, 5)), (rows, channels), np.float32)
    _scale_rows(first, last, x, center, scale, shift, shortcut, y, word(arguments, 8) != 0, word(arguments, 9) != 0)


@Kernel
def _sums_part(first, last, arguments):
    x, y, gradient, before = word(arguments, 0), word(arguments, 1), word(arguments, 2), word(arguments, 3)
    rows, channels, frame, parts = word(arguments, 4), word(arguments, 5), word(arguments, 6), word(arguments, 7)
    mode, width = word(arguments, 8), word(arguments, 9)
    _sum_gradients(first, last, x, y, gradient, before, rows, channels, frame, parts, mode, width)


@Kernel
def _gradient_part(first, last, arguments):
    x, before, result = word(arguments, 0), word(arguments, 1), word(arguments, 2)
    rows, channels, frame = word(arguments, 3), word(arguments, 4), word(arguments, 5)
    _input_gradient(first, last, x, before, result, rows, channels, frame, word(arguments, 6) != 0, word(arguments, 7))


@compiled
def _moments(first, last, x, rows, channels, parts, width):
    """Mean and sum of squared distances from it, for chunks [first, last); all arrays are addresses."""
    for chunk in range(first, last):
        top, bottom = chunk * _CHUNK_ROWS, min(rows, (chunk + 1) * _CHUNK_ROWS)
        count, c = bottom - top, 0
        while c < channels:
            vectors, here = (channels - c) // width, x + 4 * (top * channels + c)
            means = parts + 4 * (2 * chunk * channels + c)
            spreads = means + 4 * channels
            if vectors >= 4:
                column_moments(here, count, channels, means, spreads, 4)
                c += 4 * width
            elif vectors >= 2:
                column_moments(here, count, channels, means, spreads, 2)
                c += 2 * width
            elif vectors == 1:
                column_moments(here, count, channels, means, spreads, 1)
                c += width
            else:
                column_moments(here, count, channels, means, spreads, 0)
                c += 1


@compiled
def _join_moments(parts, rows, eps, momentum, running_mean, running_var, weight, center, scale, inverse):
    """Chunks to the batch, in double precision; what normalizes it, and the running statistics' next step."""
    chunks, _, channels = parts.shape
    mean, squares = np.zeros(channels), np.zeros(channels)
    for chunk in range(chunks):
        share = min(_CHUNK_ROWS, rows - chunk * _CHUNK_ROWS) / rows
        for c in range(channels):
            mean[c] += share * parts[chunk, 0, c]
    for chunk in range(chunks):
        size = float(min(_CHUNK_ROWS, rows - chunk * _CHUNK_ROWS))
        for c in range(channels):
            away = parts[chunk, 0, c] - mean[c]
            squares[c] += parts[chunk, 1, c] + size * away * away
    for c in range(channels):
        inverse[c] = 1 / np.sqrt(squares[c] / rows + eps)
        center[c], scale[c] = mean[c], weight[c] * inverse[c]
        running_mean[c] += momentum * (mean[c] - running_mean[c])
        running_var[c] += momentum * (squares[c] / (rows - 1) - running_var[c])


@compiled
def _join_gradients(parts, rows, weight, inverse, by_weight, by_bias, frame):
    """Sums over chunks to the gradients of weight and bias; factor, constant and slope into the rest of `frame`."""
    chunks, _, channels = parts.shape
    total, product = np.zeros(channels), np.zeros(channels)
    for chunk in range(chunks):
        for c in range(channels):
            total[c] += parts[chunk, 0, c]
            product[c] += parts[chunk, 1, c]
    for c in range(channels):
        scale = weight[c] * inverse[c]
        by_weight[c], by_bias[c] = product[c] * inverse[c], total[c]
        frame[3, c] = scale
        frame[4, c] = -scale * total[c] / rows
        frame[5, c] = -scale * inverse[c] * inverse[c] * product[c] / rows


@compiled
def _scale_rows(first, last, x, center, scale, shift, shortcut, y, has_shortcut, relu):
    rows, channels = x.shape
    zero = np.float32(0)
    for row in range(first * _CHUNK_ROWS, min(rows, last * _CHUNK_ROWS)):
        if has_shortcut:
            for c in range(channels):
                y[row, c] = (x[row, c] - center[c]) * scale[c] + shift[c] + shortcut[row, c]
        else:
            for c in range(channels):
                y[row, c] = (x[row, c] - center[c]) * scale[c] + shift[c]
        if relu:
            for c in range(channels):
                value = y[row, c]
                # not max(): NaN must stay NaN, as in torch
                y[row, c] = zero if value < zero else value


@compiled
def _sum_gradients(first, last, x, y, gradient, before, rows, channels, frame, parts, mode, width):
    """Sums of the gradient before the ReLU, and of it times x - center, for chunks [first, last).

    All arrays are addresses. By the output, the gradient before the ReLU is kept in `before`.
    """
    for chunk in range(first, last):
        top, bottom = chunk * _CHUNK_ROWS, min(rows, (chunk + 1) * _CHUNK_ROWS)
        count, c = bottom - top, 0
        while c < channels:
            vectors, place = (channels - c) // width, 4 * (top * channels + c)
            here, there, given, kept = x + place, y + place, gradient + place, before + place
            vectors_at, sums_at = frame + 4 * c, parts + 4 * (2 * chunk * channels + c)
            if vectors >= 4:
                _sums_of_columns(here, there, given, kept, vectors_at, sums_at, count, channels, 4, mode)
                c += 4 * width
            elif vectors >= 2:
                _sums_of_columns(here, there, given, kept, vectors_at, sums_at, count, channels, 2, mode)
                c += 2 * width
            elif vectors == 1:
                _sums_of_columns(here, there, given, kept, vectors_at, sums_at, count, channels, 1, mode)
                c += width
            else:
                _sums_of_columns(here, there, given, kept, vectors_at, sums_at, count, channels, 0, mode)
                c += 1


@compiled(inline="always")
def _sums_of_columns(x, y, gradient, before, vectors_at, sums_at, rows, columns, vectors, mode):
    if mode == BY_INPUT:
        column_gradient_sums(x, y, gradient, before, vectors_at, sums_at, rows, columns, vectors, BY_INPUT)
    elif mode == BY_OUTPUT:
        column_gradient_sums(x, y, gradient, before, vectors_at, sums_at, rows, columns, vectors, BY_OUTPUT)
    else:
        column_gradient_sums(x, y, gradient, before, vectors_at, sums_at, rows, columns, vectors, UNMASKED)


@compiled
def _input_gradient(first, last, x, before, result, rows, channels, frame, is_masked, width):
    """Gradient of the input for chunks [first, last); all arrays are addresses."""
    top, bottom = first * _CHUNK_ROWS, min(rows, last * _CHUNK_ROWS)
    count, c = bottom - top, 0
    while c < channels:
        vectors, place = (channels - c) // width, 4 * (top * channels + c)
        here, given, out, vectors_at = x + place, before + place, result + place, frame + 4 * c
        if vectors >= 4:
            _gradient_of_columns(here, given, out, vectors_at, count, channels, 4, is_masked)
            c += 4 * width
        elif vectors >= 2:
            _gradient_of_columns(here, given, out, vectors_at, count, channels, 2, is_masked)
            c += 2 * width
        elif vectors == 1:
            _gradient_of_columns(here, given, out, vectors_at, count, channels, 1, is_masked)
            c += width
        else:
            _gradient_of_columns(here, given, out, vectors_at, count, channels, 0, is_masked)
            c += 1


@compiled(inline="always")
def _gradient_of_columns(x, before, result, vectors_at, rows, columns, vectors, is_masked):
    if is_masked:
        column_input_gradient(x, before, result, vectors_at, rows, columns, vectors, 1)
    else:
        column_input_gradient(x, before, result, vectors_at, rows, columns, vectors, 0)
