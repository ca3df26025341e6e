"""The U-Net: shapes, sizes, tiny levels, batches."""

import pytest
import torch

from ps3d.models.sparse_unet import PRESETS, SparseUnet
from ps3d.sparse import SparseTensor


def make_scan(count: int, channels: int = 4, seed: int = 0) -> SparseTensor:
    generator = torch.Generator().manual_seed(seed)
    coordinates = torch.unique(torch.randint(0, 21, (count, 3), generator=generator), dim=0)
    coordinates = torch.cat((torch.zeros(len(coordinates), 1), coordinates), 1).to(torch.int32)
    return SparseTensor(torch.randn(len(coordinates), channels, generator=generator), coordinates, (21, 21, 21), 1)


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_any_number_of_voxels_trains(count):
    x = make_scan(count)
    network = SparseUnet(4, widths=(8, 8, 16, 16, 16))
    y = network(x)
    assert y.features.shape == (len(x), network.out_channels)
    assert y.grid is x.grid
    y.features.square().sum().backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(g.isfinite().all()) for g in gradients)


def test_small_unet_has_three_million_parameters():
    assert 2.7e6 < sum(p.numel() for p in PRESETS["small"](8).parameters()) < 3.3e6


@pytest.mark.parametrize("name", ["res16unet34c", "spunet"])
def test_presets_run(name):
    network = PRESETS[name](4).eval()
    with torch.no_grad():
        assert network(make_scan(50)).features.shape == (len(make_scan(50)), network.out_channels)


def test_scans_of_a_batch_do_not_see_each_other():
    first, second = make_scan(200, seed=1), make_scan(150, seed=2)
    moved = second.coordinates.clone()
    moved[:, 0] = 1
    both = SparseTensor(
        torch.cat((first.features, second.features)), torch.cat((first.coordinates, moved)), (21, 21, 21), 2
    )
    network = SparseUnet(4, widths=(8, 16, 16)).eval()
    with torch.no_grad():
        apart = torch.cat((network(first).features, network(second).features))
        torch.testing.assert_close(network(both).features, apart)
