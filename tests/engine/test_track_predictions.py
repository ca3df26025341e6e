"""`tools/predict.py --track`: predictions of single scans get numbers that last through the sequence."""

import numpy as np

from ps3d.datasets.kitti360_files import write_scan
from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.label_files import read_labels, write_panoptic
from ps3d.datasets.scans import ScanFolder
from ps3d.engine.predict import label_path, track_sequences
from ps3d.structures import Panoptic

CAR = KITTI360_SCAN.index("car")


def test_shuffled_numbers_become_tracks_and_finished_sequences_are_kept(tmp_path):
    rng = np.random.default_rng(0)
    cars = [rng.uniform(-1, 1, (300, 3)) * [2, 0.9, 0.7] + [10, side, -1] for side in (-5, 5)]
    numbers = [(7, 3), (2, 9), (1, 4)]
    for place in range(len(numbers)):
        xyz = (np.concatenate(cars) + np.array([0.3 * place, 0, 0])).astype(np.float32)
        write_scan(tmp_path / "scans" / f"{place:06d}.bin", xyz, np.full(600, 0.2, np.float32))
    drive = ScanFolder(tmp_path / "scans")
    for frame, pair in zip(drive, numbers, strict=True):
        label = Panoptic(np.full(600, CAR, np.uint8), np.repeat(np.array(pair, np.int32), 300))
        write_panoptic(label_path(tmp_path / "out", drive, frame), label, KITTI360_SCAN)
    folder = track_sequences([drive], tmp_path / "out", KITTI360_SCAN, is_shown=False)
    tracked = [read_labels(label_path(folder, drive, frame))[1] for frame in drive]
    for instance in tracked:
        np.testing.assert_array_equal(instance, tracked[0])
    assert len(np.unique(tracked[0])) == 2
    before = label_path(folder, drive, drive[0]).stat().st_mtime_ns
    track_sequences([drive], tmp_path / "out", KITTI360_SCAN, is_shown=False)
    assert label_path(folder, drive, drive[0]).stat().st_mtime_ns == before
