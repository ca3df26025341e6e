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
class Calibration:
    """All sensors of one vehicle.

    Attributes:
        cameras: rectified cameras by name, e.g. "image_00".
        vehicle_from_lidar: the frame the poses describe (GPS/IMU, or the LiDAR itself) from the LiDAR frame.
    """

    cameras: Mapping[str, Camera] = field(default_factory=dict)
    vehicle_from_lidar: Float64[np.ndarray, "4 4"] = field(default_factory=lambda: np.eye(4))
