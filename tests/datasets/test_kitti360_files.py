"""Each format of KITTI-360 reads back as it was written, and damage is named with its file."""

import numpy as np
import pytest

from ps3d.datasets.kitti360_boxes import STATIC, UNIT_FACES, UNIT_VERTICES, Box, read_boxes, write_boxes
from ps3d.datasets.kitti360_calibration import KITTI360_CALIBRATION, read_calibration, write_calibration
from ps3d.datasets.kitti360_files import (
    read_confidence,
    read_list,
    read_png,
    read_poses,
    read_scan,
    read_sick,
    read_timestamps,
    write_cam0_to_world,
    write_confidence,
    write_list,
    write_png,
    write_poses,
    write_scan,
    write_timestamps,
)
from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name, drive_number
from ps3d.datasets.kitti360_windows import (
    DYNAMIC_POINT,
    STATIC_POINT,
    UNLABELED_POINT,
    read_window,
    write_window,
)
from ps3d.structures import SWEEP_SECONDS


def test_drive_names():
    assert drive_name(8) == "2013_05_28_drive_0008_sync"
    assert drive_number("2013_05_28_drive_0018_sync") == 18
    with pytest.raises(ValueError, match="drive_0008_sync"):
        drive_number("sequence_08")


def test_a_scan_comes_back_with_times_from_its_azimuth(tmp_path):
    xyz = np.array([[10, 0, 0], [0, 10, 0], [0, -10, 0]], np.float32)
    write_scan(tmp_path / "a.bin", xyz, np.array([0.1, 0.2, 1.0], np.float32))
    scan = read_scan(tmp_path / "a.bin")
    np.testing.assert_array_equal(scan.xyz, xyz)
    np.testing.assert_allclose(scan.intensity, [0.1, 0.2, 1.0], rtol=1e-6)
    np.testing.assert_allclose(scan.time, [0, -SWEEP_SECONDS / 4, SWEEP_SECONDS / 4], atol=1e-8)
    assert (read_scan(tmp_path / "a.bin", has_sweep=False).time == 0).all()


def test_a_cut_off_or_empty_scan_is_named(tmp_path):
    for size in (0, 17):
        (tmp_path / "a.bin").write_bytes(b"x" * size)
        with pytest.raises(ValueError, match=r"a\.bin.*cut off"):
            read_scan(tmp_path / "a.bin")


def test_points_that_are_not_finite_keep_their_place_at_the_origin(tmp_path):
    xyz = np.ones((4, 3), np.float32)
    xyz[1, 2], xyz[2, 0] = np.nan, np.inf
    write_scan(tmp_path / "a.bin", xyz, np.full(4, 0.5, np.float32))
    with pytest.warns(UserWarning, match=r"a\.bin: 2 points are not finite"):
        scan = read_scan(tmp_path / "a.bin")
    assert scan.xyz.tolist() == [[1, 1, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1]]
    assert scan.intensity.tolist() == [0.5, 0, 0, 0.5]


def test_sick_scans_are_planar(tmp_path):
    np.array([[1, 2], [3, 4]], "<f4").tofile(tmp_path / "a.bin")
    assert read_sick(tmp_path / "a.bin").tolist() == [[0, -1, 2], [0, -3, 4]]


def test_poses_are_sparse_sorted_and_keep_a_tenth_of_a_millimeter(tmp_path):
    far = np.eye(4)
    far[:3, 3] = [-1666.606118, 4974.702919, 117.5588638]
    write_poses(tmp_path / "poses.txt", {9: np.eye(4), 4: far})
    poses = read_poses(tmp_path / "poses.txt")
    assert list(poses) == [4, 9]
    np.testing.assert_allclose(poses[4], far, atol=1e-4)
    write_cam0_to_world(tmp_path / "cam0_to_world.txt", poses)
    np.testing.assert_allclose(read_poses(tmp_path / "cam0_to_world.txt")[4], far, atol=1e-4)


def test_frame_numbers_written_as_floats_are_read(tmp_path):
    (tmp_path / "poses.txt").write_text("12.000000 1 0 0 5 0 1 0 6 0 0 1 7\n")
    assert list(read_poses(tmp_path / "poses.txt")) == [12]


@pytest.mark.parametrize(
    ("text", "message"), [("1 2 3\n", "3 numbers per line"), ("1 x\n", "no table"), ("1" + " nan" * 12, "line 1")]
)
def test_damaged_poses_are_named(tmp_path, text, message):
    (tmp_path / "poses.txt").write_text(text)
    with pytest.raises(ValueError, match=rf"poses\.txt.*{message}"):
        read_poses(tmp_path / "poses.txt")


def test_time_stamps_keep_their_nanoseconds(tmp_path):
    times = np.array([1369730762904483072, 1369730763008893952], np.int64)
    write_timestamps(tmp_path / "t.txt", times)
    assert (tmp_path / "t.txt").read_text().splitlines()[0] == "2013-05-28 08:46:02.904483072"
    np.testing.assert_array_equal(read_timestamps(tmp_path / "t.txt"), times)


def test_a_damaged_time_stamp_is_named_with_its_line(tmp_path):
    (tmp_path / "t.txt").write_text("2013-05-28 08:46:02.904483072\nyesterday\n")
    with pytest.raises(ValueError, match=r"t\.txt: line 2.*yesterday"):
        read_timestamps(tmp_path / "t.txt")


@pytest.mark.parametrize("dtype", [STATIC_POINT, DYNAMIC_POINT, UNLABELED_POINT])
@pytest.mark.parametrize("points", [0, 100])
def test_windows_read_back_bit_by_bit(tmp_path, dtype, points):
    written = np.frombuffer(np.random.default_rng(0).bytes(points * dtype.itemsize), dtype)
    write_window(tmp_path / "w.ply", written)
    assert read_window(tmp_path / "w.ply").tobytes() == written.tobytes()
    size = (tmp_path / "w.ply").stat().st_size
    assert size == len((tmp_path / "w.ply").read_bytes().split(b"end_header\n")[0]) + 11 + points * dtype.itemsize


def test_record_sizes_of_windows():
    assert [dtype.itemsize for dtype in (STATIC_POINT, DYNAMIC_POINT, UNLABELED_POINT)] == [28, 32, 16]


def test_other_field_names_of_windows_are_translated(tmp_path):
    write_window(tmp_path / "w.ply", np.zeros(3, STATIC_POINT))
    text = (tmp_path / "w.ply").read_bytes().replace(b" semantic\n", b" semanticID\n").replace(b"visible", b"isVisible")
    (tmp_path / "w.ply").write_bytes(text)
    assert read_window(tmp_path / "w.ply").dtype == STATIC_POINT


def test_a_cut_off_window_is_named_with_its_counts(tmp_path):
    write_window(tmp_path / "w.ply", np.zeros(10, STATIC_POINT))
    (tmp_path / "w.ply").write_bytes((tmp_path / "w.ply").read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"w\.ply: cut off, 8 of 10"):
        read_window(tmp_path / "w.ply")


def test_a_file_that_is_no_window_is_named(tmp_path):
    (tmp_path / "w.ply").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"w\.ply: no PLY file"):
        read_window(tmp_path / "w.ply")
    with pytest.raises(ValueError, match="STATIC_POINT"):
        write_window(tmp_path / "w.ply", np.zeros(3, [("x", "f4")]))


def car_box(**changes) -> Box:
    world_from_box = np.array([[0, -2, 0, 100], [4, 0, 0, -50], [0, 0, 1.5, 7], [0, 0, 0, 1]], np.float64)
    return Box(**{"semantic": 26, "instance": 3, "world_from_box": world_from_box, "index": 5, **changes})


def test_boxes_read_back(tmp_path):
    written = [car_box(start_frame=2, end_frame=385), car_box(timestamp=17, instance=4, is_dynamic=True)]
    write_boxes(tmp_path / "b.xml", written)
    static, moving = read_boxes(tmp_path / "b.xml")
    assert (static.semantic, static.instance, static.timestamp, static.is_dynamic) == (26, 3, STATIC, False)
    assert (static.start_frame, static.end_frame, static.index, static.global_instance) == (2, 385, 5, 26003)
    assert (moving.timestamp, moving.is_dynamic) == (17, True)
    np.testing.assert_allclose(static.world_from_box, written[0].world_from_box)
    np.testing.assert_allclose(static.vertices, UNIT_VERTICES)
    np.testing.assert_array_equal(static.faces, UNIT_FACES)


def test_the_xml_holds_the_kitti_id_not_the_label_id(tmp_path):
    write_boxes(tmp_path / "b.xml", [car_box()])
    assert "<semanticId>13</semanticId>" in (tmp_path / "b.xml").read_text()


def test_center_size_and_heading_of_a_box():
    box = car_box()
    np.testing.assert_allclose(box.center, [100, -50, 7])
    np.testing.assert_allclose(box.size, [4, 2, 1.5])
    assert box.heading == pytest.approx(np.pi / 2)
    points = np.array([[100.9, -48.1, 7.7], [101.1, -48.1, 7.7], [100.9, -47.9, 7.7]])
    assert box.contains(points).tolist() == [True, False, False]
    assert box.contains(points, margin=0.15).tolist() == [True, True, True]


def test_faces_look_outward():
    corners = UNIT_VERTICES[UNIT_FACES]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("ij,ij->i", normal, corners.mean(1)) > 0).all()
    assert len({tuple(sorted(face)) for face in UNIT_FACES.tolist()}) == 12


def test_boxes_without_transform_are_skipped_and_names_stand_in_for_ids(tmp_path):
    write_boxes(tmp_path / "b.xml", [car_box(), car_box(label="driveway", instance=0)])
    text = (tmp_path / "b.xml").read_text().replace("<semanticId>13</semanticId>", "")
    (tmp_path / "b.xml").write_text(text.replace("</opencv", "<object9><index>1</index></object9></opencv"))
    assert [box.semantic for box in read_boxes(tmp_path / "b.xml")] == [26, 9]


def test_an_xml_without_boxes_is_an_empty_list(tmp_path):
    write_boxes(tmp_path / "b.xml", [])
    assert read_boxes(tmp_path / "b.xml") == []


@pytest.mark.parametrize(
    "text",
    [
        "<opencv_storage><object1>",
        "<html></html>",
        '<!DOCTYPE a [<!ENTITY b "c">]><opencv_storage>&b;</opencv_storage>',
        "<opencv_storage><object1><transform><rows>4</rows><cols>4</cols><data>1 2</data></transform></object1>"
        "</opencv_storage>",
    ],
    ids=["cut off", "another root", "entities", "a short matrix"],
)
def test_damaged_or_hostile_xml_is_named(tmp_path, text):
    (tmp_path / "b.xml").write_text(text)
    with pytest.raises(ValueError, match=r"b\.xml"):
        read_boxes(tmp_path / "b.xml")


def test_the_calibration_reads_back(tmp_path):
    write_calibration(tmp_path)
    read = read_calibration(tmp_path)
    for name, matrix in KITTI360_CALIBRATION.vehicle_from_camera.items():
        np.testing.assert_allclose(read.vehicle_from_camera[name], matrix, rtol=1e-11)
    np.testing.assert_allclose(read.lidar_from_sick, KITTI360_CALIBRATION.lidar_from_sick, rtol=1e-11)
    np.testing.assert_allclose(read.projection["image_01"], KITTI360_CALIBRATION.projection["image_01"])
    assert read.size == {"image_00": (376, 1408), "image_01": (376, 1408)}
    assert read.fisheye["image_03"].xi == KITTI360_CALIBRATION.fisheye["image_03"].xi
    assert "  " not in (tmp_path / "perspective.txt").read_text()


def test_the_two_rectified_cameras_are_a_stereo_pair():
    calibration = KITTI360_CALIBRATION
    left, right = (calibration.vehicle_from_rectified(name) for name in ("image_00", "image_01"))
    left_from_right = np.linalg.inv(left) @ right
    baseline = -calibration.projection["image_01"][0, 3] / calibration.projection["image_01"][0, 0]
    np.testing.assert_allclose(left_from_right[:3, :3], np.eye(3), atol=1e-4)
    np.testing.assert_allclose(left_from_right[:3, 3], [baseline, 0, 0], atol=2e-4)


@pytest.mark.parametrize("name", ["calib_cam_to_pose.txt", "calib_cam_to_velo.txt", "perspective.txt"])
def test_a_missing_or_damaged_calibration_file_is_named(tmp_path, name):
    write_calibration(tmp_path)
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text[: len(text) * 2 // 5])
    with pytest.raises(ValueError, match=name):
        read_calibration(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}.*download"):
        read_calibration(tmp_path)


def test_a_fisheye_file_may_lack_blanks_and_a_broken_one_is_named(tmp_path):
    write_calibration(tmp_path)
    path = tmp_path / "image_02.yaml"
    path.write_text(path.read_text().replace(": ", ":"))
    assert read_calibration(tmp_path).fisheye["image_02"].size == (1400, 1400)
    path.write_text(path.read_text().replace("xi:", "eta:"))
    with pytest.raises(ValueError, match=r"image_02\.yaml.*xi"):
        read_calibration(tmp_path)


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7)])
def test_pictures_and_maps_read_back(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    write_png(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), pixels)


def test_16_bit_maps_read_back_and_damage_is_named(tmp_path):
    pixels = np.array([[0, 26003], [44999, 65535]], np.uint16)
    write_png(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), pixels)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"a\.png"):
        read_png(tmp_path / "a.png")


def test_confidence_maps_read_back_in_16_bits_and_in_8(tmp_path):
    confidence = np.array([[0, 0.25], [0.5, 1.5]], np.float32)
    write_confidence(tmp_path / "a.png", confidence)
    np.testing.assert_allclose(read_confidence(tmp_path / "a.png"), np.minimum(confidence, 1), atol=1e-5)
    assert read_png(tmp_path / "a.png").dtype == np.uint16
    write_png(tmp_path / "a.png", np.array([[0, 255]], np.uint8))
    assert read_confidence(tmp_path / "a.png").tolist() == [[0, 1]]
    write_png(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"a\.png.*no confidence"):
        read_confidence(tmp_path / "a.png")


def test_lists_read_back(tmp_path):
    rows = [("data_2d_raw/a.png", "data_2d_semantics/a.png"), ("data_2d_raw/b.png", "data_2d_semantics/b.png")]
    write_list(tmp_path / "frames.txt", rows)
    assert read_list(tmp_path / "frames.txt") == rows


def test_windows_and_boxes_are_found_with_and_without_a_split_folder(tmp_path):
    layout, drive = Kitti360Layout(tmp_path), drive_name(3)
    assert layout.find_windows(drive) == []
    write_window(tmp_path / "data_3d_semantics" / drive / "static/0000000009_0000000020.ply", np.zeros(1, STATIC_POINT))
    assert layout.find_windows(drive)[0].dynamic is None
    for split in ("test1", "train"):
        write_window(layout.window(drive, "static", 2, 10, split), np.zeros(1, STATIC_POINT))
        assert layout.find_windows(drive)[0].static == layout.window(drive, "static", 2, 10, split)
    write_window(layout.window(drive, "dynamic", 2, 10), np.zeros(0, DYNAMIC_POINT))
    assert layout.find_windows(drive)[0].dynamic == layout.window(drive, "dynamic", 2, 10)
    write_boxes(layout.boxes(drive, "train_full"), [])
    assert layout.find_boxes(drive) == layout.boxes(drive, "train_full")
    assert layout.drives() == [drive]
