"""What is answered when the next frame does not wait."""

import numpy as np
from numpy.testing import assert_array_equal

from ps3d.engine.streaming import NO_ANSWER, carry_over, schedule
from ps3d.structures import VOID, Frame, Panoptic, Scan

TIMES = np.arange(6) * 0.1


def test_a_fast_system_answers_with_the_frame_itself():
    assert_array_equal(schedule(TIMES, np.full(6, 0.05)), np.arange(6))
    assert_array_equal(schedule(TIMES, np.full(6, 0.1)), np.arange(6))


def test_a_slow_system_answers_with_the_last_finished_frame():
    # 150 ms: frame 0 is ready at 0.15 (due 0.1: late), then the newest frame is 1, ready at 0.30, then 3, at 0.45.
    assert_array_equal(schedule(TIMES, np.full(6, 0.15)), [NO_ANSWER, 0, 1, 1, 3, 4])


def test_an_overdue_system_never_answers():
    assert_array_equal(schedule(TIMES, np.full(6, 10.0)), np.full(6, NO_ANSWER))


def test_an_old_answer_is_carried_over_in_the_world():
    xyz = np.array([[5.0, 0, 0], [20, 0, 0], [40, 5, 0]], np.float32)
    scan = Scan(xyz, np.zeros(3, np.float32), np.zeros(3, np.float32))
    moved = np.eye(4)
    moved[0, 3] = 2.0
    newer = Scan(xyz - np.array([2, 0, 0], np.float32), scan.intensity, scan.time)
    newer.xyz[2] += 3
    old, new = Frame(0, 0.0, scan, world_from_lidar=np.eye(4)), Frame(1, 0.1, newer, world_from_lidar=moved)
    carried = carry_over(Panoptic(np.array([1, 2, 3], np.uint8), np.array([4, 5, 6], np.int32)), old, new)
    assert_array_equal(carried.semantic, [1, 2, VOID])
    assert_array_equal(carried.instance, [4, 5, 0])
