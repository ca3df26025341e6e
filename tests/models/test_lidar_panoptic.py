"""Frames to voxels and back, and what the network does with scans that are empty, broken or unlabeled."""

import numpy as np
import pytest
import torch
from torch import nn

from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.fusion import fuse_offsets
from ps3d.models.lidar_batch import FEATURES, collate_lidar, instance_centers, voxelize_scan
from ps3d.models.lidar_panoptic import LidarPanoptic
from ps3d.ops.voxel_interpolation import interpolate_voxels
from ps3d.structures import VOID, Frame, Panoptic, Scan
from ps3d.structures.sequence import LIDAR

CAR, ROAD = KITTI360_SCAN.index("car"), KITTI360_SCAN.index("road")


class Memory(nn.Module):
    """A backbone that passes its input on."""

    out_channels = len(FEATURES)

    def forward(self, x):
        return x


def make_frame(points=500, seed=0, with_truth=True):
    rng = np.random.default_rng(seed)
    car = rng.uniform((4, -1, -1.5), (8, 1, 0), (points // 5, 3))
    road = rng.uniform((-15, -15, -1.75), (15, 15, -1.7), (points - len(car), 3))
    xyz = np.concatenate([car, road]).astype(np.float32)
    semantic = np.repeat([CAR, ROAD], [len(car), len(road)]).astype(np.uint8)
    truth = {LIDAR: Panoptic(semantic, (semantic == CAR).astype(np.int32))} if with_truth else {}
    scan = Scan(xyz, rng.random(points, np.float32), np.zeros(points, np.float32))
    return Frame(3, 0.3, scan, truth=truth, source="made/up.bin")


def collate(*frames):
    return collate_lidar(frames, 0.2, 100.0, 1.73)


def model():
    torch.manual_seed(0)
    return LidarPanoptic(Memory(), KITTI360_SCAN)


def test_the_truth_of_voxels_is_that_of_their_points():
    frame = make_frame()
    batch = collate(frame)
    (scan,) = batch.scans
    label = frame.truth[LIDAR]
    for voxel in range(0, len(scan.voxels), 7):
        members = np.flatnonzero(scan.voxels.voxel_of_point == voxel)
        counts = np.bincount(label.semantic[members])
        assert counts[batch.semantic[voxel]] == counts.max()
    center = label.select(label.instance > 0)
    middle = frame.scan.xyz[: len(center)].mean(axis=0)
    is_car = batch.is_thing.numpy()
    assert is_car.sum() > 10
    np.testing.assert_allclose(
        scan.mean[is_car] + batch.offsets.numpy()[is_car], np.tile(middle, (is_car.sum(), 1)), atol=1e-3
    )
    assert not batch.offsets[~batch.is_thing].any()


def test_features_do_not_change_when_the_scan_is_turned_a_quarter():
    frame = make_frame()
    scan = frame.scan
    turned = Scan(scan.xyz[:, [1, 0, 2]] * np.float32([-1, 1, 1]), scan.intensity, scan.time)
    names = [FEATURES.index(n) for n in ("intensity", "has_intensity", "height", "range", "count", "inside_z")]

    def rows(s):
        features = collate(Frame(0, 0.0, s)).features.numpy()[:, names]
        return features[np.lexsort(features.T.round(3))]

    np.testing.assert_allclose(rows(scan), rows(turned), atol=1e-3)


def test_unknown_intensity_is_marked_and_does_not_leak():
    frame = make_frame()
    scan = frame.scan
    unknown = Scan(scan.xyz, np.full(len(scan), np.nan, np.float32), scan.time)
    dark = Scan(scan.xyz, np.zeros(len(scan), np.float32), scan.time)
    for other in (unknown, dark):
        features = collate(Frame(0, 0.0, other)).features
        assert not features[:, :2].any()
        assert torch.isfinite(features).all()
    assert (collate(frame).features[:, 1] == 1).all()


def test_a_prediction_of_the_truth_fuses_to_the_truth():
    frame = make_frame(2000)
    network = model()
    batch = network.collate([frame])
    logits = 20.0 * nn.functional.one_hot(batch.semantic, len(KITTI360_SCAN)).float()
    (prediction,) = network.to_points(batch, logits, batch.offsets)
    fused = fuse_offsets(prediction, frame.scan.xyz, KITTI360_SCAN)
    truth = frame.truth[LIDAR]
    assert (fused.semantic == truth.semantic).mean() > 0.99
    assert (fused.instance == truth.instance).mean() > 0.99
    # Points of one voxel lie apart, but they are sent to the same center.
    is_car = truth.instance > 0
    centers = frame.scan.xyz[is_car] + prediction.offsets.numpy()[is_car]
    assert np.ptp(centers, axis=0).max() < 0.02


@pytest.mark.parametrize("points", [0, 1, 2])
def test_scans_of_almost_no_points_train_and_predict(points):
    frame = make_frame(points) if points else Frame(0, 0.0, Scan(*(np.zeros(s, np.float32) for s in ((0, 3), 0, 0))))
    network = model()
    losses = network.loss(network.collate([frame, make_frame(300)]))
    assert all(torch.isfinite(value) for value in losses.values())
    alone = sum(network.loss(network.collate([frame])).values())
    assert torch.isfinite(alone)
    alone.backward()
    (prediction,) = network.predict(network.collate([frame]))
    assert len(fuse_offsets(prediction, frame.scan.xyz, KITTI360_SCAN)) == points


def test_unlabeled_frames_and_frames_without_things_train():
    network = model()
    unlabeled = make_frame(with_truth=False)
    assert sum(network.loss(network.collate([unlabeled])).values()).item() == 0
    stuff = make_frame()
    label = stuff.truth[LIDAR]
    label = Panoptic(np.full_like(label.semantic, ROAD), np.zeros_like(label.instance))
    losses = network.loss(network.collate([Frame(0, 0.0, stuff.scan, truth={LIDAR: label})]))
    assert losses["distance"].item() == losses["direction"].item() == 0
    assert losses["cross_entropy"].item() > 0


def test_points_that_are_not_finite_or_too_far_become_void_and_harm_nobody():
    frame = make_frame()
    xyz = frame.scan.xyz.copy()
    xyz[5], xyz[6], xyz[7] = np.nan, np.inf, 5000.0
    broken = Frame(0, 0.0, Scan(xyz, frame.scan.intensity, frame.scan.time), truth=frame.truth)
    network = model()
    batch = network.collate([broken])
    assert torch.isfinite(sum(network.loss(batch).values()))
    (prediction,) = network.predict(batch)
    fused = fuse_offsets(prediction, xyz, KITTI360_SCAN)
    assert (fused.semantic[5:8] == VOID).all()
    assert (np.delete(fused.semantic, [5, 6, 7]) != VOID).all()


def test_a_frame_without_a_scan_is_named():
    with pytest.raises(ValueError, match=r"frame 12 \(x\.bin\) has no scan"):
        model().collate([Frame(12, 0.0, source="x.bin")])


def test_centers_are_means_of_objects_and_classes_are_told_apart():
    xyz = np.float32([[0, 0, 0], [2, 0, 0], [9, 9, 9], [5, 5, 5]])
    label = Panoptic(np.uint8([CAR, CAR, ROAD, CAR - 1]), np.int32([1, 1, 0, 1]))
    centers = instance_centers(label, xyz)
    np.testing.assert_allclose(centers[[0, 1, 3]], [[1, 0, 0], [1, 0, 0], [5, 5, 5]])
    assert np.isnan(centers[2]).all()


def test_interpolation_reproduces_a_linear_field_and_constants():
    side = np.arange(6) * 0.2 + 0.1
    grid = np.stack(np.meshgrid(side, side, side), -1).reshape(-1, 3).astype(np.float32)
    points = np.concatenate([grid, np.random.default_rng(0).uniform(0.15, 1.05, (200, 3)).astype(np.float32)])
    scan = voxelize_scan(Scan(points, np.ones(len(points), np.float32), np.zeros(len(points), np.float32)), 0.2, 99.0)
    field = scan.voxels.centers() @ np.float32([1.0, -2.0, 0.5])
    values = np.stack([field, np.ones_like(field)], axis=1)
    found = interpolate_voxels(scan.voxels, points, values)
    np.testing.assert_allclose(found[:, 1], 1, atol=1e-5)
    np.testing.assert_allclose(found[:, 0], points @ np.float32([1.0, -2.0, 0.5]), atol=0.05)
