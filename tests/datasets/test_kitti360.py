"""A drive of KITTI-360 as a sequence: truth, poses, motion, and what is missing."""

import json

import numpy as np
import pytest
from scipy.spatial import cKDTree
from tiny_drive import FRAMES, pose_of

from ps3d.datasets.kitti360 import Kitti360, encode_labels
from ps3d.datasets.kitti360_files import read_scan, write_poses, write_timestamps
from ps3d.datasets.kitti360_labels import KITTI360_OFFICIAL15, KITTI360_SCAN
from ps3d.datasets.label_files import write_labels
from ps3d.ops.geometry import correct_motion, invert, project, sweep_fraction_from_azimuth, transform
from ps3d.ops.motion import corrected_xyz, world_xyz
from ps3d.structures import VOID, Sequence


def test_a_drive_is_a_sequence_under_its_own_frame_numbers(tiny_root):
    drive = Kitti360(tiny_root, 3)
    assert isinstance(drive, Sequence)
    assert [frame.index for frame in drive] == list(FRAMES)
    assert drive[1].timestamp - drive[0].timestamp == pytest.approx(0.1, abs=1e-6)
    assert drive.name == "2013_05_28_drive_0003_sync"
    assert [f.index for f in Kitti360(tiny_root, drive.name, frames=[2, 5, 99])] == [2, 5]


def test_the_lidar_stands_where_pose_and_calibration_put_it(tiny_root):
    drive = Kitti360(tiny_root, 3)
    expected = pose_of(1) @ drive.calibration.vehicle_from_lidar
    np.testing.assert_allclose(drive[0].world_from_lidar, expected, atol=1e-6)
    height_above_imu = -drive.calibration.vehicle_from_lidar[2, 3]
    assert 0.8 < height_above_imu < 0.9


def test_every_object_has_a_number_of_its_own_and_stuff_has_none(tiny_root):
    label = Kitti360(tiny_root, 3)[0].truth["lidar"]
    names = [None if c == VOID else KITTI360_SCAN.names[c] for c in label.semantic[:6]]
    assert names == ["road", "car", "building", "building", None, "caravan/trailer"]
    assert label.instance[:6].tolist() == [0, 26004, 0, 0, 0, 29004]
    official = Kitti360(tiny_root, 3, KITTI360_OFFICIAL15)[0].truth["lidar"]
    assert official.instance[:6].tolist() == [0, 26004, 11002, 34002, 0, 0]


def test_a_complete_object_number_is_taken_as_it_is():
    raw = np.array([26, 26, 7], np.int32)
    assert encode_labels(raw, np.array([26004, 4, 7004]), KITTI360_SCAN, "").instance.tolist() == [26004, 26004, 0]


def test_pictures_come_with_their_labels_where_they_exist(tiny_root):
    drive = Kitti360(tiny_root, 3, cameras=["image_00"])
    assert [list(frame.images) for frame in drive][:3] == [[], ["image_00"], []]
    truth = drive[1].truth["image_00"]
    assert truth.shape == (376, 1408)
    assert np.unique(truth.instance).tolist() == [0, 26004]
    assert truth.semantic[0, 0] == VOID


def test_labels_from_another_folder_replace_the_exact_ones(tiny_root, tmp_path):
    name = "2013_05_28_drive_0003_sync"
    write_labels(tmp_path / "recovered" / name / "labels/0000000002.label", np.full(60, 8), np.zeros(60, int))
    drive = Kitti360(tiny_root, 3, labels=tmp_path / "recovered")
    assert drive[0].truth == {}
    assert (drive[1].truth["lidar"].semantic == KITTI360_SCAN.index("sidewalk")).all()
    with pytest.raises(FileNotFoundError, match="labels"):
        Kitti360(tiny_root, 3, labels=tmp_path / "nowhere")


def test_points_that_are_not_finite_become_void_and_labels_still_fit(tiny_root):
    path = Kitti360(tiny_root, 3).layout.scan("2013_05_28_drive_0003_sync", 1)
    points = np.fromfile(path, "<f4").reshape(-1, 4)
    points[1] = np.nan
    points.tofile(path)
    with pytest.warns(UserWarning, match="1 points are not finite"):
        frame = Kitti360(tiny_root, 3)[0]
    assert frame.truth["lidar"].semantic[:3].tolist() == [0, VOID, KITTI360_SCAN.index("building")]
    assert frame.truth["lidar"].instance[1] == 0


def lose_poses(root, *lost):
    write_poses(
        root / "data_poses/2013_05_28_drive_0003_sync/poses.txt", {f: pose_of(f) for f in FRAMES if f not in lost}
    )
    return Kitti360(root, 3)


def test_a_missing_pose_is_interpolated_and_marked(tiny_root):
    drive = lose_poses(tiny_root, 4)
    assert [frame.is_pose_interpolated for frame in drive] == [f == 4 for f in FRAMES]
    expected = pose_of(4) @ drive.calibration.vehicle_from_lidar
    np.testing.assert_allclose(drive[3].world_from_lidar, expected, atol=0.02)


def test_a_long_gap_and_the_ends_stay_without_pose(tiny_root):
    drive = lose_poses(tiny_root, 1, 3, 4, 5)
    assert [frame.world_from_lidar is None for frame in drive] == [f in (1, 3, 4, 5) for f in FRAMES]
    with pytest.raises(ValueError, match=r"frame 1 .*0000000001\.bin.*no pose"):
        world_xyz(drive[0])
    wide = Kitti360(tiny_root, 3, longest_gap=(1.0, 10.0))
    assert [frame.world_from_lidar is None for frame in wide] == [f == 1 for f in FRAMES]


def test_a_gap_of_more_than_half_a_second_is_refused_even_when_standing(tiny_root):
    path = tiny_root / "data_3d_raw/2013_05_28_drive_0003_sync/velodyne_points/timestamps.txt"
    write_timestamps(path, np.arange(9, dtype=np.int64) * 400_000_000)
    assert lose_poses(tiny_root, 4)[3].world_from_lidar is None


def test_motion_is_the_devkits(tiny_root):
    drive = Kitti360(tiny_root, 3)
    vehicle_from_lidar = drive.calibration.vehicle_from_lidar
    for position, (now, before) in {0: (2, 1), 4: (5, 4)}.items():
        motion = invert(pose_of(now)) @ pose_of(before)
        expected = invert(vehicle_from_lidar) @ motion @ vehicle_from_lidar
        np.testing.assert_allclose(drive[position].current_from_previous, expected, atol=1e-6)
    frame = drive[4]
    np.testing.assert_allclose(
        corrected_xyz(frame),
        correct_motion(frame.scan.xyz, sweep_fraction_from_azimuth(frame.scan.xyz), frame.current_from_previous),
        atol=1e-5,
    )


def test_without_a_pose_before_there_is_no_motion(tiny_root):
    drive = lose_poses(tiny_root, 1, 3, 4, 5)
    np.testing.assert_array_equal(drive[5].current_from_previous, np.eye(4))
    assert lose_poses(tiny_root, 4)[4].current_from_previous[0, 3] < -0.5


def test_a_copy_without_poses_still_gives_scans(tiny_root):
    (tiny_root / "data_poses/2013_05_28_drive_0003_sync/poses.txt").unlink()
    frame = Kitti360(tiny_root, 3)[0]
    assert frame.world_from_lidar is None
    assert frame.current_from_previous is None


def test_a_wrong_root_or_drive_names_what_is_there(tiny_root, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds 2013_05_28_drive_0003_sync"):
        Kitti360(tiny_root, 4)
    with pytest.raises(FileNotFoundError, match=r"no drive at all.*simulate\.py"):
        Kitti360(tmp_path / "elsewhere", 4)
    with pytest.raises(FileNotFoundError, match=r"image_01.*no pictures"):
        Kitti360(tiny_root, 3, cameras=["image_01"])
    with pytest.raises(ValueError, match="image_00, image_01"):
        Kitti360(tiny_root, 3, cameras=["front"])


def test_damaged_files_are_named_when_a_frame_is_read(tiny_root):
    drive = Kitti360(tiny_root, 3)
    label = drive.layout.truth(drive.name) / "0000000001.label"
    label.write_bytes(label.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"0000000001\.label: 58 labels for a scan of 60"):
        drive[0]
    scan = drive.layout.scan(drive.name, 2)
    scan.write_bytes(scan.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"0000000002\.bin.*cut off"):
        drive[1]


def test_short_time_stamps_are_named_with_the_line(tiny_root):
    path = tiny_root / "data_3d_raw/2013_05_28_drive_0003_sync/velodyne_points/timestamps.txt"
    write_timestamps(path, np.arange(5, dtype=np.int64))
    with pytest.raises(ValueError, match=r"timestamps\.txt: 5 lines, but frame 8 needs line 9"):
        Kitti360(tiny_root, 3)[7]


def test_windows_and_boxes_of_a_drive(tiny_root):
    drive = Kitti360(tiny_root, 3)
    assert [(w.start, w.end) for w in drive.windows()] == [(1, 8)]
    assert [box.global_instance for box in drive.boxes()] == [26004]
    drive.layout.boxes(drive.name).unlink()
    with pytest.raises(FileNotFoundError, match="3D Bounding Boxes"):
        drive.boxes()


def test_real_samples_load(samples):
    drive = Kitti360(samples / "kitti360", 8, cameras=["image_00"])
    assert drive.frames == list(range(3000, 3010))
    for frame in drive:
        assert 100_000 < len(frame.scan) < 130_000
        assert frame.world_from_lidar is not None
        assert not frame.is_pose_interpolated
    assert [f.index for f in drive if f.images] == [3000, 3002, 3004, 3006, 3008]
    other = Kitti360(samples / "kitti360", 0, cameras=["image_00"])
    assert len(other) == 8
    assert other[7].timestamp - other[0].timestamp == pytest.approx((1280 - 250) * 0.1045, rel=0.01)


def test_real_calibration_equals_the_built_in_one(samples):
    from ps3d.datasets.kitti360_calibration import KITTI360_CALIBRATION, read_calibration

    real = read_calibration(samples / "kitti360/calibration")
    for name, matrix in KITTI360_CALIBRATION.vehicle_from_camera.items():
        np.testing.assert_array_equal(real.vehicle_from_camera[name], matrix)
    np.testing.assert_array_equal(real.projection["image_01"], KITTI360_CALIBRATION.projection["image_01"])
    np.testing.assert_array_equal(real.lidar_from_sick, KITTI360_CALIBRATION.lidar_from_sick)
    assert real.fisheye["image_02"].gamma1 == KITTI360_CALIBRATION.fisheye["image_02"].gamma1


def test_poses_times_calibration_are_the_real_cam0_to_world(samples):
    from ps3d.datasets.kitti360_files import read_poses

    drive = Kitti360(samples / "kitti360", 8)
    official = read_poses(drive.layout.cam0_to_world(drive.name))
    offset = drive.raw_calibration.vehicle_from_rectified("image_00")
    for frame in drive.frames:
        ours = drive.trajectory.measured[frame] @ offset
        np.testing.assert_allclose(ours[:3, :3], official[frame][:3, :3], atol=2e-5)
        np.testing.assert_allclose(ours[:3, 3], official[frame][:3, 3], atol=2e-3)


def test_consecutive_real_scans_overlay_in_the_world(samples):
    drive = Kitti360(samples / "kitti360", 8)

    def distance(first, second, points_of):
        here, there = (transform(f.world_from_lidar, points_of(f).astype(np.float64)) for f in (first, second))
        return np.median(cKDTree(here, balanced_tree=False, compact_nodes=False).query(there[::10])[0])

    corrected = distance(drive[0], drive[1], corrected_xyz)
    assert 0.03 < corrected < 0.06
    far = [distance(drive[0], drive[5], points_of) for points_of in (corrected_xyz, lambda f: f.scan.xyz)]
    assert far[0] < far[1]


def test_real_points_in_a_real_car_box_project_into_its_outline(samples):
    """Boxes come as 8 corners in rectified camera 0, in the order of `UNIT_VERTICES`."""
    drive = Kitti360(samples / "kitti360", 0, cameras=["image_00"], frames=[1134])
    camera = drive.calibration.cameras["image_00"]
    points = corrected_xyz(drive[0]).astype(np.float64)
    in_camera = transform(camera.camera_from_lidar, points)
    pixel, _, is_seen = project(points, camera.camera_from_lidar, camera.intrinsics, camera.size)
    points_in_box = []
    for box in json.loads((samples / "kitti360/car_boxes_cam0/BBoxes_1134.json").read_text()):
        corners = np.array(box["corners_cam0"])
        if corners[:, 2].min() < 1:
            continue
        edges = corners[[5, 2, 1]] - corners[0]
        share = (in_camera - corners[0]) @ edges.T / (edges**2).sum(1)
        inside = ((share > 0) & (share < 1)).all(1) & is_seen
        outline = corners @ camera.intrinsics.T
        outline = outline[:, :2] / outline[:, 2:]
        assert (pixel[inside] > outline.min(0) - 1).all()
        assert (pixel[inside] < outline.max(0) + 1).all()
        points_in_box.append(inside.sum())
    assert max(points_in_box) > 1000


def test_reading_a_scan_keeps_the_file_exactly(samples):
    path = next((samples / "kitti360").glob("data_3d_raw/*0008*/velodyne_points/data/*.bin"))
    scan = read_scan(path)
    raw = np.fromfile(path, "<f4").reshape(-1, 4)
    np.testing.assert_array_equal(scan.xyz, raw[:, :3])
    np.testing.assert_array_equal(scan.intensity, raw[:, 3])
    assert -0.05 <= scan.time.min() < scan.time.max() <= 0.05
