"""SemanticKITTI's text files: poses, calibration, times. Labels are in `label_files.py`, scans as in KITTI-360."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from ps3d.ops.atomic_file import atomic_write


def read_kitti_poses(path: str | Path) -> Float64[np.ndarray, "frames 4 4"]:
    """poses.txt of KITTI odometry: line i holds the upper 3x4 of world_from_camera_0 of frame i.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line without 12 finite numbers.
    """
    try:
        table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path}: no table of numbers ({error}); download or write it again") from error
    if table.size == 0:
        return np.zeros((0, 4, 4))
    if table.shape[1] != 12 or not np.isfinite(table).all():
        raise ValueError(f"{path}: {table.shape[1]} numbers per line; 12 finite ones are expected")
    poses = np.tile(np.eye(4), (len(table), 1, 1))
    poses[:, :3] = table.reshape(-1, 3, 4)
    return poses


def write_kitti_poses(path: str | Path, poses: Float64[np.ndarray, "frames 4 4"]) -> None:
    """Write poses.txt, one line per frame from 0."""
    with atomic_write(path) as name:
        np.savetxt(name, np.asarray(poses)[:, :3].reshape(-1, 12), fmt="%.9e")


def read_kitti_calibration(path: str | Path) -> dict[str, Float64[np.ndarray, "4 4"]]:
    """calib.txt: P0..P3 (projections from rectified camera 0, as 4x4) and Tr (camera 0 from Velodyne).

    Raises:
        FileNotFoundError: no such file.
        ValueError: an entry without 12 numbers, or no Tr.
    """
    path = Path(path)
    entries = {}
    for line in path.read_text().splitlines():
        name, found, numbers = line.partition(":")
        if not found:
            continue
        matrix = np.eye(4)
        try:
            matrix[:3] = np.array(numbers.split(), np.float64).reshape(3, 4)
        except ValueError:
            raise ValueError(f"{path}: {name} has {len(numbers.split())} numbers instead of 12") from None
        entries[name.strip()] = matrix
    if "Tr" not in entries:
        raise ValueError(f"{path}: no line Tr, so the LiDAR's place is unknown; take calib.txt of KITTI odometry")
    return entries


def write_kitti_calibration(path: str | Path, entries: Mapping[str, Float64[np.ndarray, "4 4"]]) -> None:
    """Write calib.txt; the devkits expect P0..P3 and Tr."""
    lines = [f"{name}: {' '.join(f'{v:.12e}' for v in matrix[:3].reshape(-1))}\n" for name, matrix in entries.items()]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(lines))


def read_times(path: str | Path) -> Float64[np.ndarray, "frames"]:
    """times.txt: seconds from the first frame.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not numbers.
    """
    try:
        return np.loadtxt(path, dtype=np.float64, ndmin=1)
    except ValueError as error:
        raise ValueError(f"{path}: no list of times ({error}); download or write it again") from error


def write_times(path: str | Path, seconds: Float64[np.ndarray, "frames"]) -> None:
    """Write times.txt."""
    with atomic_write(path) as name:
        np.savetxt(name, seconds, fmt="%.6e")
