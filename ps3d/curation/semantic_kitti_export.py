"""KITTI-360 with recovered labels as a tree in SemanticKITTI's layout, so that any other code can train on it."""

from pathlib import Path

import numpy as np
import yaml

from ps3d.curation.recovery_job import DriveRecovery
from ps3d.curation.splits import Split
from ps3d.datasets.kitti360_files import write_scan
from ps3d.datasets.kitti360_labels import KITTI360_SCAN, LABELS
from ps3d.datasets.label_files import read_labels, write_labels
from ps3d.ops.atomic_file import atomic_write
from ps3d.ops.geometry import invert
from ps3d.ops.motion import corrected_xyz

FORMAT = "%.9e"


def export_semantic_kitti(recoveries: list[DriveRecovery], out: Path, split: Split) -> Path:
    """Write `sequences/NN/{velodyne,labels,poses.txt,calib.txt,times.txt,frames.txt}` and `kitti360.yaml`.

    Scans are motion-corrected, as SemanticKITTI's are, and numbered without gaps; `frames.txt` holds KITTI-360's own
    number of each. Scans without a pose are left out. Finished scans are skipped.

    Args:
        split: frames to train and to validate on; the yaml names the sequences that hold each.
    """
    for recovery in recoveries:
        _export_drive(recovery, out / "sequences" / f"{recovery.sequence.number:02d}")
    with atomic_write(out / "kitti360.yaml") as name:
        name.write_text(yaml.safe_dump(describe_classes(split), sort_keys=False, allow_unicode=True), encoding="utf-8")
    for part, frames in (("train", split.train), ("valid", split.val)):
        with atomic_write(out / f"{part}_scans.txt") as name:
            name.write_text("".join(_scan_lines(recoveries, frames)))
    return out


def describe_classes(split: Split) -> dict:
    """Names, colors and learning map in the form of semantic-kitti.yaml; class 0 is ignored."""
    classes = KITTI360_SCAN.categories
    learning_map = {label.id: 0 for label in LABELS if label.id >= 0}
    for number, category in enumerate(classes, 1):
        learning_map.update({raw: number for raw in category.raw_ids})
    return {
        "labels": {label.id: label.name for label in LABELS if label.id >= 0},
        "color_map": {label.id: list(label.color[::-1]) for label in LABELS if label.id >= 0},
        "learning_map": learning_map,
        "learning_map_inv": {0: 0, **{number: c.raw_ids[0] for number, c in enumerate(classes, 1)}},
        "learning_ignore": {0: True, **{number: False for number in range(1, len(classes) + 1)}},
        "split": {
            "train": sorted(drive for drive, frames in split.train.items() if frames),
            "valid": sorted(drive for drive, frames in split.val.items() if frames),
            "test": [],
        },
    }


def _export_drive(recovery: DriveRecovery, folder: Path) -> None:
    sequence = recovery.sequence
    chosen = [p for p, frame in enumerate(sequence.frames) if sequence.trajectory.pose(frame)[0] is not None]
    camera_from_lidar = sequence.calibration.cameras["image_00"].camera_from_lidar
    poses, times = [], []
    for number, position in enumerate(chosen):
        frame_number = sequence.frames[position]
        pose, _ = sequence.trajectory.pose(frame_number)
        assert pose is not None
        poses.append(pose @ sequence.calibration.vehicle_from_lidar @ invert(camera_from_lidar))
        times.append(sequence.seconds(frame_number))
        labels = folder / "labels" / f"{number:06d}.label"
        if labels.exists():
            continue
        frame = sequence[position]
        assert frame.scan is not None
        write_scan(folder / "velodyne" / f"{number:06d}.bin", corrected_xyz(frame), frame.scan.intensity)
        # The labels come last: where they are, the scan is.
        write_labels(labels, *read_labels(recovery.label_path(frame_number), len(frame.scan)))
    first_camera = invert(poses[0]) if poses else np.eye(4)
    _write_table(folder / "poses.txt", [(first_camera @ pose)[:3].reshape(-1) for pose in poses])
    _write_table(folder / "times.txt", [np.array([time - times[0]]) for time in times])
    with atomic_write(folder / "frames.txt") as name:
        name.write_text("".join(f"{sequence.frames[position]}\n" for position in chosen))
    with atomic_write(folder / "calib.txt") as name:
        intrinsics = np.hstack([sequence.calibration.cameras["image_00"].intrinsics, np.zeros((3, 1))])
        rows = [(f"P{camera}", intrinsics) for camera in range(4)] + [("Tr", camera_from_lidar[:3])]
        name.write_text("".join(f"{key}: {' '.join(FORMAT % x for x in m.reshape(-1))}\n" for key, m in rows))


def _write_table(path: Path, rows: list[np.ndarray]) -> None:
    with atomic_write(path) as name:
        name.write_text("".join(" ".join(FORMAT % x for x in row) + "\n" for row in rows))


def _scan_lines(recoveries: list[DriveRecovery], frames: dict[int, list[int]]) -> list[str]:
    lines = []
    for recovery in recoveries:
        sequence = recovery.sequence
        with_pose = [frame for frame in sequence.frames if sequence.trajectory.pose(frame)[0] is not None]
        number_of = {frame: number for number, frame in enumerate(with_pose)}
        wanted = frames.get(sequence.number, [])
        lines += [f"{sequence.number:02d}/velodyne/{number_of[f]:06d}.bin\n" for f in wanted if f in number_of]
    return lines
