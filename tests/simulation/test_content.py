"""The counting tool on scans written by hand."""

import sys
from pathlib import Path

import numpy as np

from ps3d.datasets.kitti360_labels import LABEL_OF_NAME
from ps3d.simulation.lidar import Sweep

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from benchmarks.simulation_content import Content, content_table

ROAD, CAR = LABEL_OF_NAME["road"].id, LABEL_OF_NAME["car"].id


def sweep_of(labels: list[int], intensity: list[float], x: list[float]) -> Sweep:
    count = len(labels)
    xyz = np.stack([x, np.zeros(count), np.zeros(count)], 1).astype(np.float32)
    zeros = np.zeros(count, np.int32)
    return Sweep(xyz, np.array(intensity, np.float32), np.array(labels, np.int32), zeros, zeros - 1)


def test_shares_zeros_occurrence_and_the_nearest_point_that_is_not_ground():
    content = Content()
    content.add_drive([sweep_of([ROAD] * 20 + [CAR] * 10, [0.2] * 20 + [0.0] * 5 + [0.4] * 5, [2.0] * 20 + [3.5] * 10)])
    content.add_drive([sweep_of([ROAD] * 20 + [CAR] * 9, [0.2] * 29, [2.0] * 20 + [9.0] * 9)])
    assert (content.points[ROAD], content.points[CAR]) == (40, 19)
    assert content.zeros[CAR] == 5
    assert (content.drives[ROAD], content.drives[CAR]) == (2, 1)
    assert content.nearest == 3.5
    assert content.sizes == [30, 29]
    assert np.isclose(content.intensity[CAR], 5 * 0.4 + 9 * 0.2)
    assert content_table(content, 2).row_count == 2
