"""Where the vehicle is, as far as the tracker needs it: poses where they are sound, an estimate where they are not."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ps3d.ops.geometry import invert, transform
from ps3d.ops.motion import corrected_xyz
from ps3d.ops.nearest import MISSING, index_points, nearest
from ps3d.structures import Frame
from ps3d.tracking.cells import thin

JUMP_MARGIN = 2.0
"""Meters a pose may be off without being called a jump."""

_SOURCE_CELL, _TARGET_CELL = 1.0, 0.5
_NEIGHBORS = 8
_STEPS = 20


@dataclass(frozen=True)
class _Stay:
    """One frame as the locator remembers it."""

    frame: Frame
    seconds: float
    place: Float64[np.ndarray, "4 4"]


class Locator:
    """Poses of a sequence in a frame of its own, which begins at the first scan and never jumps.

    Measured poses only give the motion from frame to frame. A frame without a pose, and one whose pose asks for more
    than the top speed, is placed by registering its scan to the one before ("estimate"), or by going on as before
    ("ignore"; without any poses the vehicle then counts as standing).
    """

    def __init__(self, method: str, top_speed: float) -> None:
        self.method, self.top_speed = method, top_speed
        self._last: _Stay | None = None
        self._anchor: _Stay | None = None
        self._velocity = np.eye(4)
        self._period = 0.1
        self.note = ""

    def locate(self, frame: Frame, seconds: float) -> Float64[np.ndarray, "4 4"]:
        """The LiDAR's place at a frame; `note` says what had to be assumed."""
        self.note = ""
        measured = frame.world_from_lidar
        if measured is not None and not np.isfinite(measured).all():
            measured = None
        place = self._from_pose(measured, seconds)
        if place is None:
            place = self._without_pose(frame, seconds)
            if measured is not None and self._anchor is not None:
                self.note = f"frame {frame.index}: the pose jumps; motion {self._assumption(frame)}"
            elif measured is None:
                self.note = f"frame {frame.index}: no pose; motion {self._assumption(frame)}"
        if self._last is not None and seconds > self._last.seconds:
            self._velocity, self._period = invert(self._last.place) @ place, seconds - self._last.seconds
        stay = _Stay(frame, seconds, place)
        self._last = stay
        if measured is not None:
            self._anchor = stay
        return place

    def _assumption(self, frame: Frame) -> str:
        return "estimated from the scans" if self.method == "estimate" and frame.scan is not None else "assumed steady"

    def _from_pose(self, pose: Float64[np.ndarray, "4 4"] | None, seconds: float) -> Float64[np.ndarray, "4 4"] | None:
        if pose is None or self._anchor is None or self._anchor.frame.world_from_lidar is None:
            return None
        motion = invert(self._anchor.frame.world_from_lidar) @ pose
        reach = self.top_speed * max(seconds - self._anchor.seconds, 0.0) + JUMP_MARGIN
        return self._anchor.place @ motion if np.linalg.norm(motion[:3, 3]) <= reach else None

    def _without_pose(self, frame: Frame, seconds: float) -> Float64[np.ndarray, "4 4"]:
        if self._last is None:
            return np.eye(4)
        guess = scale_motion(self._velocity, (seconds - self._last.seconds) / self._period)
        if self.method == "estimate" and frame.scan is not None and self._last.frame.scan is not None:
            guess = estimate_motion(corrected_xyz(self._last.frame), corrected_xyz(frame), guess)
        return self._last.place @ guess


def scale_motion(motion: Float64[np.ndarray, "4 4"], factor: float) -> Float64[np.ndarray, "4 4"]:
    """A share or a multiple of a rigid motion, rotation vector and translation scaled separately."""
    scaled = np.eye(4)
    scaled[:3, :3] = Rotation.from_rotvec(Rotation.from_matrix(motion[:3, :3]).as_rotvec() * factor).as_matrix()
    scaled[:3, 3] = motion[:3, 3] * factor
    return scaled


def estimate_motion(
    previous: np.ndarray, current: np.ndarray, guess: Float64[np.ndarray, "4 4"]
) -> Float64[np.ndarray, "4 4"]:
    """previous_from_current by point-to-plane registration (Chen and Medioni, 1991) of thinned scans.

    Robust weights let moving objects speak softly; the guess is returned if the scans hold too little to register.

    Args:
        previous, current: motion-corrected scans in their own LiDAR frames, float32 (points, 3).
    """
    target, source = _thinned(previous, _TARGET_CELL), _thinned(current, _SOURCE_CELL)
    if len(target) < 100 or len(source) < 100:
        return guess
    normals, is_flat = _normals(target)
    target, normals = target[is_flat], normals[is_flat]
    if len(target) < 100:
        return guess
    index = index_points(target, 0.5)
    motion = guess.copy()
    for step in range(_STEPS):
        radius = max(3.0 * 0.75**step, 0.4)
        moved = transform(motion, source)
        place, _ = nearest(index, moved, radius)
        found = place != MISSING
        if found.sum() < 50:
            return guess
        p, n = moved[found], normals[place[found]]
        gap = ((target[place[found]] - p) * n).sum(1)
        weight = 1 / (1 + (gap / (radius / 3)) ** 2) ** 2
        rows = np.concatenate([np.cross(p, n), n], 1)
        normal_matrix = (rows * weight[:, None]).T @ rows + 1e-3 * np.eye(6)
        step_vector = np.linalg.solve(normal_matrix, (rows * (weight * gap)[:, None]).sum(0))
        update = np.eye(4)
        update[:3, :3] = Rotation.from_rotvec(step_vector[:3]).as_matrix()
        update[:3, 3] = step_vector[3:]
        motion = update @ motion
        if radius == 0.4 and np.linalg.norm(step_vector) < 1e-4:
            break
    return motion


def _thinned(xyz: np.ndarray, cell: float) -> Float64[np.ndarray, "kept 3"]:
    """One point per cell, near enough to see structure and not on the vehicle itself."""
    distance = np.linalg.norm(xyz[:, :2], axis=1)
    owner = np.where((distance > 2.5) & (distance < 60.0), 0, -1).astype(np.int32)
    return xyz[thin(xyz, owner, 1, cell, len(xyz))].astype(np.float64)


def _normals(
    points: Float64[np.ndarray, "points 3"],
) -> tuple[Float64[np.ndarray, "points 3"], Bool[np.ndarray, "points"]]:
    """Normals from the nearest neighbors, and whether the surroundings are flat enough to have one."""
    _, neighbors = cKDTree(points).query(points, k=_NEIGHBORS)
    around = points[neighbors] - points[neighbors].mean(1, keepdims=True)
    values, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))
    return vectors[:, :, 0], (values[:, 0] < 0.1 * values[:, 1]) & (values[:, 1] > 0.02 * values[:, 2])
