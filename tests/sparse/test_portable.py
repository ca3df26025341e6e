"""The compiled backend against the oracle: maps, values, gradients, threads, forks."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from ps3d.sparse import InverseConv3d, KernelShape, SparseConv3d, SparseTensor, SubmanifoldConv3d, portable, reference
from ps3d.sparse.threads import Kernel, run_in_parts, set_thread_count, thread_count
from ps3d.sparse.vector_code import add_atomically, word

from .scenes import random_tensor

CHANNELS = [(1, 1), (3, 16), (4, 20), (16, 48), (20, 32), (32, 96), (96, 80), (64, 64), (48, 112)]


def as_set(kernel_map) -> set:
    return set(
        zip(kernel_map.source.tolist(), kernel_map.target.tolist(), kernel_map.offset_of_pair().tolist(), strict=True)
    )


def is_bucketed(kernel_map) -> bool:
    blocks = torch.repeat_interleave(torch.arange(kernel_map.blocks * kernel_map.volume), kernel_map.starts.diff())
    blocks = blocks // kernel_map.volume
    return bool((kernel_map.target // kernel_map.block_rows == blocks).all())


@pytest.mark.parametrize("size", [(3, 3, 3), (3, 1, 3), (1, 3, 3), (5, 5, 5), (1, 1, 5), (3, 3, 1)])
@pytest.mark.parametrize("shape", [(13, 21, 17), (2, 1, 3), (1, 1, 1)])
def test_submanifold_maps_agree(size, shape):
    x = random_tensor(shape, 3, 1, density=0.4)
    place = (x.coordinates, x.spatial_shape, 3, size)
    mine, oracle = portable.build_submanifold_map(*place), reference.build_submanifold_map(*place)
    assert as_set(mine) == as_set(oracle)
    assert len(mine.source) == len(oracle.source)
    assert is_bucketed(mine)


@pytest.mark.parametrize(
    "kernel",
    [
        KernelShape((2, 2, 2), (2, 2, 2)),
        KernelShape((3, 3, 3), (2, 2, 2), (1, 1, 1)),
        KernelShape((3, 3, 3), (1, 1, 1), (1, 1, 1)),
        KernelShape((1, 3, 2), (1, 2, 3), (0, 1, 0)),
    ],
)
@pytest.mark.parametrize("shape", [(13, 21, 17), (4, 3, 3)])
def test_strided_maps_agree(kernel, shape):
    x = random_tensor(shape, 3, 1, density=0.4)
    mine, voxels = portable.build_strided_map(x.coordinates, x.spatial_shape, 3, kernel)
    oracle, expected = reference.build_strided_map(x.coordinates, x.spatial_shape, 3, kernel)
    assert torch.equal(voxels, expected)
    assert as_set(mine) == as_set(oracle)
    assert as_set(mine.reversed()[0]) == as_set(oracle.reversed()[0])
    assert as_set(mine.reversed()[0].reversed()[0]) == as_set(mine) == as_set(oracle.reversed()[0].reversed()[0])
    assert is_bucketed(mine)
    assert is_bucketed(mine.reversed()[0])


@pytest.mark.parametrize(("inputs", "outputs"), CHANNELS)
@pytest.mark.parametrize("kind", ["submanifold", "strided", "inverse"])
def test_values_and_gradients_agree(kind, inputs, outputs):
    x = random_tensor((14, 15, 16), 2, inputs, density=0.25)
    layer = {
        "submanifold": SubmanifoldConv3d(inputs, outputs, bias=True),
        "strided": SparseConv3d(inputs, outputs, bias=True),
        "inverse": InverseConv3d(inputs, outputs, bias=True),
    }[kind]
    if kind == "inverse":
        x = SparseConv3d(inputs, inputs)(x).replace(torch.randn(len(SparseConv3d(inputs, inputs)(x)), inputs))
    results = []
    for dtype in (torch.float32, torch.float64):
        start = x.features.detach().to(dtype).requires_grad_()
        layer.to(dtype).zero_grad()
        y = layer(x.replace(start)).features
        y.backward(torch.cos(torch.arange(y.numel(), dtype=dtype)).view_as(y))
        results.append([t.double() for t in (y.detach(), start.grad, layer.weight.grad, layer.bias.grad)])
    for mine, oracle in zip(*results, strict=True):
        assert float((mine - oracle).abs().max()) < 1e-5 * max(1.0, float(oracle.abs().max()))


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_same_bits_for_any_number_of_threads(threads):
    x = random_tensor((20, 40, 40), 2, 32, density=0.2)
    layer = SubmanifoldConv3d(32, 48)
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        start = x.features.clone().requires_grad_()
        layer.zero_grad()
        y = layer(x.replace(start)).features
        y.square().sum().backward()
        results.append((y.detach(), start.grad, layer.weight.grad.clone()))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_order_of_the_input_does_not_matter():
    x = random_tensor((9, 10, 11), 2, 8)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(3))
    y, origin = SparseTensor.from_unsorted(x.features[order], x.coordinates[order], x.spatial_shape, 2)
    assert torch.equal(y.coordinates, x.coordinates)
    assert torch.equal(order[origin], torch.arange(len(x)))
    layer = SubmanifoldConv3d(8, 16)
    assert torch.equal(layer(x).features, layer(y).features)


@pytest.mark.parametrize("rows", [0, 1])
def test_empty_and_single(rows):
    coordinates = torch.zeros((rows, 4), dtype=torch.int32)
    features = torch.randn(rows, 5, requires_grad=True)
    x = SparseTensor(features, coordinates, (4, 4, 4), 1)
    coarse = SparseConv3d(5, 32)(SubmanifoldConv3d(5, 5)(x))
    y = InverseConv3d(32, 7)(coarse)
    assert y.features.shape == (rows, 7)
    y.features.sum().backward()
    assert features.grad.shape == (rows, 5)


def test_half_precision_and_autocast_compute_in_single():
    x = random_tensor((6, 6, 6), 1, 16)
    layer = SubmanifoldConv3d(16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x.replace(x.features.bfloat16())).features.dtype == torch.float32


@Kernel
def _count(first, last, arguments):
    """Add the number of each place to it, counted from one."""
    for place in range(first, last):
        add_atomically(word(arguments, 0) + 8 * place, place + 1)


def test_kernels_called_from_several_python_threads_do_all_their_work():
    taken = np.zeros((4, 50), np.int64)

    def call(row: int) -> None:
        for _ in range(300):
            run_in_parts(_count, (taken[row].ctypes.data,), 50)

    set_thread_count(3)
    try:
        with ThreadPoolExecutor(4) as callers:
            list(callers.map(call, range(4)))
    finally:
        set_thread_count(None)
    assert (taken == 300 * np.arange(1, 51)).all()


def test_an_interrupted_call_ends_with_all_its_parts(monkeypatch):
    """Its helpers must not go on in memory that is freed."""

    def interrupt(helper) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ps3d.sparse.threads._Helper.wake", interrupt)
    taken = np.zeros(40, np.int64)
    set_thread_count(2)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_in_parts(_count, (taken.ctypes.data,), 40)
        assert taken.tolist() == list(range(1, 41))
    finally:
        set_thread_count(None)


def test_a_process_ends_while_its_helpers_sleep_or_wait():
    script = """
import sys, time, torch
from ps3d.sparse import SparseTensor, SubmanifoldConv3d
from ps3d.sparse.threads import _POOL, set_thread_count
set_thread_count(4)
cells = (torch.rand(1, 40, 20, 20) < 0.5).nonzero().int()
SubmanifoldConv3d(8, 8)(SparseTensor(torch.randn(len(cells), 8), cells, (40, 20, 20), 1))
assert len(_POOL.helpers) == 3
time.sleep(float(sys.argv[1]))
"""
    for seconds in ("0", "0.2"):
        subprocess.run([sys.executable, "-c", script, seconds], check=True, timeout=60)


def test_convolution_has_its_own_number_of_threads(threads):
    threads(1)
    try:
        set_thread_count(3)
        assert thread_count() == 3
        taken = np.zeros(12, np.int64)
        for _ in range(2000):
            run_in_parts(_count, (taken.ctypes.data,), 12)
        assert taken.tolist() == [2000 * place for place in range(1, 13)]
        assert torch.get_num_threads() == 1
    finally:
        set_thread_count(None)
    assert thread_count() == 1
