"""What lies at a path, what is missing or damaged there, and which commands can run on it."""

from pathlib import Path

import numpy as np

from ps3d.datasets.findings import Inventory, check_labels, check_pictures, check_rests, check_sizes, ranges
from ps3d.datasets.kitti360_inspection import inspect_kitti360
from ps3d.datasets.kitti360_layout import numbered_files
from ps3d.datasets.label_files import read_labels
from ps3d.datasets.opening import KITTI360, SCANS, SEMANTIC, recognize
from ps3d.datasets.picture_inspection import inspect_pictures
from ps3d.datasets.picture_opening import is_picture_data
from ps3d.datasets.point_files import READERS, read_any_scan
from ps3d.datasets.scans import find_scans
from ps3d.datasets.semantic_kitti import SEMANTIC_KITTI, sequences_folder
from ps3d.datasets.semantic_kitti_files import read_kitti_calibration, read_kitti_poses, read_times


def inspect_data(root: Path, deep: bool = False) -> Inventory:
    """Look at all files of whatever data set lies at `root`; `deep` reads every byte.

    Raises:
        FileNotFoundError: nothing that ps3d reads; says what it reads.
    """
    if is_picture_data(root):
        return inspect_pictures(root, deep)
    inspectors = {KITTI360: inspect_kitti360, SEMANTIC: _inspect_semantic_kitti, SCANS: _inspect_scans}
    return inspectors[recognize(root)](root, deep)


def _inspect_semantic_kitti(root: Path, deep: bool) -> Inventory:
    inventory = Inventory(SEMANTIC)
    if (root / "velodyne").is_dir():
        folders = [root]
    else:
        folders = sorted(path.parent for path in sequences_folder(root).glob("*/velodyne"))
    has: dict[str, bool] = dict.fromkeys(("labels", "poses", "pictures"), False)
    for folder in folders:
        _check_sequence(inventory, folder, has, deep)
    check_rests(inventory, root)
    scans = {"scans": bool(folders)}
    inventory.can("tools/visualize.py", scans)
    inventory.can("tools/predict.py", scans)
    inventory.can("tools/predict.py, with tracking", {**scans, "poses": has["poses"]})
    inventory.can("tools/train_lidar.py", {**scans, "labels": has["labels"]})
    inventory.can("tools/evaluate.py", {**scans, "labels": has["labels"]})
    return inventory


def _check_sequence(inventory: Inventory, folder: Path, has: dict[str, bool], deep: bool) -> None:
    scans = numbered_files(folder / "velodyne", ".bin")
    check_sizes(inventory, scans.values(), 16, "points")
    labels = numbered_files(folder / "labels", ".label")
    labeled = check_labels(inventory, labels, scans)
    inventory.hold(f"{folder.name}  scans", f"{len(scans)}: {ranges(scans)}; {labeled} with labels")
    has["labels"] |= labeled > 0
    for camera in ("image_2", "image_3"):
        if pictures := numbered_files(folder / camera, ".png"):
            check_pictures(inventory, pictures.values())
            inventory.hold(f"{folder.name}  {camera}", f"{len(pictures)} pictures")
    if deep:
        for path in labels.values():
            inventory.attempt(path, lambda path: SEMANTIC_KITTI.encode(read_labels(path)[0], str(path)))
    has["poses"] |= _check_texts(inventory, folder, max(scans, default=-1) + 1)


def _check_texts(inventory: Inventory, folder: Path, frames: int) -> bool:
    """Whether the scans have poses: poses.txt and calib.txt are there and long enough."""
    readers = {"poses.txt": read_kitti_poses, "calib.txt": read_kitti_calibration, "times.txt": read_times}
    uses = {"poses.txt": "tracking", "calib.txt": "tracking and pictures", "times.txt": "exact times"}
    content = {}
    for name, read in readers.items():
        if (folder / name).exists():
            content[name] = inventory.attempt(folder / name, read)
        else:
            inventory.missing(folder / name, f"needed for {uses[name]}; get 'odometry' from the KITTI download page")
    for name in ("poses.txt", "times.txt"):
        rows = content.get(name)
        if isinstance(rows, np.ndarray) and len(rows) < frames:
            inventory.damaged(folder / name, f"{len(rows)} lines for frames up to {frames - 1}; get it again")
    return content.get("poses.txt") is not None and content.get("calib.txt") is not None


def _inspect_scans(root: Path, deep: bool) -> Inventory:
    inventory = Inventory(SCANS)
    files = find_scans(root)
    for suffix in READERS:
        if same := [path for path in files if path.suffix.lower() == suffix]:
            inventory.hold(f"*{suffix}", f"{len(same)} files, {sum(path.stat().st_size for path in same) / 1e6:.1f} MB")
    step = 1 if deep else max(1, len(files) // 20)
    for path in files[::step]:
        inventory.attempt(path, read_any_scan)
    if step > 1:
        inventory.note(root, f"every {step}th file was read; --deep reads all")
    has_poses = (root / "poses.txt").is_file()
    if not has_poses and root.is_dir():
        inventory.missing(root / "poses.txt", "with 12 numbers (world_from_lidar) per scan and line, tracking works")
    scans = {"scans": bool(files)}
    inventory.can("tools/visualize.py", scans)
    inventory.can("tools/predict.py", scans)
    inventory.can("tools/predict.py, with tracking", {**scans, "poses": has_poses})
    return inventory
