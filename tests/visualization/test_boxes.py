"""Boxes fit what they are around; trails follow objects through the world."""

import numpy as np
import pytest

from ps3d.structures import Panoptic
from ps3d.visualization.boxes import Trails, fit_box, object_boxes, object_points
from ps3d.visualization.colors import InstanceColors


@pytest.mark.parametrize("heading", [0.0, 0.3, 1.2])
def test_a_box_fits_a_turned_car(heading):
    rng = np.random.default_rng(0)
    size = np.array([4.2, 1.8, 1.5])
    turn = np.array([[np.cos(heading), -np.sin(heading), 0], [np.sin(heading), np.cos(heading), 0], [0, 0, 1]])
    shell = rng.uniform(-0.5, 0.5, (4000, 3))
    shell[np.arange(4000), rng.integers(0, 2, 4000)] = rng.choice((-0.5, 0.5), 4000)
    corners = fit_box((shell * size) @ turn.T + [10, -4, 0])
    lengths = sorted(np.linalg.norm(corners[0] - corners[bit]) for bit in (1, 2, 4))
    np.testing.assert_allclose(lengths, sorted(size), atol=0.1)
    np.testing.assert_allclose(corners.mean(0), [10, -4, 0], atol=0.05)


def test_every_object_gets_twelve_edges_in_its_color(street, taxonomy):
    xyz, panoptic = street
    colors = InstanceColors()
    segments, paint = object_boxes(xyz, panoptic, taxonomy, colors)
    assert segments.shape == (12 * 9, 2, 3)
    assert (paint[:12] == colors.of(1, 1)).all()
    few, _ = object_boxes(xyz, panoptic, taxonomy, colors, fewest=10**6)
    assert few.shape == (0, 2, 3)


def test_object_points_partition_the_objects(street, taxonomy):
    _, panoptic = street
    groups = object_points(panoptic, taxonomy)
    assert set(groups) == {(1, n) for n in range(1, 7)} | {(2, n) for n in range(7, 10)}
    assert all((panoptic.instance[place] == key[1]).all() for key, place in groups.items())


def test_a_parked_car_leaves_a_trail_in_the_driving_frame_and_a_gone_one_none(taxonomy):
    trails = Trails()
    parked = np.array([[20.0, 3, 0]])
    both = Panoptic(np.array([1, 1], np.uint8), np.array([1, 2], np.int32))
    for step in range(4):
        pose = np.eye(4)
        pose[0, 3] = 2.0 * step
        xyz = np.concatenate([parked - pose[:3, 3], parked - pose[:3, 3] + [step, 5, 0]])
        seen = both if step < 3 else both.select(np.array([0]))
        trails.meet(xyz[: len(seen)], seen, taxonomy, pose)
    lidar_from_world = np.eye(4)
    lidar_from_world[0, 3] = -6.0
    segments, paint = trails.segments(lidar_from_world, InstanceColors())
    is_car = (paint == 255).all(1)
    np.testing.assert_allclose(segments[is_car][-1][1], 0, atol=1e-9)
    np.testing.assert_allclose(segments[~is_car], np.broadcast_to([14.0, 3, 0], (3, 2, 3)), atol=1e-9)
