"""What a copy of KITTI-360 holds, file by file."""

from pathlib import Path

import numpy as np

from ps3d.datasets.findings import Inventory, check_labels, check_pictures, check_rests, check_sizes, ranges
from ps3d.datasets.kitti360 import Kitti360
from ps3d.datasets.kitti360_boxes import STATIC, Box, read_boxes
from ps3d.datasets.kitti360_calibration import FISHEYE, PERSPECTIVE, Kitti360Calibration, read_calibration
from ps3d.datasets.kitti360_files import read_list, read_png, read_points, read_poses, read_timestamps
from ps3d.datasets.kitti360_layout import Kitti360Layout, WindowFiles, numbered_files
from ps3d.datasets.kitti360_windows import read_window
from ps3d.datasets.ply import read_ply_header

_SITE = "the KITTI-360 download page"
_PARTS = ("scans", "poses", "windows", "boxes", "labels", "pictures", "picture labels")
_FARTHEST = 200.0
"""A Velodyne HDL-64E measures to 120 m; coordinates beyond this are no meters."""


def inspect_kitti360(root: Path, deep: bool = False) -> Inventory:
    """Check every file by name, size and header, and read the small ones; `deep` reads all of them."""
    layout, inventory = Kitti360Layout(root), Inventory("KITTI-360")
    calibration = _check_calibration(inventory, layout)
    has: dict[str, bool] = dict.fromkeys(_PARTS, False)
    for drive in layout.drives():
        _check_drive(inventory, layout, drive, calibration, has, deep)
    _check_lists(inventory, layout)
    check_rests(inventory, root)
    _say_abilities(inventory, has, calibration is not None)
    return inventory


def _check_calibration(inventory: Inventory, layout: Kitti360Layout) -> Kitti360Calibration | None:
    if not layout.calibration.is_dir():
        inventory.missing(layout.calibration, f"get 'Calibrations' from {_SITE}: poses and pictures need it")
        return None
    try:
        calibration = read_calibration(layout.calibration)
    except FileNotFoundError as error:
        inventory.missing(layout.calibration, str(error))
        return None
    except ValueError as error:
        inventory.damaged(layout.calibration, str(error))
        return None
    rotations = {f"calib_cam_to_pose.txt, {name}": m for name, m in calibration.vehicle_from_camera.items()}
    rotations["calib_cam_to_velo.txt"] = calibration.lidar_from_camera0
    for name, matrix in rotations.items():
        deviation = np.abs(matrix[:3, :3] @ matrix[:3, :3].T - np.eye(3)).max()
        if deviation > 2e-3:
            inventory.damaged(layout.calibration / name, f"no rotation (off by {deviation:.3f}); download it again")
    inventory.hold(
        "calibration", f"{len(calibration.projection)} rectified, {len(calibration.fisheye)} fisheye cameras"
    )
    return calibration


def _check_drive(
    inventory: Inventory,
    layout: Kitti360Layout,
    drive: str,
    calibration: Kitti360Calibration | None,
    has: dict[str, bool],
    deep: bool,
) -> None:
    scans = numbered_files(layout.scans(drive), ".bin")
    check_sizes(inventory, scans.values(), 16, "points")
    if deep:
        _read_scans(inventory, scans)
    inventory.hold(f"{drive}  scans", f"{len(scans)}: {ranges(scans)}" if scans else "none")
    if scans:
        _check_times(inventory, layout, drive, max(scans))
        has["poses"] |= _check_poses(inventory, layout, drive, scans, calibration)
    has["labels"] |= _check_truth(inventory, layout, drive, scans)
    for camera in (*PERSPECTIVE, *FISHEYE):
        _check_camera(inventory, layout, drive, camera, has, deep)
    has["windows"] |= _check_windows(inventory, layout, drive, deep)
    has["boxes"] |= _check_boxes(inventory, layout, drive)
    has["scans"] |= bool(scans)


def _read_scans(inventory: Inventory, scans: dict[int, Path]) -> None:
    for path in scans.values():
        points = inventory.attempt(path, read_points)
        if not isinstance(points, np.ndarray):
            continue
        broken = int((~np.isfinite(points).all(1)).sum())
        if broken:
            inventory.note(path, f"{broken} points are not finite; they count as not measured")
        if np.nanmax(np.abs(points[:, :3])) > _FARTHEST:
            inventory.damaged(path, f"coordinates beyond {_FARTHEST:.0f} m; no float32 x, y, z, intensity in meters")


def _check_times(inventory: Inventory, layout: Kitti360Layout, drive: str, last_scan: int) -> None:
    path = layout.scan_timestamps(drive)
    if not path.exists():
        pictures = [layout.image_timestamps(drive, camera) for camera in (*PERSPECTIVE, *FISHEYE)]
        substitute = next(
            (f"those of {stamps.parent.name}" for stamps in pictures if stamps.exists()), "0.1045 s a frame"
        )
        inventory.missing(path, f"times are {substitute} instead")
        return
    times = inventory.attempt(path, read_timestamps)
    if not isinstance(times, np.ndarray):
        return
    if len(times) <= last_scan:
        inventory.damaged(path, f"{len(times)} lines, but scan {last_scan} needs line {last_scan + 1}; get it again")
    elif (np.diff(times) <= 0).any():
        line = int(np.flatnonzero(np.diff(times) <= 0)[0]) + 2
        inventory.note(path, f"line {line} is not later than the line before")


def _check_poses(
    inventory: Inventory,
    layout: Kitti360Layout,
    drive: str,
    scans: dict[int, Path],
    calibration: Kitti360Calibration | None,
) -> bool:
    path = layout.poses(drive)
    if not path.exists():
        inventory.missing(path, f"get 'Vehicle Poses' from {_SITE}: tracking and label recovery need them")
        return False
    poses = inventory.attempt(path, read_poses)
    if not isinstance(poses, dict):
        return False
    sequence = Kitti360(layout.root, drive)
    try:
        found = {frame: sequence.trajectory.pose(frame) for frame in scans}
    except ValueError:  # damaged time stamps, reported by themselves
        found = {frame: (poses.get(frame), False) for frame in scans}
    unknown = [frame for frame, (pose, _) in found.items() if pose is None]
    interpolated = [frame for frame, (_, is_interpolated) in found.items() if is_interpolated]
    measured = len(found) - len(unknown) - len(interpolated)
    inventory.hold(f"{drive}  poses of scans", f"{measured} measured, {len(interpolated)} interpolated")
    if unknown:
        inventory.note(path, f"no pose for scans {ranges(unknown)}: ends, or gaps over 0.5 s or 2 m; left out")
    if calibration is not None:
        _check_cam0(inventory, layout.cam0_to_world(drive), poses, calibration)
    return len(unknown) < len(found)


def _check_cam0(inventory: Inventory, path: Path, poses: dict, calibration: Kitti360Calibration) -> None:
    if not path.exists():
        return
    cameras = inventory.attempt(path, read_poses)
    if not isinstance(cameras, dict):
        return
    offset = calibration.vehicle_from_rectified("image_00")
    for frame in sorted(cameras.keys() & poses.keys()):
        if np.abs(cameras[frame] - poses[frame] @ offset)[:3, 3].max() > 0.1:
            inventory.damaged(path, f"frame {frame} disagrees with poses.txt and the calibration; get all three again")
            return


def _check_truth(inventory: Inventory, layout: Kitti360Layout, drive: str, scans: dict[int, Path]) -> bool:
    labels = numbered_files(layout.truth(drive), ".label")
    if not labels:
        return False
    count = check_labels(inventory, labels, scans)
    inventory.hold(f"{drive}  labels of scans", count)
    return count > 0


def _check_camera(
    inventory: Inventory, layout: Kitti360Layout, drive: str, camera: str, has: dict[str, bool], deep: bool
) -> None:
    pictures = numbered_files(layout.images(drive, camera), ".png")
    kinds = ("semantic", "instance", "semantic_rgb", "confidence")
    folders = {kind: layout.image_labels(drive, camera, kind, 0).parent for kind in kinds}
    labels = {kind: numbered_files(folder, ".png") for kind, folder in folders.items() if folder.is_dir()}
    if not pictures and not labels:
        return
    every = [*pictures.values(), *(path for files in labels.values() for path in files.values())]
    check_pictures(inventory, every)
    if deep:
        for path in every:
            inventory.attempt(path, read_png)
    counts = ", ".join(f"{len(files)} {kind}" for kind, files in labels.items())
    inventory.hold(f"{drive}  {camera}", f"{len(pictures)} pictures" + (f"; labels: {counts}" if counts else ""))
    has["pictures"] |= bool(pictures)
    has["picture labels"] |= bool(labels.get("semantic", {}).keys() & labels.get("instance", {}).keys())
    for frame in sorted(labels.get("semantic", {}).keys() ^ labels.get("instance", {}).keys())[:5]:
        kind = "instance" if frame in labels.get("semantic", {}) else "semantic"
        path = layout.image_labels(drive, camera, kind, frame)
        inventory.missing(path, "the other label map of this frame is there; get it again")


def _check_windows(inventory: Inventory, layout: Kitti360Layout, drive: str, deep: bool) -> bool:
    windows = layout.find_windows(drive)
    points = sum(_check_window(inventory, window, deep) for window in windows)
    if windows:
        frames = ", ".join(f"{window.start}-{window.end}" for window in windows[:4])
        more = f", ... {len(windows) - 4} more" if len(windows) > 4 else ""
        inventory.hold(f"{drive}  windows", f"{len(windows)} ({frames}{more}), {points / 1e6:.1f} M static points")
    return bool(windows)


def _check_window(inventory: Inventory, window: WindowFiles, deep: bool) -> int:
    """Headers and sizes of both files; returns the number of static points."""
    if window.dynamic is None:
        inventory.missing(
            window.static.parent.parent / "dynamic" / window.static.name, "moving objects of this window are unknown"
        )
    counts = []
    for path in (window.static, window.dynamic):
        if path is None:
            continue
        header = inventory.attempt(path, read_ply_header)
        if header is None:
            return 0
        expected = header.data_start + header.vertices * header.dtype.itemsize  # type: ignore[attr-defined]
        size = path.stat().st_size
        if header.encoding != "ascii" and size != expected:  # type: ignore[attr-defined]
            inventory.damaged(path, f"{size} bytes where the header promises {expected}; download or write it again")
        elif deep:
            inventory.attempt(path, read_window)
        counts.append(header.vertices)  # type: ignore[attr-defined]
    if counts[0] == 0:
        inventory.damaged(window.static, "a static window without any point; download or write it again")
    return counts[0]


def _check_boxes(inventory: Inventory, layout: Kitti360Layout, drive: str) -> bool:
    path = layout.find_boxes(drive)
    if path is None:
        return False
    boxes = inventory.attempt(path, read_boxes)
    if not isinstance(boxes, list):
        return False
    if not boxes:
        inventory.damaged(path, f"no box in it; get '3D Bounding Boxes' from {_SITE} again")
        return False
    _describe_boxes(inventory, path, boxes)
    objects = {box.global_instance for box in boxes if box.instance > 0}
    moving = {box.global_instance for box in boxes if box.timestamp != STATIC}
    inventory.hold(f"{drive}  boxes", f"{len(boxes)}: {len(objects)} objects, {len(moving)} of them move")
    return True


def _describe_boxes(inventory: Inventory, path: Path, boxes: list[Box]) -> None:
    if unknown := sorted({box.label for box in boxes if box.semantic < 0}):
        inventory.note(path, f"labels outside the table: {', '.join(unknown)}; these boxes count as unlabeled")
    moving = [box.global_instance for box in boxes if box.timestamp != STATIC]
    numbers, counts = np.unique(np.array(moving, np.int64), return_counts=True)
    if once := numbers[counts == 1].tolist():
        inventory.note(path, f"moving objects with one box: {once[:5]}; the official loader drops them, ps3d does not")


def _check_lists(inventory: Inventory, layout: Kitti360Layout) -> None:
    for path in [get(split) for get in (layout.image_list, layout.window_list) for split in ("train", "val")]:
        if not path.exists():
            continue
        rows = read_list(path)
        absent = [name for row in rows for name in row if not (layout.root / name).exists()]
        inventory.hold(path.name, f"{len(rows)} lines, {len(absent)} files of them are not here")
        for name in absent[:5]:
            inventory.missing(layout.root / name, f"named by {path.name}; download it, or leave it out of training")


def _say_abilities(inventory: Inventory, has: dict[str, bool], has_calibration: bool) -> None:
    scans, poses = {"scans": has["scans"]}, {"poses": has["poses"], "calibration": has_calibration}
    pictures = {"pictures": has["pictures"]}
    inventory.can("tools/visualize.py", scans)
    inventory.can("tools/predict.py", scans)
    inventory.can("tools/predict.py, with tracking", {**scans, **poses})
    recovery = {**scans, **poses, "windows": has["windows"]}
    inventory.can("tools/recover_labels.py", recovery)
    labels = {"labels of scans (simulate, or recover_labels)": has["labels"]}
    inventory.can("tools/train_lidar.py", {**scans, **labels})
    inventory.can("tools/evaluate.py", {**scans, **labels})
    inventory.can("tools/train_image.py", {**pictures, "labels": has["picture labels"]})
