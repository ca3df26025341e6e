"""Batch normalization over voxels, with the shortcut and the ReLU behind it in the same passes over memory.

On a CPU the features of a level do not fit the cache, so each further pass over them costs as much as a small
convolution. Where the portable backend computes, normalization, shortcut and ReLU read and write them once; everywhere
else torch's own operations do the same. Statistics are taken over chunks of rows and joined in chunk order (Chan,
Golub and LeVeque 1979): the same bits for any number of threads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ps3d.ops.compiled import compiled
from ps3d.sparse.backend import backend_name
from ps3d.sparse.threads import run_in_parts
from ps3d.sparse.vector_tiles import column_moments, lanes

_CHUNK_ROWS = 256
_SHARED_VALUES = 2**20


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
        ctx.save_for_backward(x, y if relu else x, weight, center, inverse)
        ctx.relu = relu
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, center, inverse = ctx.saved_tensors
        gradient = gradient.contiguous()
        parts = np.zeros((-(-len(x) // _CHUNK_ROWS), 2, x.shape[1]), np.float32)
        needs_shortcut = ctx.needs_input_grad[3]
        before = torch.empty_like(x) if ctx.relu and needs_shortcut else gradient
        arrays = (x.numpy(), y.numpy(), gradient.numpy(), before.numpy(), center.numpy(), parts)

        def add(first: int, last: int) -> None:
            _sum_gradients(first, last, *arrays, ctx.relu, ctx.relu and needs_shortcut)

        _over_chunks(add, x)
        by_weight, by_bias = torch.empty_like(weight), torch.empty_like(weight)
        factors = np.empty((3, x.shape[1]), np.float32)
        _join_gradients(parts, len(x), weight.numpy(), inverse.numpy(), by_weight.numpy(), by_bias.numpy(), factors)
        result = torch.empty_like(x)
        masked = ctx.relu and not needs_shortcut
        ways = (x.numpy(), y.numpy(), before.numpy(), result.numpy(), center.numpy(), *factors)

        def move(first: int, last: int) -> None:
            _input_gradient(first, last, *ways, masked)

        _over_chunks(move, x)
        by_shortcut = before if needs_shortcut else None
        return result, by_weight, by_bias, by_shortcut, None, None, None, None


def _chunk_moments(x: Float32[Tensor, "rows channels"]) -> Float32[np.ndarray, "chunks 2 channels"]:
    """Of each chunk of rows the mean and the sum of squared distances from it."""
    parts = np.zeros((-(-len(x) // _CHUNK_ROWS), 2, x.shape[1]), np.float32)
    array = x.numpy()

    def work(first: int, last: int) -> None:
        _moments(first, last, array, parts, lanes())

    _over_chunks(work, x)
    return parts


def _apply(
    x: Tensor, center: Tensor, scale: Tensor, shift: Tensor, shortcut: Tensor | None, relu: bool
) -> Float32[Tensor, "rows channels"]:
    """relu((x - center) * scale + shift + shortcut)."""
    y = torch.empty_like(x)
    other = x if shortcut is None else shortcut.detach()
    vectors = (center.numpy(), scale.numpy(), shift.detach().numpy())
    arrays = (x.numpy(), *vectors, other.numpy(), y.numpy())

    def work(first: int, last: int) -> None:
        _scale_rows(first, last, *arrays, shortcut is not None, relu)

    _over_chunks(work, x)
    return y


def _over_chunks(work: Callable[[int, int], None], x: Float32[Tensor, "rows channels"]) -> None:
    """Call `work` on all chunks; what one thread does sooner than a second one wakes up is not shared."""
    chunks = -(-len(x) // _CHUNK_ROWS)
    if x.numel() < _SHARED_VALUES:
        work(0, chunks)
    else:
        run_in_parts(work, chunks, 1)


@compiled
def _moments(first, last, x, parts, width):
    """Mean and sum of squared distances from it, for chunks [first, last); `width` columns fill a register."""
    rows, channels = x.shape
    whole = channels - channels % width
    for chunk in range(first, last):
        top, bottom = chunk * _CHUNK_ROWS, min(rows, (chunk + 1) * _CHUNK_ROWS)
        source = x.ctypes.data + 4 * top * channels
        mean, squares = parts[chunk, 0], parts[chunk, 1]
        c = 0
        while c < whole:
            vectors = (whole - c) // width
            place, means, spreads = source + 4 * c, mean.ctypes.data + 4 * c, squares.ctypes.data + 4 * c
            if vectors >= 4:
                column_moments(place, bottom - top, channels, means, spreads, 4)
                c += 4 * width
            elif vectors >= 2:
                column_moments(place, bottom - top, channels, means, spreads, 2)
                c += 2 * width
            else:
                column_moments(place, bottom - top, channels, means, spreads, 1)
                c += width
        for c in range(whole, channels):
            for row in range(top + 1, bottom):
                mean[c] += x[row, c] - x[top, c]
            mean[c] = mean[c] * np.float32(1 / (bottom - top)) + x[top, c]
            for row in range(top, bottom):
                squares[c] += (x[row, c] - mean[c]) ** 2


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
def _join_gradients(parts, rows, weight, inverse, by_weight, by_bias, factors):
    """Sums over chunks to the gradients of weight and bias, and (scale, constant, slope) of the input's gradient."""
    chunks, _, channels = parts.shape
    total, product = np.zeros(channels), np.zeros(channels)
    for chunk in range(chunks):
        for c in range(channels):
            total[c] += parts[chunk, 0, c]
            product[c] += parts[chunk, 1, c]
    for c in range(channels):
        scale = weight[c] * inverse[c]
        by_weight[c], by_bias[c] = product[c] * inverse[c], total[c]
        factors[0, c] = scale
        factors[1, c] = -scale * total[c] / rows
        factors[2, c] = -scale * inverse[c] * inverse[c] * product[c] / rows


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
def _sum_gradients(first, last, x, y, gradient, before, center, parts, is_masked, is_kept):
    """Sums of the gradient before the ReLU, and of it times x - center; kept in `before` where a shortcut needs it."""
    rows, channels = x.shape
    zero = np.float32(0)
    line = np.empty(channels, np.float32)
    for chunk in range(first, last):
        total, product = parts[chunk, 0], parts[chunk, 1]
        for row in range(chunk * _CHUNK_ROWS, min(rows, (chunk + 1) * _CHUNK_ROWS)):
            if is_masked:
                for c in range(channels):
                    line[c] = gradient[row, c] if y[row, c] > zero else zero
            else:
                for c in range(channels):
                    line[c] = gradient[row, c]
            if is_kept:
                for c in range(channels):
                    before[row, c] = line[c]
            for c in range(channels):
                total[c] += line[c]
                product[c] += line[c] * (x[row, c] - center[c])


@compiled
def _input_gradient(first, last, x, y, before, result, center, scale, constant, slope, is_masked):
    rows, channels = x.shape
    zero = np.float32(0)
    for row in range(first * _CHUNK_ROWS, min(rows, last * _CHUNK_ROWS)):
        if is_masked:
            for c in range(channels):
                value = before[row, c] if y[row, c] > zero else zero
                result[row, c] = scale[c] * value + constant[c] + slope[c] * (x[row, c] - center[c])
        else:
            for c in range(channels):
                result[row, c] = scale[c] * before[row, c] + constant[c] + slope[c] * (x[row, c] - center[c])
