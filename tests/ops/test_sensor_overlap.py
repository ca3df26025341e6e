"""Objects of a scan and of a picture: found to be the same, and numbered alike."""

import numpy as np

from ps3d.ops.sensor_overlap import compare_labels, see_points, share_numbers
from ps3d.structures import VOID, Camera, Panoptic

# x forward, y left, z up into x right, y down, z forward.
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)
CAMERA = Camera(np.array([[100, 0, 80], [0, 100, 40], [0, 0, 1]], float), CAMERA_FROM_LIDAR, (80, 160))


def wall(x: float, y: tuple[float, float], step: float = 0.1) -> np.ndarray:
    """Points of an upright rectangle at a distance."""
    across, up = np.meshgrid(np.arange(*y, step), np.arange(-1, 1, step))
    return np.stack([np.full(across.size, x), across.ravel(), up.ravel()], 1).astype(np.float32)


def test_points_behind_a_nearer_wall_are_not_seen():
    near, far, behind = wall(5, (-1, 1)), wall(10, (-1, 1)), wall(-5, (-1, 1))
    seen = see_points(np.concatenate([near, far, behind]), CAMERA)
    assert set(seen.point) == set(range(len(near)))
    beside = wall(10, (3, 5))
    seen = see_points(np.concatenate([near, beside]), CAMERA)
    assert len(seen.point) == len(near) + len(beside)
    assert np.allclose(np.unique(seen.depth), [5, 10])


def test_no_points_are_no_seen_points():
    assert len(see_points(np.zeros((0, 3), np.float32), CAMERA).point) == 0


def test_the_same_car_gets_the_same_number_in_both_sensors():
    left, right = wall(8, (1, 3)), wall(8, (-3, -1))
    xyz = np.concatenate([left, right])
    scan = Panoptic(np.full(len(xyz), 5, np.uint8), np.repeat([40, 41], [len(left), len(right)]).astype(np.int32))
    semantic, instance = np.full((80, 160), VOID, np.uint8), np.zeros((80, 160), np.int32)
    semantic[20:60], instance[20:60, :80], instance[20:60, 80:] = 5, 2, 1
    semantic[70:], instance[70:] = 5, 9  # only the camera sees it
    picture = Panoptic(semantic, instance)
    seen = see_points(xyz, CAMERA)
    agreement = compare_labels(scan.select(seen.point), seen.labels(picture))
    assert sorted(map(tuple, agreement.pairs.tolist())) == [(40, 2), (41, 1)]
    assert agreement.same_class == 1.0
    shared = share_numbers(picture, agreement, first_free=42)
    assert np.unique(shared.instance[20:60, :80]).tolist() == [40]
    assert np.unique(shared.instance[20:60, 80:]).tolist() == [41]
    assert np.unique(shared.instance[70:]).tolist() == [42]
    assert not shared.instance[:20].any()


def test_void_is_not_compared():
    scan = Panoptic(np.array([1, 1, VOID], np.uint8), np.zeros(3, np.int32))
    picture = Panoptic(np.array([1, 2, 2], np.uint8), np.zeros(3, np.int32))
    agreement = compare_labels(scan, picture)
    assert agreement.compared == 2
    assert agreement.same_class == 0.5
    assert len(agreement.pairs) == 0
