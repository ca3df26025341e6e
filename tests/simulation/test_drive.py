"""A small drive, written and read back."""

from pathlib import Path

import numpy as np
import pytest

from ps3d.datasets.kitti360_files import read_scan, read_timestamps
from ps3d.datasets.label_files import read_labels
from ps3d.simulation import simulate_drive

pytest.importorskip("open3d", reason="the simulator casts rays with Open3D: pip install open3d-cpu")


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("drive")
    simulate_drive(root, 0, 3, 7, spacing=17.0)
    return root


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(drive, tmp_path):
    simulate_drive(tmp_path, 0, 3, 7, spacing=17.0, workers=2)
    assert files_of(tmp_path) == files_of(drive)


def test_a_second_call_makes_nothing_anew(drive):
    before = files_of(drive)
    summary = simulate_drive(drive, 0, 3, 7, spacing=17.0)
    assert (summary.written, summary.skipped) == (0, 3)
    assert files_of(drive) == before


def test_other_settings_in_the_same_folder_are_refused(drive):
    with pytest.raises(ValueError, match="other settings"):
        simulate_drive(drive, 0, 3, 8, spacing=17.0)


def test_every_point_has_a_label_and_scans_have_the_size_of_real_ones(drive):
    raw = drive / "data_3d_raw/2013_05_28_drive_0000_sync/velodyne_points"
    for path in (raw / "data").glob("*.bin"):
        scan = read_scan(path)
        truth = drive / "ps3d_truth" / raw.parent.name / "velodyne_points/labels" / f"{path.stem}.label"
        semantic, instance = read_labels(truth, len(scan))
        assert 95_000 < len(scan) < 130_000
        assert semantic.min() > 0
        assert instance.max() < 1000
        assert np.linalg.norm(scan.xyz, axis=1).max() <= 80.0
    assert len(read_timestamps(raw / "timestamps.txt")) == 1 + max(int(p.stem) for p in (raw / "data").glob("*.bin"))
