"""From classes and offsets of points to objects."""

import time

import numpy as np
import pytest
import torch

from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.fusion import OffsetFusion, fuse_offsets
from ps3d.fusion.thing_shapes import thing_groups
from ps3d.structures import VOID, OffsetPrediction

CAR, TRUCK, ROAD, PERSON = (KITTI360_SCAN.index(name) for name in ("car", "truck", "road", "person"))


def predict(semantic, offsets=None, sure=9.0):
    logits = torch.zeros(len(semantic), len(KITTI360_SCAN))
    logits[torch.arange(len(semantic)), torch.as_tensor(semantic)] = sure
    shift = np.zeros((len(semantic), 3)) if offsets is None else offsets
    return OffsetPrediction(logits, torch.as_tensor(shift, dtype=torch.float32))


def block(rng, center, points=300, size=(4.0, 1.7, 1.4)):
    return (rng.uniform(-0.5, 0.5, (points, 3)) * size + center).astype(np.float32)


def test_cars_get_numbers_and_road_gets_none():
    rng = np.random.default_rng(0)
    xyz = np.concatenate([block(rng, (0, 0, 0)), block(rng, (8, 0, 0)), block(rng, (4, 4, -1))])
    semantic = np.repeat([CAR, CAR, ROAD], 300)
    fused = fuse_offsets(predict(semantic), xyz, KITTI360_SCAN)
    np.testing.assert_array_equal(fused.semantic, semantic)
    assert [set(part.tolist()) for part in np.split(fused.instance, 3)] == [{1}, {2}, {0}]


def test_offsets_tell_touching_people_apart():
    rng = np.random.default_rng(1)
    centers = np.array([(0, 0, 0), (0.45, 0, 0)])
    xyz = np.concatenate([block(rng, center, size=(0.5, 0.5, 1.7)) for center in centers])
    offsets = np.repeat(centers, 300, axis=0) - xyz
    semantic = np.full(600, PERSON)
    assert fuse_offsets(predict(semantic), xyz, KITTI360_SCAN).instance.max() == 1
    fused = fuse_offsets(predict(semantic, offsets), xyz, KITTI360_SCAN)
    assert [set(part.tolist()) for part in np.split(fused.instance, 2)] == [{1}, {2}]
    assert (
        fuse_offsets(predict(semantic, offsets), xyz, KITTI360_SCAN, OffsetFusion(offset_share=0.0)).instance.max() == 1
    )


def test_a_truck_whose_cabin_looks_like_a_car_is_one_truck():
    xyz = block(np.random.default_rng(2), (10, 0, 0), points=1000, size=(7.0, 2.4, 3.0))
    semantic = np.where(xyz[:, 0] > 12, CAR, TRUCK)
    fused = fuse_offsets(predict(semantic), xyz, KITTI360_SCAN)
    assert set(fused.semantic.tolist()) == {TRUCK}
    assert set(fused.instance.tolist()) == {1}


def test_points_that_are_not_finite_become_void():
    xyz = block(np.random.default_rng(3), (0, 0, 0))
    xyz[7] = np.nan
    fused = fuse_offsets(predict(np.full(300, CAR)), xyz, KITTI360_SCAN)
    assert fused.semantic[7] == VOID
    assert fused.instance[7] == 0
    assert (np.delete(fused.instance, 7) == 1).all()


def test_an_empty_scan_and_a_scan_without_things_are_fused():
    assert len(fuse_offsets(predict(np.zeros(0, int)), np.zeros((0, 3), np.float32), KITTI360_SCAN)) == 0
    xyz = block(np.random.default_rng(4), (0, 0, 0))
    assert not fuse_offsets(predict(np.full(300, ROAD)), xyz, KITTI360_SCAN).instance.any()


def test_a_prediction_of_other_points_is_refused():
    with pytest.raises(ValueError, match="299 points"):
        fuse_offsets(predict(np.full(300, CAR)), np.zeros((299, 3), np.float32), KITTI360_SCAN)


def test_every_thing_has_a_group():
    grouped = [class_id for group in thing_groups(KITTI360_SCAN).values() for class_id in group]
    assert sorted(grouped) == list(KITTI360_SCAN.thing_ids())


def test_a_scan_of_120_000_points_is_fused_in_milliseconds():
    rng = np.random.default_rng(5)
    cars = [block(rng, (7.0 * i - 100, 5.0 * (i % 7) - 15, 0), points=700) for i in range(30)]
    road = rng.uniform(-60, 60, (120_000 - 21_000, 3)).astype(np.float32)
    xyz = np.concatenate([*cars, road])
    prediction = predict(np.repeat([CAR, ROAD], [21_000, len(road)]))
    fuse_offsets(prediction, xyz, KITTI360_SCAN)
    begin = time.process_time()
    fused = fuse_offsets(prediction, xyz, KITTI360_SCAN)
    assert time.process_time() - begin < 0.5  # 0.03 s measured; the rest is for busy machines
    assert fused.instance.max() == 30


def test_a_doubtful_object_and_too_few_points_become_the_likeliest_stuff():
    rng = np.random.default_rng(5)
    xyz = np.concatenate([block(rng, (0, 0, 0)), block(rng, (20, 0, 0)), block(rng, (40, 0, 0), points=3)])
    logits = torch.full((603, len(KITTI360_SCAN)), -9.0)
    logits[:, CAR], logits[:, TRUCK] = 1.0, 0.5
    vegetation = KITTI360_SCAN.index("vegetation")
    logits[:, vegetation] = 0.9  # cars and trucks have 0.62 of the probability: less than 0.7
    logits[300:, vegetation] = -2.0  # 0.97
    prediction = OffsetPrediction(logits, torch.zeros(603, 3))
    fused = fuse_offsets(prediction, xyz, KITTI360_SCAN)
    np.testing.assert_array_equal(fused.semantic, np.repeat([vegetation, CAR, vegetation], [300, 300, 3]))
    np.testing.assert_array_equal(fused.instance, np.repeat([0, 1, 0], [300, 300, 3]))
    kept = fuse_offsets(prediction, xyz, KITTI360_SCAN, OffsetFusion(least_object=0.5))
    np.testing.assert_array_equal(kept.instance, np.repeat([1, 2, 0], [300, 300, 3]))
