"""Points and voxels: grouping, copying, interpolating."""

import numpy as np
import pytest
import torch

from ps3d.ops.voxelize import voxelize
from ps3d.sparse import SparseTensor, features_at_points, features_of_voxels, stack_voxels


def make_points(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-5, 5, (count, 3)).astype(np.float32)


def test_voxelize_equals_unique():
    xyz = make_points(3000)
    voxels = voxelize(xyz, 0.7)
    cells = np.floor(xyz[:, ::-1].astype(np.float64) / 0.7).astype(int)
    expected, inverse = np.unique(cells, axis=0, return_inverse=True)
    assert np.array_equal(voxels.coordinates, expected - cells.min(0))
    assert np.array_equal(voxels.voxel_of_point, inverse.ravel())
    assert np.array_equal(voxels.count(), np.bincount(inverse.ravel()))
    mean = voxels.mean(xyz)
    assert np.abs(mean - voxels.centers()).max() <= 0.35 + 1e-4
    np.testing.assert_allclose(mean[5], xyz[voxels.voxel_of_point == 5].mean(0), rtol=1e-5)
    assert (voxels.voxel_of_point[voxels.first_point()] == np.arange(len(voxels))).all()
    np.testing.assert_allclose(np.floor(voxels.positions(xyz)), voxels.coordinates[voxels.voxel_of_point], atol=1e-6)


def test_voxelize_refuses_what_it_cannot_place():
    xyz = make_points(10)
    xyz[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 10 points are not finite"):
        voxelize(xyz, 0.1)
    with pytest.raises(ValueError, match="too large"):
        voxelize(np.array([[0, 0, 0], [1e8, 1e8, 1e8]], np.float32), 0.01)
    with pytest.raises(ValueError, match="below the given origin"):
        voxelize(make_points(10), 0.1, np.zeros(3))
    assert len(voxelize(make_points(0), 0.1)) == 0
    assert len(voxelize(make_points(1), 0.1)) == 1


def make_tensor() -> tuple[SparseTensor, list, list]:
    scans = [voxelize(make_points(400, seed), 0.8) for seed in (1, 2)]
    coordinates, shape, places = stack_voxels(scans)
    features = torch.randn(len(coordinates), 3, dtype=torch.float64, requires_grad=True)
    return SparseTensor(features, coordinates, shape, 2), scans, places


def test_points_copy_their_voxel():
    x, scans, places = make_tensor()
    second = features_of_voxels(x, places[1])
    first_row = len(scans[0])
    assert torch.equal(second, x.features[first_row:][torch.from_numpy(scans[1].voxel_of_point)])


def test_interpolation():
    x, _, _ = make_tensor()
    batch = x.coordinates[:, 0].long()
    middles = x.coordinates[:, 1:].double() + 0.5
    torch.testing.assert_close(features_at_points(x, middles, batch), x.features)
    ones = x.replace(torch.ones_like(x.features))
    near = middles + torch.rand_like(middles) - 0.5
    torch.testing.assert_close(features_at_points(ones, near, batch), ones.features)
    dense = x.dense().permute(0, 2, 3, 4, 1)[0]
    a, b = middles[0] + torch.tensor([0.25, 0.0, 0.0]), x.coordinates[0, 1:].long()
    upper = b + torch.tensor([1, 0, 0])
    if bool((upper < torch.tensor(x.spatial_shape)).all()) and bool(dense[tuple(upper)].any()):
        expected = 0.75 * dense[tuple(b)] + 0.25 * dense[tuple(upper)]
    else:
        expected = dense[tuple(b)]
    torch.testing.assert_close(features_at_points(x, a[None], batch[:1])[0], expected)
    far = features_at_points(x, torch.full((1, 3), 1e4, dtype=torch.float64), batch[:1])
    assert not far.any()


def test_interpolation_differentiates():
    voxels = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 1]], dtype=torch.int32)
    x = SparseTensor(torch.zeros(3, 2, dtype=torch.float64), voxels, (2, 1, 2), 1)
    positions = torch.tensor([[0.8, 0.4, 1.2], [0.5, 0.5, 0.9]], dtype=torch.float64)

    def run(features: torch.Tensor) -> torch.Tensor:
        return features_at_points(x.replace(features), positions, torch.zeros(2, dtype=torch.long))

    assert torch.autograd.gradcheck(run, (torch.randn(3, 2, dtype=torch.float64).requires_grad_(),))
