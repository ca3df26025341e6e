"""Writing any sequence in SemanticKITTI's layout, for tools that read only that."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32

from ps3d.datasets.kitti360_files import write_scan
from ps3d.datasets.label_files import fold_instances, write_labels
from ps3d.datasets.semantic_kitti import SEMANTIC_KITTI
from ps3d.datasets.semantic_kitti_files import write_kitti_calibration, write_kitti_poses, write_times
from ps3d.ops.atomic_file import atomic_write
from ps3d.ops.geometry import invert
from ps3d.ops.motion import corrected_xyz
from ps3d.structures import Frame, Taxonomy
from ps3d.structures.sequence import LIDAR

RAW_ID_OF_NAME: dict[str, int] = {
    **{category.name: category.raw_ids[0] for category in SEMANTIC_KITTI.categories},
    "bus": 13,
    "train": 16,
    "caravan/trailer": 20,
    "rider": 31,
    "wall": 52,
    "traffic light": 99,
    "traffic sign": 81,
    "sky": 0,
}
"""SemanticKITTI's raw id for class names of ps3d's taxonomies. Walls are its "other-structure" and traffic lights its
"other-object", both of which its benchmark ignores; riders become bicyclists."""

CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)
"""Tr of exported sequences: the camera's axes (right, down, forward) at the LiDAR."""


def export_sequence(
    root: str | Path,
    number: int,
    frames: Iterable[Frame],
    taxonomy: Taxonomy,
    raw_ids: Mapping[str, int] = RAW_ID_OF_NAME,
) -> int:
    """Write root/sequences/NN: velodyne, labels, poses, calib, times, and frames.txt with the original frame numbers.

    Scans are motion-corrected, as SemanticKITTI's are; the world is the first frame's LiDAR. Frames count from 0.

    Args:
        number: of the new sequence.
        frames: with poses; labels are written for those that have truth.
        taxonomy: of the frames' truth.
        raw_ids: what to write for each class name.

    Returns:
        The number of frames.

    Raises:
        KeyError: a class without a raw id.
        ValueError: a frame without scan or pose.
    """
    folder = Path(root) / "sequences" / f"{number:02d}"
    raw_of_class = _raw_table(taxonomy, raw_ids)
    poses: list[Float64[np.ndarray, "4 4"]] = []
    times: list[float] = []
    numbers: list[int] = []
    for position, frame in enumerate(frames):
        if frame.scan is None or frame.world_from_lidar is None:
            raise ValueError(f"frame {frame.index} ({frame.source}) has no scan or no pose; leave it out of the export")
        write_scan(folder / "velodyne" / f"{position:06d}.bin", corrected_xyz(frame), frame.scan.intensity)
        if LIDAR in frame.truth:
            path = folder / "labels" / f"{position:06d}.label"
            label = frame.truth[LIDAR]
            write_labels(path, raw_of_class[label.semantic], fold_instances(label, str(path)))
        poses.append(frame.world_from_lidar)
        times.append(frame.timestamp)
        numbers.append(frame.index)
    if not poses:
        raise ValueError(f"{folder}: no frames to export")
    lidar_from_camera = invert(CAMERA_FROM_LIDAR)
    first = invert(poses[0])
    write_kitti_poses(
        folder / "poses.txt", np.stack([CAMERA_FROM_LIDAR @ first @ pose @ lidar_from_camera for pose in poses])
    )
    write_times(folder / "times.txt", np.array(times) - times[0])
    no_camera = np.diag([0.0, 0.0, 0.0, 1.0])
    write_kitti_calibration(folder / "calib.txt", {**{f"P{i}": no_camera for i in range(4)}, "Tr": CAMERA_FROM_LIDAR})
    with atomic_write(folder / "frames.txt") as temporary:
        temporary.write_text("".join(f"{index}\n" for index in numbers))
    return len(poses)


def _raw_table(taxonomy: Taxonomy, raw_ids: Mapping[str, int]) -> Int32[np.ndarray, "256"]:
    """Raw id of each class id; 0 for void."""
    if missing := [name for name in taxonomy.names if name not in raw_ids]:
        raise KeyError(f"{taxonomy.name}: no raw id for {', '.join(missing)}; add them to `raw_ids`")
    table = np.zeros(256, np.int32)
    table[: len(taxonomy)] = [raw_ids[name] for name in taxonomy.names]
    return table
