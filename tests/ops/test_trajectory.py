"""Poses between measured ones, and where they are refused."""

import numpy as np
import pytest

from ps3d.ops.trajectory import Trajectory


def at(x: float) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = x
    return pose


def test_a_frame_between_two_is_placed_by_time_not_by_number():
    times = {1: 0.0, 2: 0.3, 3: 0.4}
    pose, is_interpolated = Trajectory({1: at(0), 3: at(1)}, times.__getitem__).pose(2)
    assert is_interpolated
    assert pose[0, 3] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("seconds", "meters", "is_known"),
    [(0.5, 2.0, True), (0.6, 0.0, False), (0.1, 2.1, False), (0.0, 0.0, False)],
)
def test_gaps_beyond_half_a_second_or_two_meters_are_refused(seconds, meters, is_known):
    trajectory = Trajectory({0: at(0), 2: at(meters)}, lambda frame: frame * seconds / 2)
    assert (trajectory.pose(1)[0] is not None) == is_known


def test_nothing_is_extrapolated():
    trajectory = Trajectory({1: at(0), 2: at(1)}, lambda frame: 0.1 * frame)
    assert trajectory.pose(0) == trajectory.pose(3) == (None, False)
    assert Trajectory({}, float).pose(5) == (None, False)
