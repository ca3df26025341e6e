"""Where the sensors sit on the vehicle and how cameras project. Transforms are named target_from_source."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True)
class Camera:
    """A rectified pinhole camera: x right, y down, z forward.

    Attributes:
        intrinsics: 3x3 matrix in pixels; the center of the top left pixel is (0, 0).
        camera_from_lidar: rigid transform from the LiDAR frame (motion-corrected points) into this camera.
        size: (height, width) of its images in pixels.
    """

    intrinsics: Float64[np.ndarray, "3 3"]
    camera_from_lidar: Float64[np.ndarray, "4 4"]
    size: tuple[int, int]


@dataclass(frozen=True)
class FisheyeCamera:
    """An omnidirectional camera: the unit sphere, seen from `xi` behind its center (Mei and Rives, ICRA 2007).

    Attributes:
        xi: distance of the second center from the sphere's, in radii.
        k1: radial distortion, second order.
        k2: radial distortion, fourth order.
        p1: tangential distortion.
        p2: tangential distortion.
        gamma1: generalized focal length along columns, pixels.
        gamma2: generalized focal length along rows, pixels.
        u0: column of the principal point.
        v0: row of the principal point.
        camera_from_lidar: rigid transform from the LiDAR frame (motion-corrected points) into this camera.
        size: (height, width) of its images in pixels.
    """

    xi: float
    k1: float
    k2: float
    p1: float
    p2: float
    gamma1: float
    gamma2: float
    u0: float
    v0: float
    camera_from_lidar: Float64[np.ndarray, "4 4"]
    size: tuple[int, int]


@dataclass(frozen=True)
class Calibration:
    """All sensors of one vehicle.

    Attributes:
        cameras: rectified cameras by name, e.g. "image_00".
        vehicle_from_lidar: the frame the poses describe (GPS/IMU, or the LiDAR itself) from the LiDAR frame.
        fisheye: omnidirectional cameras by name, e.g. "image_02".
    """

    cameras: Mapping[str, Camera] = field(default_factory=dict)
    vehicle_from_lidar: Float64[np.ndarray, "4 4"] = field(default_factory=lambda: np.eye(4))
    fisheye: Mapping[str, FisheyeCamera] = field(default_factory=dict)
