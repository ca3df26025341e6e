"""Rigid transforms, camera projection and the correction of a sweep for the vehicle's own motion."""

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.spatial.transform import Rotation, Slerp

from ps3d.ops.compiled import compiled


def transform(
    target_from_source: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, "points 3"]:
    """Points into another frame; the dtype of the points is kept.

    World coordinates reach thousands of meters: hand in float64 points to keep millimeters.
    """
    rotation = target_from_source[:3, :3].astype(points.dtype)
    return points @ rotation.T + target_from_source[:3, 3].astype(points.dtype)


def invert(target_from_source: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "4 4"]:
    """source_from_target of a rigid transform."""
    inverse = np.eye(4)
    inverse[:3, :3] = target_from_source[:3, :3].T
    inverse[:3, 3] = -inverse[:3, :3] @ target_from_source[:3, 3]
    return inverse


def interpolate_pose(
    before: Float64[np.ndarray, "4 4"], after: Float64[np.ndarray, "4 4"], fraction: float
) -> Float64[np.ndarray, "4 4"]:
    """The pose a fraction (0..1) of the way: spherical for the rotation, linear for the translation."""
    rotations = Rotation.from_matrix(np.stack([before[:3, :3], after[:3, :3]]))
    pose = np.eye(4)
    pose[:3, :3] = Slerp([0.0, 1.0], rotations)(fraction).as_matrix()
    pose[:3, 3] = (1 - fraction) * before[:3, 3] + fraction * after[:3, 3]
    return pose


def correct_motion(
    xyz: Float[np.ndarray, "points 3"],
    sweep_fraction: Float[np.ndarray, "points"],
    current_from_previous: Float64[np.ndarray, "4 4"],
) -> Float[np.ndarray, "points 3"]:
    """Move each point to where it was seen from the vehicle at the sweep's reference time.

    Constant velocity over the sweep, rotation vector and translation scaled separately, as the KITTI-360 devkit's
    `curlVelodyneData` does.

    Args:
        sweep_fraction: -time / duration of a sweep: 0 at the reference time, +0.5 half a sweep earlier.
        current_from_previous: the sensor one sweep earlier, seen from now.

    Returns:
        Points in the dtype of `xyz`.
    """
    vector = Rotation.from_matrix(current_from_previous[:3, :3]).as_rotvec()
    angle = float(np.linalg.norm(vector))
    axis = vector / angle if angle > 1e-10 else np.zeros(3)
    corrected = np.empty_like(xyz)
    _turn_and_shift(xyz, sweep_fraction, axis, angle, np.ascontiguousarray(current_from_previous[:3, 3]), corrected)
    return corrected


@compiled
def _turn_and_shift(
    xyz: np.ndarray, fraction: np.ndarray, axis: np.ndarray, angle: float, shift: np.ndarray, corrected: np.ndarray
) -> None:
    """Rodrigues' formula with one axis and an angle for each point, in float64; eight times as fast as in numpy."""
    for i in range(len(xyz)):
        share = np.float64(fraction[i])
        x, y, z = np.float64(xyz[i, 0]), np.float64(xyz[i, 1]), np.float64(xyz[i, 2])
        cosine, sine = np.cos(share * angle), np.sin(share * angle)
        along = (x * axis[0] + y * axis[1] + z * axis[2]) * (1 - cosine)
        corrected[i, 0] = x * cosine + along * axis[0] + sine * (axis[1] * z - axis[2] * y) + share * shift[0]
        corrected[i, 1] = y * cosine + along * axis[1] + sine * (axis[2] * x - axis[0] * z) + share * shift[1]
        corrected[i, 2] = z * cosine + along * axis[2] + sine * (axis[0] * y - axis[1] * x) + share * shift[2]


def sweep_fraction_from_azimuth(xyz: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points"]:
    """Where in the sweep a clockwise spinning LiDAR measured each point: -0.5..0.5, 0 straight ahead, + = earlier."""
    return 0.5 * np.arctan2(xyz[:, 1], xyz[:, 0]) / np.pi


def project(
    points: Float[np.ndarray, "points 3"],
    camera_from_lidar: Float64[np.ndarray, "4 4"],
    intrinsics: Float64[np.ndarray, "3 3"],
    size: tuple[int, int],
) -> tuple[Float[np.ndarray, "points 2"], Float[np.ndarray, "points"], Bool[np.ndarray, "points"]]:
    """Pinhole projection.

    Returns:
        (column, row) in pixels, depth along the camera's axis in meters, and whether the point is in the picture.
        Points at depth 0 or behind have pixel (0, 0) and are not in the picture.
    """
    local = transform(camera_from_lidar, points)
    depth = local[:, 2]
    is_ahead = depth > 1e-3
    homogeneous = local @ intrinsics.T.astype(points.dtype)
    pixel = np.where(is_ahead[:, None], homogeneous[:, :2] / np.where(is_ahead, depth, 1)[:, None], 0)
    height, width = size
    is_inside = (pixel > -0.5).all(1) & (pixel[:, 0] < width - 0.5) & (pixel[:, 1] < height - 0.5)
    return pixel.astype(points.dtype), depth, is_ahead & is_inside
