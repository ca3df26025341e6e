"""Projection through an omnidirectional camera."""

import numpy as np
from jaxtyping import Bool, Float, Float64

from ps3d.ops.geometry import transform
from ps3d.structures import FisheyeCamera


def project_fisheye(
    points: Float[np.ndarray, "points 3"], camera: FisheyeCamera
) -> tuple[Float64[np.ndarray, "points 2"], Float64[np.ndarray, "points"], Bool[np.ndarray, "points"]]:
    """Points of the LiDAR frame through the unified model (Mei and Rives, ICRA 2007), tangential terms included.

    The KITTI-360 devkit leaves the tangential terms out, which moves a pixel by less than a tenth there.

    Returns:
        (column, row) in pixels, distance from the camera in meters, and whether the point is in the picture.
        Points behind the camera's plane are not in the picture: the lens sees about 180 degrees.
    """
    local = transform(camera.camera_from_lidar, points.astype(np.float64))
    distance = np.linalg.norm(local, axis=1)
    is_ahead = local[:, 2] > 1e-3
    direction = local / np.maximum(distance, 1e-9)[:, None]
    x, y = (direction[:, :2] / np.where(is_ahead, direction[:, 2] + camera.xi, 1)[:, None]).T
    squared = x * x + y * y
    radial = 1 + camera.k1 * squared + camera.k2 * squared * squared
    column = x * radial + 2 * camera.p1 * x * y + camera.p2 * (squared + 2 * x * x)
    row = y * radial + camera.p1 * (squared + 2 * y * y) + 2 * camera.p2 * x * y
    pixel = np.stack([camera.gamma1 * column + camera.u0, camera.gamma2 * row + camera.v0], 1)
    height, width = camera.size
    is_inside = (pixel > -0.5).all(1) & (pixel[:, 0] < width - 0.5) & (pixel[:, 1] < height - 0.5)
    return pixel, distance, is_ahead & is_inside
