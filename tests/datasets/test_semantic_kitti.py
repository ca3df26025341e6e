"""SemanticKITTI: its classes, its reader, its files, and the export into its layout."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ps3d.datasets.kitti360 import Kitti360
from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.label_files import read_labels, write_panoptic
from ps3d.datasets.semantic_kitti import SEMANTIC_KITTI, TEST, TRAIN, VALIDATION, SemanticKitti
from ps3d.datasets.semantic_kitti_export import export_sequence
from ps3d.datasets.semantic_kitti_files import (
    read_kitti_calibration,
    read_kitti_poses,
    read_times,
    write_kitti_calibration,
    write_kitti_poses,
    write_times,
)
from ps3d.ops.geometry import invert, transform
from ps3d.ops.motion import corrected_xyz, world_xyz
from ps3d.structures import VOID, Sequence

LEARNING_MAP = {
    0: 0, 1: 0, 10: 1, 11: 2, 13: 5, 15: 3, 16: 5, 18: 4, 20: 5, 30: 6, 31: 7, 32: 8, 40: 9, 44: 10, 48: 11, 49: 12,
    50: 13, 51: 14, 52: 0, 60: 9, 70: 15, 71: 16, 72: 17, 80: 18, 81: 19, 99: 0, 252: 1, 253: 7, 254: 6, 255: 8,
    256: 5, 257: 5, 258: 4, 259: 5,
}  # fmt: skip


def test_the_taxonomy_is_the_benchmarks_learning_map():
    raw = np.array(list(LEARNING_MAP))
    expected = [VOID if i == 0 else i - 1 for i in LEARNING_MAP.values()]
    assert SEMANTIC_KITTI.encode(raw).tolist() == expected
    assert [c.name for c in SEMANTIC_KITTI.categories if c.is_thing] == list(SEMANTIC_KITTI.names[:8])
    inverse = [10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81]
    assert SEMANTIC_KITTI.decode(np.arange(19, dtype=np.uint8)).tolist() == inverse
    assert sorted((*TRAIN, *VALIDATION, *TEST)) == list(range(22))


def test_the_text_files_read_back(tmp_path):
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, :3, 3] = np.arange(9).reshape(3, 3)
    write_kitti_poses(tmp_path / "poses.txt", poses)
    np.testing.assert_allclose(read_kitti_poses(tmp_path / "poses.txt"), poses)
    write_kitti_calibration(tmp_path / "calib.txt", {"P0": poses[1], "Tr": poses[2]})
    np.testing.assert_allclose(read_kitti_calibration(tmp_path / "calib.txt")["Tr"], poses[2])
    write_times(tmp_path / "times.txt", np.array([0, 0.1037359]))
    np.testing.assert_allclose(read_times(tmp_path / "times.txt"), [0, 0.1037359])


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("poses.txt", "1 2 3\n", read_kitti_poses),
        ("poses.txt", "a b\n", read_kitti_poses),
        ("calib.txt", "P0: 1 2\n", read_kitti_calibration),
        ("calib.txt", "\n", read_kitti_calibration),
        ("times.txt", "soon\n", read_times),
    ],
)
def test_damaged_text_files_are_named(tmp_path, name, text, read):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=name):
        read(tmp_path / name)


def test_an_exported_drive_reads_back_as_semantic_kitti(tiny_root, tmp_path):
    drive = Kitti360(tiny_root, 3)
    assert export_sequence(tmp_path / "out", 5, drive, KITTI360_SCAN) == len(drive)
    exported = SemanticKitti(tmp_path / "out", 5)
    assert isinstance(exported, Sequence)
    assert exported.frames == list(range(8))
    assert (exported.path / "frames.txt").read_text().split() == [str(frame) for frame in drive.frames]
    before, after = drive[3], exported[3]
    np.testing.assert_array_equal(after.scan.xyz, corrected_xyz(before))
    np.testing.assert_array_equal(after.scan.intensity, before.scan.intensity)
    assert after.timestamp == pytest.approx(before.timestamp - drive[0].timestamp, abs=1e-6)
    assert after.current_from_previous is None
    first = invert(drive[0].world_from_lidar)
    np.testing.assert_allclose(world_xyz(after), transform(first, world_xyz(before)), atol=1e-4)
    names = [SEMANTIC_KITTI.names[c] if c != VOID else None for c in after.truth["lidar"].semantic[:6]]
    assert names == ["road", "car", "building", "building", None, "other-vehicle"]
    raw, number = read_labels(exported.path / "labels/000003.label")
    assert raw[:6].tolist() == [40, 10, 50, 50, 0, 20]
    assert number[:6].tolist() == [0, 26004, 0, 0, 0, 29004]


def test_objects_of_two_classes_with_one_number_stay_apart_and_are_written_as_they_were(tmp_path, tiny_root):
    export_sequence(tmp_path, 0, Kitti360(tiny_root, 3), KITTI360_SCAN)
    path = tmp_path / "sequences/00/labels/000000.label"
    packed = np.resize(np.array([(7 << 16) | 10, (7 << 16) | 30, (7 << 16) | 252, (7 << 16) | 40], "<u4"), 60)
    packed.tofile(path)
    label = SemanticKitti(tmp_path, 0)[0].truth["lidar"]
    car, person, moving_car, road = label.instance[:4]
    assert car == moving_car
    assert len({car, person, 0}) == 3
    assert road == 0
    write_panoptic(tmp_path / "again.label", label, SEMANTIC_KITTI)
    assert read_labels(tmp_path / "again.label")[1][:4].tolist() == [7, 7, 7, 0]


def test_frames_beyond_the_poses_have_none_and_a_copy_without_calibration_still_reads(tmp_path, tiny_root):
    export_sequence(tmp_path, 0, Kitti360(tiny_root, 3), KITTI360_SCAN)
    folder = tmp_path / "sequences/00"
    write_kitti_poses(folder / "poses.txt", np.tile(np.eye(4), (3, 1, 1)))
    assert [f.world_from_lidar is None for f in SemanticKitti(tmp_path, 0)] == [False] * 3 + [True] * 5
    (folder / "calib.txt").unlink()
    bare = SemanticKitti(folder.parent, "00")
    assert bare[0].world_from_lidar is None
    assert bare.calibration.cameras == {}


def test_what_is_missing_is_named(tmp_path, tiny_root):
    export_sequence(tmp_path, 4, Kitti360(tiny_root, 3), KITTI360_SCAN)
    with pytest.raises(FileNotFoundError, match=r"sequences holds 04"):
        SemanticKitti(tmp_path, 8)
    with pytest.raises(FileNotFoundError, match=r"image_2.*no pictures"):
        SemanticKitti(tmp_path, 4, cameras=["image_2"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        SemanticKitti(tmp_path, 4, labels=tmp_path / "nowhere")


def test_export_needs_poses_and_a_raw_id_for_each_class(tmp_path, tiny_root):
    (tiny_root / "data_poses/2013_05_28_drive_0003_sync/poses.txt").unlink()
    with pytest.raises(ValueError, match=r"frame 1 .*no pose"):
        export_sequence(tmp_path / "out", 0, Kitti360(tiny_root, 3), KITTI360_SCAN)
    with pytest.raises(KeyError, match="caravan/trailer"):
        export_sequence(tmp_path / "out", 0, [], KITTI360_SCAN, {"car": 10})


def test_real_scan_with_labels_has_its_14_objects(samples):
    frame = SemanticKitti(samples / "semantic_kitti", 8)[0]
    label = frame.truth["lidar"]
    assert len(frame.scan) == len(label) == 123389
    assert len(np.unique(label.instance)) - 1 == 14
    assert SEMANTIC_KITTI.is_thing[label.semantic[label.instance > 0]].all()


def test_real_scans_overlay_in_the_world(samples):
    """Above the ground, whose rings travel with the sensor."""
    sequence = SemanticKitti(samples / "semantic_kitti", 0)
    later = sequence[1].scan.xyz[:, 2] > -1
    tree = cKDTree(world_xyz(sequence[0]), balanced_tree=False, compact_nodes=False)
    with_pose, without = world_xyz(sequence[1])[later], sequence[1].scan.xyz[later].astype(np.float64)
    assert np.median(tree.query(with_pose[::10])[0]) < 0.1 < 0.15 < np.median(tree.query(without[::10])[0])
    assert sequence.calibration.cameras["image_2"].camera_from_lidar[0, 3] == pytest.approx(0.051, abs=0.01)
