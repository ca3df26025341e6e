"""KITTI-360's accumulated windows: labeled points of about 200 m of a drive, in the world frame.

A window is two PLY files of one name, `static/` and `dynamic/`. World coordinates reach thousands of meters in
float32: subtract the first point, in float64, before any arithmetic.
"""

from pathlib import Path

import numpy as np

from ps3d.datasets.ply import read_ply, write_ply

_POINT = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
_LABEL = [("semantic", "<i4"), ("instance", "<i4"), ("visible", "u1")]

STATIC_POINT = np.dtype([*_POINT, *_LABEL, ("confidence", "<f4")])
"""28 bytes. semantic = label id; instance = id * 1000 + k, k = 0 for none; visible in an image; confidence 0..1."""

DYNAMIC_POINT = np.dtype([*_POINT, *_LABEL, ("timestamp", "<i4"), ("confidence", "<f4")])
"""32 bytes. timestamp = number of the frame in which the point was measured; it may lie beyond the window."""

UNLABELED_POINT = np.dtype([*_POINT, ("visible", "u1")])
"""16 bytes: the static windows of the test drives."""

_OTHER_NAMES = {
    "semanticid": "semantic", "semantic_id": "semantic", "label": "semantic",
    "instanceid": "instance", "instance_id": "instance",
    "isvisible": "visible", "is_visible": "visible",
    "frame": "timestamp", "conf": "confidence",
    "r": "red", "g": "green", "b": "blue",
}  # fmt: skip


def read_window(path: str | Path) -> np.ndarray:
    """The points of one window file as a structured array (see `STATIC_POINT`, `DYNAMIC_POINT`, `UNLABELED_POINT`).

    Field names of other writers (semanticID, isVisible, ...) are translated. A file of 0 points is a valid window.

    Raises:
        FileNotFoundError: no such file.
        ValueError: cut off, or without positions.
    """
    points = read_ply(path)
    names = [_OTHER_NAMES.get(name.lower(), name.lower()) for name in points.dtype.names or ()]
    if not {"x", "y", "z"} <= set(names):
        raise ValueError(f"{path}: no window of KITTI-360, its fields are {', '.join(names)}")
    points.dtype.names = tuple(names)
    return points


def write_window(path: str | Path, points: np.ndarray) -> None:
    """Write one window file.

    Raises:
        ValueError: `points` is of none of the three dtypes above.
    """
    if points.dtype not in (STATIC_POINT, DYNAMIC_POINT, UNLABELED_POINT):
        raise ValueError(f"{path}: a window holds STATIC_POINT, DYNAMIC_POINT or UNLABELED_POINT, not {points.dtype}")
    write_ply(path, points)
