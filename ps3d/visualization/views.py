"""Where one looks from: virtual cameras around the car, above it, or where a real camera sits."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from ps3d.structures import Camera


@dataclass(frozen=True)
class View:
    """A virtual camera: x right, y down, z forward, as all cameras of ps3d.

    Attributes:
        camera_from_points: rigid transform from the frame of the points.
        field_of_view: vertical opening angle in radians; not used by a parallel view.
        height: meters from the top to the bottom of a parallel (orthographic) picture, or None for perspective.
    """

    camera_from_points: Float64[np.ndarray, "4 4"]
    field_of_view: float = np.deg2rad(60)
    height: float | int | None = None

    def intrinsics(self, size: tuple[int, int]) -> Float64[np.ndarray, "3 3"]:
        """Pixels of a (height, width) picture: focal length (pixels, or pixels per meter if parallel) and center."""
        rows, columns = size
        focal = rows / self.height if self.height else rows / 2 / np.tan(self.field_of_view / 2)
        return np.array([[focal, 0, (columns - 1) / 2], [0, focal, (rows - 1) / 2], [0, 0, 1.0]])


def look_at(
    eye: Float[np.ndarray, "3"],
    target: Float[np.ndarray, "3"],
    up: tuple[float | int, float | int, float | int] = (0, 0, 1),
) -> Float64[np.ndarray, "4 4"]:
    """camera_from_points of a camera at `eye` that looks at `target`, with `up` upward in the picture.

    Raises:
        ValueError: eye and target coincide, or one looks along `up`.
    """
    forward = target.astype(np.float64) - eye
    right = np.cross(forward, up)
    if np.linalg.norm(forward) < 1e-9 or np.linalg.norm(right) < 1e-9:
        raise ValueError(f"no view from {eye.tolist()} to {target.tolist()} with {up} upward: choose another up or eye")
    forward, right = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = -rotation @ eye
    return pose


def follow_view(distance: float | int = 17.0, height: float | int = 8.5, ahead: float | int = 9.0) -> View:
    """Behind and above the car, looking forward; meters in the LiDAR frame."""
    return View(look_at(np.array([-distance, 0, height]), np.array([ahead, 0, -1.0])), np.deg2rad(52))


def bird_view(width: float | int = 80.0, center: tuple[float | int, float | int] = (10.0, 0.0)) -> View:
    """From straight above, the driving direction upward, without perspective; `width` meters from top to bottom."""
    eye = np.array([center[0], center[1], 150.0])
    return View(look_at(eye, eye - [0, 0, 1.0], up=(1, 0, 0)), height=width)


def camera_view(camera: Camera) -> View:
    """What a real camera sees: same place and vertical opening angle, the principal point in the middle."""
    angle = 2 * np.arctan(camera.size[0] / 2 / camera.intrinsics[1, 1])
    return View(camera.camera_from_lidar.astype(np.float64), float(angle))


VIEWS = {"follow": follow_view, "bird": bird_view}
"""Views by name that need no calibration."""


def find_view(name: str) -> View:
    """A view by its name. Raises KeyError with the known names."""
    if name not in VIEWS:
        raise KeyError(f"no view {name!r}; known are {', '.join(VIEWS)}, and image where there are cameras")
    return VIEWS[name]()
