"""The nearest labeled point wins, objects that move are asked by frame, and boxes fill the gaps."""

from dataclasses import replace

import numpy as np
import pytest

from ps3d.curation.label_recovery import FAST, RecoveryCounts, RecoverySettings, label_cloud, recover_scan
from ps3d.curation.moving_boxes import OUTSIDE, MovingBox, find_box, track_motion

ORIGIN = np.array([2000.0, -1500.0, 100.0])


def records(xyz, semantic, number=0, confidence=1.0):
    points = np.zeros(
        len(xyz), [*((axis, "<f4") for axis in "xyz"), ("semantic", "<i4"), ("instance", "<i4"), ("confidence", "<f4")]
    )
    for axis, name in enumerate("xyz"):
        points[name] = xyz[:, axis] + ORIGIN[axis]
    points["semantic"], points["instance"], points["confidence"] = semantic, semantic * 1000 + number, confidence
    return points


def ground(rng, count=20000):
    return np.column_stack([rng.uniform(-10, 10, (count, 2)), np.zeros(count)])


def car(rng, x, count=400):
    return rng.uniform(-0.5, 0.5, (count, 3)) * [4.0, 1.8, 1.5] + [x, 0, 0.95]


def box(x, number=3, speed=0.0):
    pose = np.eye(4)
    pose[:3, 3] = ORIGIN + np.array([x, 0, 0.95])
    return MovingBox(26000 + number, pose, np.array([4.0, 1.8, 1.5]), np.array([speed, 0, 0]))


def recover(world, static=(), dynamic=(), all_dynamic=(), boxes=(), settings=RecoverySettings(), time=None):
    time = np.zeros(len(world)) if time is None else time
    far = np.full(len(world), 9.0)
    return recover_scan(
        world + ORIGIN, far, time, list(static), list(dynamic), list(all_dynamic), list(boxes), settings
    )


@pytest.mark.parametrize("settings", [RecoverySettings(), FAST])
def test_points_take_class_and_object_of_the_nearest_window_point(settings):
    rng = np.random.default_rng(0)
    window = label_cloud(np.concatenate([records(ground(rng), 7), records(car(rng, 3.0), 26, 5)]), settings.thinning)
    world = np.concatenate([ground(rng, 300) * 0.5 + [-4, 0, 0], car(rng, 3.0, 100) * [1, 1, 0.9] + [0, 0, 0.2]])
    scan = recover(world, [window], settings=settings)
    assert (scan.raw_id[:300] == 7).mean() > 0.99
    assert (scan.raw_id[300:] == 26).mean() > 0.9
    assert set(scan.number[scan.raw_id == 26]) == {5}
    assert (scan.number[scan.raw_id == 7] == 0).all()


def test_what_lies_beyond_the_windows_stays_unlabeled():
    window = label_cloud(records(ground(np.random.default_rng(0)), 7))
    scan = recover(np.array([[0.0, 0, 0], [50, 0, 0], [np.nan, 0, 0]]), [window])
    assert scan.raw_id.tolist() == [7, 0, 0]
    assert scan.confidence[0] > 0.5
    assert (scan.confidence[1:] == 0).all()
    assert scan.counts.not_finite == 1
    assert scan.counts.labeled == 1


def test_an_object_leaves_no_ghost_where_it_was_in_another_frame():
    rng = np.random.default_rng(1)
    before, now = records(car(rng, -4.0), 26, 3), records(car(rng, 4.0), 26, 3)
    everything = label_cloud(np.concatenate([before, now]))
    everything = replace(everything, is_current=np.arange(len(before) + len(now)) >= len(before))
    road = np.column_stack([rng.uniform(-5, -3, 200), rng.uniform(-0.8, 0.8, 200), np.full(200, 0.2)])
    window = label_cloud(records(ground(rng, 40000), 7))
    scan = recover(np.concatenate([road, car(rng, 4.0, 50)]), [window], [label_cloud(now)], [everything], [box(4.0)])
    assert (scan.raw_id[:200] == 7).all()
    assert (scan.raw_id[200:] == 26).all()
    assert (scan.number[200:] == 3).all()
    # A search without regard to time would have painted some of the road.
    assert scan.counts.ghosts_avoided > 20


def test_a_box_answers_for_points_that_no_window_point_is_near():
    rng = np.random.default_rng(2)
    scan = recover(car(rng, 4.0, 200), [label_cloud(records(ground(rng), 7))], boxes=[box(4.0)])
    assert (scan.raw_id == 26).all()
    assert scan.counts.from_boxes == 200


def test_a_static_trace_inside_the_box_of_a_moving_object_is_dropped():
    rng = np.random.default_rng(3)
    trace = label_cloud(records(car(rng, 4.0, 5000), 26, 9))
    scan = recover(car(rng, 4.0, 200), [trace], boxes=[box(4.0, number=3)])
    assert set(scan.number.tolist()) == {3}
    assert scan.counts.ghosts_removed > 150


def test_a_moving_box_is_where_the_object_was_when_the_point_was_measured():
    world = np.array([[6.3, 0, 0.95], [1.7, 0, 0.95]]) + ORIGIN
    time = np.array([0.05, -0.05])
    assert find_box([box(4.0)], world, time, 0.0).tolist() == [OUTSIDE, OUTSIDE]
    assert find_box([box(4.0, speed=12.0)], world, time, 0.0).tolist() == [0, 0]
    assert find_box([box(4.0, speed=-12.0)], world, time, 0.0).tolist() == [OUTSIDE, OUTSIDE]


def test_the_smallest_of_two_boxes_wins():
    small = replace(box(4.0, number=8), size=np.array([0.5, 0.5, 0.5]))
    found = find_box([small, box(4.0)], np.array([[4.0, 0, 0.95], [5.0, 0, 0.95]]) + ORIGIN, np.zeros(2), 0.0)
    assert found.tolist() == [0, 1]


def test_speed_comes_from_the_boxes_before_and_after():
    frames, seconds = np.array([3, 4, 6]), np.array([0.3, 0.4, 0.6])
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, 0, 3] = [3.0, 4.0, 6.0]
    pose, velocity, turn = track_motion(frames, poses, seconds, 4)
    assert pose[0, 3] == 4
    np.testing.assert_allclose(velocity, [10, 0, 0])
    assert turn == 0
    assert track_motion(frames, poses, seconds, 5) is None
    _, still, _ = track_motion(frames[:1], poses[:1], seconds[:1], 3)
    assert (still == 0).all()


def test_an_uncertain_label_can_be_left_out():
    window = label_cloud(records(ground(np.random.default_rng(0)), 7, confidence=0.4))
    scan = recover(np.zeros((1, 3)), [window], settings=RecoverySettings(minimum_confidence=0.5))
    assert scan.raw_id.tolist() == [0]


def test_nothing_at_all_is_handled():
    scan = recover(np.zeros((0, 3)))
    assert scan.counts == RecoveryCounts(frames=1, empty_scans=1)
    assert recover(np.zeros((2, 3))).raw_id.tolist() == [0, 0]
