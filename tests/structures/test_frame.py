"""A frame refuses labels that do not fit its scan."""

import numpy as np
import pytest

from ps3d.structures import Frame, Panoptic, Scan


def test_labels_of_another_length_are_refused():
    scan = Scan(np.zeros((3, 3), np.float32), np.zeros(3, np.float32), np.zeros(3, np.float32))
    label = Panoptic(np.zeros(2, np.uint8), np.zeros(2, np.int32))
    with pytest.raises(ValueError, match=r"7.*scan\.bin.*3 points but 2 labels"):
        Frame(7, 0.0, scan, truth={"lidar": label}, source="scan.bin")


def test_shapes_are_checked_while_tests_run():
    with pytest.raises(Exception, match="intensity"):
        Scan(np.zeros((3, 3), np.float32), np.zeros(2, np.float32), np.zeros(3, np.float32))
