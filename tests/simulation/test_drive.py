"""A small drive, written and read back."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from simulation.conftest import FRAMES, NAME, SEED

from ps3d.datasets.kitti360_boxes import read_boxes
from ps3d.datasets.kitti360_calibration import KITTI360_CALIBRATION
from ps3d.datasets.kitti360_files import read_png, read_poses, read_scan, read_timestamps
from ps3d.datasets.kitti360_layout import Kitti360Layout
from ps3d.datasets.kitti360_windows import read_window
from ps3d.datasets.label_files import read_labels
from ps3d.ops.geometry import correct_motion, invert, project, sweep_fraction_from_azimuth, transform
from ps3d.simulation import drive as drive_module
from ps3d.simulation import lidar, simulate_drive, simulate_drives
from ps3d.simulation.drive import DriveSettings, actor_scene, scene_of, world_of
from ps3d.simulation.schedule import make_schedule


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def read_frame(root: Path, frame: int):
    layout = Kitti360Layout(root)
    scan = read_scan(layout.scan(NAME, frame))
    return scan, *read_labels(layout.truth(NAME) / f"{frame:010d}.label", len(scan))


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path):
    pytest.importorskip("open3d", reason="the simulator casts rays with Open3D: pip install open3d-cpu")
    for workers in (1, 2):
        simulate_drive(tmp_path / str(workers), 0, 2, 3, cameras=1, spacing=20.0, workers=workers)
    assert files_of(tmp_path / "1") == files_of(tmp_path / "2")


def test_a_second_call_makes_nothing_anew(drive):
    before = files_of(drive)
    summary = simulate_drive(drive, 0, FRAMES, SEED, cameras=1)
    assert (summary.written, summary.skipped) == (0, FRAMES)
    assert files_of(drive) == before


def test_other_settings_in_the_same_folder_are_refused(drive):
    with pytest.raises(ValueError, match="other settings"):
        simulate_drive(drive, 0, FRAMES, SEED + 1, cameras=1)


def test_every_point_has_a_label_and_scans_have_the_size_of_real_ones(drive):
    for frame in range(1, FRAMES + 1):
        scan, semantic, instance = read_frame(drive, frame)
        assert 98_000 < len(scan) < 128_000
        assert semantic.min() > 0
        assert instance.max() < 1000
        assert np.linalg.norm(scan.xyz, axis=1).max() <= 80.0
    assert len(read_timestamps(Kitti360Layout(drive).scan_timestamps(NAME))) == FRAMES + 1


def test_raw_sweeps_overlay_only_after_motion_correction(drive):
    poses = {
        f: p @ KITTI360_CALIBRATION.vehicle_from_lidar for f, p in read_poses(Kitti360Layout(drive).poses(NAME)).items()
    }

    def world_points(frame: int, is_corrected: bool) -> np.ndarray:
        scan, semantic, _ = read_frame(drive, frame)
        sides = np.isin(semantic, (11, 12, 13, 17)) & (np.abs(scan.xyz[:, 1]) > 3)
        xyz = scan.xyz[sides]
        if is_corrected:
            motion = invert(poses[frame]) @ poses[frame - 1]
            xyz = correct_motion(xyz, sweep_fraction_from_azimuth(xyz), motion)
        return transform(poses[frame], xyz.astype(np.float64))

    def mismatch(is_corrected: bool) -> float:
        # Left and right are measured at different times, so what is seen on one side must fit the same thing later.
        tree = cKDTree(world_points(2, True))
        return float(np.median(tree.query(world_points(5, is_corrected))[0]))

    assert mismatch(True) < 0.9 * mismatch(False)


def test_points_fall_on_pixels_of_their_own_class(drive):
    layout = Kitti360Layout(drive)
    scan, semantic, _ = read_frame(drive, 3)
    poses = {f: p @ KITTI360_CALIBRATION.vehicle_from_lidar for f, p in read_poses(layout.poses(NAME)).items()}
    xyz = correct_motion(scan.xyz, sweep_fraction_from_azimuth(scan.xyz), invert(poses[3]) @ poses[2])
    camera = KITTI360_CALIBRATION.cameras().cameras["image_00"]
    pixel, depth, is_inside = project(xyz, camera.camera_from_lidar, camera.intrinsics, camera.size)
    keep = is_inside & (depth < 40)
    column, row = np.round(pixel[keep]).astype(int).T
    labels = read_png(layout.image_labels(NAME, "image_00", "semantic", 3))
    agreement = (labels[row, column] == semantic[keep]).mean()
    shifted = (labels[row, np.minimum(column + 8, labels.shape[1] - 1)] == semantic[keep]).mean()
    # Not all: what stands behind bushes hides from the camera, which is elsewhere than the LiDAR.
    assert agreement > 0.90
    assert agreement > shifted + 0.05


def test_windows_and_boxes_agree_with_the_truth_of_the_scans(drive):
    layout = Kitti360Layout(drive)
    (window,) = layout.find_windows(NAME)
    assert (window.start, window.end) == (1, FRAMES)
    still, moving = read_window(window.static), read_window(window.dynamic)
    boxes = read_boxes(layout.boxes(NAME))
    static_boxes = {box.global_instance: box for box in boxes if not box.is_dynamic}
    assert len(static_boxes) == sum(not box.is_dynamic for box in boxes)
    for number in np.unique(still["instance"]):
        if number % 1000:
            mine = still[still["instance"] == number]
            xyz = np.stack([mine[axis] for axis in "xyz"], 1)
            assert static_boxes[number].contains(xyz, 0.12).mean() > 0.9
    moving_boxes = {(box.global_instance, box.timestamp) for box in boxes if box.is_dynamic}
    assert {(int(a), int(b)) for a, b in zip(moving["instance"], moving["timestamp"], strict=True)} <= moving_boxes
    _, semantic, instance = read_frame(drive, 3)
    seen = {int(s) * 1000 + int(i) for s, i in zip(semantic, instance, strict=True) if i}
    assert seen <= set(static_boxes) | {number for number, _ in moving_boxes}


def test_intensity_has_the_class_means_of_real_scans(drive):
    frames = [read_frame(drive, frame) for frame in range(1, FRAMES + 1)]
    intensity = np.concatenate([scan.intensity for scan, _, _ in frames])
    semantic = np.concatenate([labels for _, labels, _ in frames])
    for label, low, high in ((7, 0.14, 0.37), (8, 0.21, 0.39), (22, 0.23, 0.43), (11, 0.15, 0.41), (26, 0.06, 0.24)):
        assert low < intensity[semantic == label].mean() < high, label
    assert 0.25 < (intensity[semantic == 26] == 0).mean() < 0.65


def test_drives_side_by_side_have_the_bytes_of_drives_one_by_one(tmp_path):
    simulate_drives(tmp_path / "many", [(3, 1, 17.0), (4, 1, 17.0)], workers=2)
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drive_module, "simulate_drive", None)
        patch.setattr(drive_module, "ProcessPoolExecutor", None)
        simulate_drives(tmp_path / "many", [(3, 1, 17.0), (4, 1, 17.0)], workers=2, progress=told.append)
    assert told == [2]  # finished drives are neither made again nor cost a process
    simulate_drive(tmp_path / "one", 4, 1, seed=4, spacing=17.0, windows=False)
    for kind in ("data_3d_raw", "ps3d_truth"):
        files = [path for path in (tmp_path / "one" / kind).rglob("*") if path.suffix in (".bin", ".label")]
        assert len(files) == 1
        for path in files:
            assert path.read_bytes() == (tmp_path / "many" / path.relative_to(tmp_path / "one")).read_bytes()
    assert not (tmp_path / "many" / "data_3d_semantics").exists()


def test_rays_that_can_meet_an_actor_are_all_cast_at_it(monkeypatch):
    """Each sweep casts only a window of rays at an actor: casting every ray must give the same sweep."""
    pytest.importorskip("open3d", reason="the simulator casts rays with Open3D: pip install open3d-cpu")
    settings = DriveSettings(0, 2, SEED, 0, 6.0)
    (stretch,) = make_schedule(2, 6.0).stretches()
    static, origin = scene_of(settings, stretch)
    traffic = world_of(settings).traffic
    model = lidar.LidarModel()
    beams = lidar.draw_beams(model, np.random.default_rng(1))

    def take(frame: int) -> lidar.Sweep:
        pose, rng = KITTI360_CALIBRATION.vehicle_from_lidar, np.random.default_rng(frame)
        return lidar.sweep(model, beams, static, origin, traffic, 0.1 * frame, pose, actor_scene, rng)

    frames = stretch
    windowed = [take(frame) for frame in frames]
    monkeypatch.setattr(lidar, "_window_around", lambda *_: (np.arange(64), np.arange(2083)))
    for frame, sweep in zip(frames, windowed, strict=True):
        every = take(frame)
        assert (sweep.actor >= 0).sum() > 100
        np.testing.assert_array_equal(sweep.actor, every.actor)
        np.testing.assert_array_equal(sweep.xyz, every.xyz)
