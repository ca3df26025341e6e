"""KITTI-360's scans, poses, time stamps, pictures and lists: one read/write pair for each format.

Calibration, windows and boxes have files of their own (`kitti360_calibration.py`, `kitti360_windows.py`,
`kitti360_boxes.py`); where each file lies is in `kitti360_layout.py`.
"""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, UInt8, UInt16
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from ps3d.ops.atomic_file import atomic_write
from ps3d.ops.compiled import compiled
from ps3d.ops.geometry import sweep_fraction_from_azimuth
from ps3d.ops.png import encode_png
from ps3d.structures import SWEEP_SECONDS, Scan


def read_points(path: str | Path, columns: int = 4) -> Float32[np.ndarray, "points columns"]:
    """The raw numbers of a .bin file: little-endian float32, `columns` per point, no header.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the size is no multiple of a point, or the file is empty.
    """
    path = Path(path)
    size = path.stat().st_size
    if size == 0 or size % (4 * columns):
        raise ValueError(
            f"{path}: {size} bytes are not a whole number of points of {4 * columns} bytes; "
            "the file is cut off: download or write it again"
        )
    return np.fromfile(path, "<f4").reshape(-1, columns)


def read_scan(path: str | Path, has_sweep: bool = True) -> Scan:
    """A Velodyne scan: float32 x, y, z (meters) and reflectance (0..1) of each point.

    Points with a NaN or infinite number keep their place, so that labels still fit, but move to the sensor's origin
    with intensity 0 (what a LiDAR reports for "no return"); a warning tells how many.

    Args:
        has_sweep: True if the points are as measured while the sensor turned and drove: `time` follows from their
            azimuth. False if they were motion-corrected before: `time` is 0.

    Raises:
        FileNotFoundError: no such file.
        ValueError: cut off or empty.
    """
    return scan_from_columns(read_points(path), str(path), has_sweep)


def scan_from_columns(points: Float32[np.ndarray, "points columns"], where: str, has_sweep: bool) -> Scan:
    """A scan from columns x, y, z, intensity; see `read_scan` for points that are not finite."""
    xyz, intensity = np.empty((len(points), 3), np.float32), np.empty(len(points), np.float32)
    broken = _split_columns(points, xyz, intensity)
    if broken:
        warnings.warn(f"{where}: {broken} points are not finite; moved to the origin", stacklevel=3)
    time = -SWEEP_SECONDS * sweep_fraction_from_azimuth(xyz) if has_sweep else np.zeros(len(xyz), np.float32)
    return Scan(xyz, intensity, time.astype(np.float32, copy=False))


@compiled
def _split_columns(points: np.ndarray, xyz: np.ndarray, intensity: np.ndarray) -> int:
    """Fill `xyz` and `intensity` in one pass; returns how many points were not finite and became zeros."""
    broken = 0
    for i in range(len(points)):
        x, y, z, reflectance = points[i, 0], points[i, 1], points[i, 2], points[i, 3]
        if not (np.isfinite(x) and np.isfinite(y) and np.isfinite(z) and np.isfinite(reflectance)):
            broken += 1
            x = y = z = reflectance = np.float32(0)
        xyz[i, 0], xyz[i, 1], xyz[i, 2], intensity[i] = x, y, z, reflectance
    return broken


def write_scan(path: str | Path, xyz: Float[np.ndarray, "points 3"], intensity: Float[np.ndarray, "points"]) -> None:
    """Write a Velodyne scan: meters in the LiDAR frame, reflectance 0..1."""
    with atomic_write(path) as name:
        np.column_stack([xyz, intensity]).astype("<f4").tofile(name)


def read_sick(path: str | Path) -> Float32[np.ndarray, "points 3"]:
    """A planar SICK scan, two numbers per point, as positions in the SICK frame (meters): (0, -first, second)."""
    first, second = read_points(path, 2).T
    return np.stack([np.zeros_like(first), -first, second], 1)


def read_poses(path: str | Path) -> dict[int, Float64[np.ndarray, "4 4"]]:
    """poses.txt: world_from_vehicle by frame; frames are sparse. cam0_to_world.txt reads the same way.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line without 13 or 17 numbers, or with one that is not finite (named with its line).
    """
    path = Path(path)
    try:
        table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path}: no table of numbers ({error}); download or write it again") from error
    if table.size == 0:
        return {}
    if table.shape[1] not in (13, 17):
        raise ValueError(f"{path}: {table.shape[1]} numbers per line, 13 (poses) or 17 (cam0_to_world) are expected")
    if not np.isfinite(table).all():
        line = int(np.flatnonzero(~np.isfinite(table).all(1))[0]) + 1
        raise ValueError(f"{path}: line {line} holds a number that is not finite")
    poses = np.tile(np.eye(4), (len(table), 1, 1))
    poses[:, :3] = table[:, 1:13].reshape(-1, 3, 4)
    return {int(frame): pose for frame, pose in zip(table[:, 0], poses, strict=True)}


def write_poses(path: str | Path, poses: Mapping[int, Float64[np.ndarray, "4 4"]]) -> None:
    """poses.txt: frame and the upper 3x4 of world_from_vehicle, sorted by frame."""
    _write_rows(path, {frame: pose[:3] for frame, pose in poses.items()})


def write_cam0_to_world(path: str | Path, poses: Mapping[int, Float64[np.ndarray, "4 4"]]) -> None:
    """cam0_to_world.txt: frame and all 16 numbers of world_from_rectified_camera_0, sorted by frame."""
    _write_rows(path, poses)


def _write_rows(path: str | Path, matrices: Mapping[int, Float64[np.ndarray, "rows 4"]]) -> None:
    with atomic_write(path) as temporary, temporary.open("w") as file:
        for frame in sorted(matrices):
            numbers = " ".join(f"{value:.12g}" for value in matrices[frame].reshape(-1))
            file.write(f"{frame} {numbers}\n")


def read_timestamps(path: str | Path) -> Int64[np.ndarray, "frames"]:
    """timestamps.txt: nanoseconds since 1970 of each frame number, from 0.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is no time (named with its number).
    """
    path = Path(path)
    lines = path.read_text().split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    try:
        return np.array(lines, "datetime64[ns]").astype(np.int64)
    except ValueError:
        for number, line in enumerate(lines, 1):
            try:
                np.datetime64(line.strip(), "ns")
            except ValueError:
                raise ValueError(f"{path}: line {number} is no time: {line[:40]!r}") from None
        raise


def write_timestamps(path: str | Path, nanoseconds: Int64[np.ndarray, "frames"]) -> None:
    """timestamps.txt: one line for each frame number from 0, `YYYY-MM-DD HH:MM:SS.nnnnnnnnn`."""
    lines = np.datetime_as_string(nanoseconds.astype("datetime64[ns]"), unit="ns")
    with atomic_write(path) as temporary:
        temporary.write_text("".join(line.replace("T", " ") + "\n" for line in lines.tolist()))


def read_png(path: str | Path) -> UInt8[np.ndarray, "..."] | UInt16[np.ndarray, "height width"]:
    """A PNG: uint8 (height, width, 3) for pictures, uint8 or uint16 (height, width) for maps.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged.
    """
    try:
        with Picture.open(path) as picture:
            if picture.mode in ("I;16", "I;16B", "I"):
                return np.asarray(picture).astype(np.uint16)
            return np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    except (UnidentifiedImageError, SyntaxError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path}: no readable picture ({error}); download or write it again") from error


def write_png(path: str | Path, pixels: UInt8[np.ndarray, "..."] | UInt16[np.ndarray, "height width"]) -> None:
    """Write a picture (uint8, 3 channels) or a map (uint8 or uint16)."""
    with atomic_write(path) as name:
        name.write_bytes(encode_png(pixels))


def read_confidence(path: str | Path) -> Float32[np.ndarray, "height width"]:
    """A confidence map of a label picture: 0..1, stored in 16 bits as the official evaluation reads it."""
    pixels = read_png(path)
    if pixels.ndim != 2:
        raise ValueError(f"{path}: a color picture, no confidence map")
    return pixels.astype(np.float32) / np.iinfo(pixels.dtype).max


def write_confidence(path: str | Path, confidence: Float[np.ndarray, "height width"]) -> None:
    """Write a confidence map; values outside 0..1 are cut."""
    write_png(path, np.round(np.clip(confidence, 0, 1) * 65535).astype(np.uint16))


def read_list(path: str | Path) -> list[tuple[str, ...]]:
    """A split list: paths relative to the root, one tuple per line (image and label map, or one window)."""
    return [tuple(line.split()) for line in Path(path).read_text().splitlines() if line.strip()]


def write_list(path: str | Path, rows: Iterable[Iterable[str]]) -> None:
    """A split list: the paths of one row stand on one line, separated by one blank."""
    with atomic_write(path) as temporary:
        temporary.write_text("".join(" ".join(row) + "\n" for row in rows))
