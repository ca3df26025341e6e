"""The doctor's look at data names every damaged file, and says which commands can run."""

import numpy as np
import pytest

from ps3d.datasets.findings import DAMAGED, MISSING, NOTE, ranges
from ps3d.datasets.inspection import inspect_data
from ps3d.datasets.kitti360 import Kitti360
from ps3d.datasets.kitti360_boxes import write_boxes
from ps3d.datasets.kitti360_files import read_poses, write_list, write_poses
from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.kitti360_windows import STATIC_POINT, write_window
from ps3d.datasets.semantic_kitti_export import export_sequence

DRIVE = "2013_05_28_drive_0003_sync"
SCAN = f"data_3d_raw/{DRIVE}/velodyne_points/data/0000000005.bin"
TIMES = f"data_3d_raw/{DRIVE}/velodyne_points/timestamps.txt"
LABEL = f"ps3d_truth/{DRIVE}/velodyne_points/labels/0000000005.label"
WINDOW = f"data_3d_semantics/train/{DRIVE}/static/0000000001_0000000008.ply"
BOXES = f"data_3d_bboxes/train/{DRIVE}.xml"
POSES = f"data_poses/{DRIVE}/poses.txt"
CAMERA = f"data_poses/{DRIVE}/cam0_to_world.txt"
PICTURE = f"data_2d_raw/{DRIVE}/image_00/data_rect/0000000002.png"
MAP = f"data_2d_semantics/train/{DRIVE}/image_00/instance/0000000002.png"


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def by_severity(inventory, severity):
    return {str(finding.path): finding.message for finding in inventory.findings if finding.severity == severity}


def can_run(inventory):
    return {ability.command: ability.can_run for ability in inventory.abilities}


def test_a_whole_copy_has_nothing_to_complain_about(tiny_root):
    inventory = inspect_data(tiny_root, deep=True)
    assert inventory.kind == "KITTI-360"
    assert not inventory.is_damaged
    assert by_severity(inventory, MISSING) == {}
    assert all(can_run(inventory).values())
    holdings = dict(inventory.holdings)
    assert holdings[f"{DRIVE}  scans"] == "8: 1-8"
    assert holdings[f"{DRIVE}  boxes"] == "1: 1 objects, 0 of them move"


@pytest.mark.parametrize("name", [SCAN, TIMES, LABEL, WINDOW, BOXES, PICTURE, MAP])
def test_a_cut_off_file_is_damage_under_its_name(tiny_root, name):
    cut(tiny_root / name)
    if name == TIMES:
        (tiny_root / TIMES).write_text("2013-05-28 08:46:02.904483072\n")
    damaged = by_severity(inspect_data(tiny_root), DAMAGED)
    assert list(damaged) == [str(tiny_root / name)]


def test_damaged_calibration_and_poses_are_named(tiny_root):
    (tiny_root / "calibration/perspective.txt").write_text("P_rect_00: 1 2\n")
    (tiny_root / POSES).write_text("1 2 3\n")
    damaged = by_severity(inspect_data(tiny_root), DAMAGED)
    assert str(tiny_root / POSES) in damaged
    assert "perspective.txt" in damaged[str(tiny_root / "calibration")]


def test_cam0_to_world_of_another_calibration_is_damage(tiny_root):
    drive = Kitti360(tiny_root, 3)
    poses = read_poses(tiny_root / POSES)
    offset = drive.raw_calibration.vehicle_from_rectified("image_00")
    write_poses(tiny_root / CAMERA, {frame: pose @ offset for frame, pose in poses.items()})
    assert not inspect_data(tiny_root).is_damaged
    write_poses(tiny_root / CAMERA, poses)
    assert "frame 1 disagrees" in by_severity(inspect_data(tiny_root), DAMAGED)[str(tiny_root / CAMERA)]


def test_an_empty_window_and_an_xml_without_boxes_are_damage(tiny_root):
    write_window(tiny_root / WINDOW, np.zeros(0, STATIC_POINT))
    write_boxes(tiny_root / BOXES, [])
    damaged = by_severity(inspect_data(tiny_root), DAMAGED)
    assert "without any point" in damaged[str(tiny_root / WINDOW)]
    assert "no box" in damaged[str(tiny_root / BOXES)]


def test_points_that_are_not_finite_or_no_meters_are_found_by_reading_all(tiny_root):
    points = np.fromfile(tiny_root / SCAN, "<f4").reshape(-1, 4)
    points[0] = np.nan
    points.tofile(tiny_root / SCAN)
    other = (tiny_root / SCAN).with_name("0000000006.bin")
    (points * 1000).tofile(other)
    assert not inspect_data(tiny_root).is_damaged
    inventory = inspect_data(tiny_root, deep=True)
    assert "1 points are not finite" in by_severity(inventory, NOTE)[str(tiny_root / SCAN)]
    assert "meters" in by_severity(inventory, DAMAGED)[str(other)]


def test_what_is_missing_stops_only_the_commands_that_need_it(tiny_root):
    for name in (POSES, BOXES, WINDOW, MAP):
        (tiny_root / name).unlink()
    for path in (tiny_root / LABEL).parent.iterdir():
        path.unlink()
    inventory = inspect_data(tiny_root)
    assert not inventory.is_damaged
    assert str(tiny_root / POSES) in by_severity(inventory, MISSING)
    assert can_run(inventory) == {
        "tools/visualize.py": True,
        "tools/predict.py": True,
        "tools/predict.py, with tracking": False,
        "tools/recover_labels.py": False,
        "tools/train_lidar.py": False,
        "tools/evaluate.py": False,
        "tools/train_image.py": False,
    }


def test_scans_without_poses_files_of_lists_and_rests_of_writers_are_named(tiny_root):
    write_poses(tiny_root / POSES, {f: p for f, p in read_poses(tiny_root / POSES).items() if f not in (3, 4, 5)})
    write_list(tiny_root / "data_3d_semantics/train/2013_05_28_drive_val.txt", [("data_3d_semantics/gone.ply",)])
    (tiny_root / "calibration/.perspective.7.partial.txt").write_text("half")
    inventory = inspect_data(tiny_root)
    assert "3-5" in by_severity(inventory, NOTE)[str(tiny_root / POSES)]
    assert "drive_val" in by_severity(inventory, MISSING)[str(tiny_root / "data_3d_semantics/gone.ply")]
    assert any("partial" in path for path in by_severity(inventory, NOTE))


def test_a_semantic_kitti_copy(tiny_root, tmp_path):
    export_sequence(tmp_path / "out", 0, Kitti360(tiny_root, 3), KITTI360_SCAN)
    folder = tmp_path / "out/sequences/00"
    inventory = inspect_data(tmp_path / "out", deep=True)
    assert inventory.kind == "SemanticKITTI"
    assert inventory.findings == []
    assert all(can_run(inventory).values())
    cut(folder / "velodyne/000001.bin")
    (folder / "labels/000002.label").write_bytes(b"1234")
    (folder / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    (folder / "times.txt").unlink()
    inventory = inspect_data(tmp_path / "out")
    damaged = by_severity(inventory, DAMAGED)
    assert set(damaged) == {str(folder / name) for name in ("velodyne/000001.bin", "labels/000002.label", "poses.txt")}
    assert list(by_severity(inventory, MISSING)) == [str(folder / "times.txt")]


def test_a_folder_of_scans(tiny_root):
    folder = (tiny_root / SCAN).parent
    cut(tiny_root / SCAN)
    inventory = inspect_data(folder)
    assert inventory.kind == "scans"
    assert list(by_severity(inventory, DAMAGED)) == [str(tiny_root / SCAN)]
    assert can_run(inventory)["tools/predict.py"]
    assert not can_run(inventory)["tools/predict.py, with tracking"]


def test_ranges_of_numbers():
    assert ranges([5, 1, 2, 3, 9]) == "1-3, 5, 9"
    assert ranges(range(0, 40, 2)).endswith("(20 runs)")
    assert ranges([]) == ""


def test_real_samples_are_whole(samples):
    inventory = inspect_data(samples / "kitti360")
    assert not inventory.is_damaged
    assert can_run(inventory)["tools/predict.py, with tracking"]
    assert not inspect_data(samples / "semantic_kitti", deep=True).is_damaged
    assert not inspect_data(samples / "nuscenes").is_damaged
