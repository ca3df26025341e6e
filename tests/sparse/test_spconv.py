"""Parity with spconv: its CPU wheel on one thread, where it is right, with the one patch its backward needs.

The same code that drives spconv on CUDA devices runs here, so that path is tested too, except for the device.
"""

import pytest
import torch
from torch import nn

from ps3d.sparse import (
    InverseConv3d,
    SparseConv3d,
    SparseSequential,
    SparseTensor,
    SubmanifoldConv3d,
    from_spconv1,
    spconv_layers,
)

from .scenes import random_tensor

spconv = pytest.importorskip("spconv.pytorch")


@pytest.fixture
def one_thread(monkeypatch):
    """spconv's CPU code races with more threads, and asks for a CUDA stream on the way back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr("spconv.pytorch.ops.get_current_stream", lambda: 0)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def through_spconv(one_thread, monkeypatch):
    """Makes our layers hand over to spconv although the device is a CPU."""

    def switch(is_on: bool) -> None:
        monkeypatch.setattr(spconv_layers, "backend_name", lambda device: "spconv" if is_on else "portable")

    return switch


class Net(nn.Module):
    def __init__(self, inputs: int, outputs: int, down: tuple[int, int, int]) -> None:
        super().__init__()
        self.first = SubmanifoldConv3d(inputs, 16, (3, 1, 3))
        self.second = SubmanifoldConv3d(16, 16, bias=True)
        self.down = SparseConv3d(16, 32, *down)
        self.middle = SubmanifoldConv3d(32, 32)
        self.further = SparseConv3d(32, 16, 2)
        self.back = InverseConv3d(16, 32, 2)
        self.up = InverseConv3d(32, outputs, down[0])

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = self.middle(self.down(self.second(self.first(x))))
        return self.up(self.back(self.further(x)))


@pytest.mark.parametrize("down", [(2, 2, 0), (3, 2, 1)])
def test_layers_agree_through_every_level(through_spconv, down):
    x = random_tensor((16, 16, 24), 2, 4, density=0.1)
    network = Net(4, 7, down)
    results = []
    for is_on in (False, True):
        through_spconv(is_on)
        start = x.features.clone().requires_grad_()
        y = network(SparseTensor(start, x.coordinates, x.spatial_shape, 2)).features
        network.zero_grad()
        y.backward(torch.cos(torch.arange(y.numel()).float()).view_as(y))
        results.append([y.detach(), start.grad, *(p.grad.clone() for p in network.parameters())])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=2e-6)


def test_state_dict_of_a_raw_spconv_network_loads(one_thread):
    theirs = spconv.SparseSequential(
        spconv.SubMConv3d(4, 16, 3, bias=False, indice_key="a"),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        spconv.SparseConv3d(16, 32, 2, 2, bias=False, indice_key="b"),
        spconv.SparseInverseConv3d(32, 8, 2, bias=False, indice_key="b"),
    ).eval()
    mine = SparseSequential(
        SubmanifoldConv3d(4, 16), nn.BatchNorm1d(16), nn.ReLU(), SparseConv3d(16, 32), InverseConv3d(32, 8)
    ).eval()
    mine.load_state_dict(theirs.state_dict())
    x = random_tensor((8, 8, 8), 2, 4)
    with torch.no_grad():
        raw = theirs(spconv.SparseConvTensor(x.features, x.coordinates, [8, 8, 8], 2))
        torch.testing.assert_close(mine(x).features, raw.features, rtol=1e-4, atol=2e-6)
    theirs.load_state_dict(mine.state_dict())


def test_checkpoint_of_spconv_1_is_converted():
    network = SparseSequential(SubmanifoldConv3d(4, 16), SparseConv3d(16, 16))
    state = network.state_dict()
    old = {name: weight.permute(1, 2, 3, 4, 0).contiguous() for name, weight in state.items()}
    assert all(torch.equal(state[name], weight) for name, weight in from_spconv1(old, network).items())
    old["0.weight"] = torch.zeros(5, 5, 5, 4, 16)
    with pytest.raises(ValueError, match=r"0\.weight"):
        from_spconv1(old, network)


def test_bfloat16_is_refused(through_spconv):
    through_spconv(True)
    layer = SubmanifoldConv3d(4, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(TypeError, match="no bfloat16 kernels"):
        layer(random_tensor((4, 4, 4), 1, 4))
