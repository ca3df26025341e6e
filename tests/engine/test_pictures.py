"""Truth beside prediction in a run's folder."""

import numpy as np
import pytest

from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.label_files import write_panoptic
from ps3d.engine.pictures import draw_comparison
from ps3d.engine.predict import label_path
from ps3d.engine.run_folder import RunFolder
from ps3d.structures import Calibration, Frame, Panoptic, Scan
from ps3d.structures.sequence import LIDAR

CAR, ROAD = KITTI360_SCAN.index("car"), KITTI360_SCAN.index("road")


class OneFrame:
    """A drive of one frame."""

    def __init__(self, frame):
        self.name, self.taxonomy, self.calibration, self.frame = "drive", KITTI360_SCAN, Calibration(), frame

    def __len__(self):
        return 1

    def __iter__(self):
        return iter([self.frame])

    def __getitem__(self, position):
        return self.frame


def make_drive(points, out):
    """One scan: a road and a car beside each other; the prediction is right but for the car's number."""
    rng = np.random.default_rng(0)
    xyz = rng.uniform([5, -4, -1.7], [15, 4, -1.7], (points, 3)).astype(np.float32)
    is_car = xyz[:, 1] > 1
    xyz[::10] = np.nan
    semantic = np.where(is_car, CAR, ROAD).astype(np.uint8)
    truth, found = (Panoptic(semantic, np.where(is_car, number, 0).astype(np.int32)) for number in (1, 7))
    scan = Scan(xyz, np.zeros(points, np.float32), np.zeros(points, np.float32))
    drive = OneFrame(Frame(0, 0.0, scan=scan, truth={LIDAR: truth}, source="0000000000.bin"))
    write_panoptic(label_path(out, drive, drive.frame), found, KITTI360_SCAN)
    return drive


@pytest.mark.parametrize("points", [4000, 0])
def test_a_predicted_object_has_the_color_of_the_true_one(tmp_path, points):
    run = RunFolder(tmp_path)
    picture = draw_comparison(run, KITTI360_SCAN, make_drive(points, run.predictions), 0)
    top = next(y for y in range(400, picture.shape[0]) if (picture[y] == 255).all())
    objects = picture[top + 40 : top + 380]
    left, right = objects[:, :640], objects[:, -640:]
    assert np.array_equal(left, right)
    assert (len(np.unique(left.reshape(-1, 3), axis=0)) > 2) == bool(points)
