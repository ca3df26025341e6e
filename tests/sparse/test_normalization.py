"""The compiled normalization against torch's own operations in double precision."""

import pytest
import torch
from torch import nn

from ps3d.sparse import VoxelNorm
from ps3d.sparse.normalization import _chunk_moments


def reference(norm, x, shortcut, relu):
    plain = nn.BatchNorm1d(x.shape[1]).double()
    plain.load_state_dict(norm.state_dict())
    plain.train(norm.training)
    y = plain(x.double())
    y = y if shortcut is None else y + shortcut.double()
    return (torch.relu(y) if relu else y), plain


@pytest.mark.parametrize("rows", [8, 255, 256, 257, 3000])
@pytest.mark.parametrize("has_shortcut", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("channels", [20, 115])
def test_values_gradients_and_statistics_are_those_of_torch(rows, has_shortcut, relu, channels):
    torch.manual_seed(0)
    norm = VoxelNorm(channels)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    # A mean far from zero: the sum of squares alone would lose the variance.
    x = (torch.randn(rows, channels) + torch.linspace(-300, 300, channels)).requires_grad_()
    shortcut = torch.randn(rows, channels, requires_grad=True) if has_shortcut else None
    expected, plain = reference(norm, x, shortcut, relu)
    y = norm(x, shortcut, relu)
    assert type(y.grad_fn).__name__ == "_NormalizeBackward"
    torch.testing.assert_close(y, expected.float(), atol=2e-4, rtol=1e-4)
    for got, wanted in zip(norm.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(got, wanted.to(got.dtype), rtol=1e-4, atol=1e-4)
    inputs = [x, *([shortcut] if has_shortcut else [])]
    toward = torch.randn_like(y)
    mine = torch.autograd.grad(y, [*inputs, norm.weight, norm.bias], toward)
    theirs = torch.autograd.grad(expected, [*inputs, plain.weight, plain.bias], toward.double())
    # Values within rounding of zero may fall on either side of the ReLU.
    is_clear = (expected.abs() > 1e-3).all(1) if relu else torch.ones(rows, dtype=torch.bool)
    for got, wanted in zip(mine, theirs, strict=True):
        if got.ndim == 2:
            got, wanted = got[is_clear], wanted[is_clear]
        torch.testing.assert_close(got, wanted.float(), atol=5e-3, rtol=5e-3)


def test_the_gradient_passes_exactly_where_the_output_is_positive():
    torch.manual_seed(0)
    norm = VoxelNorm(37)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    # Copies of few values: many are normalized to nearly zero.
    x = (torch.randint(-3, 4, (3000, 37)) / 7).requires_grad_()
    norm.bias.data = -norm.weight.data * (torch.tensor(2 / 7) - x.mean(0)).detach() / x.std(0, correction=0).detach()
    y = norm(x, relu=True)
    (by_bias,) = torch.autograd.grad(y.sum(), norm.bias)
    assert torch.equal(by_bias, (y > 0).sum(0).float())


def test_any_number_of_threads_gives_the_same_bits():
    torch.manual_seed(0)
    x = torch.randn(5000, 33)
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            norm, leaf = VoxelNorm(33), x.clone().requires_grad_()
            y = norm(leaf, x, relu=True)
            y.square().sum().backward()
            results.append([y.detach(), *(x.grad for x in (leaf, norm.weight, norm.bias)), *norm.buffers()])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_evaluation_uses_the_running_statistics():
    torch.manual_seed(0)
    norm = VoxelNorm(16)
    norm(torch.randn(500, 16) * 3 + 1)
    norm.eval()
    x, shortcut = torch.randn(300, 16), torch.randn(300, 16)
    expected, _ = reference(norm, x, shortcut, True)
    with torch.no_grad():
        fused = norm(x, shortcut, relu=True)
    torch.testing.assert_close(fused, expected.float(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm(x.requires_grad_(), shortcut, relu=True), fused, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("relu", [False, True])
def test_nan_stays_nan(relu):
    x = torch.randn(300, 16)
    x[7, 3] = torch.nan
    norm = VoxelNorm(16).eval()
    with torch.no_grad():
        assert torch.isnan(norm(x, relu=relu)[7, 3])


def test_a_tiny_level_leaves_the_statistics_alone():
    norm = VoxelNorm(4)
    before = [buffer.clone() for buffer in norm.buffers()]
    y = norm(torch.ones(1, 4), torch.full((1, 4), -2.0), relu=True)
    torch.testing.assert_close(y, torch.zeros(1, 4))
    assert all(torch.equal(a, b) for a, b in zip(before, norm.buffers(), strict=True))


@pytest.mark.parametrize("channels", [5, 16, 48, 125])
def test_moments_of_chunks_are_those_of_their_rows(channels):
    x = torch.randn(600, channels) + 50
    chunks = x.double().split(256)
    mean = torch.stack([chunk.mean(0) for chunk in chunks])
    squares = torch.stack([(chunk - chunk.mean(0)).square().sum(0) for chunk in chunks])
    taken = torch.from_numpy(_chunk_moments(x)).double()
    torch.testing.assert_close(taken[:, 0], mean, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(taken[:, 1], squares, rtol=1e-4, atol=1e-3)
