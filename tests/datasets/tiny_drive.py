"""A drive of a few points in KITTI-360's layout, for the readers' tests."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ps3d.datasets.kitti360_boxes import Box, write_boxes
from ps3d.datasets.kitti360_calibration import KITTI360_CALIBRATION, write_calibration
from ps3d.datasets.kitti360_files import write_list, write_png, write_poses, write_scan, write_timestamps
from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name
from ps3d.datasets.kitti360_windows import DYNAMIC_POINT, STATIC_POINT, write_window
from ps3d.datasets.label_files import write_labels

FRAMES = range(1, 9)
POINTS = 60


def pose_of(frame: int) -> np.ndarray:
    """The vehicle drives a curve at about 8 m/s; x forward, y right, z down."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("ZX", [0.02 * frame, np.pi]).as_matrix()
    pose[:3, 3] = [1000 + 0.8 * frame, -2000 + 0.01 * frame**2, 110]
    return pose


def write_tiny_drive(root: Path, drive: int = 3) -> None:
    """Eight scans, one picture with labels, poses, calibration, one window, boxes, exact labels."""
    layout, name = Kitti360Layout(root), drive_name(drive)
    rng = np.random.default_rng(0)
    for frame in FRAMES:
        xyz = rng.uniform(-20, 20, (POINTS, 3)).astype(np.float32)
        write_scan(layout.scan(name, frame), xyz, rng.uniform(0, 1, POINTS).astype(np.float32))
        semantic = np.resize([7, 26, 11, 34, 0, 29], POINTS)
        number = np.resize([0, 4, 2, 2, 0, 4], POINTS)
        write_labels(layout.truth(name) / f"{frame:010d}.label", semantic, number)
    write_timestamps(layout.scan_timestamps(name), 1369730762904483072 + 100_000_000 * np.arange(9))
    write_poses(layout.poses(name), {frame: pose_of(frame) for frame in FRAMES})
    write_calibration(layout.calibration, KITTI360_CALIBRATION)
    write_png(layout.image(name, "image_00", 2), np.zeros((376, 1408, 3), np.uint8))
    semantic = np.full((376, 1408), 23, np.uint8)
    semantic[200:] = 26
    write_png(layout.image_labels(name, "image_00", "semantic", 2), semantic)
    instance = semantic.astype(np.uint16) * 1000
    instance[200:] += 4
    write_png(layout.image_labels(name, "image_00", "instance", 2), instance)
    window = np.zeros(5, STATIC_POINT)
    window["semantic"] = 7
    window["instance"] = 7000
    write_window(layout.window(name, "static", 1, 8), window)
    write_window(layout.window(name, "dynamic", 1, 8), np.zeros(0, DYNAMIC_POINT))
    write_boxes(layout.boxes(name), [Box(26, 4, np.eye(4), start_frame=1, end_frame=8)])
    write_list(layout.window_list("train"), [(f"data_3d_semantics/train/{name}/static/0000000001_0000000008.ply",)])
