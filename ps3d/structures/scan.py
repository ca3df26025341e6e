"""What one sensor measured at one instant: a LiDAR sweep or a camera picture."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

SWEEP_SECONDS = 0.1
"""Duration of one sweep: a spinning LiDAR at 10 Hz. `Scan.time` / `SWEEP_SECONDS` is the share of the sweep."""


@dataclass(frozen=True)
class Scan:
    """One LiDAR sweep in the LiDAR frame: x forward, y left, z up.

    Attributes:
        xyz: positions in meters, exactly as measured (not motion-corrected).
        intensity: reflectance, 0..1.
        time: seconds from the sweep's reference time; negative = measured earlier.
    """

    xyz: Float32[np.ndarray, "points 3"]
    intensity: Float32[np.ndarray, "points"]
    time: Float32[np.ndarray, "points"]

    def __len__(self) -> int:
        return len(self.xyz)

    def select(self, keep: np.ndarray) -> "Scan":
        """The points that `keep` (boolean mask or indices) names, in that order."""
        return Scan(self.xyz[keep], self.intensity[keep], self.time[keep])


@dataclass(frozen=True)
class Image:
    """One camera picture, 8-bit RGB."""

    rgb: UInt8[np.ndarray, "height width 3"]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]
